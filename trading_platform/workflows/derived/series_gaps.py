"""Finds the gaps between stored bars: expected bars without a row that no source has confirmed to be empty.

A gap is time that is missing, pending confirmation or rejected. Confirmed empty and expired time is none. What values
do at a gap is in :mod:`trading_platform.domain.derived.gaps`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np
import polars as pl

from trading_platform.domain.derived.gaps import NO_GAPS, Gaps
from trading_platform.domain.market.bars import TIME
from trading_platform.domain.market.calendars import expected_times
from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.time import Timeframe, Window
from trading_platform.stores.stores import Stores

_NOTHING = pl.Series("time", [], dtype=TIME)


def gaps_between(
    stores: Stores,
    bars: pl.DataFrame,
    timeframe: Timeframe,
    universe: Mapping[str, Instrument],
    present: datetime,
) -> Gaps:
    """The gaps between the bars of each symbol; symbols without any, or outside the universe, are left out.

    Args:
        stores: source of coverage and rejected bars.
        bars: frame of ``BAR_SCHEMA``, sorted by (symbol, time), with all stored bars from each symbol's first one on.
        timeframe: length of the bars.
        universe: all instruments, by symbol.
        present: current time.
    """
    times = {
        str(symbol): part["time"]
        for (symbol,), part in bars.select("symbol", "time").partition_by("symbol", as_dict=True).items()
        if symbol in universe and (part["time"].diff() > timeframe.duration).any()
    }
    if not times:
        return NO_GAPS
    symbols = list(times)
    whole = Window(min(each[0] for each in times.values()), max(each[-1] for each in times.values()))
    answered = stores.coverage.answered_by_any(symbols, timeframe, present)
    expired = stores.coverage.expired_by_any(symbols, timeframe, present)
    rejected = {
        str(symbol): part["time"]
        for (symbol,), part in stores.quarantine.times(symbols, timeframe, whole)
        .partition_by("symbol", as_dict=True)
        .items()
    }
    slots = {
        calendar: expected_times(calendar, timeframe, whole)
        for calendar in {universe[symbol].calendar for symbol in symbols}
    }
    found = {}
    for symbol, own in times.items():
        settled = Window.merge([*answered.get(symbol, []), *expired.get(symbol, [])])
        expected = slots[universe[symbol].calendar]
        lacking = _lacking(expected, own, settled, rejected.get(symbol, _NOTHING))
        if len(lacking):
            after, counts = np.unique(own.search_sorted(lacking, side="left").to_numpy(), return_counts=True)
            found[symbol] = list(zip(own.gather(after).to_list(), counts.tolist(), strict=True))
    return found


def _lacking(expected: pl.Series, times: pl.Series, settled: Sequence[Window], rejected: pl.Series) -> pl.Series:
    """The expected opens between the first and the last bar without a bar, outside of settled time or rejected."""
    inside = expected.filter(expected.is_between(times[0], times[-1]) & ~expected.is_in(times.implode()))
    edges = pl.Series([edge for window in settled for edge in (window.start, window.end)], dtype=TIME)
    is_settled = edges.search_sorted(inside, side="right").to_numpy() % 2 == 1
    return inside.filter(pl.Series(~is_settled) | inside.is_in(rejected.implode()))
