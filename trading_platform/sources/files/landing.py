"""The landing area: the accepted bars of each imported file, unchanged.

Each content is one Parquet file, named after its hash:
``symbol=SPY/timeframe=1d/<sha256>.parquet`` under the imports directory. Backfills of imported
data read it (:mod:`trading_platform.sources.files.source`), any number of times.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

import polars as pl

from trading_platform.domain.errors import StoreError, StoreFull
from trading_platform.domain.market.bars import BAR_SCHEMA, Quality, empty_bars
from trading_platform.domain.market.instruments import check_symbol
from trading_platform.domain.time import Clock, Timeframe, Window

_COLUMNS = ("time", "open", "high", "low", "close", "volume")
_READER_VERSION = "2"
"""Raise it when the same bytes and options would be read differently than before."""


_STAGED = ".staged"


class Kept(StrEnum):
    """The result of storing a file's bars."""

    NEW = "new"
    UNCHANGED = "unchanged"
    REPLACED = "replaced"


@dataclass(frozen=True)
class LandedFile:
    """A file of the landing area.

    Attributes:
        path: its path.
        imported_at: when it was imported; where files overlap, the later import wins.
        bars: from its first bar to the end of its last.
        span: the interval it covers.
        options: the options that shaped it.
    """

    path: Path
    imported_at: datetime
    bars: Window
    span: Window
    options: str


