"""Series across splits: the number of shares that one share at the first bar has become at each bar.

Features and indicators are computed on the value of that holding, which is continuous across splits. Values in the
unit of the price are split-adjusted as of the bar's date. So no value depends on a later split: a later split leaves
every earlier row bit-identical. Adjusted bars are read by :mod:`trading_platform.domain.market.adjustment`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from fractions import Fraction

import numpy as np
import polars as pl

from trading_platform.domain.derived.smoothing import Floats

Splits = Mapping[str, Sequence[tuple[datetime, Fraction]]]
"""The splits of each symbol that has any, in order: the time from which bars are in new shares, new shares per old."""

NO_SPLITS: Splits = {}


def shares_held(times: pl.Series, splits: Sequence[tuple[datetime, Fraction]]) -> Floats | None:
    """The number of shares, at each bar, of a holding of one share at the first bar.

    Args:
        times: opens of a symbol's bars, in order.
        splits: its splits, in order.

    Returns:
        An array as long as ``times``; None where no split lies between the bars.
    """
    if times.is_empty():
        return None
    inside = [(timestamp, ratio) for timestamp, ratio in splits if times[0] < timestamp <= times[-1]]
    if not inside:
        return None
    timestamps = pl.Series([timestamp for timestamp, _ in inside], dtype=times.dtype)
    held = np.cumprod([1.0, *(float(ratio) for _, ratio in inside)])
    result: Floats = held[timestamps.search_sorted(times, side="right").to_numpy()]
    return result


def fingerprint(splits: Splits) -> str:
    """An identifier of these splits, at most 16 characters long; empty if there are none."""
    entries = sorted(
        {
            (symbol, f"{timestamp:%Y%m%d}", str(ratio))
            for symbol, ratios in splits.items()
            for timestamp, ratio in ratios
        }
    )
    return hashlib.sha256(repr(entries).encode()).hexdigest()[:16] if entries else ""
