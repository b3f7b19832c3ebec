"""One cause for many rejected rows: columns that changed places."""

from __future__ import annotations

from itertools import combinations

import polars as pl

from trading_platform.domain.market.bars import PRICES
from trading_platform.domain.quality.plausibility.findings import Finding
from trading_platform.domain.rejection_reasons import Reason
from trading_platform.domain.suspicions import Suspicion

_FEWEST = 3
_SHARE = 0.05
_EXPLAINED = 0.95
_NAMES = (*PRICES, "volume")


def find_swapped_columns(rejected: pl.DataFrame, rows: int) -> list[Finding]:
    """The pair of columns that makes the inconsistent rows consistent when they change places, if there is one.

    Args:
        rejected: frame of ``REJECTED_SCHEMA``.
        rows: number of rows of the file.
    """
    wrong = rejected.filter((pl.col("reason") == Reason.OHLC_INCONSISTENT.value) & pl.col("bar").is_not_null())
    if wrong.height < max(_FEWEST, _SHARE * rows):
        return []
    fields = pl.Struct(dict.fromkeys(_NAMES, pl.String))
    texts = wrong.select("time", bar=pl.col("bar").str.json_decode(fields)).unnest("bar")
    numbers = texts.select("time", *(pl.col(name).cast(pl.Float64, strict=False) for name in _NAMES))
    best: tuple[float, tuple[str, str]] | None = None
    for pair in combinations(_NAMES, 2):
        swapped = numbers.rename({pair[0]: pair[1], pair[1]: pair[0]})
        inside = (pl.col("low") <= pl.min_horizontal("open", "close")) & (
            pl.col("high") >= pl.max_horizontal("open", "close")
        )
        share = float(swapped.select((inside & (pl.col("low") > 0)).mean()).item() or 0)
        if best is None or share > best[0]:
            best = share, pair
    if best is None or best[0] < _EXPLAINED:
        return []
    share, (one, other) = best
    words = f"{wrong.height:,} of {rows:,} rows are inconsistent, and {share:.0%} of them consistent with both swapped"
    cause = f"The columns {one} and {other} are swapped: correct the header of the file"
    times = numbers["time"].drop_nulls().sort()
    first, last = (times[0], times[-1]) if times.len() else (None, None)
    return [Finding(Suspicion.SWAPPED_COLUMNS, first, last, wrong.height, words, cause)]
