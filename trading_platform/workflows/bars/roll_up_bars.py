"""Rolls up 5m, 1h and 1d bars from the stored shorter bars of the same symbol.

Bars are rolled up from minutes; where there are none, from the shortest other bars that a source gave: a file of 5m
bars gives 1h and 1d. 5m and 1h bars are buckets on the UTC grid; a daily bar of an exchange contains its regular
session only, as vendors' daily bars do. A partition is recomputed when the shorter bars have changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import polars as pl

from trading_platform.domain.errors import StoreError
from trading_platform.domain.market.bars import mark_gaps, roll_up
from trading_platform.domain.market.calendars import ALWAYS_OPEN, last_closed, open_spans, session_dates
from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.time import Clock, Timeframe, Window, within
from trading_platform.stores.market_data.completeness.coverage import ROLLED_UP, Outcome, Request
from trading_platform.stores.market_data.input_versions import Derived
from trading_platform.stores.stores import Stores

CODE_VERSION = "2"
"""Increase it when the rule changes: everything rolled up before is then stale."""


def bars_dataset(timeframe: Timeframe) -> str:
    """The asset with the bars of a timeframe."""
    return f"ohlcv_{timeframe.value}"


def stale_roll_ups(
    stores: Stores, symbol: str, timeframe: Timeframe, partitions: Sequence[Window], *, force: bool = False
) -> dict[Window, Derived]:
    """The partitions of one symbol that are not rolled up from its current shorter bars."""
    versions = [
        stores.input_versions.bar_versions([symbol], shorter, rolled_up=False) for shorter in shorter_than(timeframe)
    ]
    recorded = stores.input_versions.read(bars_dataset(timeframe), [symbol])
    present = {
        window: Derived(sum(each.before([symbol], window.end) for each in versions), CODE_VERSION)
        for window in partitions
    }
    return {
        window: derived
        for window, derived in present.items()
        if derived.input_version and (force or recorded.get((symbol, window.start)) != derived)
    }


def shorter_than(timeframe: Timeframe) -> list[Timeframe]:
    """The timeframes that bars of another one can be rolled up from, in the order of preference."""
    order = list(Timeframe)
    return order[: order.index(timeframe)]


def parts_known(
    stores: Stores, symbol: str, timeframe: Timeframe, present: datetime, *, dropped: bool = False
) -> dict[Timeframe, list[Window]]:
    """For each shorter timeframe, the windows that sources have answered for; rolled-up bars are left out.

    Args:
        stores: the stores to read.
        symbol: symbol of the bars.
        timeframe: timeframe to roll up to.
        present: current time.
        dropped: include windows with bars that were dropped because of their age.
    """
    found = {}
    for shorter in shorter_than(timeframe):
        given = stores.coverage.answered(symbol, shorter)
        own = Window.merge(window for name, windows in given.items() if name != ROLLED_UP for window in windows)
        held = stores.coverage.answered_by_any([symbol], shorter, present).get(symbol, [])
        windows = [part for window in own for part in within(held, window)]
        if dropped and shorter is Timeframe.M1:
            windows += stores.coverage.expired_by_any([symbol], shorter, present).get(symbol, [])
        if windows:
            found[shorter] = Window.merge(windows)
    return found


def bars_of(calendar: str, timeframe: Timeframe, parts: Window) -> list[Window]:
    """The windows of the longer bars that contain the shorter ones of a window.

    In markets east of Greenwich the parts of a daily bar may be on the UTC day before, even in the year before.
    """
    dates = session_dates(calendar, parts) if timeframe is Timeframe.D1 else None
    if dates is None:
        return [parts]
    return [
        Window(session, session + timeframe.duration)
        for session, opens, closes in dates.iter_rows()
        if parts.intersect(Window(opens, closes))
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

    Whole bars are rolled up where sources have answered for all of their parts and these are within retention; bars
    computed from dropped parts stay.

    Returns:
        One entry per recomputed partition: whether that changed anything.
    """
    symbol = instrument.symbol
    stale = stale_roll_ups(stores, symbol, timeframe, partitions, force=force)
    now = clock()
    end = last_closed(instrument.calendar, timeframe, now)
    known = parts_known(stores, symbol, timeframe, now) if stale else {}
    changes = []
    for partition, present in stale.items():
        inside = rollable(known, instrument.calendar, timeframe, partition, end)
        asked = _considered(known, partition)
        changes.append(_make(stores, instrument, timeframe, partition, asked, inside, present, clock))
    return changes


def rollable(
    known: Mapping[Timeframe, Sequence[Window]],
    calendar: str,
    timeframe: Timeframe,
    partition: Window,
    end: datetime,
) -> list[tuple[Window, Timeframe]]:
    """The windows of whole longer bars for which sources have answered for all parts, in order, and what the parts are.

    Args:
        known: the windows of the answered shorter bars, by timeframe.
        calendar: calendar of the instrument.
        timeframe: length of the longer bars.
        partition: window to consider.
        end: bars that end later are not finished.
    """
    found: list[tuple[Window, Timeframe]] = []
    for shorter in shorter_than(timeframe):
        whole = _rollable_from(known.get(shorter, ()), calendar, timeframe, partition, end, shorter)
        taken = [window for window, _ in found]
        found += [(part, shorter) for window in whole for part in window.subtract(taken)]
    return sorted(found, key=lambda each: each[0])


