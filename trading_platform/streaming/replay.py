"""Files of trades or quotes, and recordings of a feed, through the same bars as the live path at any speed.

What was stored goes on from its position: a replay that was killed continues, a second one changes nothing.
How files are read: :mod:`trading_platform.sources.files.events`; recordings:
:mod:`trading_platform.streaming.recording`; the live path itself: :mod:`trading_platform.streaming.pipeline`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import polars as pl

from trading_platform.domain.bar_builder import GRACE, BarBuilder, Counts, FinalMinutes
from trading_platform.domain.bar_series import Basis
from trading_platform.domain.bars import empty_bars
from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.events import Quote, Trade
from trading_platform.domain.quality import REFUSED_SCHEMA
from trading_platform.domain.reasons import Reason
from trading_platform.domain.time import Clock, Sleep, Timeframe
from trading_platform.sources.files.contents import open_contents
from trading_platform.sources.files.events import TickFile, read_ticks
from trading_platform.sources.files.formats import Kind
from trading_platform.sources.files.options import ImportOptions
from trading_platform.sources.files.reading import SOURCE, ZoneOf
from trading_platform.stores.quarantine import QuarantineStore
from trading_platform.stores.stream import StreamStore
from trading_platform.streaming.recording import Recorded, Recording, is_recording
from trading_platform.workflows.progress import Progress, silent

MINUTES_AT_ONCE = 240
"""Final minutes that are stored in one transaction when nobody waits for them."""

_TELL_EVERY = 5_000  # events
_NOTHING_READ = -1


class FinalMinutesSink(Protocol):
    """Where final minutes go, each exactly once."""

    def position(self, stream: str) -> Mapping[str, Any] | None:
        """The state of the bars' builder that was committed last; None before the first."""

    def commit(self, stream: str, source: str, minutes: FinalMinutes, position: Mapping[str, Any]) -> None:
        """Takes minutes and the position after them, both or neither."""

    def refuse(self, source: str, symbol: str | None, refused: pl.DataFrame, origin: str) -> None:
        """Takes refused rows, a frame of ``REFUSED_SCHEMA``; the same rows may come again."""


class StoreSink:
    """Final minutes into the database, refused rows into the quarantine.

    Args:
        stream: stores bars, coverage and position in one transaction.
        quarantine: where refused rows go.
        clock: tells the time, for the record.
    """

    def __init__(self, stream: StreamStore, quarantine: QuarantineStore, clock: Clock) -> None:
        self._stream = stream
        self._quarantine = quarantine
        self._clock = clock

    def position(self, stream: str) -> Mapping[str, Any] | None:
        """The stored one."""
        kept = self._stream.position(stream)
        return None if kept is None else kept.position

    def commit(self, stream: str, source: str, minutes: FinalMinutes, position: Mapping[str, Any]) -> None:
        """In one transaction."""
        self._stream.commit(
            stream,
            source,
            bars=minutes.bars,
            answered=minutes.answered,
            until=minutes.until,
            position=position,
            now=self._clock(),
            late=minutes.late_minutes(),
        )

    def refuse(self, source: str, symbol: str | None, refused: pl.DataFrame, origin: str) -> None:
        """Once each."""
        self._quarantine.record(refused, source=source, symbol=symbol, timeframe=Timeframe.M1.value, origin=origin)


@dataclass
class MemorySink:
    """Final minutes kept in memory, to be shown or written to a file; nothing is stored."""

    minutes: list[FinalMinutes] = field(default_factory=list)
    positions: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    refused: list[pl.DataFrame] = field(default_factory=list)

    def position(self, stream: str) -> Mapping[str, Any] | None:
        """What was committed here."""
        return self.positions.get(stream)

    def commit(self, stream: str, source: str, minutes: FinalMinutes, position: Mapping[str, Any]) -> None:  # noqa: ARG002
        """Keeps them."""
        self.minutes.append(minutes)
        self.positions[stream] = position

    def refuse(self, source: str, symbol: str | None, refused: pl.DataFrame, origin: str) -> None:  # noqa: ARG002
        """Keeps them."""
        self.refused.append(refused)

    def bars(self) -> pl.DataFrame:
        """All bars, sorted by (symbol, time)."""
        return pl.concat([empty_bars(), *(minutes.bars for minutes in self.minutes)]).sort("symbol", "time")


