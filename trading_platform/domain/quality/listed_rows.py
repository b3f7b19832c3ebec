"""How many rejected rows of one file or response are listed in the quarantine; the others are counted by reason.

A small archive can hold a million wrong lines, and a server can send as many. What is wrong shows in the first
thousands; a list of all of them would only fill the database.
"""

from __future__ import annotations

import polars as pl

from trading_platform.domain.quality.rules import REJECTED_SCHEMA, empty_rejected

MOST_LISTED = 10_000
"""Rows of a file or response that are listed one by one: 3 MB in the quarantine."""


class ListedRows:
    """Chooses the rows of a file that are listed.

    Args:
        most: how many.
    """

    def __init__(self, most: int = MOST_LISTED) -> None:
        self._most = most
        self._left = most
        self._others = empty_rejected()

    def take(self, rejected: pl.DataFrame) -> pl.DataFrame:
        """Those of the next rejected rows (frame of ``REJECTED_SCHEMA``) that are listed, in their order."""
        listed, others = rejected.head(self._left), rejected.slice(self._left)
        self._left -= listed.height
        if others.height:
            self._others = _counted(pl.concat([self._others, others]), self._most)
        return listed

    def rest(self) -> pl.DataFrame:
        """A row for each reason of the rows that were not listed since the last call: their number, and the first."""
        rest, self._others = self._others, empty_rejected()
        return rest

    def all_of(self, rejected: pl.DataFrame) -> pl.DataFrame:
        """The rows of :meth:`take` and :meth:`rest` together."""
        listed = self.take(rejected)
        rest = self.rest()
        return listed if rest.is_empty() else pl.concat([listed, rest])


def _counted(rows: pl.DataFrame, most: int) -> pl.DataFrame:
    """A row for each reason, with the line of the first of its rows."""
    words = pl.format("{} further rows from there on, not listed: at most {} of a file are", "row_count", pl.lit(most))
    return (
        rows.group_by("reason", maintain_order=True)
        .agg(pl.col("line", "time").first(), pl.col("row_count").sum())
        .with_columns(detail=words, record=words)
        .select(pl.col(name).cast(dtype) for name, dtype in REJECTED_SCHEMA.items())
    )
