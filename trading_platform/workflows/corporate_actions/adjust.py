"""Applies stored splits and dividends to stored bars: for adjusted reads, and for indicators and features.

The arithmetic is in :mod:`trading_platform.domain.market.corporate_actions` and
:mod:`trading_platform.domain.derived.splits`; this module reads its input.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import cache

import polars as pl

from trading_platform.domain.derived.splits import NO_SPLITS, Splits, fingerprint
from trading_platform.domain.market.adjustment import STALE_CLOSE, Adjustment, Closes, adjust_bars
from trading_platform.domain.market.calendars import day_begins, sessions
from trading_platform.domain.market.corporate_actions import ActionKind, CorporateAction
from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.time import Timeframe, Window
from trading_platform.stores.stores import Stores

_DAY = timedelta(days=1)

Fingerprints = Mapping[tuple[str, Window], str]
"""By symbol and partition, the fingerprint of the splits it is computed across; partitions without are left out."""

Needs = Mapping[str, Mapping[Window, Sequence[tuple[str, datetime, int]]]]
"""By symbol and partition, the histories it is computed from: symbol, timestamp, and number of bars before it."""


def adjusted_bars(
    stores: Stores,
    bars: pl.DataFrame,
    instruments: Mapping[str, Instrument],
    timeframe: Timeframe,
    adjust: Adjustment,
    as_of: datetime,
    recorded_as_of: datetime | None = None,
) -> pl.DataFrame:
    """Adjusts raw bars, point-in-time as of a timestamp.

    Args:
        stores: source of the actions.
        bars: frame of ``BAR_SCHEMA``, sorted by (symbol, time).
        instruments: instruments of the symbols; their calendars determine when a day begins.
        timeframe: of the bars.
        adjust: kind of adjustment.
        as_of: only actions known at this time are applied.
        recorded_as_of: actions and closes are those stored at this time; None means those stored now.

    Raises:
        QualityError: if the bars cannot be adjusted for a dividend.
    """
    if adjust is Adjustment.RAW or bars.is_empty():
        return bars
    kinds = tuple(ActionKind) if adjust is Adjustment.TOTAL_RETURN else (ActionKind.SPLIT,)
    after: datetime = bars["time"].min()  # type: ignore[assignment]
    if recorded_as_of is None:
        stored = stores.corporate_actions.read(list(instruments), kinds)
    else:
        stored = stores.revisions.corporate_actions(list(instruments), recorded_as_of, kinds)
    actions = [action for action in stored if action.ex_date > after - _DAY]
    dividends = [action for action in actions if action.kind is ActionKind.DIVIDEND]
    closes = _closes_before(stores, dividends, instruments, recorded_as_of) if dividends else {}

    @cache
    def ex_timestamp(action: CorporateAction) -> datetime:
        if not timeframe.is_intraday:
            return action.ex_date
        return day_begins(instruments[action.symbol].calendar, action.ex_date)

    return adjust_bars(bars, actions, closes, adjust, as_of, ex_timestamp)


def _closes_before(
    stores: Stores,
    dividends: Sequence[CorporateAction],
    instruments: Mapping[str, Instrument],
    recorded_as_of: datetime | None,
) -> Closes:
    """The raw close before each dividend: the stored one of the session before, else the one that its source states.

    Without either, the last stored close before it; :func:`adjust_bars` rejects one that is too old.
    """
    if recorded_as_of is None:
        closes = dict(stores.corporate_actions.closes_before(dividends))
    else:
        closes = _recorded_closes(stores, dividends, recorded_as_of)
    for action in dividends:
        if action.close_before is None:
            continue
        key = action.symbol, action.ex_date
        near = Window(action.ex_date - STALE_CLOSE, action.ex_date)
        before = sessions(instruments[action.symbol].calendar, near)["session"]
        latest: datetime = before[-1] if len(before) else action.ex_date - _DAY
        if key not in closes or closes[key][0] < latest:
            closes[key] = latest, action.close_before
    return closes


def _recorded_closes(
    stores: Stores, dividends: Sequence[CorporateAction], recorded_as_of: datetime
) -> dict[tuple[str, datetime], tuple[datetime, Decimal]]:
    """The last daily close before each dividend as stored at a time, of those that :func:`adjust_bars` accepts."""
    found = {}
    for action in dividends:
        near = Window(action.ex_date - STALE_CLOSE - _DAY, action.ex_date)
        bars = stores.revisions.bars([action.symbol], Timeframe.D1, near, recorded_as_of)
        if not bars.is_empty():
            found[action.symbol, action.ex_date] = bars["time"][-1], bars["close"][-1]
    return found


def splits_between(stores: Stores, bars: pl.DataFrame, timeframe: Timeframe) -> Splits:
    """The splits that may lie between some bars, with the time from which bars of the timeframe are in new shares."""
    if bars.is_empty():
        return NO_SPLITS
    first, last = bars["time"].min(), bars["time"].max()
    found = {
        symbol: near
        for symbol, splits in stores.corporate_actions.splits(bars["symbol"].unique().to_list()).items()
        if (near := [split for split in splits if first - _DAY < split[0] < last + _DAY])  # type: ignore[operator]
    }
    if not found or not timeframe.is_intraday:
        return found
    universe = stores.instruments.all()
    return {
        symbol: [(_begins(universe.get(symbol), date), ratio) for date, ratio in splits]
        for symbol, splits in found.items()
    }


def _begins(instrument: Instrument | None, date: datetime) -> datetime:
    return date if instrument is None else day_begins(instrument.calendar, date)


def fingerprints(stores: Stores, timeframe: Timeframe, splits: Splits, needs: Needs) -> Fingerprints:
    """The fingerprints of the splits that partitions are computed across.

    A split counts for a partition if it lies after the first bar that the partition loads and before its end:
    only then are there bars on both sides of it.

    Args:
        stores: source of the bars.
        timeframe: length of the bars.
        splits: splits of all required symbols, by date.
        needs: the histories that each partition is computed from; those without splits may be left out.
    """
    histories = sorted({need for windows in needs.values() for wanted in windows.values() for need in wanted})
    begins = stores.bars.history_begins(timeframe, [need for need in histories if need[0] in splits])
    margin = _DAY if timeframe.is_intraday else timedelta(0)  # the hour at which a date begins depends on the market
    found: dict[tuple[str, Window], str] = {}
    for symbol, windows in needs.items():
        for window, wanted in windows.items():
            across: dict[str, list[tuple[datetime, Fraction]]] = {}
            for need in wanted:
                first = begins.get(need, need[1])
                for timestamp, ratio in splits.get(need[0], ()):
                    if first - margin < timestamp < window.end + margin:
                        across.setdefault(need[0], []).append((timestamp, ratio))
            if across:
                found[symbol, window] = fingerprint(across)
    return found
