"""Differences between two versions of the same bars.

A source with several kinds of archive (a downloaded archive, its trades, its candles) provides some bars more
than once. This module compares the versions; :mod:`trading_platform.stores.market_data.conflicting_versions`
stores the result.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from trading_platform.domain.market.bars import PRICES, TIME
from trading_platform.domain.time import Timeframe, Window

DIFFERENCE_SCHEMA: dict[str, pl.DataType] = {"time": TIME, "stored": pl.String(), "received": pl.String()}
"""A bar in two versions, each as text of the form ``O 1 H 2 L 1 C 2 V 5``."""


@dataclass(frozen=True)
class Comparison:
    """The result of a comparison.

    Attributes:
        compared: the windows of the bars that both versions have, disjoint and in order.
        bars: number of those bars.
        differences: frame of :data:`DIFFERENCE_SCHEMA`, by time.
    """

    compared: tuple[Window, ...]
    bars: int
    differences: pl.DataFrame


def compare_bars(stored: pl.DataFrame, received: pl.DataFrame, timeframe: Timeframe) -> Comparison:
    """Compares prices and volume of the bars that both frames have; an unknown volume is no difference.

    Args:
        stored: frame of ``BAR_SCHEMA``, one symbol.
        received: likewise, of the same symbol and timeframe.
        timeframe: length of the bars.
    """
    both = stored.join(received, on="time", how="inner", suffix="_received").sort("time")
    differs = pl.any_horizontal(
        (pl.col(name) != pl.col(f"{name}_received")).fill_null(value=False) for name in (*PRICES, "volume")
    )
    differences = both.filter(differs).select("time", stored=_as_text(""), received=_as_text("_received"))
    return Comparison(tuple(_windows(both["time"], timeframe)), both.height, differences.cast(DIFFERENCE_SCHEMA))  # type: ignore[arg-type]


def _as_text(suffix: str) -> pl.Expr:
    def trimmed(name: str) -> pl.Expr:
        text = pl.col(f"{name}{suffix}").cast(pl.String)
        return text.str.strip_chars_end("0").str.strip_chars_end(".").fill_null("unknown")

    return pl.format("O {} H {} L {} C {} V {}", *(trimmed(name) for name in (*PRICES, "volume")))


def _windows(times: pl.Series, timeframe: Timeframe) -> list[Window]:
    if times.is_empty():
        return []
    frame = pl.DataFrame({"time": times}).with_columns(
        interval=(times.diff().fill_null(timeframe.duration) > timeframe.duration).cum_sum()
    )
    bounds = frame.group_by("interval", maintain_order=True).agg(first=pl.col("time").min(), last=pl.col("time").max())
    return [Window(first, last + timeframe.duration) for first, last in bounds.select("first", "last").iter_rows()]
