"""Series that go through splits: what one share of the first bar has become by each bar.

Features and indicators are computed on the worth of that holding, which no split makes jump, and those that are
prices are told in the shares of their own day. So each value knows of no split after it: a later one changes no
earlier row, to the bit. Reading bars adjusted is the business of
:mod:`trading_platform.domain.market.corporate_actions`.
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
"""For each symbol that has any, its splits in order: from when on bars are in new shares, and new shares per old."""

NO_SPLITS: Splits = {}


def shares_held(times: pl.Series, splits: Sequence[tuple[datetime, Fraction]]) -> Floats | None:
    """How many shares a holding of one share at the first bar is at each bar.

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
    """What tells these splits from any others, in at most 16 characters; empty for none."""
    said = sorted(
        {(symbol, f"{timestamp:%Y%m%d}", str(ratio)) for symbol, known in splits.items() for timestamp, ratio in known}
    )
    return hashlib.sha256(repr(said).encode()).hexdigest()[:16] if said else ""
