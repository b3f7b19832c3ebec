"""Whether to believe a source that says there was nothing.

An empty answer may mean that nobody traded, or that the source lies: an outage of its own, a throttled
request answered with an empty list. Which of the two is judged by the instrument's own habits; what is
not believed is asked for again (:mod:`trading_platform.workflows.gaps.repair_gaps`).
"""

from __future__ import annotations

from datetime import datetime

import polars as pl

from trading_platform.domain.market.bars import TIME
from trading_platform.domain.market.calendars import FX_WEEK
from trading_platform.domain.time import Timeframe, Window

ALWAYS_USUAL = {Timeframe.M1: 10, Timeframe.M5: 3, Timeframe.H1: 1, Timeframe.D1: 0}
"""Slots in a row without a trade that need no confirmation whatever the instrument's habits: ten minutes of a
minute's bars, but no session of an instrument that trades each day."""

TIMES_USUAL = 3
"""A silence up to so many times the usual one is still believed at once."""

USUAL_SHARE = 0.99
"""The usual silence is the one that so many of all steps from one bar to the next stay within."""

_SUNDAY = 7

HISTORY = 5_000
"""How many bars before the answer tell of an instrument's habits."""


def customarily_inactive(calendar: str, slots: pl.Series) -> pl.Series:
    """The slots in which a market without official holidays is left alone all the same.

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
    """The length of silence, in slots, that 99 % of the steps from a traded bar to the next stay within.

    Args:
        traded: opens of bars with trades, in order.
        slots: opens of the bars the calendar expects over the same time, in order; silence while the market is
            closed is none.
    """
    places = slots.search_sorted(traded.filter(traded.is_in(slots.implode())))
    if places.len() < 2:  # noqa: PLR2004 - a step has two ends
        return 0
    inactivities = places.cast(pl.Int64).diff().drop_nulls() - 1
    return int(inactivities.quantile(USUAL_SHARE, "higher") or 0)


def suspect_silences(
    timeframe: Timeframe, slots: pl.Series, traded: pl.Series, *, since: datetime, usual: int
) -> list[Window]:
    """The stretches of an answer in which it says nothing for longer than the instrument is usually silent.

    A stretch is doubtful if it is longer than :data:`ALWAYS_USUAL` and than :data:`TIMES_USUAL` times the usual
    silence. Before its first known bar an instrument has no habits: such a stretch is believed.

    Args:
        timeframe: length of the bars.
        slots: opens of the bars the calendar expects where the source has answered, in order.
        traded: where the answer said something: opens of bars that trades made, and of refused rows.
        since: the first moment at which the instrument is known to have traded.
        usual: its usual silence, in slots (:func:`usual_inactivity`).

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
    """The most slots in a row without a trade."""
    runs = (~slots.is_in(traded.cast(TIME).implode())).rle().struct.unnest().filter(pl.col("value"))
    return int(runs["len"].max() or 0)  # type: ignore[arg-type]
