"""Decides which empty parts of a source's response are accepted, and which need a confirmation first.

The rule is in :mod:`trading_platform.domain.quality.inactivity`; this module reads the instrument's usual activity.
An interval of bars marked ``no_trade`` counts as empty, too: the source filled those minutes from the last price.
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
    """The windows in which a response is empty and still pending confirmation.

    A second empty response of the source confirms the first, and so does a response requested as a confirmation.
    Stored bars made of trades are the exception: an empty response never removes them. Imported files of
    intraday bars need no confirmation, because their source has its own rules for what a recording proves.

    Args:
        stores: the stores with the instrument's usual activity.
        source: the source of the response.
        instrument: the instrument requested.
        timeframe: length of the bars.
        response: the response of the source.
        confirms: where this response was requested as a confirmation.
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
    """The times with data: bars made of trades, rows rejected now or before, holidays."""
    symbol = instrument.symbol
    bars = response.bars.filter(pl.col("quality") != Quality.NO_TRADE.value)["time"]
    rejected = response.rejected["time"].drop_nulls().cast(TIME)
    slots = expected_times(instrument.calendar, timeframe, part)
    times = pl.concat([bars, rejected, customarily_inactive(instrument.calendar, slots)])
    if longest_inactivity(slots, times) > ALWAYS_USUAL[timeframe]:
        times = pl.concat([times, stores.quarantine.times([symbol], timeframe, part)["time"]])
    return times.filter(times.is_between(part.start, part.end, closed="left")).unique().sort()
