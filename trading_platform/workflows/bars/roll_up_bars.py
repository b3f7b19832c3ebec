"""Rolls up 5m, 1h and 1d bars from the stored 1m bars of the same symbol.

5m and 1h bars are buckets on the UTC grid; a daily bar of an exchange contains its regular session only, as vendors'
daily bars do. A partition is recomputed when its 1m bars have changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import polars as pl

from trading_platform.domain.errors import StoreError
from trading_platform.domain.market.bars import mark_gaps, roll_up
from trading_platform.domain.market.calendars import ALWAYS_OPEN, last_closed, open_spans, session_dates
from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.time import Clock, Timeframe, Window
from trading_platform.stores.market_data.coverage import ROLLED_UP, Outcome, Request
from trading_platform.stores.market_data.input_versions import Derived
from trading_platform.stores.stores import Stores

CODE_VERSION = "1"
"""Increase it when the rule changes: everything rolled up before is then stale."""


def stale_roll_ups(
    stores: Stores, symbol: str, timeframe: Timeframe, partitions: Sequence[Window], *, force: bool = False
) -> dict[Window, Derived]:
    """The partitions of one symbol that are not rolled up from its current 1m bars."""
    versions = stores.input_versions.bar_versions([symbol], Timeframe.M1)
    recorded = stores.input_versions.read(f"ohlcv_{timeframe.value}", [symbol])
    present = {window: Derived(versions.before([symbol], window.end), CODE_VERSION) for window in partitions}
    return {
        window: derived
        for window, derived in present.items()
        if derived.input_version and (force or recorded.get((symbol, window.start)) != derived)
    }


def bars_of(calendar: str, timeframe: Timeframe, minutes: Window) -> list[Window]:
    """The windows of the longer bars that contain some minutes.

    In markets east of Greenwich the minutes of a daily bar may be on the UTC day before, even in the year before.
    """
    dates = session_dates(calendar, minutes) if timeframe is Timeframe.D1 else None
    if dates is None:
        return [minutes]
    return [
        Window(session, session + timeframe.duration)
        for session, opens, closes in dates.iter_rows()
        if minutes.intersect(Window(opens, closes))
    ]


def roll_up_bars(
    stores: Stores,
    instrument: Instrument,
    timeframe: Timeframe,
    partitions: Sequence[Window],
    *,
    clock: Clock,
    force: bool = False,
) -> list[bool]:
    """Recomputes the stale rolled-up bars of one symbol.

    Whole bars are rolled up where sources have answered for all minutes and these are within retention; bars
    computed from dropped minutes stay.

    Returns:
        One entry per recomputed partition: whether that changed anything.
    """
    symbol = instrument.symbol
    stale = stale_roll_ups(stores, symbol, timeframe, partitions, force=force)
    now = clock()
    end = last_closed(instrument.calendar, timeframe, now)
    answered = stores.coverage.answered_by_any([symbol], Timeframe.M1, now).get(symbol, [])
    changes = []
    for partition, present in stale.items():
        inside = rollable(answered, instrument.calendar, timeframe, partition, end)
        changes.append(_make(stores, instrument, timeframe, partition, inside, present, clock))
    return changes


def rollable(
    answered: Sequence[Window], calendar: str, timeframe: Timeframe, partition: Window, end: datetime
) -> list[Window]:
    """The windows of whole longer bars for which sources have answered for all minutes.

    A daily bar needs only the minutes in which its session is open, without those of a trading break. In markets east
    of Greenwich it may begin on the UTC day before.

    Args:
        answered: windows of the answered minutes, in order.
        calendar: calendar of the instrument.
        timeframe: length of the longer bars.
        partition: window to consider.
        end: bars that end later are not finished.
    """
    whole = _whole_bars(answered, timeframe, partition, end)
    if timeframe.is_intraday or calendar == ALWAYS_OPEN:
        return whole
    complete: dict[datetime, bool] = {}
    for session, opens, closes in open_spans(calendar, partition).filter(pl.col("session") < end).iter_rows():
        known = any(opens >= window.start and closes <= window.end for window in answered)
        complete[session] = known and complete.get(session, True)
    days = {session: Window(session, session + timeframe.duration) for session in complete}
    complete_days = [day for session, day in days.items() if complete[session]]
    incomplete = [day for session, day in days.items() if not complete[session]]
    return Window.merge([*(part for window in whole for part in window.subtract(incomplete)), *complete_days])


def _make(
    stores: Stores,
    instrument: Instrument,
    timeframe: Timeframe,
    partition: Window,
    answered: Sequence[Window],
    present: Derived,
    clock: Clock,
) -> bool:
    symbol, dataset, now = instrument.symbol, f"ohlcv_{timeframe.value}", clock()
    rolled_up = {}
    read = []
    for window in answered:
        by_session = session_dates(instrument.calendar, window) if timeframe is Timeframe.D1 else None
        read.append(_minutes_of(window, by_session))
        bars = roll_up(stores.bars.read([symbol], Timeframe.M1, read[-1]), timeframe, by_session)
        rolled_up[window] = bars.filter(pl.col("time").is_between(window.start, window.end, closed="left"))
        stores.bars.prepare(timeframe, rolled_up[window])
    _reject_dropped(stores, symbol, read, now)
    changed, total = False, 0
    with stores.database.begin() as connection:
        for window, bars in rolled_up.items():
            before = stores.bars.previous_close(connection, symbol, timeframe, window.start)
            total += bars.height
            changed |= stores.bars.replace(connection, symbol, timeframe, window, mark_gaps(bars, before))
        outcome = Outcome.STORED if total else Outcome.EMPTY
        request = Request(
            symbol, timeframe, ROLLED_UP, partition, outcome, ROLLED_UP, now, stored=total, changed=changed
        )
        stores.coverage.record(connection, request, answered)
        stores.input_versions.record(connection, dataset, {(symbol, partition): (present, total)}, now)
    return changed


def _minutes_of(window: Window, by_session: pl.DataFrame | None) -> Window:
    """The window of the minutes that the bars of a window are rolled up from."""
    if by_session is None:
        return window
    inside = by_session.filter(pl.col("session").is_between(window.start, window.end, closed="left"))
    if inside.is_empty():
        return window
    opens: datetime = inside["open"].min()  # type: ignore[assignment]
    closes: datetime = inside["close"].max()  # type: ignore[assignment]
    return Window(min(window.start, opens), max(window.end, closes))


def _reject_dropped(stores: Stores, symbol: str, windows: Sequence[Window], present: datetime) -> None:
    """Raises an error if minutes of the windows were dropped since the coverage was read.

    Bars rolled up from the remaining minutes would replace complete bars.
    """
    if windows and not stores.retention.still_held(Timeframe.M1, windows, present):
        stores.retention.note_expired(present)
        raise StoreError(
            f"Minute bars of {symbol} were dropped because of their age during the roll-up.",
            expected=f"minute bars in {', '.join(map(str, windows))}",
            received="fewer; nothing was changed",
            remedy="run the same again: it leaves out the dropped bars",
            retryable=True,
        )


def _whole_bars(answered: Sequence[Window], timeframe: Timeframe, partition: Window, end: datetime) -> list[Window]:
    """The answered windows inside a partition, shrunk to whole bars."""
    length = timeframe.duration.total_seconds()
    found = []
    for window in answered:
        part = window.intersect(Window(partition.start, min(partition.end, end))) if end > partition.start else None
        if part is None:
            continue
        first = -(-part.start.timestamp() // length) * length
        last = part.end.timestamp() // length * length
        if first < last:
            found.append(Window(datetime.fromtimestamp(first, UTC), datetime.fromtimestamp(last, UTC)))
    return found
