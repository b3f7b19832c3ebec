"""Counts every expected bar as stored, confirmed empty, pending confirmation, rejected or missing.

A partition is complete when ``expected = stored + empty + pending_confirmation + rejected``; the rest is missing.
:mod:`trading_platform.stores.market_data.completeness.coverage` stores what was requested and received.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from trading_platform.domain.market.bars import TIME
from trading_platform.domain.time import Window


@dataclass(frozen=True)
class CoverageCount:
    """Counts of the expected bars of one symbol in one partition.

    Attributes:
        symbol: symbol of the bars.
        window: the partition.
        expected: slots of the market's calendar that a source can provide: the part of the
            partition within the available history of the source or received before.
        stored: slots with a bar.
        empty: slots received without a bar: confirmed empty.
        pending_confirmation: slots received without a bar that are not confirmed yet.
        rejected: slots with a rejected row in quarantine instead of a bar.
        expired: slots with bars that were dropped because of their age; they are not expected any more.
        out_of_session: stored bars out of session, such as extended hours.
        first: first stored bar, if any.
        last: last stored bar, if any.
        missing_sample: the first few missing slots.
    """

    symbol: str
    window: Window
    expected: int
    stored: int
    empty: int
    pending_confirmation: int
    rejected: int
    expired: int
    out_of_session: int
    first: datetime | None
    last: datetime | None
    missing_sample: tuple[datetime, ...]

    @property
    def missing(self) -> int:
        """The number of missing slots; 0 in a complete partition."""
        return self.expected - self.stored - self.empty - self.pending_confirmation - self.rejected

    @property
    def bars(self) -> int:
        """Stored bars, in and out of session."""
        return self.stored + self.out_of_session


def count_by_partition(
    symbol: str,
    partitions: Sequence[Window],
    *,
    slots: pl.Series,
    stored: pl.Series,
    rejected: pl.Series,
    answered: Sequence[Window],
    reachable: Sequence[Window],
    expired: Sequence[Window] = (),
    pending_confirmation: Sequence[Window] = (),
) -> list[CoverageCount]:
    """One count per partition.

    Args:
        symbol: symbol of the bars.
        partitions: disjoint windows, in order.
        slots: opens of the bars the calendar expects over all partitions.
        stored: opens of the stored bars.
        rejected: times of rejected rows.
        answered: windows that sources have covered with their responses.
        reachable: windows within the available history of the source.
        expired: windows that sources have covered and that were dropped since because of their age.
        pending_confirmation: windows that sources have reported as empty, to be requested again.
    """
    requestable = Window.merge([*answered, *reachable, *pending_confirmation])
    dropped = [part for window in expired for part in window.subtract(answered)]
    frame = (
        pl.concat([slots.alias("time"), stored.cast(TIME).alias("time")])
        .unique()
        .sort()
        .to_frame()
        .with_columns(
            slot=pl.col("time").is_in(slots.implode()),
            stored=pl.col("time").is_in(stored.cast(TIME).implode()),
            rejected=pl.col("time").is_in(rejected.cast(TIME).implode()),
            answered=_inside(answered),
            requestable=_inside(requestable) & ~_inside(dropped),
            dropped=_inside(dropped),
            pending=_inside(pending_confirmation),
        )
    )
    expected = pl.col("slot") & (pl.col("requestable") | pl.col("stored"))
    kinds = frame.with_columns(
        expected=expected,
        stored_slot=pl.col("slot") & pl.col("stored"),
        expired=pl.col("slot") & ~pl.col("stored") & pl.col("dropped"),
        rejected_slot=expected & ~pl.col("stored") & pl.col("rejected"),
        confirmed_empty=expected & ~pl.col("stored") & ~pl.col("rejected") & pl.col("answered"),
        pending_confirmation=_uncovered(expected) & pl.col("pending"),
        missing=_uncovered(expected) & ~pl.col("pending"),
    )
    return [_count(symbol, window, kinds) for window in partitions]


def _uncovered(expected: pl.Expr) -> pl.Expr:
    return expected & ~pl.col("stored") & ~pl.col("rejected") & ~pl.col("answered")


def _inside(windows: Sequence[Window]) -> pl.Expr:
    if not windows:
        return pl.lit(value=False)
    return pl.any_horizontal(pl.col("time").is_between(window.start, window.end, closed="left") for window in windows)


def _count(symbol: str, window: Window, kinds: pl.DataFrame) -> CoverageCount:
    part = kinds.filter(pl.col("time").is_between(window.start, window.end, closed="left"))
    bars = part.filter("stored")["time"]
    return CoverageCount(
        symbol=symbol,
        window=window,
        expected=int(part["expected"].sum()),
        stored=int(part["stored_slot"].sum()),
        empty=int(part["confirmed_empty"].sum()),
        pending_confirmation=int(part["pending_confirmation"].sum()),
        rejected=int(part["rejected_slot"].sum()),
        expired=int(part["expired"].sum()),
        out_of_session=bars.len() - int(part["stored_slot"].sum()),
        first=bars.min(),  # type: ignore[arg-type]
        last=bars.max(),  # type: ignore[arg-type]
        missing_sample=tuple(part.filter("missing")["time"].head(5)),
    )
