"""Series across gaps: expected bars that are neither stored nor confirmed empty.

A step from one bar to the next is a step over one bar only where nothing is lacking between them. Time without bars in
which a source has confirmed that nothing traded is no gap. docs/features.md and docs/indicators.md declare what each
value does at a gap; :mod:`trading_platform.workflows.derived.series_gaps` finds the gaps of stored bars.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import polars as pl

Gaps = Mapping[str, Sequence[tuple[datetime, int]]]
"""The gaps of each symbol that has any, in order: open of the first bar after it, number of expected bars lacking."""

NO_GAPS: Gaps = {}

Counts = npt.NDArray[np.int64]

BRIDGED = 5
"""Averages of prices and volumes continue across a gap of at most this many bars, a week of sessions; after a longer
one they begin again, as for a new instrument."""


def lacking_before(times: pl.Series, gaps: Sequence[tuple[datetime, int]]) -> Counts:
    """The number of expected bars lacking directly before each bar.

    Args:
        times: opens of a symbol's bars, in order.
        gaps: its gaps; those after which no bar of ``times`` follows are not counted.
    """
    lacking = np.zeros(len(times), dtype=np.int64)
    inside = [(timestamp, count) for timestamp, count in gaps if len(times) and times[0] < timestamp <= times[-1]]
    if inside:
        after = times.search_sorted(pl.Series([timestamp for timestamp, _ in inside], dtype=times.dtype))
        np.add.at(lacking, after.to_numpy(), [count for _, count in inside])
    return lacking


def segments(lacking: Counts, bridged: int) -> list[slice]:
    """The rows of a series between gaps of more than ``bridged`` bars, in order."""
    if not len(lacking):
        return []
    starts = [0, *(int(row) for row in np.flatnonzero(lacking > bridged) if row), len(lacking)]
    return [slice(start, end) for start, end in pairwise(starts)]
