"""All questions about the plausibility of the bars of one instrument."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import polars as pl

from trading_platform.domain.quality.plausibility.columns import find_swapped_open
from trading_platform.domain.quality.plausibility.findings import Finding
from trading_platform.domain.quality.plausibility.hours import find_missing_sessions, find_shifted
from trading_platform.domain.quality.plausibility.repeats import find_frozen, find_repeated_days
from trading_platform.domain.quality.plausibility.units import find_levels
from trading_platform.domain.time import Timeframe


def examine(
    bars: pl.DataFrame,
    calendar: str,
    timeframe: Timeframe,
    *,
    splits: Collection[datetime] = (),
    zone: str | None = "UTC",
) -> list[Finding]:
    """What is suspect about some bars, by time; empty if nothing is.

    Args:
        bars: frame of ``BAR_SCHEMA``, one symbol, sorted.
        calendar: calendar of the instrument.
        timeframe: length of the bars.
        splits: dates of its known splits, UTC.
        zone: the zone in which times were read; None if they have one of their own.
    """
    if bars.height <= 1:
        return []
    found = [
        *examine_values(bars, calendar, timeframe, splits=splits),
        *find_shifted(bars, calendar, timeframe, zone),
        *find_missing_sessions(bars, calendar),
    ]
    return sorted(found, key=lambda each: (each.first is not None, each.first, each.rule))


def examine_values(
    bars: pl.DataFrame, calendar: str, timeframe: Timeframe, *, splits: Collection[datetime] = ()
) -> list[Finding]:
    """As :func:`examine`, without the questions about hours and sessions, which other checks of stored bars answer."""
    return [
        *find_levels(bars, splits),
        *find_frozen(bars, calendar, timeframe),
        *find_repeated_days(bars, timeframe),
        *find_swapped_open(bars),
    ]
