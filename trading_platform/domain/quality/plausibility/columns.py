"""Columns that changed places without breaking a rule: the open and the close."""

from __future__ import annotations

import polars as pl

from trading_platform.domain.quality.plausibility.findings import Finding
from trading_platform.domain.suspicions import Suspicion

_FEWEST = 30
_RATIO = 1.5
"""So many times nearer than its open to the close before, the close of a bar has to be to the open before."""


def find_swapped_open(bars: pl.DataFrame) -> list[Finding]:
    """Whether the open and the close of all bars were taken for each other.

    A bar opens where the one before closed. Where bars close there instead, the columns are swapped.

    Args:
        bars: frame of ``BAR_SCHEMA``, one symbol, sorted.
    """
    if bars.height < _FEWEST:
        return []
    opened, closed = pl.col("open").cast(pl.Float64), pl.col("close").cast(pl.Float64)
    apart = bars.select(
        as_named=(opened / closed.shift(1)).log().abs(), swapped=(closed / opened.shift(1)).log().abs()
    ).drop_nulls()
    as_named, swapped = (float(apart[name].median() or 0) for name in ("as_named", "swapped"))  # type: ignore[arg-type]
    if swapped * _RATIO >= as_named or as_named == 0:
        return []
    words = f"bars open {as_named:.2%} from the close before, and close {swapped:.2%} from the open before (medians)"
    cause = "The columns of open and close are swapped: correct the header of the file"
    return [Finding(Suspicion.SWAPPED_COLUMNS, bars["time"][0], bars["time"][-1], bars.height, words, cause)]
