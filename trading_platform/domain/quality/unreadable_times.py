"""Finds the times of rows whose own time cannot be read, from the rows beside them.

A row with an unreadable time is rejected. Its bar would count as missing, or as "no trades", although the source had
one: if just as many bars are expected between the rows beside it, it is one of those.
"""

from __future__ import annotations

import polars as pl

from trading_platform.domain.market.calendars import expected_times
from trading_platform.domain.rejection_reasons import Reason
from trading_platform.domain.time import Timeframe, Window


def place_unreadable(
    rejected: pl.DataFrame, neighbours: pl.DataFrame, calendar: str, timeframe: Timeframe
) -> pl.DataFrame:
    """The rejected rows; those with an unreadable time have the one that the rows beside them leave, if it is certain.

    Args:
        rejected: frame of ``REJECTED_SCHEMA``.
        neighbours: for each row with an unreadable time its ``line``, and the readable times ``before`` and ``after``
            it in the source, null at its ends.
        calendar: calendar of the bars.
        timeframe: length of the bars.
    """
    unread = rejected.filter((pl.col("reason") == Reason.UNREADABLE_TIME.value) & pl.col("time").is_null())
    runs = unread.join(neighbours.drop_nulls(), on="line").group_by("before", "after", maintain_order=True)
    lines: list[int] = []
    times: list[object] = []
    for (before, after), run in runs:
        first, last = sorted((before, after))
        if first + timeframe.duration >= last:
            continue
        slots = expected_times(calendar, timeframe, Window(first + timeframe.duration, last))
        if slots.len() == run.height:
            lines += run["line"].to_list()
            times += slots.sort(descending=bool(before > after)).to_list()
    if not lines:
        return rejected
    placed = pl.DataFrame({"line": lines, "placed": times}, schema={"line": pl.Int64, "placed": rejected["time"].dtype})
    named = pl.format("{}; by the rows beside it, it is {}", "detail", pl.col("placed").dt.strftime("%Y-%m-%d %H:%MZ"))
    return (
        rejected.join(placed, on="line", how="left", maintain_order="left")
        .with_columns(
            time=pl.coalesce("time", "placed"),
            detail=pl.when(pl.col("placed").is_not_null()).then(named).otherwise("detail"),
        )
        .drop("placed")
    )
