"""Keeps the monthly statistics of features, and finds distributions that have drifted.

The arithmetic is in :mod:`trading_platform.domain.features.statistics`, the files in
:mod:`trading_platform.stores.features.statistics`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import polars as pl

from trading_platform.domain.features.statistics import (
    SHIFTED,
    Bins,
    by_chance,
    inner_edges,
    monthly_statistics,
    pooled,
    stability_index,
)
from trading_platform.domain.time import Window, month_window, parse_timestamp
from trading_platform.stores.features.files import FeatureStore
from trading_platform.stores.features.statistics import FeatureStatistics

BATCH_SYMBOLS = 25
"""Symbols read at once."""

LEAST_MONTHS = 12
"""Earlier months without which drift is not judged."""

COMPARED_MONTHS = 36
"""Earlier months whose own indices are compared with."""

USUAL = 1.5
"""How many times the largest index of the earlier months is usual."""

_LEAST_VALUES = 20


@dataclass(frozen=True)
class Drift:
    """How far a month's distribution of a feature, of all symbols together, is from others.

    Attributes:
        feature: the feature.
        month: the month, as ``2024-01``.
        before: population stability index to the month before; None without one.
        baseline: the index to the months that the bins were fixed by.
        limit: the index to the baseline from which it is unusual; None if there are too few earlier months.
    """

    feature: str
    month: str
    before: float | None
    baseline: float
    limit: float | None

    @property
    def is_unusual(self) -> bool:
        """Whether the distribution has drifted."""
        return self.limit is not None and self.baseline > self.limit


def record_statistics(features: FeatureStore, parts: Iterable[tuple[str, Window]]) -> None:
    """Computes the statistics of some partitions of features that were written.

    The first values of a definition fix the bins of its feature.

    Args:
        features: the feature files; their statistics are written beside them.
        parts: symbols with the windows that were written.
    """
    windows: dict[str, list[Window]] = {}
    for symbol, window in parts:
        windows.setdefault(symbol, []).append(window)
    symbols = sorted(windows)
    store = FeatureStatistics(features.directory)
    for start in range(0, len(symbols), BATCH_SYMBOLS):
        batch = symbols[start : start + BATCH_SYMBOLS]
        frames = {symbol: _rows(features, symbol, windows[symbol]) for symbol in batch}
        bins = _with_bins(features, store, list(frames.values()))
        edges = {name: each.edges for name, each in bins.items()}
        for symbol, rows in frames.items():
            months = sorted({month for window in windows[symbol] for month in months_of(window)})
            store.replace(symbol, months, monthly_statistics(rows, edges))


def record_missing(features: FeatureStore) -> int:
    """Computes the statistics of months that have none; returns for how many symbols."""
    store = FeatureStatistics(features.directory)
    missing: list[tuple[str, Window]] = []
    for symbol in features.symbols():
        known = set(store.read([symbol])["month"])
        months = [month for month in features.months(symbol) if month not in known]
        missing += [(symbol, month_of(month)) for month in months]
    record_statistics(features, missing)
    return len({symbol for symbol, _ in missing})


def drifts(features: FeatureStore, names: Sequence[str] | None = None, month: str | None = None) -> list[Drift]:
    """How far the last complete month of each feature is from the one before and from its baseline.

    Values in units of price or volume follow the prices and are left out, and features with fewer than twenty values
    in the month. An index to the baseline is unusual if it is above 0.25, above what chance explains, and above one
    and a half times the largest of the 36 months before: a slow feature's values of one month are always far from those
    of years.

    Args:
        features: the feature files.
        names: the features; None means all.
        month: the last month to judge; None means the last but one that is stored, as the last may be incomplete.
    """
    store = FeatureStatistics(features.directory)
    together = pooled(store.read(features.symbols()))
    if month is None:
        stored = together["month"].unique().sort().to_list()
        if len(stored) <= 1:
            return []
        month = stored[-2]
    known, bins = features.definitions.features, store.bins()
    found = []
    for name in known.known(names):
        each = bins.get(name)
        if (
            each is None
            or known.features[name].unit != "none"
            or each.definition_hash != features.definitions.hashes[name]
        ):
            continue
        own = together.filter((pl.col("feature") == name) & (pl.col("month") <= month) & pl.col("counts").is_not_null())
        drift = _drift(name, month, dict(own.select("month", "counts").iter_rows()), each)
        if drift is not None:
            found.append(drift)
    return found


def _drift(name: str, month: str, counts: dict[str, list[int]], bins: Bins) -> Drift | None:
    size = len(bins.edges) + 1
    usable = {key: own for key, own in counts.items() if len(own) == size and sum(own) >= _LEAST_VALUES}
    base = [own for key, own in usable.items() if bins.first <= key <= bins.last and key != month]
    if month not in usable or not base:
        return None
    expected = [sum(column) for column in zip(*base, strict=True)]
    earlier = sorted(key for key in usable if key < month)
    index = stability_index(expected, usable[month])
    usual = [stability_index(expected, usable[key]) for key in earlier[-COMPARED_MONTHS:]]
    limit = max(SHIFTED, by_chance(expected, usable[month]), USUAL * max(usual, default=0.0))
    before = stability_index(usable[earlier[-1]], usable[month]) if earlier else None
    return Drift(name, month, before, index, limit if len(earlier) >= LEAST_MONTHS else None)


def _with_bins(features: FeatureStore, store: FeatureStatistics, frames: Sequence[pl.DataFrame]) -> dict[str, Bins]:
    """The bins of all features by their present definitions, those that were not fixed by these values."""
    hashes, known = features.definitions.hashes, store.bins()
    lacking = [
        name
        for name in features.definitions.features.names
        if name not in known or known[name].definition_hash != hashes[name]
    ]
    new: dict[str, Bins] = {}
    filled = [frame for frame in frames if not frame.is_empty()]
    for name in lacking if filled else ():
        values = pl.concat([frame.select("time", value=pl.col(name).cast(pl.Float64)) for frame in filled]).drop_nulls()
        edges = inner_edges(values["value"])
        if edges:
            first, last = values.select(first=pl.col("time").min(), last=pl.col("time").max()).row(0)
            new[name] = Bins(hashes[name], edges, f"{first:%Y-%m}", f"{last:%Y-%m}")
    fixed = store.fix_bins(new) if new else known
    return {name: each for name, each in fixed.items() if each.definition_hash == hashes.get(name)}


def _rows(features: FeatureStore, symbol: str, windows: Sequence[Window]) -> pl.DataFrame:
    names = list(features.definitions.features.names)
    return pl.concat([features.read([symbol], window, names) for window in Window.merge(windows)])


def months_of(window: Window) -> list[str]:
    """The months of a window, each as ``2024-01``."""
    first, last = window.start, window.end
    count = 12 * (last.year - first.year) + last.month - first.month
    numbers = range(first.month - 1, first.month + max(count, 1) - 1)
    return [f"{first.year + number // 12:04d}-{number % 12 + 1:02d}" for number in numbers]


def month_of(month: str) -> Window:
    """The window of a month."""
    return month_window(parse_timestamp(f"{month}-01"))
