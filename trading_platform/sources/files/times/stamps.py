"""Stamps of bars that are not on the platform's grid: read where their meaning is certain, else named.

Vendors stamp daily bars at midnight of the exchange or at the session's open; some stamp hours from the session's
open, and some bars at their close.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import polars as pl

from trading_platform.domain.market.bars import TIME
from trading_platform.domain.market.calendars import ALWAYS_OPEN, FX_WEEK, sessions, timezone_of
from trading_platform.domain.rejection_reasons import Reason
from trading_platform.domain.time import Timeframe, Window
from trading_platform.sources.files.content.options import FileRejected

_MOST = 0.5
_DAY = timedelta(days=1)


def stamped_dates(times: pl.Series, calendar: str | None) -> tuple[pl.Series, str] | None:
    """The dates of daily bars that are stamped with a time of their session, as midnight UTC, and how, in words.

    Args:
        times: the stamps in UTC; null where there is none.
        calendar: the instrument's calendar, None if it is unknown.

    Returns:
        None if most of the stamps are dates already, or are no times of the calendar's sessions.
    """
    known = times.drop_nulls()
    if calendar in (None, ALWAYS_OPEN, FX_WEEK) or known.is_empty() or _share(known.dt.truncate("1d") == known) > _MOST:
        return None
    zone = timezone_of(str(calendar)).key
    local = times.dt.convert_time_zone(zone).dt.replace_time_zone(None)
    dates = local.dt.truncate("1d").dt.replace_time_zone("UTC").cast(TIME)
    midnights = (local == local.dt.truncate("1d")).fill_null(value=False)
    if _share(midnights.filter(times.is_not_null())) > _MOST:
        return times.zip_with(~midnights, dates), f"midnights of {zone}, stamped with their date"
    first: datetime = known.min()  # type: ignore[assignment]
    last: datetime = known.max()  # type: ignore[assignment]
    hours = sessions(str(calendar), Window(first - 2 * _DAY, last + 2 * _DAY))
    joined = pl.DataFrame({"time": times, "session": dates}).join(
        hours, on="session", how="left", maintain_order="left"
    )
    inside = joined.select(pl.col("time").is_between("open", "close").fill_null(value=False)).to_series()
    if _share(inside.filter(times.is_not_null())) > _MOST:
        return times.zip_with(~inside, dates), f"times in the session of {calendar}, stamped with its date"
    return None


def at_exchange(wall: pl.Series, calendar: str) -> pl.Series:
    """Local times as times of the exchange, in UTC."""
    zoned = wall.dt.replace_time_zone(timezone_of(calendar).key, ambiguous="earliest", non_existent="null")
    return zoned.dt.convert_time_zone("UTC").cast(TIME)


def are_midnights(times: pl.Series, zone: str) -> bool:
    """Whether all times (UTC, without a zone) are midnights of a zone."""
    local = times.drop_nulls().dt.replace_time_zone("UTC").dt.convert_time_zone(zone)
    return not local.is_empty() and bool((local.dt.truncate("1d") == local).all())


def check_grid(times: pl.Series, timeframe: Timeframe, calendar: str | None) -> None:
    """Checks that most of the bars lie on the grid; single ones that do not are rejected by the rules.

    Args:
        times: the stamps in UTC; null where there is none.
        timeframe: length of the bars.
        calendar: the instrument's calendar, None if it is unknown.

    Raises:
        FileRejected: if most do not; it says where they lie, and what to do.
    """
    known = times.drop_nulls()
    offset = known - known.dt.truncate(timeframe.value)
    if known.is_empty() or _share(offset != timedelta(0)) <= _MOST:
        return
    usual: timedelta = offset.filter(offset != timedelta(0)).mode().min()  # type: ignore[assignment]
    example = known.filter(offset != timedelta(0))[0]
    raise FileRejected(Reason.OFF_GRID, _meaning(usual, example, timeframe, calendar), rows=times.len())


def _share(marks: pl.Series) -> float:
    return float(marks.mean() or 0)  # type: ignore[arg-type]


def _meaning(offset: timedelta, example: datetime, timeframe: Timeframe, calendar: str | None) -> str:
    lie = f"most of its times, such as {example:%Y-%m-%d %H:%M:%S} UTC, do not lie on the {timeframe.value} grid"
    if timeframe is Timeframe.D1:
        market = f"nor in the sessions of {calendar}" if calendar else "and the calendar is unknown"
        return (
            f"{lie} {market}: write the date of each session instead of a time, or add the instrument with its "
            "calendar first (`trading-platform instruments add`)"
        )
    if offset >= timeframe.duration - timedelta(seconds=1):
        return f"{lie}: they look like the ends of the bars; stamp bars at their open"
    if timeframe is Timeframe.H1:
        return (
            f"{lie}: its hours begin {int(offset.total_seconds() // 60)} minutes after the full hour, as those from a "
            "session's open do, and hours are stored from the full hour; import 1m bars, from which they are rolled up"
        )
    return f"{lie}: {offset.total_seconds():g} s after it; bars are stamped at their open"
