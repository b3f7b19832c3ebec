"""Decides whether an empty response of a source is plausible.

An empty response may mean that there were no trades, or that the source failed: an outage of its own, or a
throttled request that returned an empty list. The instrument's usual inactivity decides. A suspect response is
requested again (:mod:`trading_platform.workflows.gaps.repair_gaps`).
"""

from __future__ import annotations

from datetime import datetime, timedelta

import polars as pl

from trading_platform.domain.market.bars import TIME
from trading_platform.domain.market.calendars import FX_WEEK
from trading_platform.domain.time import Timeframe, Window

ALWAYS_USUAL = {Timeframe.M1: 10, Timeframe.M5: 3, Timeframe.H1: 1, Timeframe.D1: 0}
"""Slots in a row without a trade that need no confirmation for any instrument: ten minutes of one-minute
bars, but no session of an instrument that trades each day."""

TIMES_USUAL = 3
"""An inactivity up to this multiple of the usual one needs no confirmation."""

USUAL_SHARE = {Timeframe.M1: 0.99, Timeframe.M5: 0.99, Timeframe.H1: 0.95, Timeframe.D1: 0.75}
"""The usual inactivity is the one that this share of all steps from one bar to the next does not exceed. A day has few
long bars, so that a few missing days would make a missing day usual at a higher share."""

LONGEST_BREAK = timedelta(hours=3)
"""A break that an instrument makes at the same time each day is usual up to this length, such as an hour of
maintenance. A longer one may be a recording that left out a part of the day."""

_RARE = 0.1  # share of days with a bar at a time of day below which the instrument rests then
_FEWEST_DAYS = 3
_SATURDAY, _SUNDAY = 6, 7

HISTORY = 5_000
"""How many bars before the response define the usual inactivity."""


def customarily_inactive(calendar: str, slots: pl.Series) -> pl.Series:
    """The slots in which a market without official holidays is customarily inactive.

    Banks quote no currencies on Christmas Day and New Year's Day, nor on a Sunday evening before one of them.
    """
    if calendar != FX_WEEK:
        return slots.clear()
    days = pl.DataFrame({"time": slots}).with_columns(
        holiday=pl.col("time").dt.strftime("%m-%d").is_in(["12-25", "01-01"]),
        eve=pl.col("time").dt.strftime("%m-%d").is_in(["12-24", "12-31"]) & (pl.col("time").dt.weekday() == _SUNDAY),
    )
    return days.filter(pl.col("holiday") | pl.col("eve"))["time"]


def customary_breaks(zone: str, timeframe: Timeframe, slots: pl.Series, traded: pl.Series) -> pl.Series:
    """The slots at which the instrument rests at that time of nearly every day, or of that weekday.

    A metal on the calendar of currencies rests an hour each day, and many vendors begin the week of currencies on
    Monday. Of daily bars, weekdays are never customary, only a Saturday or Sunday.

    Args:
        zone: time zone in which the instrument keeps its hours.
        timeframe: length of the bars.
        slots: opens of the bars the calendar expects, in order.
        traded: opens of bars with trades, in order.
    """
    if slots.is_empty():
        return slots
    local = "UTC" if timeframe is Timeframe.D1 else zone
    frame = pl.DataFrame({"time": slots}).with_columns(
        traded=pl.col("time").is_in(traded.cast(TIME).implode()),
        weekday=pl.col("time").dt.convert_time_zone(local).dt.weekday(),
        clock=pl.col("time").dt.convert_time_zone(local).dt.time(),
        day=pl.col("time").dt.convert_time_zone(local).dt.date(),
    )
    weekly = _rests(["weekday", "clock"])
    if timeframe is Timeframe.D1:
        return frame.filter(weekly & (pl.col("weekday") >= _SATURDAY))["time"]
    active = frame.with_columns(active=pl.col("traded").any().over("day"), sunday=pl.col("weekday") == _SUNDAY)
    daily = _rests(["clock", "active", "sunday"]) & pl.col("active")
    marked = active.with_columns(rests=daily | weekly)
    runs = marked.with_columns(length=pl.len().over(pl.struct("rests", "sunday").rle_id()))
    short = pl.col("length") * timeframe.duration <= LONGEST_BREAK
    return runs.filter(pl.col("rests") & (short | pl.col("sunday")))["time"]


def _rests(key: list[str]) -> pl.Expr:
    return (pl.col("traded").mean().over(key) < _RARE) & (pl.len().over(key) >= _FEWEST_DAYS)


def usual_inactivity(traded: pl.Series, slots: pl.Series, share: float = USUAL_SHARE[Timeframe.M1]) -> int:
    """The length of inactivity, in slots, that a share of the steps from a traded bar to the next does not exceed.

    Args:
        traded: opens of bars with trades, in order.
        slots: opens of the bars the calendar expects over the same time, in order; time when the market is
            closed does not count.
        share: the share of the steps, from :data:`USUAL_SHARE`.
    """
    places = slots.search_sorted(traded.filter(traded.is_in(slots.implode())))
    if places.len() < 2:  # noqa: PLR2004 - a step has two ends
        return 0
    inactivities = places.cast(pl.Int64).diff().drop_nulls() - 1
    if inactivities.len() * (1 - share) < 1:
        # So few steps that one of them is the rest: it may be the gap that is judged, so it is no habit.
        return int(inactivities.sort(descending=True).slice(1, 1).max() or 0)  # type: ignore[arg-type]
    return int(inactivities.quantile(share, "higher") or 0)


def suspect_inactivity(
    timeframe: Timeframe, slots: pl.Series, traded: pl.Series, *, since: datetime, usual: int
) -> list[Window]:
    """The intervals of a response that are empty for longer than is usual for the instrument.

    An interval is suspect if it is longer than :data:`ALWAYS_USUAL` and than :data:`TIMES_USUAL` times the usual
    inactivity. Before the first known bar there is no usual inactivity: an interval there is not suspect.

    Args:
        timeframe: length of the bars.
        slots: opens of the bars the calendar expects in the windows of the response, in order.
        traded: times for which the response had data: opens of traded bars, and of rejected rows.
        since: the first time at which the instrument is known to have traded.
        usual: its usual inactivity, in slots (:func:`usual_inactivity`).

    Returns:
        Windows from the first to the end of the last silent bar, in order.
    """
    longest = max(ALWAYS_USUAL[timeframe], TIMES_USUAL * usual)
    silent = (
        pl.DataFrame({"time": slots})
        .with_columns(silent=~pl.col("time").is_in(traded.cast(TIME).implode()))
        .with_columns(interval=pl.col("silent").rle_id())
        .filter(pl.col("silent") & (pl.col("time") > since))
        .group_by("interval", maintain_order=True)
        .agg(first=pl.col("time").first(), last=pl.col("time").last(), length=pl.len())
        .filter(pl.col("length") > longest)
    )
    return [Window(first, last + timeframe.duration) for first, last in silent.select("first", "last").iter_rows()]


def longest_inactivity(slots: pl.Series, traded: pl.Series) -> int:
    """The largest number of slots in a row without a trade."""
    runs = (~slots.is_in(traded.cast(TIME).implode())).rle().struct.unnest().filter(pl.col("value"))
    return int(runs["len"].max() or 0)  # type: ignore[arg-type]
