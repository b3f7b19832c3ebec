"""The feature store: one Parquet file per symbol and month, and their catalog.

::

    {directory}/symbol=AAPL/2024-01/features.parquet         a row for each daily bar
    {directory}/symbol=BTCUSD/2024-01/features_1h.parquet    a row for each hourly bar
    {directory}/_metadata/feature_catalog.json

A file is only ever replaced whole, by a rename; the writer holds the lock of the symbol
(:mod:`trading_platform.stores.features.recorded.locks`). What is in a file is in
:mod:`trading_platform.stores.features.month_files`, the definitions of the columns in
:mod:`trading_platform.stores.features.definitions`, what was in it before in
:mod:`trading_platform.stores.features.recorded`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.features.declaration import DATA_TYPES
from trading_platform.domain.features.feature_set import KEYS, label_is_no_feature
from trading_platform.domain.market.instruments import check_symbol
from trading_platform.domain.time import Clock, Timeframe, Window, utc_now
from trading_platform.stores.atomic_files import (
    os_errors_as_store_errors,
    persist_folders,
    remove_drafts,
    replace_file,
)
from trading_platform.stores.features.catalog import catalog_entries
from trading_platform.stores.features.definitions import BUILT_IN_DEFINITIONS, Definitions
from trading_platform.stores.features.month_files import (
    Columns,
    change_of_month,
    read_month,
    stamps_of,
    without_former_types,
)
from trading_platform.stores.features.recorded.content import Stamp
from trading_platform.stores.features.recorded.locks import FileLocks, WriterLocks
from trading_platform.stores.features.recorded.months import FeatureMonths, LiveMonths, RecordedMonths
from trading_platform.stores.features.recorded.objects import Objects
from trading_platform.stores.features.recorded.revisions import RevisionLogs
from trading_platform.stores.features.recorded.snapshots import SnapshotStore
from trading_platform.stores.features.writing import RecordedWriter

FILE_NAMES = {Timeframe.D1: "features.parquet", Timeframe.H1: "features_1h.parquet"}
"""The file of a month, by the bars that it has rows of. Hourly rows have a file of their own, so that whoever reads the
files of daily rows gets what they always had."""


@dataclass(frozen=True)
class Replaced:
    """Outcome of a replacement for the months it touched, each as ``2024-01``.

    Attributes:
        written: months with a new file or changed rows.
        unchanged: months with exactly these rows already.
        removed: months that no longer have rows.
    """

    written: tuple[str, ...]
    unchanged: tuple[str, ...]
    removed: tuple[str, ...]


class FeatureStore:
    """Features on disk, one file per symbol and month, of daily or of hourly rows.

    Readers need no lock: they see each file as it was before or after a replacement, never in between.

    Args:
        directory: folder of the store; created by the first write.
        clock: source of ``updated_at`` in the catalog.
        definitions: the features that are written, and the hashes of their definitions.
        frequency: length of the bars that rows are of, ``1d`` or ``1h``.
        locks: the locks of writers; None means those of files, for the processes of one machine.

    Attributes:
        logs: what the files were before they were replaced.
        objects: these files.
        live: the files as they are.
        snapshots: what was read once, and is read again with the same bytes.
    """

    def __init__(
        self,
        directory: Path,
        clock: Clock = utc_now,
        definitions: Definitions = BUILT_IN_DEFINITIONS,
        frequency: Timeframe = Timeframe.D1,
        locks: WriterLocks | None = None,
    ) -> None:
        self.directory = directory
        self.definitions = definitions.of(frequency)
        self.frequency = frequency
        self.file_name = FILE_NAMES[frequency]
        self._clock = clock
        self.locks = locks or FileLocks(directory, clock)
        self.logs = RevisionLogs(directory)
        self.objects = Objects(directory)
        self.live = LiveMonths(directory, self.file_name)
        self.snapshots = SnapshotStore(directory, self.logs, self.objects, self.locks, clock)

    @property
    def schema(self) -> dict[str, pl.DataType]:
        """The columns of a frame of all features: those defined here, and further ones of the catalog beside the files.

        A reader without a user's definitions has their features from the catalog.
        """
        return {**self.definitions.features.schema, **self._catalogued(only_lost=False)}

    def replace(self, frame: pl.DataFrame, symbol: str, window: Window, names: Sequence[str] | None = None) -> Replaced:
        """Replaces features of a symbol in a window by ``frame``.

        Rows of the same months outside the window stay unchanged, and so do the values of features that are not
        replaced. Months are replaced one after the other, each atomically; files that would not change are not written.

        Args:
            frame: ``time``, ``symbol``, ``available_at`` and the features, with rows of this symbol in the window only.
            symbol: the symbol.
            window: the window to replace.
            names: the features in ``frame``, whose values are replaced in the stored rows (:meth:`has_rows`). None
                means all that are defined; the rows themselves are replaced as well.

        Raises:
            InvalidRequest: if a row is of another symbol, outside the window or duplicated, or the columns differ.
            StoreFull: if no space is left; the month being written is then unchanged.
            StoreError: if a file cannot be read or written.
        """
        defined = self.definitions.features.schema
        _check(
            frame,
            check_symbol(symbol),
            window,
            {**KEYS, **{n: defined[n] for n in names or ()}} if names is not None else defined,
        )
        columns, parts = self._columns(), _by_month(frame)
        with os_errors_as_store_errors(self.directory), self.locks.holding(symbol) as held:
            self._remove_drafts(symbol)
            writer = RecordedWriter(symbol, self._folder(symbol), self.logs, self.objects)
            files = {month: self._file(symbol, month) for month in _months_touched(window)}
            found = {month: read_month(file) for month, file in files.items()}
            touched = [month for month, before in found.items() if before is not None or month in parts]
            befores = [found[month] for month in touched]
            at = writer.time_after(held.at, befores)
            changes = [
                change_of_month(files[month], found[month], parts.get(month), window, columns, names, at)
                for month in touched
            ]
            writer.publish(changes, befores, at, held.confirm)
        outcomes = [(change.outcome, month) for month, change in zip(touched, changes, strict=True)]
        return Replaced(*(tuple(m for each, m in outcomes if each == of) for of in ("written", "unchanged", "removed")))

    def recorded(self, recorded_as_of: datetime, now: datetime) -> FeatureMonths:
        """The months as they were recorded at a time.

        Raises:
            InvalidRequest: if it is in the future, or before the store kept what it replaces.
        """
        with os_errors_as_store_errors(self.directory):
            self.logs.check(recorded_as_of, now)
        return RecordedMonths(self.live, self.logs, self.objects, recorded_as_of)

    def read(
        self,
        symbols: Sequence[str],
        window: Window,
        names: Sequence[str] | None = None,
        months: FeatureMonths | None = None,
    ) -> pl.DataFrame:
        """The features of some symbols in a window.

        Args:
            symbols: the symbols; those without features give no rows.
            window: window of the times of the bars.
            names: the features; None means all.
            months: the state to read; None means the present one.

        Returns:
            ``time``, ``symbol``, ``available_at`` and the requested features, sorted by (symbol, time). A feature that
            was added after a file was written is NULL in its rows.

        Raises:
            InvalidRequest: if there is no feature with a given name, or a symbol is invalid.
            StoreError: if a file cannot be read.
        """
        schema = self.schema
        columns = [*KEYS, *self._known(names, schema)]
        touched, state = set(_months_touched(window)), months or self.live
        with os_errors_as_store_errors(self.directory):
            contents = [
                content
                for symbol in sorted(set(symbols))
                for month in state.months(symbol)
                if month in touched and (content := state.content(symbol, month)) is not None
            ]
        if not contents:
            return pl.DataFrame(schema=schema).select(columns)
        inside = pl.col("time").is_between(window.start, window.end, closed="left")
        try:
            rows = self._scan(contents, schema).filter(inside).select(columns).sort("symbol", "time").collect()
        except pl.exceptions.SchemaError:
            current = [without_former_types(content, self._columns()) for content in contents]
            rows = self._scan(current, schema).filter(inside).select(columns).sort("symbol", "time").collect()
        return rows

    @staticmethod
    def _scan(contents: list[bytes], schema: dict[str, pl.DataType]) -> pl.LazyFrame:
        return pl.scan_parquet(
            contents, schema=schema, missing_columns="insert", extra_columns="ignore", hive_partitioning=False
        )

    def stamps(self, symbol: str, window: Window) -> dict[str, dict[str, Stamp]]:
        """By which definition each feature of a symbol was computed, for each stored month that a window touches."""
        files = {month: stamps_of(self._file(symbol, month)) for month in _months_touched(window)}
        return {month: stamps for month, stamps in files.items() if stamps is not None}

    def kept(self) -> list[str]:
        """The features whose definition is unknown here; files keep their columns."""
        return list(self._catalogued(only_lost=True))

    def has_rows(self, symbol: str, window: Window, times: pl.Series) -> bool:
        """Whether the stored rows of a symbol in a window are exactly those of some times."""
        stored = self.read([symbol], window, [])
        return stored["time"].equals(times.sort())

    def months(self, symbol: str) -> list[str]:
        """The stored months of a symbol, each as ``2024-01``, in order."""
        return self.live.months(symbol)

    def symbols(self) -> list[str]:
        """The symbols with stored features, in order."""
        return sorted(
            {
                file.parent.parent.name.removeprefix("symbol=")
                for file in self.directory.glob(f"symbol=*/*/{self.file_name}")
            }
        )

    def clean(self) -> int:
        """Removes the drafts that killed writers left behind; returns how many.

        Each replacement does this for its symbol.
        """
        with os_errors_as_store_errors(self.directory):
            return sum(self._clean(folder.name.removeprefix("symbol=")) for folder in self.directory.glob("symbol=*"))

    def write_catalog(self) -> Path:
        """Brings ``_metadata/feature_catalog.json`` up to date with the definitions in code.

        ``updated_at`` is when an entry last changed; if no entry changed, the file is not written.

        Returns:
            Path of the catalog.

        Raises:
            StoreFull: if no space is left; the catalog is then unchanged.
            StoreError: if it cannot be written.
        """
        path = self.directory / "_metadata" / "feature_catalog.json"
        with os_errors_as_store_errors(self.directory), self.locks.holding("_catalog"):
            remove_drafts(path.parent)
            before = _read_catalog(path)
            entries = [
                _stamped(entry, before.get(entry["feature_name"]), self._clock)
                for entry in catalog_entries(self.definitions)
            ]
            named = {entry["feature_name"] for entry in entries}
            entries += [
                entry
                for name, entry in before.items()
                if name not in named and self.definitions.lost(entry.get("defined_in"))
            ]
            if entries != list(before.values()):
                parts = {
                    part: [entry for entry in entries if entry["kind"] == kind]
                    for part, kind in (("features", "feature"), ("labels", "label"))
                }
                persist_folders(replace_file(path, json.dumps(parts, indent=2, ensure_ascii=False).encode()))
        return path

    def _columns(self) -> Columns:
        known = self.definitions.features
        return Columns(
            {name: known.schema[name] for name in known.names},
            {name: (known.features[name].version, self.definitions.hashes[name]) for name in known.names},
            self._catalogued(only_lost=True),
        )

    def _catalogued(self, *, only_lost: bool) -> dict[str, pl.DataType]:
        """The types of features in the catalog that are not defined here; or only of those in files with errors."""
        if only_lost and not (self.definitions.errors or self.definitions.without_users):
            return {}
        return {
            name: DATA_TYPES[entry["data_type"]]
            for name, entry in self._catalog().items()
            if entry.get("kind") == "feature"
            and name not in self.definitions.features.features
            and entry.get("defined_in")
            and (self.frequency is Timeframe.H1 or entry.get("frequency") != "1h")
            and (not only_lost or self.definitions.lost(entry["defined_in"]))
        }

    def _labels(self) -> dict[str, int]:
        """The labels of the catalog, each with the number of bars that it looks ahead."""
        entries = self._catalog().values()
        return {entry["feature_name"]: entry["horizon_bars"] for entry in entries if entry.get("kind") == "label"}

    def _catalog(self) -> dict[str, dict[str, Any]]:
        with os_errors_as_store_errors(self.directory):
            return _read_catalog(self.directory / "_metadata" / "feature_catalog.json")

    def _known(self, names: Sequence[str] | None, schema: dict[str, pl.DataType]) -> list[str]:
        """The features of these names, each once; all for None."""
        others = [name for name in names or () if name in schema and name not in KEYS]
        for name in names or ():
            if name not in others and name in (labels := self._labels()):
                raise label_is_no_feature(name, labels[name])
        self.definitions.features.known([name for name in names or () if name not in others])
        return list(dict.fromkeys(others)) if names is not None else [name for name in schema if name not in KEYS]

    def _clean(self, symbol: str) -> int:
        with self.locks.holding(symbol):
            return self._remove_drafts(symbol)

    def _remove_drafts(self, symbol: str) -> int:
        return sum(remove_drafts(month) for month in self._folder(symbol).glob("*"))

    def _folder(self, symbol: str) -> Path:
        return self.directory / f"symbol={check_symbol(symbol)}"

    def _file(self, symbol: str, month: str) -> Path:
        return self.live.path(symbol, month)


def _check(frame: pl.DataFrame, symbol: str, window: Window, schema: dict[str, pl.DataType]) -> None:
    """Rejects a frame that is not valid for this symbol and window."""
    expected = f"rows of {symbol} in {window}, one per time, with the columns {', '.join(schema)}"
    received = None
    if dict(frame.schema) != schema:
        received = f"columns {dict(frame.schema)}"
    elif not frame["symbol"].eq(symbol).all():
        received = f"rows of {', '.join(frame['symbol'].unique().sort().cast(pl.String).to_list())}"
    elif not frame["time"].is_between(window.start, window.end, closed="left").all():
        received = f"rows from {frame['time'].min()!s} to {frame['time'].max()!s}"
    elif frame["time"].is_duplicated().any():
        received = "several rows with the same time"
    if received is not None:
        raise InvalidRequest(
            "These features cannot be stored.",
            expected=expected,
            received=received,
            remedy="store one symbol at a time, and only rows in the window",
        )


def _by_month(frame: pl.DataFrame) -> dict[str, pl.DataFrame]:
    named = frame.sort("time").with_columns(month=pl.col("time").dt.strftime("%Y-%m"))
    return {str(key[0]): part for key, part in named.partition_by("month", as_dict=True, include_key=False).items()}


def _months_touched(window: Window) -> list[str]:
    last = window.end - timedelta(microseconds=1)
    numbers = range(12 * window.start.year + window.start.month - 1, 12 * last.year + last.month)
    return [f"{number // 12:04d}-{number % 12 + 1:02d}" for number in numbers]


def _read_catalog(path: Path) -> dict[str, dict[str, Any]]:
    """The stored entries; none if the catalog is missing or unreadable, since it is rebuilt from the code."""
    try:
        parts = json.loads(path.read_bytes())
        return {entry["feature_name"]: entry for entry in [*parts["features"], *parts.get("labels", ())]}
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _stamped(entry: dict[str, Any], before: dict[str, Any] | None, clock: Clock) -> dict[str, Any]:
    if before is not None and before == {**entry, "updated_at": before.get("updated_at")}:
        return before
    return {**entry, "updated_at": clock().isoformat()}
