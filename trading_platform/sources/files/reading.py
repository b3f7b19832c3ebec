"""Reads a file's content completely: recognises it, converts its times, screens its rows, makes its bars.

It combines the steps of the other modules and stores nothing;
:mod:`trading_platform.workflows.imports.import_files` stores the result.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import polars as pl

from trading_platform.domain.errors import InvalidRequest, QualityError
from trading_platform.domain.market.bars import BAR_SCHEMA, Quality, bars_from_trades, empty_bars, final_bars
from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.quality.rules import (
    Screened,
    rejected_frame,
    screen_bars,
    screen_trades,
)
from trading_platform.domain.time import Timeframe, Window
from trading_platform.sources.files.content.contents import FileContent
from trading_platform.sources.files.content.options import FileRejected, ImportOptions
from trading_platform.sources.files.numbers.number_columns import settle_numbers
from trading_platform.sources.files.parts import ContentPart, parts_of
from trading_platform.sources.files.recognition.evidence import Evidence, likely_instrument
from trading_platform.sources.files.recognition.formats import Kind
from trading_platform.sources.files.recognition.names import FileName
from trading_platform.sources.files.rows import (
    ContentTask,
    leaps_of,
    raw_rows,
    refuse_too_fine,
    reject_unfinished,
    rejected_early,
    rounding_of,
    with_records,
)
from trading_platform.sources.files.times.row_times import timeframe_of
from trading_platform.sources.files.times.stamps import at_exchange, check_grid, stamped_dates
from trading_platform.sources.files.times.utc_times import UtcTimes, settle

SOURCE = "file"
"""The value of the ``source`` column of imported bars."""

ZoneOf = Callable[[str], str]
"""Returns the name of the time zone of a symbol's exchange."""

Registered = Callable[[str], Instrument | None]
"""Returns the instrument of a symbol, None if it is not in the universe."""


def nothing_registered(_symbol: str) -> Instrument | None:
    """An empty universe."""
    return None


@dataclass(frozen=True)
class FileReading:
    """The result of reading a content.

    Attributes:
        symbol: symbol of the bars; None if the content was rejected before it was known.
        timeframe: length of the bars, likewise.
        format: the recognised format, likewise.
        rows: number of data records: no header, no blank line.
        accepted: number of accepted rows; with the quarantined ones they are all rows.
        bars: frame of ``BAR_SCHEMA``: the accepted rows, or the bars of accepted ticks.
        rejected: frame of ``REJECTED_SCHEMA``.
        span: the interval the content covers; None if it has no bar.
        assumption: the assumptions made about it, in words.
        neighbours: for each row with an unreadable time its ``line``, and the readable times ``before`` and ``after``
            it in the file.
        zone: the zone in which its times without a zone were read; None if it has none of those.
        sha256: hash of the bytes, decompressed: equal for equal content in any packing; None
            if the content was rejected as a whole.
        evidence: what the content and its name say about the instrument; None if it was rejected as a whole.
    """

    symbol: str | None
    timeframe: Timeframe | None
    format: str | None
    rows: int
    accepted: int
    bars: pl.DataFrame
    rejected: pl.DataFrame
    span: Window | None
    assumption: str
    neighbours: pl.DataFrame | None = None
    zone: str | None = None
    sha256: str | None = None
    evidence: Evidence | None = None

    @property
    def quarantined(self) -> int:
        """The number of rejected rows."""
        return int(self.rejected["row_count"].sum())

    @property
    def rejected_whole(self) -> bool:
        """Whether the content was rejected as a whole."""
        return self.rejected.height == 1 and self.rejected["line"].null_count() == 1


def read_content(
    content: FileContent,
    options: ImportOptions,
    *,
    now: datetime,
    zone_of: ZoneOf,
    registered: Registered = nothing_registered,
) -> FileReading:
    """Reads everything in a content of one instrument.

    Args:
        content: its bytes and names.
        options: the user's options.
        now: the present; bars that have not ended by then are rejected.
        zone_of: gives the zone of a symbol's exchange, for times that are local to it.
        registered: gives the instrument of a symbol, if it is in the universe.

    Raises:
        InvalidRequest: if the symbol or the timeframe is neither recognised nor given, or it holds several
            instruments.
        QualityError: if rows were lost on the way, which would be a defect.
    """
    readings = read_instruments(content, options, now=now, zone_of=zone_of, registered=registered)
    if len(readings) > 1:
        raise InvalidRequest(
            f"{content.origin} holds several instruments.",
            expected="one instrument",
            received=", ".join(reading.symbol or "rows without a symbol" for reading in readings),
            remedy="choose one with --symbol",
        )
    return readings[0]


