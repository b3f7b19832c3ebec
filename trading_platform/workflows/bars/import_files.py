"""The use case of ``trading-platform import``: files go to the landing area, rejected rows to the quarantine.

The tables of bars are not written here; a backfill does that, from the landing area through
:class:`trading_platform.sources.files.source.FileSource`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol

import polars as pl

from trading_platform.domain.market.calendars import timezone_of
from trading_platform.domain.market.instruments import Instrument, guess_instrument
from trading_platform.domain.time import Clock, Timeframe, Window
from trading_platform.sources.files.contents import FileContent, open_contents
from trading_platform.sources.files.landing import Kept
from trading_platform.sources.files.options import ImportOptions
from trading_platform.sources.files.reading import SOURCE, FileReading, read_instruments
from trading_platform.workflows.progress import Progress, silent


class Landing(Protocol):
    """Stores accepted bars."""

    def has(self, *, sha256: str, symbol: str, timeframe: Timeframe, options: str) -> bool:
        """Whether the bars of a content, read with these options, are stored."""

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
    ) -> Kept:
        """Stores the bars of a content, unless they are stored already."""


class Quarantine(Protocol):
    """Stores rejected rows."""

    def record(
        self, rejected: pl.DataFrame, *, source: str, symbol: str | None, timeframe: str | None, origin: str
    ) -> int:
        """Stores them; returns how many are new."""


class Coverage(Protocol):
    """Coverage of sources."""

    def withdraw(self, symbol: str, timeframe: Timeframe, source: str, windows: Sequence[Window]) -> None:
        """Removes windows from the coverage of a source, so that the next backfill requests them again."""


class Instruments(Protocol):
    """The universe."""

    def get(self, symbol: str) -> Instrument | None:
        """The instrument with that symbol, if there is one."""

    def add(self, instrument: Instrument) -> object:
        """Adds an instrument to the universe."""


class ImportStatus(StrEnum):
    """Outcome of importing a file."""

    IMPORTED = "imported"
    REPLACED = "replaced"
    UNCHANGED = "already imported"
    REJECTED = "rejected"
    ABSENT = "not in the archive"


@dataclass(frozen=True)
class ImportedFile:
    """Result of importing a file, or a member of a ZIP file: of each instrument in it.

    Attributes:
        origin: path, and member after an exclamation mark.
        status: outcome.
        format: the recognised format; this and the next two are None if the file was rejected before they were known.
        symbol: symbol of the bars.
        timeframe: length of the bars.
        rows: number of data records; accepted + quarantined = rows.
        accepted: number of rows that passed the rules.
        quarantined: number of rejected rows.
        bars: number of stored bars; fewer than accepted if ticks were aggregated.
        start: open of the first bar.
        end: end of the last bar.
        assumption: assumptions made about the file.
        reasons: number of rejected rows by reason.
        detail: the first rejection, as text.
        registered: whether the symbol was not in the universe and was added.
        compared: number of bars that were stored already and were compared with these.
        different: how many of them differ.
    """

    origin: str
    status: ImportStatus
    format: str | None
    symbol: str | None
    timeframe: str | None
    rows: int
    accepted: int
    quarantined: int
    bars: int
    start: datetime | None
    end: datetime | None
    assumption: str
    reasons: dict[str, int] = field(default_factory=dict)
    detail: str | None = None
    registered: bool = False
    compared: int = 0
    different: int = 0


@dataclass(frozen=True)
class ImportReport:
    """Result of importing all files."""

    files: tuple[ImportedFile, ...]

    @property
    def reasons(self) -> dict[str, int]:
        """Number of rejected rows by reason, the most frequent first."""
        total: dict[str, int] = {}
        for file in self.files:
            for reason, count in file.reasons.items():
                total[reason] = total.get(reason, 0) + count
        return dict(sorted(total.items(), key=lambda item: -item[1]))

    @property
    def every_file_usable(self) -> bool:
        """Whether every file had at least one accepted row."""
        return all(file.status is not ImportStatus.REJECTED for file in self.files)

    @property
    def series(self) -> list[tuple[str, str]]:
        """The symbols and timeframes with imported bars to backfill from."""
        return sorted(
            {(file.symbol, file.timeframe) for file in self.files if file.bars and file.symbol and file.timeframe}
        )


def import_files(
    paths: Sequence[Path],
    options: ImportOptions,
    *,
    landing: Landing,
    quarantine: Quarantine,
    coverage: Coverage,
    instruments: Instruments,
    clock: Clock,
    progress: Progress = silent,
) -> ImportReport:
    """Imports files one after the other; repeating it changes nothing.

    The rejected rows of a file are quarantined before its bars are landed, so that after an interruption a second
    import completes the first.

    Args:
        paths: the files; a ZIP file stands for its members.
        options: the user's options, which apply to all of them.
        landing: stores accepted bars.
        quarantine: stores rejected rows.
        coverage: loses the windows in which an import changes the imported bars.
        instruments: the universe; unknown symbols are added, as the kind of instrument that their name suggests.
        clock: source of the current time.
        progress: receives a report after each file.

    Raises:
        InvalidRequest: if a file does not exist (then nothing is imported), or a symbol or timeframe cannot be
            determined (then the files before are imported).
        StoreError: if a store fails; the files before are imported.
    """
    contents = [content for path in paths for content in open_contents(path.expanduser().absolute())]
    done: list[ImportedFile] = []
    progress("files", 0, len(contents))
    for number, content in enumerate(contents, start=1):
        done.extend(_import_content(content, options, landing, quarantine, coverage, instruments, clock=clock))
        progress("files", number, len(contents))
    return ImportReport(tuple(done))


def _import_content(
    content: FileContent,
    options: ImportOptions,
    landing: Landing,
    quarantine: Quarantine,
    coverage: Coverage,
    instruments: Instruments,
    *,
    clock: Clock,
) -> list[ImportedFile]:
    """Imports a content: one result for each instrument in it."""

    def zone_of(symbol: str) -> str:
        instrument = instruments.get(symbol) or guess_instrument(symbol, SOURCE)
        return timezone_of(instrument.calendar).key

    done = []
    for reading in read_instruments(content, options, now=clock(), zone_of=zone_of):
        timeframe = reading.timeframe.value if reading.timeframe else None
        rejected = reading.rejected.with_columns(row_count=pl.col("row_count").clip(lower_bound=1))
        quarantine.record(rejected, source=SOURCE, symbol=reading.symbol, timeframe=timeframe, origin=content.origin)
        registered = bool(reading.accepted) and _register(reading.symbol, instruments)
        status = _land(reading, options, landing, coverage, clock) if reading.accepted else ImportStatus.REJECTED
        done.append(_report(content, reading, status, registered=registered))
    return done


def _register(symbol: str | None, instruments: Instruments) -> bool:
    if symbol is None or instruments.get(symbol) is not None:
        return False
    instruments.add(guess_instrument(symbol, SOURCE))
    return True


_STATUS = {
    Kept.NEW: ImportStatus.IMPORTED,
    Kept.REPLACED: ImportStatus.REPLACED,
    Kept.UNCHANGED: ImportStatus.UNCHANGED,
}


def _land(
    reading: FileReading, options: ImportOptions, landing: Landing, coverage: Coverage, clock: Clock
) -> ImportStatus:
    if reading.span is None or reading.symbol is None or reading.timeframe is None or reading.sha256 is None:
        return ImportStatus.IMPORTED  # ticks of an unfinished bar: accepted, but no bar yet
    symbol, timeframe, sha256, fingerprint = reading.symbol, reading.timeframe, reading.sha256, options.fingerprint()
    if landing.has(sha256=sha256, symbol=symbol, timeframe=timeframe, options=fingerprint):
        return ImportStatus.UNCHANGED
    # Before the bars are stored: if killed in between, the old bars are merely requested once more.
    coverage.withdraw(symbol, timeframe, SOURCE, [reading.span])
    kept = landing.keep(
        reading.bars,
        sha256=sha256,
        symbol=symbol,
        timeframe=timeframe,
        span=reading.span,
        options=fingerprint,
        clock=clock,
    )
    return _STATUS[kept]


def _report(content: FileContent, reading: FileReading, status: ImportStatus, *, registered: bool) -> ImportedFile:
    end = reading.bars["time"].max()
    duration = reading.timeframe.duration if reading.timeframe else None
    return ImportedFile(
        origin=content.origin,
        status=status,
        format=reading.format,
        symbol=reading.symbol,
        timeframe=reading.timeframe.value if reading.timeframe else None,
        rows=reading.rows,
        accepted=reading.accepted,
        quarantined=reading.quarantined,
        bars=reading.bars.height,
        start=reading.bars["time"].min(),  # type: ignore[arg-type]
        end=end + duration if isinstance(end, datetime) and duration else None,
        assumption=reading.assumption,
        reasons=_reasons(reading.rejected),
        detail=reading.rejected["detail"].first() if reading.rejected.height else None,  # type: ignore[arg-type]
        registered=registered,
    )


def _reasons(rejected: pl.DataFrame) -> dict[str, int]:
    counted: Iterable[tuple[str, int]] = (
        rejected.group_by("reason").agg(pl.col("row_count").sum()).sort("reason").iter_rows()
    )
    return dict(counted)