@dataclass
class ReplayInput:
    """Something that can be replayed.

    Attributes:
        stream: name of its position in the database: the same for the same content and basis.
        origin: where it is, for the quarantine.
        source: what stands in the column ``source`` of its bars.
        basis: the price of each symbol's bars.
        grace: how long after a minute's end its events may still come in.
        complete: whether its end is the end of what it tells of; a recording may go on.
        length: its last offset plus one.
        events: gives the events after an offset.
        line_of: gives the line of an offset, from 1.
        refused: rows of it that are no events, added to while it is read.
    """

    stream: str
    origin: str
    source: str
    basis: Mapping[str, Basis]
    grace: timedelta
    complete: bool
    length: int
    events: Callable[[int], Iterator[Recorded]]
    line_of: Callable[[int], int]
    refused: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class ReplayReport:
    """What came of a replay.

    Attributes:
        origin: what was replayed.
        source: of its bars.
        symbols: whose bars they are.
        basis: the prices they are made of.
        counts: what became of its events, since the beginning of the input.
        refused: rows and events that were refused this time.
        went_on_after: offset of the last event that was stored before; None if it began anew.
        bars: bars made this time.
        since: all minutes before it were stored before.
        until: all minutes before it are final.
    """

    origin: str
    source: str
    symbols: tuple[str, ...]
    basis: tuple[str, ...]
    counts: Counts
    refused: int
    went_on_after: int | None
    bars: int
    since: datetime | None
    until: datetime | None


def open_inputs(
    path: Path, *, basis: Basis | None = None, options: ImportOptions | None = None, zone_of: ZoneOf
) -> list[ReplayInput]:
    """What a file holds that can be replayed: a recording, or the tables of ticks in it.

    Args:
        path: the file.
        basis: the price the bars are made of; None means trades where there are any, else the mid of
            quotes, and what a recording says of itself.
        options: what was said about the file; of a recording only the symbol counts.
        zone_of: the zone of a symbol's exchange, for times that are local to it.

    Raises:
        InvalidRequest: if there is no such file, or nothing in it can be replayed like that.
        SourceError: if its content cannot be made out.
    """
    options = options or ImportOptions()
    if path.is_file() and is_recording(path):
        return [_of_recording(Recording(path), basis, options.symbol)]
    return [
        _of_ticks(read_ticks(content, options, zone_of=zone_of), basis, content.origin, options)
        for content in open_contents(path)
    ]


def replay(
    source: ReplayInput,
    sink: FinalMinutesSink,
    *,
    speed: float | None,
    clock: Clock,
    sleep: Sleep,
    progress: Progress = silent,
    minutes_at_once: int = 1,
) -> ReplayReport:
    """Replays from where the sink's position is to the end.

    Args:
        source: what is replayed.
        sink: where the final minutes go.
        speed: how many times as fast as it happened; None means as fast as can be.
        clock: tells the time: the pace is kept by it, and events from later than it are refused.
        sleep: waits.
        progress: is told of the events read.
        minutes_at_once: final minutes that are committed together.

    Raises:
        InvalidRequest: if the stored position belongs to another grace or basis.
        StoreError: if the sink cannot take them; what was committed stays, and a second replay goes on.
    """
    builder = BarBuilder(source.source, basis=source.basis, grace=source.grace)
    kept = sink.position(source.stream)
    if kept is not None:
        builder.restore(kept)
    run = _Run(source, sink, builder, timedelta(minutes=minutes_at_once))
    after, since = builder.read, builder.until
    pace = _Pace(speed, clock, sleep)
    now = clock()
    for recorded in source.events(_NOTHING_READ if after is None else after):
        pace.wait_for(recorded.event.time)
        run.take(recorded, recorded.received or now)
        if recorded.offset % _TELL_EVERY == 0:
            progress(f"events of {Path(source.origin).name}", recorded.offset, source.length)
    if source.complete:
        builder.close()
    run.commit()
    progress(f"events of {Path(source.origin).name}", source.length, source.length)
    return ReplayReport(
        origin=source.origin,
        source=source.source,
        symbols=tuple(source.basis),
        basis=tuple(sorted({basis.value for basis in source.basis.values()})),
        counts=builder.counts,
        refused=run.refused,
        went_on_after=after,
        bars=run.bars,
        since=since,
        until=builder.until,
    )


