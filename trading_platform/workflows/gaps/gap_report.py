"""Report of all intervals without bars: closed, no trades, pending confirmation, missing, and so on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from trading_platform.domain.market.bars import TIME
from trading_platform.domain.market.calendars import ALWAYS_OPEN, expected_times, last_closed, open_spans
from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.quality.gaps import Gap, GapState, SlotClass
from trading_platform.domain.time import Clock, Timeframe, Window
from trading_platform.stores.market_data.checks import CheckStore
from trading_platform.stores.stores import Stores
from trading_platform.workflows.bars.bar_sources import Sources
from trading_platform.workflows.bars.count_coverage import pending_windows
from trading_platform.workflows.bars.roll_up_bars import bars_dataset
from trading_platform.workflows.gaps.detect_gaps import requestable_windows


@dataclass(frozen=True)
class GapInterval:
    """An interval without bars.

    Attributes:
        symbol: the symbol.
        timeframe: length of the bars.
        what: class of the interval.
        window: from the open of the first to the end of the last expected bar; an interval continues over time at
            which the market is closed.
        bars: number of expected bars; 0 while the market is closed.
        attempts: number of repair attempts.
        next_attempt_at: when the next attempt is due.
        note: outcome of the last attempt.
    """

    symbol: str
    timeframe: Timeframe
    what: SlotClass
    window: Window
    bars: int
    attempts: int | None = None
    next_attempt_at: datetime | None = None
    note: str | None = None


def gap_report(
    stores: Stores,
    sources: Sources,
    instrument: Instrument,
    timeframe: Timeframe,
    *,
    clock: Clock,
    closed: bool = False,
) -> Iterator[GapInterval]:
    """The intervals without bars from the first to the last request, coverage or stored bar, in order.

    Args:
        stores: the stores to read; nothing is written.
        sources: the configured sources; recorded ones need no confirmation of empty responses.
        instrument: the instrument.
        timeframe: length of the bars.
        clock: source of the current time.
        closed: include the intervals in which the market was closed.
    """
    symbol = instrument.symbol
    span = CheckStore(stores.database).recorded_spans([symbol], timeframe).get(symbol)
    end = last_closed(instrument.calendar, timeframe, clock())
    if span is None or span.start >= end:
        return
    span = Window(span.start, min(span.end, end))
    gaps = stores.gaps.of([symbol], [bars_dataset(timeframe)])
    found = [
        _interval(instrument, timeframe, row, gaps)
        for row in _runs(stores, sources, instrument, timeframe, span, gaps, clock)
    ]
    if closed:
        found += [
            GapInterval(symbol, timeframe, SlotClass.CLOSED, window, 0) for window in closed_windows(instrument, span)
        ]
    yield from sorted(found, key=lambda each: each.window)


def closed_windows(instrument: Instrument, span: Window) -> list[Window]:
    """The windows in which the market was closed."""
    if instrument.calendar == ALWAYS_OPEN:
        return []
    around = Window(span.start - timedelta(days=1), span.end + timedelta(days=1))
    hours = open_spans(instrument.calendar, around).select("open", "close").iter_rows()
    return span.subtract(Window(opens, closes) for opens, closes in hours)


def _runs(
    stores: Stores,
    sources: Sources,
    instrument: Instrument,
    timeframe: Timeframe,
    span: Window,
    gaps: Sequence[Gap],
    clock: Clock,
) -> list[tuple[str, datetime, datetime, int]]:
    """Class, first slot, last slot and number of slots of each interval without bars."""
    symbol = instrument.symbol
    slots = expected_times(instrument.calendar, timeframe, span)
    stored = stores.bars.times([symbol], timeframe, span)["time"]
    rejected = stores.quarantine.times([symbol], timeframe, span)["time"].cast(TIME)
    answered = stores.coverage.answered_by_any([symbol], timeframe, clock()).get(symbol, [])
    expired = stores.coverage.expired_by_any([symbol], timeframe, clock()).get(symbol, [])
    suspect = pending_windows(stores, sources, [symbol], timeframe, clock).get(symbol, [])
    unanswered = span.subtract([*answered, *expired, *suspect])
    kept = [gap.window for gap in gaps]
    requestable = requestable_windows(stores, sources, instrument, timeframe, unanswered, kept, clock())
    listed = {state: [gap.window for gap in gaps if gap.state is state] for state in GapState}
    classes = [
        (_inside(expired) & ~_inside(answered), SlotClass.EXPIRED),
        (pl.col("time").is_in(rejected.implode()), SlotClass.REJECTED),
        (_inside(answered), SlotClass.NO_TRADES),
        (_inside(listed[GapState.FAILED_PERMANENTLY]), SlotClass.FAILED_PERMANENTLY),
        (_inside(suspect), SlotClass.PENDING_CONFIRMATION),
        (_inside(requestable), SlotClass.MISSING),
    ]
    what = pl.lit(SlotClass.NOT_AVAILABLE.value)
    for condition, name in reversed(classes):
        what = pl.when(condition).then(pl.lit(name.value)).otherwise(what)
    # A stored bar that differs from the committed one is a gap as well.
    present = pl.col("time").is_in(stored.implode()) & ~(_inside([gap.window for gap in gaps]) & ~_inside(answered))
    return list(
        pl.DataFrame({"time": slots})
        .with_columns(what=pl.when(present).then(None).otherwise(what))
        .with_columns(run=pl.col("what").rle_id())
        .drop_nulls("what")
        .group_by("run", maintain_order=True)
        .agg(pl.col("what").first(), first=pl.col("time").first(), last=pl.col("time").last(), bars=pl.len())
        .select("what", "first", "last", "bars")
        .iter_rows()
    )


def _interval(
    instrument: Instrument, timeframe: Timeframe, run: tuple[str, datetime, datetime, int], gaps: Sequence[Gap]
) -> GapInterval:
    what, first, last, bars = run
    window = Window(first, last + timeframe.duration)
    about = [gap for gap in gaps if gap.window.intersect(window)] if what != SlotClass.NO_TRADES else []
    due = [gap.next_attempt_at for gap in about if gap.next_attempt_at]
    notes = [gap.note for gap in about if gap.note]
    return GapInterval(
        instrument.symbol,
        timeframe,
        SlotClass(what),
        window,
        bars,
        max((gap.attempts for gap in about), default=None),
        min(due, default=None),
        notes[-1] if notes else None,
    )


def _inside(windows: Sequence[Window]) -> pl.Expr:
    if not windows:
        return pl.lit(value=False)
    return pl.any_horizontal(pl.col("time").is_between(window.start, window.end, closed="left") for window in windows)
