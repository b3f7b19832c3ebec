"""How many rejected rows of one file or response are listed in the quarantine; the others are counted by reason.

A small archive can hold a million wrong lines, and a server can send as many. What is wrong shows in the first
thousands; a list of all of them would only fill the database. Their times are kept: bars that were rejected are
neither missing nor confirmed empty.
"""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from trading_platform.domain.quality.rules import REJECTED_SCHEMA, empty_rejected

MOST_LISTED = 10_000
"""Rows of a file or response that are listed singly: 3 MB in the quarantine; as many runs are kept of the others."""


class ListedRows:
    """Chooses the rows of a file that are listed.

    Args:
        most: how many.
    """

    def __init__(self, most: int = MOST_LISTED) -> None:
        self._most = most
        self._left = most
        self._others = _bare(empty_rejected())

    def take(self, rejected: pl.DataFrame) -> pl.DataFrame:
        """Those of the next rejected rows (frame of ``REJECTED_SCHEMA``) that are listed, in their order."""
        listed, others = rejected.head(self._left), rejected.slice(self._left)
        self._left -= listed.height
        if others.height:
            self._others = pl.concat([self._others, _bare(others)])
        return listed

    def rest(self, step: timedelta | None = None) -> pl.DataFrame:
        """The rows that were not listed since the last call, as a few.

        A row without ``record`` stands for ``row_count`` bars one after the other, of which it has the first one's
        time. The rows of other times, and those without one, are one row for each reason: their number, and the first.

        Args:
            step: the length of the bars; None: the rows are no bars.
        """
        rest, self._others = self._others, _bare(empty_rejected())
        runs = _runs(rest, step, self._most) if step is not None else rest.clear()
        return _named(_without(rest, runs, step), runs, self._most)

    def all_of(self, rejected: pl.DataFrame, step: timedelta | None = None) -> pl.DataFrame:
        """The rows of :meth:`take` and :meth:`rest` together."""
        listed = self.take(rejected)
        rest = self.rest(step)
        return listed if rest.is_empty() else pl.concat([listed, rest])


def _bare(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows without their texts."""
    return rows.select("line", "time", "reason", "row_count")


def _runs(rows: pl.DataFrame, step: timedelta, most: int) -> pl.DataFrame:
    """The longest runs of times one after the other of one reason: line and time of the first, and how many."""
    single = rows.filter(pl.col("time").is_not_null() & (pl.col("row_count") == 1))
    once = single.unique(["reason", "time"], keep="first").sort("reason", "time")
    follows = (pl.col("time").diff() == step) & (pl.col("reason") == pl.col("reason").shift(1))
    return (
        once.with_columns(run=(~follows.fill_null(value=False)).cum_sum())
        .group_by("run", maintain_order=True)
        .agg(pl.col("line", "time", "reason").first(), row_count=pl.len().cast(pl.Int64))
        .sort("row_count", descending=True, maintain_order=True)
        .head(most)
        .select(rows.columns)
    )


def _without(rows: pl.DataFrame, runs: pl.DataFrame, step: timedelta | None) -> pl.DataFrame:
    """The number of rows of each reason that are in no run, with the line and time of the first of the reason."""
    in_runs = runs.group_by("reason").agg(within=pl.col("row_count").sum())
    return (
        rows.group_by("reason", maintain_order=True)
        .agg(
            pl.col("line").first(),
            pl.col("time").first() if step is None else pl.lit(None).alias("time"),
            pl.col("row_count").sum(),
        )
        .join(in_runs, on="reason", how="left", maintain_order="left")
        .with_columns(row_count=pl.col("row_count") - pl.col("within").fill_null(0))
        .filter(pl.col("row_count") > 0)
    )


def _named(others: pl.DataFrame, runs: pl.DataFrame, most: int) -> pl.DataFrame:
    words = pl.format("{} further rows from there on, not listed: at most {} of a file are", "row_count", pl.lit(most))
    parts = (
        others.with_columns(detail=words, record=words, bar=None),
        runs.with_columns(detail=words, record=None, bar=None),
    )
    return pl.concat(part.select(pl.col(name).cast(dtype) for name, dtype in REJECTED_SCHEMA.items()) for part in parts)
