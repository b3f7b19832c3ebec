"""The use case of ``trading-platform import``: files go to the landing area, rejected rows to the quarantine.

The tables of bars are not written here; a backfill does that, from the landing area through
:class:`trading_platform.sources.files.source.FileSource`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol

import polars as pl

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.market.calendars import timezone_of
from trading_platform.domain.market.instruments import Instrument, guess_instrument
from trading_platform.domain.quality.closed_time import HoursFit, judge_hours
from trading_platform.domain.quality.listed_rows import ListedRows
from trading_platform.domain.quality.unreadable_times import place_unreadable
from trading_platform.domain.rejection_reasons import Reason
from trading_platform.domain.time import Clock, Timeframe, Window
from trading_platform.sources.files.content.contents import FileContent, open_contents
from trading_platform.sources.files.content.options import FileRejected, ImportOptions
from trading_platform.sources.files.landing import Kept
from trading_platform.sources.files.reading import SOURCE, FileReading, read_instruments, whole_rejection
from trading_platform.sources.files.recognition.evidence import guessed_instrument
from trading_platform.workflows.imports.price_level import check_price_level
from trading_platform.workflows.imports.suspect import suspect_words
from trading_platform.workflows.progress import Progress, silent


class Landing(Protocol):
    """Stores accepted bars."""

    def has(self, *, sha256: str, symbol: str, timeframe: Timeframe, options: str) -> bool:
        """Whether the bars of a content, read with these options, are stored."""

    def span_of(self, *, sha256: str, symbol: str, timeframe: Timeframe) -> Window | None:
        """The interval that a stored content covers; None if it is not stored."""

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

    def bars(self, symbol: str, timeframe: Timeframe, window: Window, *, without: str) -> pl.DataFrame:
        """The bars of a window from all imports but one."""


class Bars(Protocol):
    """The stored bars."""

    def read(self, symbols: Sequence[str], timeframe: Timeframe, window: Window) -> pl.DataFrame:
        """The bars of a window."""


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
        out_of_session: number of bars outside the sessions of the instrument's calendar.
        hours: what the hours of the bars look like, and which reading of the times fits; empty if all bars lie in the
            sessions.
        hours_fit: whether no other reading of the times fits the sessions distinctly better.
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
    out_of_session: int = 0
    hours: str = ""
    hours_fit: bool = True


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
    bars: Bars | None = None,
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
        bars: the stored bars, whose prices are compared with the imported ones; None: only those of other imports.
        progress: receives a report after each file.

    Raises:
        InvalidRequest: if a file does not exist (then nothing is imported), or a symbol or timeframe cannot be
            determined (then the files before are imported).
        StoreError: if a store fails; the files before are imported.
    """
    contents = [content for path in paths for content in open_contents(path.expanduser().absolute())]
    done: list[ImportedFile] = []
    progress("files", 0, len(contents))
    listed: dict[Path, ListedRows] = {}
    for number, content in enumerate(contents, start=1):
        rows = listed.setdefault(content.path, ListedRows())
        found = _import_content(content, options, landing, quarantine, rows, coverage, instruments, bars, clock=clock)
        done.extend(found)
        progress("files", number, len(contents))
    return ImportReport(tuple(done))


def _import_content(
    content: FileContent,
    options: ImportOptions,
    landing: Landing,
    quarantine: Quarantine,
    listed: ListedRows,
    coverage: Coverage,
    instruments: Instruments,
    bars: Bars | None,
    *,
    clock: Clock,
) -> list[ImportedFile]:
    """Imports a content: one result for each instrument in it."""

    def zone_of(symbol: str) -> str:
        return timezone_of((instruments.get(symbol) or guess_instrument(symbol, SOURCE)).calendar).key

    done = []
    readings = read_instruments(content, options, now=clock(), zone_of=zone_of, registered=instruments.get)
    for found in readings:
        recent, old = _stored_part(found)
        leveled, level = _at_price_level(recent, options, landing, bars)
        reading, instrument, words = _with_instrument(leveled, instruments, alone=len(readings) == 1)
        known = instrument or (instruments.get(reading.symbol) if reading.symbol is not None else None)
        timeframe = reading.timeframe.value if reading.timeframe else None
        length = reading.timeframe.duration if reading.timeframe else None
        rejected = listed.all_of(_rejected(reading, known), length)
        quarantine.record(rejected, source=SOURCE, symbol=reading.symbol, timeframe=timeframe, origin=content.origin)
        if instrument is not None:
            instruments.add(instrument)
        status = _land(reading, options, landing, coverage, clock) if reading.accepted else ImportStatus.REJECTED
        hours = None
        if known is not None and reading.timeframe is not None:
            hours = judge_hours(reading.bars, known.calendar, reading.timeframe, zone=reading.zone)
        report = _report(content, reading, status, hours, registered=instrument is not None)
        suspect = suspect_words(reading, known)
        notes = filter(None, (report.assumption, old, level, words, *suspect))
        done.append(replace(report, assumption="; ".join(notes)))
    return done