def read_instruments(
    content: FileContent,
    options: ImportOptions,
    *,
    now: datetime,
    zone_of: ZoneOf,
    registered: Registered = nothing_registered,
) -> tuple[FileReading, ...]:
    """Reads everything in a content: a reading for each instrument, or the one for the requested symbol.

    Args:
        content: its bytes and names.
        options: the user's options.
        now: the present; bars that have not ended by then are rejected.
        zone_of: gives the zone of a symbol's exchange, for times that are local to it.
        registered: gives the instrument of a symbol, if it is in the universe.

    Raises:
        InvalidRequest: if the symbol or the timeframe is neither recognised nor given.
        QualityError: if rows were lost on the way, which would be a defect.
    """
    name = FileName(content.names)
    try:
        data = content.load()
        found = parts_of(data, name, options, registered)
        timeframe = timeframe_of(found.parts[0].layout, found.series, name, options)
    except FileRejected as rejection:
        return (whole_rejection(rejection, options.symbol or name.symbol),)
    sha256 = hashlib.sha256(data).hexdigest()
    readings = []
    for part in found.parts:
        if part.rejected is not None:
            readings.append(whole_rejection(part.rejected, None))
            continue
        try:
            reading = _read(part, timeframe, name, options, now=now, zone_of=zone_of, registered=registered)
        except FileRejected as rejection:
            readings.append(whole_rejection(rejection, part.symbol))
            continue
        _check_complete(content, reading)
        readings.append(replace(reading, sha256=sha256))
    return tuple(readings)


def _check_complete(content: FileContent, reading: FileReading) -> None:
    if reading.accepted + reading.quarantined != reading.rows:
        raise QualityError(
            f"Rows of {content.origin} were lost while it was read.",
            expected=f"accepted + quarantined = {reading.rows} rows",
            received=f"{reading.accepted} accepted, {reading.quarantined} quarantined",
            remedy="report this as a defect; nothing of the file was stored",
        )


def whole_rejection(rejection: FileRejected, symbol: str | None) -> FileReading:
    """The reading of a content, or of an instrument in it, that was rejected as a whole."""
    row = {"reason": rejection.reason.value, "detail": rejection.detail, "row_count": rejection.rows}
    rejected = rejected_frame(row)
    return FileReading(symbol, None, None, rejection.rows, 0, empty_bars(), rejected, None, "")


def _read(
    part: ContentPart,
    timeframe: Timeframe,
    name: FileName,
    options: ImportOptions,
    *,
    now: datetime,
    zone_of: ZoneOf,
    registered: Registered,
) -> FileReading:
    symbol = part.symbol or ""
    read = settle_numbers(part.table, part.layout, symbol, options, whole=part.whole)
    table, layout = part.table, read.layout
    task = ContentTask(table, layout, name, options, symbol, timeframe, read.style, read.notes)
    settled = settle(
        part.times,
        daily=timeframe is Timeframe.D1 and not task.is_ticks,
        ticks=task.is_ticks,
        zone=lambda: zone_for(task, zone_of),
    )
    if not task.is_ticks:
        settled = _on_grid(part, task, settled, name, registered)
    raw = raw_rows(task, settled)
    early = rejected_early(raw)
    screened = _screen(task, raw.filter(pl.col("fault").is_null()), now)
    if task.is_ticks:
        refuse_too_fine(screened.rejected, table.height)
    bars = _bars(task, screened.accepted, now)
    rejected = pl.concat([early, screened.rejected]).sort("line")
    return FileReading(
        symbol=symbol,
        timeframe=timeframe,
        format=layout.format.value,
        rows=table.height,
        accepted=screened.accepted.height,
        bars=bars,
        rejected=with_records(rejected, table),
        span=_span(task, bars, zone_of),
        assumption="; ".join(
            filter(None, (part.note, *_assumptions(task, settled), *rounding_of(raw), *leaps_of(bars)))
        ),
        evidence=part.evidence(name),
        neighbours=None if task.is_ticks else _neighbours(raw),
        zone=settled.zone,
    )


def _neighbours(raw: pl.DataFrame) -> pl.DataFrame:
    """The rows without a readable time, with the readable times before and after them in the file."""
    known = pl.col("time")
    return (
        raw.select("line", "time", before=known.forward_fill(), after=known.backward_fill())
        .filter(known.is_null())
        .drop("time")
    )