def _rollable_from(
    answered: Sequence[Window],
    calendar: str,
    timeframe: Timeframe,
    partition: Window,
    end: datetime,
    shorter: Timeframe,
) -> list[Window]:
    """The windows of whole longer bars for which sources have answered for all parts of one timeframe.

    A daily bar needs only the parts in which its session is open, without those of a trading break. In markets east
    of Greenwich it may begin on the UTC day before. Parts that reach over the begin or the end of the session cannot
    make it.
    """
    whole = _whole_bars(answered, timeframe, partition, end)
    if not answered or timeframe.is_intraday or calendar == ALWAYS_OPEN:
        return whole
    complete: dict[datetime, bool] = {}
    for session, opens, closes in open_spans(calendar, partition).filter(pl.col("session") < end).iter_rows():
        fits = not any(edge.timestamp() % shorter.duration.total_seconds() for edge in (opens, closes))
        known = fits and any(opens >= window.start and closes <= window.end for window in answered)
        complete[session] = known and complete.get(session, True)
    days = {session: Window(session, session + timeframe.duration) for session in complete}
    complete_days = [day for session, day in days.items() if complete[session]]
    incomplete = [day for session, day in days.items() if not complete[session]]
    return Window.merge([*(part for window in whole for part in window.subtract(incomplete)), *complete_days])


def _considered(known: Mapping[Timeframe, Sequence[Window]], partition: Window) -> Window | None:
    """The span of the shorter bars in a partition: time before and after them is not looked at."""
    inside = [part for windows in known.values() for part in within(windows, partition)]
    return Window(min(part.start for part in inside), max(part.end for part in inside)) if inside else None


def _make(
    stores: Stores,
    instrument: Instrument,
    timeframe: Timeframe,
    partition: Window,
    asked: Window | None,
    answered: Sequence[tuple[Window, Timeframe]],
    present: Derived,
    clock: Clock,
) -> bool:
    symbol, dataset, now = instrument.symbol, bars_dataset(timeframe), clock()
    rolled_up = {}
    read: dict[Timeframe, list[Window]] = {}
    for window, shorter in answered:
        by_session = session_dates(instrument.calendar, window) if timeframe is Timeframe.D1 else None
        parts = _parts_of(window, by_session)
        read.setdefault(shorter, []).append(parts)
        bars = roll_up(stores.bars.read([symbol], shorter, parts), timeframe, by_session)
        rolled_up[window] = bars.filter(pl.col("time").is_between(window.start, window.end, closed="left"))
        stores.bars.prepare(timeframe, rolled_up[window])
    _reject_dropped(stores, symbol, read, now)
    changed, total = False, 0
    with stores.database.begin() as connection:
        for window, bars in rolled_up.items():
            before = stores.bars.previous_close(connection, symbol, timeframe, window.start)
            total += bars.height
            marked = mark_gaps(bars, before)
            changed |= stores.bars.replace(connection, symbol, timeframe, window, marked, reason="rolled up again")
        if asked is not None:
            outcome = Outcome.STORED if total else Outcome.EMPTY
            origin = ", ".join(map(bars_dataset, read)) or ROLLED_UP
            request = Request(symbol, timeframe, ROLLED_UP, asked, outcome, origin, now, stored=total, changed=changed)
            stores.coverage.record(connection, request, [window for window, _ in answered])
        stores.input_versions.record(connection, dataset, {(symbol, partition): (present, total)}, now)
    return changed


def _parts_of(window: Window, by_session: pl.DataFrame | None) -> Window:
    """The window of the shorter bars that the bars of a window are rolled up from."""
    if by_session is None:
        return window
    inside = by_session.filter(pl.col("session").is_between(window.start, window.end, closed="left"))
    if inside.is_empty():
        return window
    opens: datetime = inside["open"].min()  # type: ignore[assignment]
    closes: datetime = inside["close"].max()  # type: ignore[assignment]
    return Window(min(window.start, opens), max(window.end, closes))


def _reject_dropped(stores: Stores, symbol: str, read: Mapping[Timeframe, Sequence[Window]], present: datetime) -> None:
    """Raises an error if shorter bars of the windows were dropped since the coverage was read.

    Bars rolled up from the remaining ones would replace complete bars.
    """
    for shorter, windows in read.items():
        if not stores.retention.still_held(shorter, windows, present):
            stores.retention.note_expired(present)
            raise StoreError(
                f"{shorter} bars of {symbol} were dropped because of their age during the roll-up.",
                expected=f"{shorter} bars in {', '.join(map(str, windows))}",
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