def _rejected(reading: FileReading, instrument: Instrument | None) -> pl.DataFrame:
    """The rows for the quarantine; one with an unreadable time stands where its neighbours in the file place it."""
    rejected = reading.rejected.with_columns(row_count=pl.col("row_count").clip(lower_bound=1))
    if reading.neighbours is None or instrument is None or reading.timeframe is None:
        return rejected
    return place_unreadable(rejected, reading.neighbours, instrument.calendar, reading.timeframe)


def _stored_part(reading: FileReading) -> tuple[FileReading, str]:
    """The reading, rejected if all of its bars are too old to be stored, and a note if some are."""
    if reading.bars.is_empty() or reading.timeframe is None:
        return reading, ""
    first = reading.timeframe.stored_from
    old = int((reading.bars["time"] < first).sum())
    words = f"{old:,} bars are from before {first:%Y-%m-%d}, where {reading.timeframe} bars begin, and are not stored"
    if old == reading.bars.height:
        return whole_rejection(FileRejected(Reason.OUT_OF_RANGE, words, rows=reading.rows), reading.symbol), ""
    return reading, words if old else ""


def _at_price_level(
    reading: FileReading, options: ImportOptions, landing: Landing, bars: Bars | None
) -> tuple[FileReading, str]:
    """The reading, rejected if its prices cannot be the stored instrument's, and a note on their level."""
    symbol, timeframe, sha256 = reading.symbol, reading.timeframe, reading.sha256
    if options.any_price_level or reading.bars.is_empty() or symbol is None or timeframe is None or sha256 is None:
        return reading, ""

    def landed(length: Timeframe, window: Window) -> pl.DataFrame:
        return landing.bars(symbol, length, window, without=sha256)

    def stored(length: Timeframe, window: Window) -> pl.DataFrame:
        return bars.read([symbol], length, window) if bars is not None else reading.bars.clear()

    try:
        return reading, check_price_level(reading.bars, timeframe, (landed, stored))
    except FileRejected as rejection:
        return whole_rejection(rejection, symbol), ""


def _with_instrument(
    reading: FileReading, instruments: Instruments, *, alone: bool
) -> tuple[FileReading, Instrument | None, str]:
    """The reading, the instrument to add to the universe, and what was assumed about it, in words.

    The instrument is None if it is there or not needed. One of several in a file whose market is unknown is rejected,
    so that the others are imported.

    Raises:
        InvalidRequest: if the market of the only one is unknown.
    """
    if not reading.accepted or reading.evidence is None or reading.timeframe is None:
        return reading, None, ""
    if instruments.get(reading.evidence.symbol) is not None:
        return reading, None, ""
    try:
        return reading, *guessed_instrument(reading.evidence, reading.bars, reading.timeframe, SOURCE)
    except InvalidRequest as error:
        if alone:
            raise
        detail = f"{error.message} {error.received}; {error.remedy}"
        return whole_rejection(FileRejected(Reason.UNSUPPORTED, detail, rows=reading.rows), reading.symbol), None, ""


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
    former = landing.span_of(sha256=sha256, symbol=symbol, timeframe=timeframe)
    coverage.withdraw(symbol, timeframe, SOURCE, Window.merge([reading.span, *([former] if former else [])]))
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


def _report(
    content: FileContent, reading: FileReading, status: ImportStatus, hours: HoursFit | None, *, registered: bool
) -> ImportedFile:
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
        out_of_session=hours.outside if hours else 0,
        hours=hours.as_text() if hours else "",
        hours_fit=hours.fits if hours else True,
    )


def _reasons(rejected: pl.DataFrame) -> dict[str, int]:
    counted: Iterable[tuple[str, int]] = (
        rejected.group_by("reason").agg(pl.col("row_count").sum()).sort("reason").iter_rows()
    )
    return dict(counted)