class LandingArea:
    """The landing area in a directory, which need not exist yet.

    Args:
        directory: the imports directory.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._cache: dict[Path, tuple[tuple[int, int], LandedFile]] = {}
        self._last_import: datetime | None = None

    def keep(
        self,
        bars: pl.DataFrame,
        *,
        sha256: str,
        symbol: str,
        timeframe: Timeframe,
        span: Window,
        options: str,
        clock: Clock,
        staged: bool = False,
    ) -> Kept:
        """Stores the bars of a content; repeating it with the same options changes nothing.

        An import that a later one has overruled in places is the last one again, and counts everywhere.

        Args:
            bars: frame of ``BAR_SCHEMA``, one symbol, not empty.
            sha256: hash of the content.
            symbol: symbol of the bars.
            timeframe: length of the bars.
            span: the interval the content covers. Where it was stored with other options, the interval it covered then
                is added, so that bars of the former reading are replaced, too.
            options: the options that shaped the bars; different options replace what was stored.
            clock: gives the time of import.
            staged: the bars are a part of a content, stored under its hash and a number, and invisible before
                :meth:`publish`.

        Raises:
            StoreFull: if there is no space left; nothing of the file is stored.
            StoreError: if the directory cannot be written to.
        """
        target = self._folder(symbol, timeframe) / f"{sha256}.parquet"
        options = f"{_READER_VERSION}|{options}"
        try:
            before = self._read(target) if target.exists() else None
            if before is not None and before.options == options and not self._overruled(before, symbol, timeframe):
                return Kept.UNCHANGED
            if before is not None:
                span = Window(min(span.start, before.span.start), max(span.end, before.span.end))
            first, last = bars.select(first=pl.col("time").min(), last=pl.col("time").max()).row(0)
            metadata = {
                "imported_at": self._timestamp(clock).isoformat(),
                "first": first.isoformat(),
                "end": (last + timeframe.duration).isoformat(),
                "span_start": span.start.isoformat(),
                "span_end": span.end.isoformat(),
                "options": options,
            }
            # Written to memory first: the system's own message for a full disk is clearer than Polars'.
            body = io.BytesIO()
            bars.select(_COLUMNS).write_parquet(body, compression="zstd", metadata=metadata)
            _write(target.with_name(f"{target.name}{_STAGED}") if staged else target, body.getbuffer())
        except OSError as error:
            raise _failure(error, target) from None
        return Kept.NEW if before is None else Kept.REPLACED

    def has(self, *, sha256: str, symbol: str, timeframe: Timeframe, options: str) -> bool:
        """Whether the bars of a content, read with these options, are stored and count: no later import overrules them.

        Raises:
            StoreError: if its file is damaged.
        """
        target = self._folder(symbol, timeframe) / f"{sha256}.parquet"
        if not target.exists():
            return False
        stored = self._read(target)
        return stored.options == f"{_READER_VERSION}|{options}" and not self._overruled(stored, symbol, timeframe)

    def _overruled(self, file: LandedFile, symbol: str, timeframe: Timeframe) -> bool:
        """Whether a later import of another content has another bar at a time of a file."""
        content = file.path.name.partition(".")[0].partition("-")[0]
        later = [
            other
            for other in self.files(symbol, timeframe)
            if other.imported_at > file.imported_at
            and other.bars.intersect(file.bars)
            and not other.path.name.startswith(content)
        ]
        if not later:
            return False
        own = collect([file], symbol, timeframe, file.bars, "").select(_COLUMNS)
        theirs = collect(later, symbol, timeframe, file.bars, "").unique("time", keep="last", maintain_order=True)
        shared = theirs.select(_COLUMNS).join(own, on="time", how="semi")
        return shared.join(own, on=_COLUMNS, how="anti", nulls_equal=True).height > 0

    def bars(self, symbol: str, timeframe: Timeframe, window: Window, *, without: str) -> pl.DataFrame:
        """The bars of a window from all imports but one, of several imports of a time those of the latest.

        Args:
            symbol: the symbol.
            timeframe: length of the bars.
            window: the window.
            without: hash of the content to leave out.

        Raises:
            StoreError: if a file is damaged or cannot be read.
        """
        others = [
            file
            for file in self.files(symbol, timeframe)
            if file.bars.intersect(window) and not file.path.name.startswith(without)
        ]
        found = collect(others, symbol, timeframe, window, "")
        return found.unique("time", keep="last", maintain_order=True).drop("rank").sort("time")

    def span_of(self, *, sha256: str, symbol: str, timeframe: Timeframe) -> Window | None:
        """The interval that a stored content covers; None if it is not stored.

        Raises:
            StoreError: if its file is damaged.
        """
        target = self._folder(symbol, timeframe) / f"{sha256}.parquet"
        return self._read(target).span if target.exists() else None

    def publish(self, *, sha256: str, symbol: str, timeframe: Timeframe) -> None:
        """Makes the staged parts of a content visible, in order; after an interruption the first ones are visible.

        Raises:
            StoreError: if the directory cannot be written to.
        """
        folder = self._folder(symbol, timeframe)
        try:
            for path in sorted(folder.glob(f"{sha256}-*{_STAGED}")):
                path.replace(path.with_name(path.name.removesuffix(_STAGED)))
            if folder.exists():
                _sync_folder(folder)
        except OSError as error:
            raise _failure(error, folder) from None

    def has_all(self, *, sha256: str, symbol: str, timeframe: Timeframe) -> bool:
        """Whether all parts of a content are stored and visible, and count: no later import overrules them.

        Raises:
            StoreError: if a file is damaged.
        """
        folder = self._folder(symbol, timeframe)
        parts = sorted(folder.glob(f"{sha256}-*.parquet"))
        if not parts or any(folder.glob(f"{sha256}-*{_STAGED}")):
            return False
        return not any(self._overruled(self._read(part), symbol, timeframe) for part in parts)

    def drop(self, *, sha256: str, symbol: str, timeframe: Timeframe) -> None:
        """Deletes the parts of a content, visible or not.

        Raises:
            StoreError: if the directory cannot be written to.
        """
        folder = self._folder(symbol, timeframe)
        try:
            for path in folder.glob(f"{sha256}-*"):
                path.unlink()
        except OSError as error:
            raise _failure(error, folder) from None

    def files(self, symbol: str, timeframe: Timeframe) -> list[LandedFile]:
        """The imported files of a symbol and timeframe, in the order of import.

        Raises:
            StoreError: if a file there is damaged.
        """
        folder = self._folder(symbol, timeframe)
        try:
            with os.scandir(folder) as entries:
                paths = [Path(entry.path) for entry in entries if entry.name.endswith(".parquet")]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _failure(error, folder) from None
        return sorted((self._read(path) for path in paths), key=lambda file: (file.imported_at, file.path.name))

    def _folder(self, symbol: str, timeframe: Timeframe) -> Path:
        return self._directory / f"symbol={check_symbol(symbol)}" / f"timeframe={timeframe.value}"

    def _timestamp(self, clock: Clock) -> datetime:
        """The present, but later than every earlier import, so that the order of imports is known."""
        timestamp = clock()
        if self._last_import is not None and timestamp <= self._last_import:
            timestamp = self._last_import + timedelta(microseconds=1)
        self._last_import = timestamp
        return timestamp

    def _read(self, path: Path) -> LandedFile:
        state = path.stat()
        mark = (state.st_mtime_ns, state.st_size)
        cached = self._cache.get(path)
        if cached is None or cached[0] != mark:
            cached = (mark, _describe(path))
            self._cache[path] = cached
        return cached[1]


def _describe(path: Path) -> LandedFile:
    try:
        about = pl.read_parquet_metadata(path)
        times = {
            key: datetime.fromisoformat(about[key]) for key in ("imported_at", "first", "end", "span_start", "span_end")
        }
        options = about["options"]
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, KeyError, ValueError) as error:
        raise damaged(path, error) from None
    return LandedFile(
        path,
        times["imported_at"],
        Window(times["first"], times["end"]),
        Window(times["span_start"], times["span_end"]),
        options,
    )


def scan(file: LandedFile, symbol: str, timeframe: Timeframe, source: str, quality: str) -> pl.LazyFrame:
    """The bars of a landed file as a lazy frame of ``BAR_SCHEMA``."""
    whole = pl.scan_parquet(file.path, hive_partitioning=False, glob=False)
    constants = {"symbol": symbol, "timeframe": timeframe.value, "source": source, "quality": quality}
    return whole.with_columns(**{name: pl.lit(value) for name, value in constants.items()}).select(BAR_SCHEMA.keys())


def collect(
    files: Sequence[LandedFile], symbol: str, timeframe: Timeframe, window: Window, source: str
) -> pl.DataFrame:
    """The bars of all the files in a window, in the order of import; ``rank`` is the position of the file.

    Raises:
        StoreError: if a file is damaged or cannot be read.
    """
    if not files:
        return empty_bars().with_columns(rank=pl.lit(0, dtype=pl.Int32))
    inside = pl.col("time").is_between(window.start, window.end, closed="left")
    scans = [
        scan(file, symbol, timeframe, source, Quality.TRADED.value)
        .filter(inside)
        .with_columns(rank=pl.lit(rank, dtype=pl.Int32))
        for rank, file in enumerate(files)
    ]
    try:
        return pl.concat(scans).collect()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise damaged(files[0].path.parent, error) from None


def damaged(path: Path, error: BaseException) -> StoreError:
    """The error for a landed file that cannot be read."""
    return StoreError(
        "A file of the landing area is damaged.",
        received=f"{path}: {str(error).splitlines()[0][:200]}",
        remedy="delete it and import the original file again",
    )


def _write(target: Path, body: memoryview) -> None:
    """Writes the whole file or nothing, even on a power failure."""
    _make_folder(target.parent)
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=".", suffix=".partial")
    try:
        with os.fdopen(handle, "wb") as written:
            written.write(body)
            written.flush()
            os.fsync(written.fileno())
        os.replace(temporary, target)  # noqa: PTH105
        _sync_folder(target.parent)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)  # noqa: PTH108
        raise


def _make_folder(folder: Path) -> None:
    """Creates a folder and its missing parents with access for their owner alone, as ``mkstemp`` creates files."""
    if not folder.exists():
        _make_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _failure(error: OSError, path: Path) -> StoreError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error):
        return StoreFull(
            "No space is left for the landing area.", received=str(path), remedy="free space and import again"
        )
    return StoreError(
        "The landing area cannot be used.",
        received=f"{path}: {error.strerror or error}",
        remedy="check the directory and its permissions (DATA_DIR)",
    )
