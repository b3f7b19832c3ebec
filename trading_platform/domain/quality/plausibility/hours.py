"""Times that fit the market better in another zone, in all bars or in some; and sessions without any bar."""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from trading_platform.domain.market.calendars import ALWAYS_OPEN, FX_WEEK, sessions
from trading_platform.domain.quality.closed_time import HoursFit, judge_hours
from trading_platform.domain.quality.inactivity import customarily_inactive
from trading_platform.domain.quality.plausibility.findings import Finding
from trading_platform.domain.suspicions import Suspicion
from trading_platform.domain.time import Timeframe, Window

_FEWEST = 5
_SHARE_OF_USUAL = 0.75
_FEWEST_PARTS = 4  # fewer do not show which hours are usual
_FRIDAY = 5
_NAMED = 3
_ZONE = "The times were read in the wrong zone, or the source changed it on the way"
_MISSING = "The source or the file lacks them: request them again, or look for a holiday that the calendar lacks"


def find_shifted(bars: pl.DataFrame, calendar: str, timeframe: Timeframe, zone: str | None = "UTC") -> list[Finding]:
    """Bars that another reading of their times would put into the sessions: all, or those of some parts of the time.

    Args:
        bars: frame of ``BAR_SCHEMA``, one symbol, sorted.
        calendar: calendar of the instrument.
        timeframe: length of the bars.
        zone: the zone in which the times were read; None if they have one of their own.
    """
    whole = judge_hours(bars, calendar, timeframe, zone=zone)
    if whole is None or not whole.outside:
        return []
    if not whole.fits:
        return [_finding(bars, whole)]
    marked = bars.with_columns(part=pl.col("time").dt.truncate(_part(calendar, timeframe)))
    parts = marked.partition_by("part", maintain_order=True, include_key=False)
    spans = pl.Series([part["time"][-1] - part["time"][0] for part in parts], dtype=pl.Duration("us"))
    usual = spans.median()
    if len(parts) < _FEWEST_PARTS:
        return []
    found = []
    for part, span in zip(parts, spans, strict=True):
        # A file may begin or end in the middle of a day: what is left of it shows no hours.
        if part.height < _FEWEST or (isinstance(usual, timedelta) and span < _SHARE_OF_USUAL * usual):
            continue
        fit = judge_hours(part, calendar, timeframe, zone=None)
        if fit is not None and not fit.fits:
            found.append(_finding(part, fit))
    return found


def _part(calendar: str, timeframe: Timeframe) -> str:
    """The parts that are judged by themselves, each long enough to show the hours of its market."""
    if not timeframe.is_intraday:
        return "1q"
    return "1w" if calendar == FX_WEEK else "1d"


def _finding(bars: pl.DataFrame, fit: HoursFit) -> Finding:
    return Finding(
        Suspicion.TIME_ZONE, bars["time"][0], bars["time"][-1], fit.outside, fit.as_text().partition(": ")[0], _ZONE
    )


def find_missing_sessions(bars: pl.DataFrame, calendar: str) -> list[Finding]:
    """Sessions between the first and the last bar that have no bar at all.

    Args:
        bars: frame of ``BAR_SCHEMA``, one symbol, sorted.
        calendar: calendar of the instrument.
    """
    first, last = bars["time"][0], bars["time"][-1]
    days = pl.DataFrame({"day": bars["time"].dt.date()}).unique()
    if calendar in (ALWAYS_OPEN, FX_WEEK):
        expected = pl.DataFrame({"day": pl.date_range(first.date(), last.date(), "1d", eager=True)})
    if calendar == FX_WEEK:
        expected = expected.filter(pl.col("day").dt.weekday() <= _FRIDAY)
        slots = expected["day"].cast(pl.Datetime("us", "UTC"))
        idle = customarily_inactive(calendar, slots).dt.date()
        expected = expected.filter(~pl.col("day").is_in(idle.implode()))
    elif calendar != ALWAYS_OPEN:
        spans = sessions(calendar, Window(first, last + timedelta(days=1)))
        expected = spans.select(day=pl.col("session").dt.date()).filter(pl.col("day") <= last.date())
    missing = expected.join(days, on="day", how="anti")["day"].sort()
    if missing.is_empty():
        return []
    stamps = missing.cast(pl.Datetime("us", "UTC"))
    named = ", ".join(f"{day}" for day in missing.head(_NAMED)) + (" …" if missing.len() > _NAMED else "")
    words = f"{missing.len():,} of {expected.height:,} sessions have no bar: {named}"
    return [Finding(Suspicion.MISSING_SESSIONS, stamps[0], stamps[-1], missing.len(), words, _MISSING)]