def _on_grid(
    part: ContentPart, task: ContentTask, settled: UtcTimes, name: FileName, registered: Registered
) -> UtcTimes:
    """The times, those of daily bars as dates.

    Raises:
        FileRejected: if most of them do not lie on the grid.
    """
    instrument = registered(task.symbol)
    if instrument is None and (likely := likely_instrument(part.evidence(name), SOURCE)):
        instrument, _ = likely
    calendar = instrument.calendar if instrument else None
    if task.timeframe is Timeframe.D1:
        dates = stamped_dates(settled.time, calendar)
        if dates is None and calendar and part.times.utc is None and task.options.timezone is None:
            dates = stamped_dates(at_exchange(part.times.wall, calendar), calendar)
        settled = settled if dates is None else replace(settled, time=dates[0], assumption=dates[1])
    check_grid(settled.time, task.timeframe, calendar)
    return settled


def zone_for(task: ContentTask, zone_of: ZoneOf) -> tuple[str, str]:
    """The zone of times without a zone, and the reason in words."""
    if task.options.timezone is not None:
        return task.options.timezone, "as given"
    if task.layout.zone is not None:
        return task.layout.zone, task.layout.zone_reason or f"the zone of {task.layout.format.value} files"
    if task.layout.zone_reason:
        raise InvalidRequest(
            f"The time zone of {task.name.names[0]} is unclear.",
            expected="the zone of its times",
            received=task.layout.zone_reason,
            remedy="give it with --timezone, for example --timezone America/New_York",
        )
    if task.layout.unknown_market:
        raise InvalidRequest(
            f"The time zone of LEAN's market {task.layout.unknown_market} is unknown.",
            expected="the zone of its times",
            received=task.name.names[0],
            remedy="give it with --timezone, for example --timezone Asia/Kolkata",
        )
    if task.layout.local:
        return zone_of(task.symbol), f"the zone of {task.symbol}'s exchange"
    return "UTC", "the default; --timezone changes it"


def _screen(task: ContentTask, raw: pl.DataFrame, now: datetime) -> Screened:
    if task.is_ticks:
        return screen_trades(raw.drop("fault"), now)
    return reject_unfinished(screen_bars(raw.drop("fault"), task.timeframe, now), task.timeframe, now)


def _bars(task: ContentTask, accepted: pl.DataFrame, now: datetime) -> pl.DataFrame:
    if accepted.is_empty():
        return empty_bars()
    if task.is_ticks:
        return _bars_of_ticks(task, accepted, now)
    return accepted.with_columns(
        symbol=pl.lit(task.symbol),
        timeframe=pl.lit(task.timeframe.value),
        source=pl.lit(SOURCE),
        quality=pl.lit(Quality.TRADED.value),
    ).select(pl.col(name).cast(dtype) for name, dtype in BAR_SCHEMA.items())


def _bars_of_ticks(task: ContentTask, ticks: pl.DataFrame, now: datetime) -> pl.DataFrame:
    first, last = _extremes(ticks)
    bars = bars_from_trades(
        ticks,
        symbol=task.symbol,
        timeframe=task.timeframe,
        source=SOURCE,
        window=Window(first, last + timedelta(microseconds=1)),
        fill=False,
    )
    if task.is_quotes:  # quotes have no traded volume
        bars = bars.with_columns(volume=pl.lit(None, dtype=BAR_SCHEMA["volume"]))
    return final_bars(bars, task.timeframe, now)


def _extremes(frame: pl.DataFrame) -> tuple[datetime, datetime]:
    first, last = frame.select(first=pl.col("time").min(), last=pl.col("time").max()).row(0)
    return first, last


def _span(task: ContentTask, bars: pl.DataFrame, zone_of: ZoneOf) -> Window | None:
    """From the first bar to the end of the last; a LEAN file of one day covers all of that day."""
    if bars.is_empty():
        return None
    first, last = _extremes(bars)
    start, end = first, last + task.timeframe.duration
    if task.layout.since_midnight and task.name.lean_day is not None:
        zone, _ = zone_for(task, zone_of)
        midnight = datetime.combine(task.name.lean_day, datetime.min.time())
        edges = pl.Series([midnight, midnight + timedelta(days=1)], dtype=pl.Datetime("us"))
        opening, closing = edges.dt.replace_time_zone(zone).dt.convert_time_zone("UTC")
        start, end = min(start, opening), max(end, closing)
    return Window(start.astimezone(UTC), end.astimezone(UTC))


def _assumptions(task: ContentTask, settled: UtcTimes) -> list[str]:
    parts = [settled.assumption]
    if task.is_quotes:
        parts.append(f"{task.options.price.value} of bid and ask, no volume")
    if task.is_ticks:
        parts.append(f"{task.timeframe.value} bars made from its ticks")
    if task.layout.scale != 1:
        parts.append(f"prices divided by {task.layout.scale}")
    if task.table.header is None and task.layout.kind is Kind.BARS:
        parts.append("columns in the order of its format")
    return [*parts, *task.notes]