@dataclass
class _Run:
    """The part of a replay that is under way."""

    source: ReplayInput
    sink: FinalMinutesSink
    builder: BarBuilder
    at_once: timedelta
    bars: int = 0
    refused: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)

    def take(self, recorded: Recorded, received: datetime) -> None:
        before = self.builder.counts.refused
        self.builder.add(recorded.event, offset=recorded.offset, received=received)
        if self.builder.counts.refused != before:
            self._note_refused(recorded.offset)
        if self.builder.pending >= self.at_once:
            self.commit()

    def commit(self) -> None:
        """What was refused first: seen again after a kill it is known already."""
        self._give_refused()
        minutes = self.builder.take_final()
        if minutes is not None:
            self.sink.commit(self.source.stream, self.source.source, minutes, self.builder.state())
            self.bars += minutes.bars.height

    def _note_refused(self, offset: int) -> None:
        for each in self.builder.take_refused():
            time = each.event.time if each.event.time.tzinfo is not None else None
            symbol = each.event.symbol if isinstance(each.event, (Trade, Quote)) else None
            self.rows.append(
                _refused_row(self.source.line_of(offset), each.reason, each.detail, repr(each.event), time, symbol)
            )

    def _give_refused(self) -> None:
        rows = [*self.source.refused, *self.rows]
        self.source.refused.clear()
        self.rows.clear()
        self.refused += len(rows)
        for symbol in {row["symbol"] for row in rows}:
            frame = pl.DataFrame([row for row in rows if row["symbol"] == symbol], schema=REFUSED_SCHEMA)
            self.sink.refuse(self.source.source, symbol, frame, self.source.origin)


class _Pace:
    """Waits so that events come as far apart as they were, divided by the speed."""

    def __init__(self, speed: float | None, clock: Clock, sleep: Sleep) -> None:
        self._speed = speed
        self._clock = clock
        self._sleep = sleep
        self._began: datetime | None = None
        self._first: datetime | None = None

    def wait_for(self, moment: datetime) -> None:
        if self._speed is None:
            return
        if self._began is None or self._first is None:
            self._began, self._first = self._clock(), moment
        due = self._began + (moment - self._first) / self._speed
        seconds = (due - self._clock()).total_seconds()
        if seconds > 0:
            self._sleep(seconds)


def _of_ticks(ticks: TickFile, basis: Basis | None, origin: str, options: ImportOptions) -> ReplayInput:
    of_trades = ticks.kind is Kind.TRADES
    basis = basis or (Basis.TRADE if of_trades else Basis.MID)
    if of_trades is not (basis is Basis.TRADE):
        raise InvalidRequest(
            f"{origin} cannot give such bars.",
            expected="trade" if of_trades else "bid, ask or mid",
            received=f"--basis {basis.value} for a file of {ticks.kind.value}",
            remedy="leave --basis out, or choose one of the expected",
        )
    refused = [
        _refused_row(row["line"], row["reason"], row["detail"], row["record"], row["time"], ticks.symbol)
        for row in ticks.refused.iter_rows(named=True)
    ]
    lines = ticks.ticks["line"]
    read_as = [option for option in (options.timezone, options.dates) if option is not None]
    return ReplayInput(
        stream=" ".join(("replay", ticks.symbol, basis.value, ticks.sha256[:32], *read_as)),
        origin=origin,
        source=SOURCE,
        basis={ticks.symbol: basis},
        grace=GRACE,
        complete=True,
        length=ticks.length,
        events=lambda after: (Recorded(offset, event, None) for offset, event in ticks.events(after)),
        line_of=lambda offset: lines[offset - 1],
        refused=refused,
    )


def _of_recording(recording: Recording, basis: Basis | None, symbol: str | None) -> ReplayInput:
    header = recording.header
    if symbol is not None and symbol not in header.basis:
        raise InvalidRequest(
            f"{recording.path} holds nothing of {symbol}.",
            expected=f"one of {', '.join(header.basis)}",
            received=symbol,
            remedy="choose one of the expected, or leave --symbol out",
        )
    chosen = {name: basis or own for name, own in header.basis.items() if symbol in (None, name)}
    refused: list[dict[str, Any]] = []

    def refuse(line: int, reason: Reason, detail: str, record: str) -> None:
        refused.append(_refused_row(line, reason, detail, record, None, None))

    def events(after: int) -> Iterator[Recorded]:
        for recorded in recording.events(after, refuse=refuse):
            if symbol is None or getattr(recorded.event, "symbol", symbol) == symbol:
                yield recorded

    words = f"{symbol or 'all'} {basis.value if basis else 'own basis'}"
    return ReplayInput(
        stream=f"replay {header.source} {words} {header.started.isoformat()}",
        origin=str(recording.path),
        source=header.source,
        basis=chosen,
        grace=header.grace,
        complete=False,
        length=recording.count(),
        events=events,
        line_of=lambda offset: offset + 1,
        refused=refused,
    )


def _refused_row(
    line: int, reason: str, detail: str, record: str | None, time: datetime | None, symbol: str | None
) -> dict[str, Any]:
    names = ("line", "reason", "detail", "record", "time", "symbol")
    return dict(zip(names, (line, str(reason), detail, record, time, symbol), strict=True)) | {"row_count": 1}
