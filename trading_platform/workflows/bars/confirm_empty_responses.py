"""Which part of a source's answer to believe, and which to have confirmed first.

The rule is :mod:`trading_platform.domain.quality.inactivity`; here the instrument's habits are read. Silence is also a
stretch of bars marked ``no_trade``: a source that fills quiet minutes from the last price says nothing in them either.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from trading_platform.domain.market.bars import TIME, Quality
from trading_platform.domain.market.calendars import expected_times
from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.quality.inactivity import (
    ALWAYS_USUAL,
    HISTORY,
    customarily_inactive,
    longest_inactivity,
    suspect_silences,
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
    """The windows in which an answer says that there was nothing, and is not believed yet.

    What the source said before is confirmed by saying it again, and what is asked as a confirmation is one; but
    never where bars are stored that trades made: nobody's silence takes them away. Imported files of intraday
    bars are believed, because their source has rules of its own for what a recording proves.

    Args:
        stores: the instrument's habits.
        source: who answered.
        instrument: whose bars.
        timeframe: their length.
        response: what it said.
        confirms: where this answer is asked for as a confirmation.
    """
    if is_recorded(source) and timeframe.is_intraday:
        return []
    symbol = instrument.symbol
    found: list[Window] = []
    for part in Window.merge(response.answered):
        slots = expected_times(instrument.calendar, timeframe, part)
        traded = _said(stores, instrument, timeframe, response, part)
        if longest_inactivity(slots, traded) <= ALWAYS_USUAL[timeframe]:
            continue
        known = pl.concat([stores.bars.traded_before(symbol, timeframe, part.start, HISTORY), traded])
        if known.is_empty():
            continue
        over = expected_times(instrument.calendar, timeframe, Window(known[0], part.end))
        usual = usual_inactivity(known, over)
        found += suspect_silences(timeframe, slots, traded, since=known[0], usual=usual)
    if not found:
        return []
    said_before = stores.coverage.answered(symbol, timeframe).get(source.name, [])
    suspect = []
    for window in found:
        stored = stores.bars.read([symbol], timeframe, window)
        if stored.filter(pl.col("quality") != Quality.NO_TRADE.value).height:
            suspect.append(window)
        else:
            suspect += window.subtract([*said_before, *confirms])
    return suspect


def _said(
    stores: Stores, instrument: Instrument, timeframe: Timeframe, response: BarResponse, part: Window
) -> pl.Series:
    """Where somebody said something: bars that trades made, rows that were refused now or before, holidays."""
    symbol = instrument.symbol
    bars = response.bars.filter(pl.col("quality") != Quality.NO_TRADE.value)["time"]
    rejected = response.rejected["time"].drop_nulls().cast(TIME)
    slots = expected_times(instrument.calendar, timeframe, part)
    times = pl.concat([bars, rejected, customarily_inactive(instrument.calendar, slots)])
    if longest_inactivity(slots, times) > ALWAYS_USUAL[timeframe]:
        times = pl.concat([times, stores.quarantine.times([symbol], timeframe, part)["time"]])
    return times.filter(times.is_between(part.start, part.end, closed="left")).unique().sort()
