"""Replays files of trades or quotes, and recordings of a feed, with the bar builder of the live path, at any speed.

A replay resumes from its stored position: one that was killed continues, a second one changes nothing. Inputs are in
:mod:`trading_platform.streaming.replay.inputs`, sinks in :mod:`trading_platform.streaming.replay.sinks`, the live path
in :mod:`trading_platform.streaming.pipeline`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from trading_platform.domain.market.live.bar_builder import BarBuilder
from trading_platform.domain.market.live.events import Quote, Trade
from trading_platform.domain.market.live.final_minutes import Counts
from trading_platform.domain.quality.rules import rejected_frame
from trading_platform.domain.time import Clock, Sleep
from trading_platform.streaming.replay.inputs import ReplayInput, rejected_row
from trading_platform.streaming.replay.recorded_events import Recorded
from trading_platform.streaming.replay.sinks import FinalMinutesSink
from trading_platform.workflows.progress import Progress, silent

MINUTES_AT_ONCE = 240
"""Number of final minutes that are stored in one transaction when the replay runs at full speed."""

_REPORT_EVERY = 5_000  # events
_NOTHING_READ = -1


@dataclass(frozen=True)
class ReplayReport:
    """The result of a replay.

    Attributes:
        origin: the input that was replayed.
        source: source of its bars.
        symbols: symbols of its bars.
        basis: the prices that the bars are built from.
        counts: counts of the events, from the beginning of the input.
        rejected: number of rows and events that this replay rejected.
        went_on_after: offset of the last event stored by an earlier replay; None if there was none.
        bars: number of bars that this replay built.
        since: all minutes before it were stored by earlier replays.
        until: all minutes before it are final.
    """

    origin: str
    source: str
    symbols: tuple[str, ...]
    basis: tuple[str, ...]
    counts: Counts
    rejected: int
    went_on_after: int | None
    bars: int
    since: datetime | None
    until: datetime | None


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
    """Replays an input from the sink's position to the end.

    Args:
        source: the input.
        sink: takes the final minutes.
        speed: factor to the original speed; None means as fast as possible.
        clock: returns the current time: it sets the pace, and events later than it are rejected.
        sleep: waits.
        progress: receives the number of events read.
        minutes_at_once: number of final minutes that are committed together.

    Raises:
        InvalidRequest: if the stored position belongs to another grace or basis.
        StoreError: if the sink cannot store the minutes; committed minutes stay, and a second replay continues.
    """
    builder = BarBuilder(source.source, basis=source.basis, grace=source.grace, fill_no_trade=source.fill_no_trade)
    stored = sink.position(source.stream)
    if stored is not None:
        builder.restore(stored)
    run = _Run(source, sink, builder, timedelta(minutes=minutes_at_once))
    after, since = builder.read, builder.until
    pace = _Pace(speed, clock, sleep)
    now = clock()
    for recorded in source.events(_NOTHING_READ if after is None else after):
        pace.wait_for(recorded.event.time)
        run.take(recorded, now)
        if recorded.offset % _REPORT_EVERY == 0:
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
        rejected=run.rejected,
        went_on_after=after,
        bars=run.bars,
        since=since,
        until=builder.until,
    )


@dataclass
class _Run:
    """The state of a running replay."""

    source: ReplayInput
    sink: FinalMinutesSink
    builder: BarBuilder
    at_once: timedelta
    bars: int = 0
    rejected: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)

    def take(self, recorded: Recorded, now: datetime) -> None:
        before = self.builder.counts.rejected
        self.builder.add(recorded.event, offset=recorded.offset, received=recorded.received, latest=now)
        if self.builder.counts.rejected != before:
            self._note_rejected(recorded.offset)
        if self.builder.pending >= self.at_once:
            self.commit()

    def commit(self) -> None:
        """Commits rejected rows first: after a kill they come again, and the sink stores each once."""
        self._emit_rejected()
        minutes = self.builder.take_final()
        if minutes is not None:
            self.sink.commit(self.source.stream, self.source.source, minutes, self.builder.state())
            self.bars += minutes.bars.height

    def _note_rejected(self, offset: int) -> None:
        for each in self.builder.take_rejected():
            time = each.event.time if each.event.time.tzinfo is not None else None
            symbol = each.event.symbol if isinstance(each.event, (Trade, Quote)) else None
            self.rows.append(
                rejected_row(self.source.line_of(offset), each.reason, each.detail, repr(each.event), time, symbol)
            )

    def _emit_rejected(self) -> None:
        rows = [*self.source.rejected, *self.rows]
        self.source.rejected.clear()
        self.rows.clear()
        self.rejected += len(rows)
        for symbol in {row["symbol"] for row in rows}:
            frame = rejected_frame(*(row for row in rows if row["symbol"] == symbol))
            self.sink.reject(self.source.source, symbol, frame, self.source.origin)


class _Pace:
    """Waits so that the time between events is the original time divided by the speed."""

    def __init__(self, speed: float | None, clock: Clock, sleep: Sleep) -> None:
        self._speed = speed
        self._clock = clock
        self._sleep = sleep
        self._began: datetime | None = None
        self._first: datetime | None = None

    def wait_for(self, timestamp: datetime) -> None:
        if self._speed is None:
            return
        if self._began is None or self._first is None:
            self._began, self._first = self._clock(), timestamp
        due = self._began + (timestamp - self._first) / self._speed
        seconds = (due - self._clock()).total_seconds()
        if seconds > 0:
            self._sleep(seconds)
