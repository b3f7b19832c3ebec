"""Statistics of features by month, and how far the distribution of one month is from another.

:mod:`trading_platform.stores.features.statistics` stores them beside the feature files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from trading_platform.domain.derived.smoothing import Floats

BINS = 10
"""Number of bins: the tenths of the values that they were fixed by, the first and the last one open."""

STATISTICS_SCHEMA: dict[str, pl.DataType] = {
    "month": pl.String(),
    "feature": pl.String(),
    "rows": pl.Int64(),
    "nulls": pl.Int64(),
    "mean": pl.Float64(),
    "deviation": pl.Float64(),
    "counts": pl.List(pl.Int64()),
}
"""One row per month (``2024-01``) and feature: rows, rows without a value, mean and sample deviation of the values, and
their number in each bin (NULL while a feature has no bins)."""

SHIFTED = 0.25
"""Population stability index from which a distribution counts as shifted: N. Siddiqi, Credit Risk Scorecards (Wiley
2006), who calls less than 0.10 no change and up to 0.25 a small one."""

_NORMAL_OF_999 = 3.0902  # quantile of 99.9 % of the normal distribution
_HALF = 0.5  # added to each bin, so that an empty one has a logarithm


@dataclass(frozen=True)
class Bins:
    """The bins of a feature, fixed once for each definition.

    Attributes:
        definition_hash: the definition whose values they were fixed by.
        edges: the inner edges, increasing; a value belongs to the bin above an edge that it equals.
        first: first month of the values that they were fixed by.
        last: last month of them; these months are the baseline of drift.
    """

    definition_hash: str
    edges: tuple[float, ...]
    first: str
    last: str


def inner_edges(values: pl.Series, bins: int = BINS) -> tuple[float, ...] | None:
    """The edges between bins with equally many of the values; None if there are fewer than 20 values for each bin.

    Values that repeat give fewer bins.
    """
    known = _finite(values)
    if len(known) < 20 * bins:
        return None
    edges = np.unique(np.quantile(known, np.arange(1, bins) / bins))
    return tuple(float(edge) for edge in edges)


def monthly_statistics(rows: pl.DataFrame, edges: Mapping[str, Sequence[float]]) -> pl.DataFrame:
    """The statistics of a symbol's features: frame of :data:`STATISTICS_SCHEMA`, sorted by month and feature.

    Args:
        rows: ``time`` and the features of one symbol.
        edges: the inner edges of the bins of each feature that has any.
    """
    names = sorted(name for name in rows.columns if name not in ("time", "symbol", "available_at"))
    months, numbers = np.unique(rows["time"].dt.strftime("%Y-%m").to_numpy(), return_inverse=True)
    size, sizes = len(months), np.bincount(numbers, minlength=len(months))
    found = []
    for name in names:
        values = rows[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
        is_known = np.isfinite(values)
        known, month = values[is_known], numbers[is_known]
        count = np.bincount(month, minlength=size)
        mean = np.bincount(month, known, minlength=size) / np.maximum(count, 1)
        squares = np.bincount(month, (known - mean[month]) ** 2, minlength=size)
        deviation = np.sqrt(squares / np.maximum(count - 1, 1))
        counts = _binned(known, month, size, edges[name]) if name in edges else [None] * size
        found += [
            (
                str(months[at]),
                name,
                int(sizes[at]),
                int(sizes[at] - count[at]),
                float(mean[at]) if count[at] else None,
                float(deviation[at]) if count[at] > 1 else None,
                counts[at],
            )
            for at in range(size)
        ]
    return pl.DataFrame(found, schema=STATISTICS_SCHEMA, orient="row").sort("month", "feature")


def _binned(known: Floats, month: npt.NDArray[np.int64], size: int, edges: Sequence[float]) -> list[list[int]]:
    """For each month, the number of its values in each bin."""
    bins = len(edges) + 1
    placed = np.searchsorted(np.asarray(edges), known, side="right")
    counts: list[list[int]] = np.bincount(month * bins + placed, minlength=size * bins).reshape(size, bins).tolist()
    return counts


def pooled(statistics: pl.DataFrame) -> pl.DataFrame:
    """The statistics of several symbols together: one row per month and feature, as those of all values at once."""
    values = (pl.col("rows") - pl.col("nulls")).cast(pl.Float64)
    total = values.sum()
    mean = (pl.col("mean").fill_null(0.0) * values).sum() / total
    squares = ((values - 1) * pl.col("deviation").fill_null(0.0) ** 2).sum()
    between = (values * (pl.col("mean").fill_null(0.0) - mean) ** 2).sum()
    widest = max(statistics["counts"].list.len().drop_nulls().to_list(), default=0)
    counts = [pl.col("counts").list.get(at, null_on_oob=True).sum() for at in range(widest)]
    return (
        statistics.group_by("month", "feature")
        .agg(
            pl.col("rows").sum(),
            pl.col("nulls").sum(),
            mean=pl.when(total > 0).then(mean),
            deviation=pl.when(total > 1).then(((squares + between) / (total - 1)).sqrt()),
            counts=pl.concat_list(counts) if counts else pl.lit(None, pl.List(pl.Int64())),
            length=pl.col("counts").list.len().max(),
        )
        .with_columns(counts=pl.when(pl.col("length") > 0).then(pl.col("counts").list.head("length")))
        .select(*STATISTICS_SCHEMA)
        .sort("month", "feature")
    )


def stability_index(expected: Sequence[int], actual: Sequence[int]) -> float:
    """The population stability index of two distributions over the same bins: sum((a - e) * ln(a / e)) of their shares.

    Half a value is added to each bin, so that an empty one does not make it infinite. 0 for equal shares.
    """
    shares = [(np.asarray(each, dtype=float) + _HALF) / (sum(each) + _HALF * len(each)) for each in (expected, actual)]
    return float(np.sum((shares[1] - shares[0]) * np.log(shares[1] / shares[0])))


def by_chance(expected: Sequence[int], actual: Sequence[int]) -> float:
    """The index that two samples of the same distribution exceed once in a thousand times.

    It is the 99.9 % quantile of chi-square with one degree less than bins, times 1/n + 1/m: B. Yurdakul, Statistical
    Properties of Population Stability Index (Western Michigan University 2018). The quantile is Wilson and Hilferty's
    approximation. Values of a month depend on each other, so that the true one is higher.
    """
    degrees = max(len(expected) - 1, 1)
    share = 2 / (9 * degrees)
    quantile = degrees * (1 - share + _NORMAL_OF_999 * share**0.5) ** 3
    return float(quantile * (1 / max(sum(expected), 1) + 1 / max(sum(actual), 1)))


def _finite(values: pl.Series) -> Floats:
    numbers: Floats = values.cast(pl.Float64).drop_nulls().to_numpy()
    known: Floats = numbers[np.isfinite(numbers)]
    return known
