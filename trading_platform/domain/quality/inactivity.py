"""Decides whether an empty response of a source is plausible.

An empty response may mean that there were no trades, or that the source failed: an outage of its own, or a
throttled request that returned an empty list. The instrument's usual inactivity decides. A suspect response is
requested again (:mod:`trading_platform.workflows.gaps.repair_gaps`).
"""

from __future__ import annotations

from datetime import datetime

import polars as pl

from trading_platform.domain.market.bars import TIME
from trading_platform.domain.market.calendars import FX_WEEK
from trading_platform.domain.time import Timeframe, Window

ALWAYS_USUAL = {Timeframe.M1: 10, Timeframe.M5: 3, Timeframe.H1: 1, Timeframe.D1: 0}
"""Slots in a row without a trade that need no confirmation for any instrument: ten minutes of one-minute
bars, but no session of an instrument that trades each day."""

TIMES_USUAL = 3
"""An inactivity up to this multiple of the usual one needs no confirmation."""

USUAL_SHARE = 0.99
"""The usual inactivity is the one that this share of all steps from one bar to the next does not exceed."""

_SUNDAY = 7

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


def usual_inactivity(traded: pl.Series, slots: pl.Series) -> int:
    """The length of inactivity, in slots, that 99 % of the steps from a traded bar to the next do not exceed.

    Args:
        traded: opens of bars with trades, in order.
        slots: opens of the bars the calendar expects over the same time, in order; time when the market is
            closed does not count.
    """
    places = slots.search_sorted(traded.filter(traded.is_in(slots.implode())))
    if places.len() < 2:  # noqa: PLR2004 - a step has two ends
        return 0
    inactivities = places.cast(pl.Int64).diff().drop_nulls() - 1
    return int(inactivities.quantile(USUAL_SHARE, "higher") or 0)


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
        Windows from the first to the end of the last empty bar, in order.

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
