"""Determines which empty parts of a response are accepted, and which have to be confirmed first.

The rule is in :mod:`trading_platform.domain.quality.inactivity`; this module reads the instrument's usual activity. An
interval of bars marked ``no_trade`` counts as empty: a source that fills minutes without trades from the last price
reports no trades in them either.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from trading_platform.domain.market.bars import TIME, Quality
from trading_platform.domain.market.calendars import FX_WEEK, expected_times, timezone_of
from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.quality.inactivity import (
    ALWAYS_USUAL,
    HISTORY,
    USUAL_SHARE,
    customarily_inactive,
    customary_breaks,
    longest_inactivity,
    suspect_inactivity,
    usual_inactivity,
)
from trading_platform.domain.time import Timeframe, Window
from trading_platform.sources.base import BarResponse, BarSource, is_recorded
from trading_platform.stores.stores import Stores


def suspect_windows(
    stores: Stores,
    source: BarSource,
    instrument: Instrument,
    timeframe: Timeframe,
    response: BarResponse,
    *,
    confirms: Sequence[Window] = (),
) -> list[Window]:
    """The empty windows of a response that are pending confirmation.

    A second empty response of the same source confirms the first, and so does a request made as a confirmation, but
    never where bars with trades are stored: an empty response does not delete them. A recorded source, such as
    imported files, cannot confirm itself: it returns the same each time.

    Args:
        stores: source of the instrument's usual activity.
        source: source of the response.
        instrument: the instrument.
        timeframe: length of the bars.
        response: the response.
        confirms: windows in which this response was requested as a confirmation.
    """
    symbol = instrument.symbol
    found: list[Window] = []
    for part in Window.merge(response.answered):
        slots = expected_times(instrument.calendar, timeframe, part)
        traded = _active_times(stores, instrument, timeframe, response, part)
        if longest_inactivity(slots, traded) <= ALWAYS_USUAL[timeframe]:
            continue
        history = pl.concat([stores.bars.traded_before(symbol, timeframe, part.start, HISTORY), traded])
        if history.is_empty():
            continue
        over = expected_times(instrument.calendar, timeframe, Window(history[0], part.end))
        rests = customary_breaks(_zone(instrument.calendar), timeframe, over, history).implode()
        usual = usual_inactivity(history, over.filter(~over.is_in(rests)), USUAL_SHARE[timeframe])
        awake = slots.filter(~slots.is_in(rests))
        found += suspect_inactivity(timeframe, awake, traded, since=history[0], usual=usual)
    if not found:
        return []
    answered_before = [] if is_recorded(source) else stores.coverage.answered(symbol, timeframe).get(source.name, [])
    suspect = []
    for window in found:
        stored = stores.bars.read([symbol], timeframe, window)
        if stored.filter(pl.col("quality") != Quality.NO_TRADE.value).height:
            suspect.append(window)
        else:
            suspect += window.subtract([*answered_before, *confirms])
    return suspect


def _zone(calendar: str) -> str:
    """The zone in which the instruments of a calendar keep their hours."""
    return "America/New_York" if calendar == FX_WEEK else timezone_of(calendar).key


def _active_times(
    stores: Stores, instrument: Instrument, timeframe: Timeframe, response: BarResponse, part: Window
) -> pl.Series:
    """Times that do not count as empty: bars with trades, rows rejected now or before, holidays."""
    symbol = instrument.symbol
    bars = response.bars.filter(pl.col("quality") != Quality.NO_TRADE.value)["time"]
    rejected = response.rejected["time"].drop_nulls().cast(TIME)
    slots = expected_times(instrument.calendar, timeframe, part)
    times = pl.concat([bars, rejected, customarily_inactive(instrument.calendar, slots)])
    if longest_inactivity(slots, times) > ALWAYS_USUAL[timeframe]:
        times = pl.concat([times, stores.quarantine.times([symbol], timeframe, part)["time"]])
    return times.filter(times.is_between(part.start, part.end, closed="left")).unique().sort()
