"""Imports Kraken's bulk archives for ``trading-platform import``: their members go to the landing area.

A member is landed completely or not at all, in chunks, so that memory does not grow with its size. Where bars of the
same time are stored already, the two versions are compared
(:mod:`trading_platform.workflows.backfill.reconcile_sources`). Other files are imported by
:mod:`trading_platform.workflows.imports.import_files`, which defines the report.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import polars as pl

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.market.instruments import Instrument, guess_instrument
from trading_platform.domain.quality.listed_rows import ListedRows
from trading_platform.domain.quality.rules import rejected_frame
from trading_platform.domain.time import Clock, Timeframe, Window, partition_windows, within
from trading_platform.sources.base import SecondVersion
from trading_platform.sources.files.content.options import FileRejected
from trading_platform.sources.files.landing import LandingArea
from trading_platform.sources.files.reading import FileReading
from trading_platform.sources.kraken.archives.archive import CHUNK_BYTES, hash_of, members_of, read_member
from trading_platform.sources.kraken.archives.rows import ArchiveMember
from trading_platform.sources.kraken.landing_source import ArchiveKind, KrakenArchive
from trading_platform.sources.kraken.minutes import SOURCE
from trading_platform.stores.stores import Stores
from trading_platform.workflows.backfill.reconcile_sources import reconcile_versions
from trading_platform.workflows.imports.import_files import ImportedFile, ImportStatus
from trading_platform.workflows.progress import Progress, silent

_OPTIONS = "kraken"
_MEGABYTE = 10**6


def import_archives(
    paths: Sequence[Path],
    *,
    symbol: str | None,
    timeframe: Timeframe | None = None,
    archive: KrakenArchive,
    stores: Stores,
    clock: Clock,
    progress: Progress = silent,
    chunk_bytes: int = CHUNK_BYTES,
) -> list[ImportedFile]:
    """Imports archives one after the other; repeating it changes nothing, and continues an interrupted import.

    Args:
        paths: ZIP files from Kraken, or files extracted from them.
        symbol: symbol to import; None: all instruments with the source Kraken.
        timeframe: 1m or 1d only; None: both.
        archive: the landing areas of the archives.
        stores: the universe, the quarantine, and the bars to compare with.
        clock: source of the current time.
        progress: receives the progress within a member.
        chunk_bytes: how many bytes of a member are read at once.

    Raises:
        InvalidRequest: if no instrument can take such bars, or a file does not exist.
        StoreError: if a store fails; the members before are imported.
    """
    wanted = _wanted(stores, symbol)
    found: list[ImportedFile] = []
    for path in paths:
        whole = path.expanduser().absolute()
        try:
            members = members_of(whole)
        except FileRejected as rejection:
            found.append(_rejected(stores, str(whole), rejection, symbol, None))
            continue
        chosen = [m for m in members if m.symbol in wanted and m.timeframe and timeframe in (None, m.timeframe)]
        found.extend(_absent(whole, members, wanted, explicit=symbol is not None))
        found.extend(_import_member(m, wanted[m.symbol], archive, stores, clock, progress, chunk_bytes) for m in chosen)
    return found


def _wanted(stores: Stores, symbol: str | None) -> dict[str, Instrument]:
    universe = stores.instruments.all()
    if symbol is None:
        wanted = {name: instrument for name, instrument in universe.items() if instrument.source == SOURCE}
        if not wanted:
            raise InvalidRequest(
                "No instrument takes its bars from Kraken, so there is nothing to import from an archive.",
                expected=f"an instrument of source {SOURCE}, or --symbol",
                remedy="`trading-platform instruments add BTCUSD --source kraken`, or import with --symbol BTCUSD",
            )
        return wanted
    instrument = universe.get(symbol) or guess_instrument(symbol, SOURCE)
    if instrument.source != SOURCE:
        raise InvalidRequest(
            f"{symbol} takes its bars from another source, so bars from Kraken would not be used.",
            expected=f"an instrument of source {SOURCE}",
            received=f"{symbol} of source {instrument.source}",
            remedy=f"`trading-platform instruments add {symbol} --source {SOURCE}` changes it",
        )
    return {symbol: instrument}


def _absent(
    path: Path, members: Sequence[ArchiveMember], wanted: Mapping[str, Instrument], *, explicit: bool
) -> list[ImportedFile]:
    """Requested symbols that the archive does not have, and those without minutes in it."""
    found = []
    pairs = len({member.symbol for member in members})
    for symbol in wanted:
        own = [member for member in members if member.symbol == symbol]
        if not own:
            status = ImportStatus.REJECTED if explicit else ImportStatus.ABSENT
            detail = f"the archive holds nothing of {symbol}; it has {pairs} other pairs"
            found.append(_empty(str(path), status, symbol, detail))
        elif path.suffix.lower() == ".zip" and all(member.timeframe is not Timeframe.M1 for member in own):
            lengths = ", ".join(str(member.name) for member in own[:5])
            detail = f"the member with the minutes of {symbol} is missing (there is {lengths}); download it again"
            found.append(_empty(str(path), ImportStatus.REJECTED, symbol, detail))
    return found


@dataclass
class _Totals:
    """Totals over the chunks of a member."""

    rows: int = 0
    accepted: int = 0
    bars: int = 0
    start: datetime | None = None
    end: datetime | None = None
    assumption: str = ""
    reasons: dict[str, int] = field(default_factory=dict)
    detail: str | None = None

    def add(self, reading: FileReading) -> None:
        self.rows += reading.rows
        self.accepted += reading.accepted
        self.bars += reading.bars.height
        self.assumption = self.assumption or reading.assumption
        if reading.span is not None:
            self.start, self.end = self.start or reading.span.start, reading.span.end
        for reason, detail in reading.rejected.select("reason", "detail").iter_rows():
            self.reasons[reason] = self.reasons.get(reason, 0) + 1
            self.detail = self.detail or detail


def _import_member(
    member: ArchiveMember,
    instrument: Instrument,
    archive: KrakenArchive,
    stores: Stores,
    clock: Clock,
    progress: Progress,
    chunk_bytes: int,
) -> ImportedFile:
    area, symbol, timeframe = archive.areas[member.kind], member.symbol, _timeframe(member)
    try:
        sha256 = hash_of(member)
        landed = area.has_all(sha256=sha256, symbol=symbol, timeframe=timeframe)
        totals = _Totals() if landed else _land(member, sha256, area, stores, clock, progress, chunk_bytes)
    except FileRejected as rejection:
        return _rejected(stores, member.origin, rejection, symbol, timeframe)
    registered = bool(totals.bars) and stores.instruments.get(symbol) is None
    if registered:
        stores.instruments.add(instrument)
    spans = Window.merge(file.span for file in area.files(symbol, timeframe) if file.path.name.startswith(sha256))
    compared, different = _compare(member, instrument, archive, stores, spans, clock)
    if landed:
        file = _empty(member.origin, ImportStatus.UNCHANGED, symbol, "nothing to do", timeframe)
        return replace(file, compared=compared, different=different)
    return ImportedFile(
        origin=member.origin,
        status=ImportStatus.IMPORTED if totals.bars else ImportStatus.REJECTED,
        format=f"kraken {member.kind}",
        symbol=symbol,
        timeframe=timeframe.value,
        rows=totals.rows,
        accepted=totals.accepted,
        quarantined=sum(totals.reasons.values()),
        bars=totals.bars,
        start=totals.start,
        end=totals.end,
        assumption=totals.assumption,
        reasons=totals.reasons,
        detail=totals.detail,
        registered=registered,
        compared=compared,
        different=different,
    )


def _timeframe(member: ArchiveMember) -> Timeframe:
    if member.timeframe is None:
        raise ValueError(f"{member.origin} has bars of a timeframe that is not imported from archives")
    return member.timeframe


def _land(
    member: ArchiveMember,
    sha256: str,
    area: LandingArea,
    stores: Stores,
    clock: Clock,
    progress: Progress,
    chunk_bytes: int,
) -> _Totals:
    """Lands the chunks of a member; they become visible once all of them are stored."""
    timeframe, totals, number = _timeframe(member), _Totals(), 0
    label, total = f"{Path(member.name or member.path).name} (MB)", max(member.size // _MEGABYTE, 1)

    listed = ListedRows()

    def quarantine(rejected: pl.DataFrame) -> None:
        stores.quarantine.record(
            rejected, source=SOURCE, symbol=member.symbol, timeframe=timeframe.value, origin=member.origin
        )

    def report(read: int) -> None:
        progress(label, min(read // _MEGABYTE, total), total)

    area.drop(sha256=sha256, symbol=member.symbol, timeframe=timeframe)  # of an import that was interrupted
    try:
        for reading in read_member(member, clock(), chunk_bytes=chunk_bytes, on_read=report):
            totals.add(reading)
            quarantine(listed.take(reading.rejected))
            if reading.span is not None:
                number += 1
                area.keep(
                    reading.bars,
                    sha256=f"{sha256}-{number:05d}",
                    symbol=member.symbol,
                    timeframe=timeframe,
                    span=reading.span,
                    options=_OPTIONS,
                    clock=clock,
                    staged=True,
                )
        quarantine(listed.rest(timeframe.duration))
        area.publish(sha256=sha256, symbol=member.symbol, timeframe=timeframe)
    except FileRejected:
        area.drop(sha256=sha256, symbol=member.symbol, timeframe=timeframe)
        raise
    report(member.size)
    return totals


def _compare(
    member: ArchiveMember,
    instrument: Instrument,
    archive: KrakenArchive,
    stores: Stores,
    spans: Sequence[Window],
    clock: Clock,
) -> tuple[int, int]:
    """Compares a landed member with the stored bars from Kraken: number of bars compared, and how many differ."""
    timeframe, compared, different = _timeframe(member), 0, 0
    answered = stores.coverage.answered(member.symbol, timeframe).get(SOURCE, [])
    for window in (part for span in spans for part in within(answered, span)):
        for partition in partition_windows(timeframe, window):
            part = partition.intersect(window)
            if part is None:
                continue
            bars = archive.filled(member.kind, member.symbol, timeframe, part)
            version = SecondVersion(bars, member.kind, finer=member.kind is ArchiveKind.TRADES)
            with stores.database.begin() as connection:
                comparison, _ = reconcile_versions(
                    stores, connection, version, instrument, timeframe,
                    source=SOURCE, origin=member.origin, now=clock(),
                )  # fmt: skip
            compared += comparison.bars
            different += comparison.differences.height
    return compared, different


def _rejected(
    stores: Stores, origin: str, rejection: FileRejected, symbol: str | None, timeframe: Timeframe | None
) -> ImportedFile:
    """Quarantines a whole member and reports it as rejected; none of its bars are kept."""
    row = {"reason": rejection.reason.value, "detail": rejection.detail, "row_count": max(rejection.rows, 1)}
    rejected = rejected_frame(row)
    length = timeframe.value if timeframe else None
    stores.quarantine.record(rejected, source=SOURCE, symbol=symbol, timeframe=length, origin=origin)
    file = _empty(origin, ImportStatus.REJECTED, symbol, rejection.detail, timeframe)
    return replace(file, rows=rejection.rows, quarantined=rejection.rows, reasons={rejection.reason.value: 1})


def _empty(
    origin: str, status: ImportStatus, symbol: str | None, detail: str, timeframe: Timeframe | None = None
) -> ImportedFile:
    return ImportedFile(
        origin=origin,
        status=status,
        format=None,
        symbol=symbol,
        timeframe=timeframe.value if timeframe else None,
        rows=0,
        accepted=0,
        quarantined=0,
        bars=0,
        start=None,
        end=None,
        assumption="",
        detail=detail,
    )
