"""Accounts for every bar a market could have: stored, proven empty, refused, or unaccounted for.

A partition is complete when ``expected = stored + empty + unconfirmed + refused``; whatever is left was never
answered for. What was asked and answered is kept in :mod:`trading_platform.stores.market_data.coverage`.
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
    """What became of the bars that were expected of one symbol in one partition.

    Attributes:
        symbol: whose bars.
        window: the partition.
        expected: slots of the market's calendar that could be asked for: the part of the
            partition within the source's reach or answered before.
        stored: how many of them have a bar.
        empty: how many the source answered for without a bar: proven empty.
        pending_confirmation: how many a source answered for without a bar, and nobody believes it yet.
        rejected: how many have a refused row in quarantine instead of a bar.
        expired: slots whose bars were dropped because of their age; they are not expected any more.
        out_of_session: stored bars outside every session, such as extended hours.
        first: first stored bar, if any.
        last: last stored bar, if any.
        missing_sample: the first few slots that nobody has answered for.
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
        """How many slots nobody has answered for; 0 in a complete partition."""
        return self.expected - self.stored - self.empty - self.pending_confirmation - self.rejected

    @property
    def bars(self) -> int:
        """Stored bars, inside and outside of sessions."""
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
    """One account a partition.

    Args:
        symbol: whose bars.
        partitions: disjoint windows, in order.
        slots: opens of the bars the calendar expects over all partitions.
        stored: opens of the stored bars.
        rejected: times of refused rows.
        answered: what sources have answered for.
        reachable: what the source could be asked for.
        expired: what sources have answered for and was dropped since because of its age.
        pending_confirmation: what sources have answered with nothing, to be asked again.
    """
    asked = Window.merge([*answered, *reachable, *pending_confirmation])
    gone = [part for window in expired for part in window.subtract(answered)]
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
            asked=_inside(asked) & ~_inside(gone),
            gone=_inside(gone),
            doubted=_inside(pending_confirmation),
        )
    )
    expected = pl.col("slot") & (pl.col("asked") | pl.col("stored"))
    kinds = frame.with_columns(
        expected=expected,
        kept=pl.col("slot") & pl.col("stored"),
        dropped=pl.col("slot") & ~pl.col("stored") & pl.col("gone"),
        turned_away=expected & ~pl.col("stored") & pl.col("rejected"),
        confirmed_empty=expected & ~pl.col("stored") & ~pl.col("rejected") & pl.col("answered"),
        pending_confirmation=_unknown(expected) & pl.col("doubted"),
        unknown=_unknown(expected) & ~pl.col("doubted"),
    )
    return [_count(symbol, window, kinds) for window in partitions]


def _unknown(expected: pl.Expr) -> pl.Expr:
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
        stored=int(part["kept"].sum()),
        empty=int(part["confirmed_empty"].sum()),
        pending_confirmation=int(part["pending_confirmation"].sum()),
        rejected=int(part["turned_away"].sum()),
        expired=int(part["dropped"].sum()),
        out_of_session=bars.len() - int(part["kept"].sum()),
        first=bars.min(),  # type: ignore[arg-type]
        last=bars.max(),  # type: ignore[arg-type]
        missing_sample=tuple(part.filter("unknown")["time"].head(5)),
    )
