"""Applies stored splits and dividends to stored bars, for adjusted reads and for derived values.

The arithmetic is in :mod:`trading_platform.domain.market.corporate_actions` and
:mod:`trading_platform.domain.derived.splits`; this module reads its inputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from fractions import Fraction
from functools import cache

import polars as pl

from trading_platform.domain.derived.splits import NO_SPLITS, Splits, fingerprint
from trading_platform.domain.market.adjustment import Adjustment, adjust_bars
from trading_platform.domain.market.calendars import day_begins
from trading_platform.domain.market.corporate_actions import ActionKind, CorporateAction
from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.time import Timeframe, Window
from trading_platform.stores.stores import Stores

_DAY = timedelta(days=1)

Fingerprints = Mapping[tuple[str, Window], str]
"""By symbol and partition, the fingerprint of the splits it is computed across; those without any are left out."""

Needs = Mapping[str, Mapping[Window, Sequence[tuple[str, datetime, int]]]]
"""By symbol and partition, its inputs: each a symbol, a time, and the number of bars needed before that time."""


def adjusted_bars(
    stores: Stores,
    bars: pl.DataFrame,
    instruments: Mapping[str, Instrument],
    timeframe: Timeframe,
    adjust: Adjustment,
    as_of: datetime,
) -> pl.DataFrame:
    """Adjusts raw bars for corporate actions, point-in-time as of ``as_of``.

    Args:
        stores: the stores with the actions.
        bars: frame of ``BAR_SCHEMA``, sorted by (symbol, time).
        instruments: instruments of the symbols; their calendars determine when a day begins.
        timeframe: length of the bars.
        adjust: kind of adjustment.
        as_of: the point in time.

    Raises:
        QualityError: if a dividend cannot be adjusted for.
    """
    if adjust is Adjustment.RAW or bars.is_empty():
        return bars
    kinds = tuple(ActionKind) if adjust is Adjustment.TOTAL_RETURN else (ActionKind.SPLIT,)
    after: datetime = bars["time"].min()  # type: ignore[assignment]
    actions = [
        action for action in stores.corporate_actions.read(list(instruments), kinds) if action.ex_date > after - _DAY
    ]
    dividends = [action for action in actions if action.kind is ActionKind.DIVIDEND]
    closes = stores.corporate_actions.closes_before(dividends) if dividends else {}

    @cache
    def ex_timestamp(action: CorporateAction) -> datetime:
        if not timeframe.is_intraday:
            return action.ex_date
        return day_begins(instruments[action.symbol].calendar, action.ex_date)

    return adjust_bars(bars, actions, closes, adjust, as_of, ex_timestamp)


def splits_between(stores: Stores, bars: pl.DataFrame, timeframe: Timeframe) -> Splits:
    """The splits that may lie between some bars, each with the time from which bars are quoted in new shares."""
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
    """Fingerprints of the splits across which partitions are computed.

    A split counts for a partition if it lies after the first bar that the partition loads and before its end:
    only then are there bars on both sides of it.

    Args:
        stores: the stores with the bars.
        timeframe: length of the bars.
        splits: splits of all the symbols needed, by date.
        needs: inputs of each partition; inputs without relevant splits may be left out.
    """
    asked = sorted({need for windows in needs.values() for wanted in windows.values() for need in wanted})
    begins = stores.bars.history_begins(timeframe, [need for need in asked if need[0] in splits])
    margin = _DAY if timeframe.is_intraday else timedelta(0)  # a date begins at different hours in different time zones
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
