"""The feature store: one Parquet file per symbol and month, and their catalog.

::

    {directory}/symbol=AAPL/2024-01/features.parquet
    {directory}/_metadata/feature_catalog.json
    {directory}/_metadata/locks/AAPL

A file is only ever replaced whole, by a rename; the writer holds the lock of the symbol. The columns are defined
in :mod:`trading_platform.domain.derived.features`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl

from trading_platform.domain.derived.features import FEATURE_NAMES, FEATURE_SCHEMA, FEATURES, FeatureSpec
from trading_platform.domain.errors import InvalidRequest, StoreError
from trading_platform.domain.market.instruments import check_symbol
from trading_platform.domain.time import Clock, Window, utc_now
from trading_platform.stores.atomic_files import (
    exclusive,
    os_errors_as_store_errors,
    persist_folders,
    remove_drafts,
    replace_file,
)
from trading_platform.stores.features.catalog import catalog_entry

_FILE = "features.parquet"
_MAGIC = b"PAR1"
_KEYS = ("time", "symbol", "available_at")


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
    """Features on disk, one file per symbol and month.

    Readers need no lock: they see each file as it was before or after a replacement, never in between.

    Args:
        directory: folder of the store; created by the first write.
        clock: source of ``updated_at`` in the catalog.
    """

    def __init__(self, directory: Path, clock: Clock = utc_now) -> None:
        self.directory = directory
        self._clock = clock

    def replace(self, frame: pl.DataFrame, symbol: str, window: Window) -> Replaced:
        """Replaces all features of a symbol in a window by ``frame``.

        Rows of the same months outside the window stay unchanged. Months are replaced one after the other, each
        atomically; files that would not change are not written.

        Args:
            frame: frame of ``FEATURE_SCHEMA``, with rows of this symbol in the window only.
            symbol: the symbol.
            window: the window to replace.

        Raises:
            InvalidRequest: if a row is of another symbol, outside the window or duplicated.
            StoreFull: if no space is left; the month being written is then unchanged.
            StoreError: if a file cannot be read or written.
        """
        _check(frame, check_symbol(symbol), window)
        parts = _by_month(frame)
        outcome: dict[str, list[str]] = {"written": [], "unchanged": [], "removed": []}
        changed: set[Path] = set()
        with os_errors_as_store_errors(self.directory), exclusive(self._lock(symbol)):
            self._remove_drafts(symbol)
            try:
                for month in _months_touched(window):
                    rows, file = parts.get(month), self._file(symbol, month)
                    if rows is not None or file.exists():
                        outcome[_replace_month(file, rows, window, changed)].append(month)
            finally:
                persist_folders(changed)
        return Replaced(*(tuple(outcome[kind]) for kind in ("written", "unchanged", "removed")))

    def read(self, symbols: Sequence[str], window: Window, names: Sequence[str] | None = None) -> pl.DataFrame:
        """The features of some symbols in a window.

        Args:
            symbols: the symbols; those without features give no rows.
            window: window of the times of the bars.
            names: the features; None means all.

        Returns:
            Frame of ``FEATURE_SCHEMA`` with the requested features, sorted by (symbol, time). A feature that was
            added after a file was written is NULL in its rows.

        Raises:
            InvalidRequest: if there is no feature with a given name, or a symbol is invalid.
            StoreError: if a file cannot be read.
        """
        columns = [*_KEYS, *_check_names(names)]
        touched = set(_months_touched(window))
        with os_errors_as_store_errors(self.directory):
            contents = [
                content
                for symbol in sorted(set(symbols))
                for month in self.months(symbol)
                if month in touched and (content := _content(self._file(symbol, month))) is not None
            ]
        if not contents:
            return pl.DataFrame(schema=FEATURE_SCHEMA).select(columns)
        scanned = pl.scan_parquet(
            contents, schema=FEATURE_SCHEMA, missing_columns="insert", extra_columns="ignore", hive_partitioning=False
        )
        inside = pl.col("time").is_between(window.start, window.end, closed="left")
        return scanned.filter(inside).select(columns).sort("symbol", "time").collect()

    def months(self, symbol: str) -> list[str]:
        """The stored months of a symbol, each as ``2024-01``, in order."""
        return sorted(file.parent.name for file in self._folder(symbol).glob(f"*/{_FILE}"))

    def symbols(self) -> list[str]:
        """The symbols with stored features, in order."""
        return sorted(
            {file.parent.parent.name.removeprefix("symbol=") for file in self.directory.glob(f"symbol=*/*/{_FILE}")}
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
        with os_errors_as_store_errors(self.directory), exclusive(self._lock("_catalog")):
            remove_drafts(path.parent)
            before = _read_catalog(path)
            entries = [_entry(spec, before.get(spec.name), self._clock) for spec in FEATURES.values()]
            if entries != list(before.values()):
                text = json.dumps({"features": entries}, indent=2, ensure_ascii=False)
                persist_folders(replace_file(path, text.encode()))
        return path

    def _clean(self, symbol: str) -> int:
        with exclusive(self._lock(symbol)):
            return self._remove_drafts(symbol)

    def _remove_drafts(self, symbol: str) -> int:
        return sum(remove_drafts(month) for month in self._folder(symbol).glob("*"))

    def _lock(self, name: str) -> Path:
        return self.directory / "_metadata" / "locks" / name

    def _folder(self, symbol: str) -> Path:
        return self.directory / f"symbol={check_symbol(symbol)}"

    def _file(self, symbol: str, month: str) -> Path:
        return self._folder(symbol) / month / _FILE


def _check(frame: pl.DataFrame, symbol: str, window: Window) -> None:
    """Rejects a frame that is not valid for this symbol and window."""
    expected = f"rows of {symbol} in {window}, one per time, with the columns of FEATURE_SCHEMA"
    received = None
    if dict(frame.schema) != FEATURE_SCHEMA:
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


def _check_names(names: Sequence[str] | None) -> Sequence[str]:
    unknown = [name for name in names or () if name not in FEATURES]
    if unknown:
        raise InvalidRequest(
            f"There is no feature {unknown[0]!r}.",
            expected=f"some of {', '.join(FEATURE_NAMES)}",
            received=", ".join(unknown),
            remedy="choose among the listed features",
        )
    return FEATURE_NAMES if names is None else list(dict.fromkeys(names))


def _by_month(frame: pl.DataFrame) -> dict[str, pl.DataFrame]:
    named = frame.sort("time").with_columns(month=pl.col("time").dt.strftime("%Y-%m"))
    return {str(key[0]): part for key, part in named.partition_by("month", as_dict=True, include_key=False).items()}


def _months_touched(window: Window) -> list[str]:
    last = window.end - timedelta(microseconds=1)
    numbers = range(12 * window.start.year + window.start.month - 1, 12 * last.year + last.month)
    return [f"{number // 12:04d}-{number % 12 + 1:02d}" for number in numbers]


def _replace_month(file: Path, rows: pl.DataFrame | None, window: Window, changed: set[Path]) -> str:
    """Replaces a month's rows in the window by ``rows``; returns ``written``, ``unchanged`` or ``removed``.

    Adds the folders with changed entries to ``changed``.
    """
    before = _read(file)
    after = rows
    if before is not None:
        outside = before.filter(~pl.col("time").is_between(window.start, window.end, closed="left"))
        if outside.height:
            after = outside if rows is None else pl.concat([outside, rows]).sort("time")
    if after is None:
        file.unlink(missing_ok=True)
        with suppress(OSError):  # it contains files that this store did not write
            file.parent.rmdir()
        changed |= {file.parent, file.parent.parent}
        return "removed"
    if before is not None and before.equals(after):
        return "unchanged"
    buffer = BytesIO()
    after.write_parquet(buffer)
    changed |= replace_file(file, buffer.getvalue())
    return "written"


def _read(file: Path) -> pl.DataFrame | None:
    """The rows of a month; None if there is no file."""
    content = _content(file)
    if content is None:
        return None
    return pl.scan_parquet(
        BytesIO(content),
        schema=FEATURE_SCHEMA,
        missing_columns="insert",
        extra_columns="ignore",
        hive_partitioning=False,
    ).collect()


def _content(file: Path) -> bytes | None:
    """The whole file, read from one handle, so that a concurrent replacement cannot mix two; None without a file."""
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        return None
    if not (content.startswith(_MAGIC) and content.endswith(_MAGIC)):
        raise StoreError(
            f"{file} is damaged.",
            expected="a Parquet file",
            received=f"{len(content)} bytes without the Parquet magic number at both ends",
            remedy="delete the file and rebuild the features of that month",
        )
    return content


def _read_catalog(path: Path) -> dict[str, dict[str, Any]]:
    """The stored entries; none if the catalog is missing or unreadable, since it is rebuilt from the code."""
    try:
        return {entry["feature_name"]: entry for entry in json.loads(path.read_bytes())["features"]}
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return {}


def _entry(spec: FeatureSpec, before: dict[str, Any] | None, clock: Clock) -> dict[str, Any]:
    entry = {**catalog_entry(spec), "warm_up_bars": spec.warm_up}
    if before is not None and before == {**entry, "updated_at": before.get("updated_at")}:
        return before
    return {**entry, "updated_at": clock().isoformat()}
