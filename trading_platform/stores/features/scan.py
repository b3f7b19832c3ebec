"""Reads feature rows of many symbols for a training set: only the months that its times need, some files at a time.

The months come from a :class:`MonthReader`, so that reads of the present files and of any others are alike. The rows of
a symbol become available in the order of their months; so the last row that was available at a time is in the month of
that time or in the last stored one before that has such a row. The join is
:mod:`trading_platform.domain.features.point_in_time`, the files are those of
:mod:`trading_platform.stores.features.files`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from io import BytesIO
from typing import Protocol

import polars as pl

from trading_platform.domain.errors import StoreError
from trading_platform.domain.features.feature_set import KEYS
from trading_platform.domain.features.point_in_time import absent_column
from trading_platform.domain.time import LATEST
from trading_platform.stores.features.definitions import Definitions
from trading_platform.stores.features.month_files import Columns, without_former_types

FILES_AT_ONCE = 1_000
"""Files in memory at once, before their rows are decoded."""

VALUES_AT_ONCE = 32_000_000
"""Values of feature rows in memory at once, of eight bytes each."""

File = tuple[str, str]
"""Symbol and month, as in ``("SPY", "2024-01")``."""


class MonthReader(Protocol):
    """Gives the feature files of a symbol."""

    def months(self, symbol: str) -> list[str]:
        """The stored months of a symbol, each as ``2024-01``, in order."""

    def content(self, symbol: str, month: str) -> bytes | None:
        """The whole file of a month; None if it is not there."""


class ReadFiles(Protocol):
    """Receives how many of the files have been read."""

    def __call__(self, done: int, total: int) -> None:
        """Reports that ``done`` of ``total`` files have been read; the total grows where earlier months are needed."""


class FeatureScan:
    """The rows of some features.

    Args:
        reader: gives the files.
        schema: the features with their types.
        definitions: tell a column of another definition, which is left out, from a damaged one.
        rows_a_month: how many rows a file has at most; it decides how many files are in memory at once.
        whole_history: read each symbol from its first row on, and say where a file has no column of a feature
            (:func:`~trading_platform.domain.features.point_in_time.absent_column`).
        progress: receives how many files have been read.
    """

    def __init__(
        self,
        reader: MonthReader,
        schema: Mapping[str, pl.DataType],
        definitions: Definitions,
        *,
        rows_a_month: int,
        whole_history: bool,
        progress: ReadFiles,
    ) -> None:
        self._reader = reader
        self._names = list(schema)
        self._schema = {**KEYS, **schema}
        known = definitions.features
        own = [name for name in schema if name in known.features]
        stamps = {name: (known.features[name].version, definitions.hashes[name]) for name in own}
        self._columns = Columns({name: known.schema[name] for name in own}, stamps, {})
        self._whole_history = whole_history
        self._progress = progress
        self._done = self._total = 0
        self._most_files = max(1, VALUES_AT_ONCE // (rows_a_month * len(self._schema)))
        self._months: dict[str, list[str]] = {}

    @property
    def empty(self) -> pl.DataFrame:
        """No rows, with all columns."""
        return pl.DataFrame(schema=self._schema)

    def months(self, symbol: str) -> list[str]:
        """The stored months of a symbol, listed once."""
        if symbol not in self._months:
            self._months[symbol] = self._reader.months(symbol)
        return self._months[symbol]

    def parts(self, cells: pl.DataFrame) -> Iterator[pl.DataFrame]:
        """The cells in parts of whole symbols, of which the rows are in memory together.

        Args:
            cells: as for :meth:`rows`.
        """
        symbols: list[str] = []
        files = 0
        for symbol, months in sorted(cells.group_by("symbol").len().iter_rows()):
            needed = len(self.months(symbol)) if self._whole_history else min(months + 1, len(self.months(symbol)))
            if symbols and files + needed > self._most_files:
                yield cells.filter(pl.col("symbol").is_in(symbols))
                symbols, files = [], 0
            symbols.append(symbol)
            files += needed
        if symbols:
            yield cells.filter(pl.col("symbol").is_in(symbols))

    def rows(self, cells: pl.DataFrame) -> pl.DataFrame:
        """The rows from which the last one available at each time of the cells can be taken.

        Args:
            cells: ``symbol``, ``month`` (its first day, UTC) and ``first``, the earliest time of the symbol in that
                month.

        Returns:
            ``time``, ``symbol``, ``available_at`` and the features, sorted by (symbol, available_at, time).

        Raises:
            StoreError: if a file cannot be read.
        """
        wanted = self._whole(cells) if self._whole_history else self._last_before(cells)
        opened: dict[File, datetime] = {}
        frames = []
        while wanted:
            files = sorted(set(wanted) - set(opened))
            if files:
                frames.append(self._read(files))
                opened |= dict.fromkeys(files, LATEST) | _first_available(frames[-1])
            wanted = {} if self._whole_history else self._earlier(wanted, opened)
        found = pl.concat(frames, how="diagonal", rechunk=True) if frames else self.empty
        return found if len(frames) == 1 and _is_sorted(found) else found.sort("symbol", "available_at", "time")

    def _whole(self, cells: pl.DataFrame) -> dict[File, datetime]:
        """All files until the last month of each symbol."""
        last = cells.group_by("symbol").agg(month=pl.col("month").max().dt.strftime("%Y-%m"))
        return {
            (symbol, stored): LATEST
            for symbol, month in last.iter_rows()
            for stored in self.months(symbol)
            if stored <= month
        }

    def _last_before(self, cells: pl.DataFrame) -> dict[File, datetime]:
        """For each cell the last file until its month, with the earliest time that it has to serve."""
        wanted: dict[File, datetime] = {}
        for symbol, month, first in cells.select(
            "symbol", pl.col("month").dt.strftime("%Y-%m"), pl.col("first")
        ).iter_rows():
            self._want(wanted, symbol, bisect_right(self.months(symbol), month) - 1, first)
        return wanted

    def _earlier(self, wanted: Mapping[File, datetime], opened: Mapping[File, datetime]) -> dict[File, datetime]:
        """The files before those that have no row for the earliest time that they have to serve."""
        further: dict[File, datetime] = {}
        for (symbol, month), first in wanted.items():
            if first < opened[symbol, month]:
                self._want(further, symbol, bisect_right(self.months(symbol), month) - 2, first)
        return further

    def _want(self, wanted: dict[File, datetime], symbol: str, position: int, first: datetime) -> None:
        if position >= 0:
            file = (symbol, self.months(symbol)[position])
            wanted[file] = min(first, wanted.get(file, first))

    def _read(self, files: Sequence[File]) -> pl.DataFrame:
        frames = []
        self._total += len(files)
        for start in range(0, len(files), FILES_AT_ONCE):
            some = files[start : start + FILES_AT_ONCE]
            given = [(file, content) for file in some if (content := self._reader.content(*file)) is not None]
            if given:
                frames.append(self._decoded(given))
            self._done += len(some)
            self._progress(self._done, self._total)
        return pl.concat(frames, how="diagonal") if frames else self.empty

    def _decoded(self, given: Sequence[tuple[File, bytes]]) -> pl.DataFrame:
        contents = [content for _, content in given]
        try:
            try:
                rows = self._scan(contents)
            except pl.exceptions.SchemaError:
                contents = [without_former_types(content, self._columns) for content in contents]
                rows = self._scan(contents)
            return self._with_absent(rows, [file for file, _ in given], contents) if self._whole_history else rows
        except pl.exceptions.PolarsError as error:
            raise self._damaged(given, error) from None

    def _scan(self, contents: list[bytes]) -> pl.DataFrame:
        scanned = pl.scan_parquet(
            contents, schema=self._schema, missing_columns="insert", extra_columns="ignore", hive_partitioning=False
        )
        return scanned.select(*self._schema).collect().rechunk()  # each file would be a chunk of its own

    def _with_absent(self, rows: pl.DataFrame, files: Sequence[File], contents: Sequence[bytes]) -> pl.DataFrame:
        """The rows with a column for each feature that some of the files do not have."""
        absent: dict[str, list[File]] = {}
        for file, content in zip(files, contents, strict=True):
            present = pl.read_parquet_schema(BytesIO(content))
            for name in self._names:
                if name not in present:
                    absent.setdefault(name, []).append(file)
        month = pl.col("time").dt.strftime("%Y-%m").alias("month")
        for name, without in absent.items():
            keys = pl.DataFrame(without, schema=["symbol", "month"], orient="row")
            marked = keys.with_columns(pl.lit(value=True).alias(absent_column(name)))
            rows = rows.with_columns(month).join(
                marked, on=["symbol", "month"], how="left", maintain_order="left", validate="m:1"
            )
            rows = rows.drop("month")
        return rows

    def _damaged(self, given: Sequence[tuple[File, bytes]], error: pl.exceptions.PolarsError) -> StoreError:
        """The error for the first of the files that cannot be read by itself."""
        named, reason = "one of the feature files", error
        for (symbol, month), content in given:
            try:
                self._scan([without_former_types(content, self._columns)])
            except pl.exceptions.PolarsError as own:
                named, reason = f"the feature file of {symbol} in {month}", own
                break
        return StoreError(
            f"{named[0].upper()}{named[1:]} cannot be read.",
            expected="a Parquet file with the columns that the catalog says",
            received=str(reason).splitlines()[0],
            remedy="delete that file and build the features of its month again: `trading-platform backfill`",
        )


def _first_available(rows: pl.DataFrame) -> dict[File, datetime]:
    """When the first row of each file was available."""
    month = pl.col("time").dt.truncate("1mo").alias("month")
    first = rows.group_by("symbol", month).agg(pl.col("available_at").min())
    named = first.select("symbol", pl.col("month").dt.strftime("%Y-%m"), "available_at")
    return {(symbol, month): available for symbol, month, available in named.iter_rows()}


def _is_sorted(rows: pl.DataFrame) -> bool:
    """Whether rows are sorted by symbol, then by when they were available, then by time."""
    same = pl.col("symbol") == pl.col("symbol").shift()
    later = (pl.col("available_at") > pl.col("available_at").shift()) | (
        (pl.col("available_at") == pl.col("available_at").shift()) & (pl.col("time") >= pl.col("time").shift())
    )
    in_order = (pl.col("symbol") > pl.col("symbol").shift()) | (same & later)
    return bool(rows.select(in_order.fill_null(value=True).all()).item())
