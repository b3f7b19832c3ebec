"""Computes the stale partitions of daily or hourly features, in batches, and stores files and input versions.

Which partitions are stale, and from what they are computed, is in
:mod:`trading_platform.workflows.derived.build_features` and
:mod:`trading_platform.workflows.derived.build_hourly_features`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from trading_platform.domain.time import Clock, Window
from trading_platform.stores.features.files import FeatureStore
from trading_platform.stores.market_data.input_versions import Derived
from trading_platform.stores.stores import Stores
from trading_platform.workflows.derived.stale_definitions import Names, partly, stale_names
from trading_platform.workflows.progress import Progress

BATCH_SYMBOLS = 25
"""Symbols built at once."""

Stale = Mapping[str, Mapping[Window, Derived]]
"""For each symbol, the stale partitions and their present input versions."""

Compute = Callable[[Sequence[str], Names], pl.DataFrame]
"""Computes some features of some symbols from bars that are loaded; None means all features."""

Load = Callable[[Sequence[str], Window, datetime], Compute]
"""Loads what the features of some symbols in a window are computed from; the time is the present one."""


@dataclass(frozen=True)
class FeatureDataset:
    """The features of one frequency.

    Attributes:
        name: the dataset, as input versions and assets name it.
        store: its files.
        load: loads what it is computed from.
    """

    name: str
    store: FeatureStore
    load: Load


def publish_catalogs(stores: Stores) -> None:
    """Brings the catalog beside the files and that of the database up to date with the definitions."""
    stores.hourly_features.write_catalog()
    stores.catalog.publish(stores.definitions)


def among_pending(
    stores: Stores, store: FeatureStore, dataset: str, stale: Stale, names: Sequence[str] | None
) -> dict[str, dict[Window, Derived]]:
    """The stale partitions with something to compute, if only these features are to be computed where others changed.

    Args:
        stores: the stores.
        store: the files of the dataset.
        dataset: the dataset.
        stale: the stale partitions.
        names: the features to compute; None means all.
    """
    features = stale_names(stores, store, dataset, stale)
    wanted = {part for part, own in features.items() if names is None or _among(own, names) != ()}
    return {
        symbol: kept
        for symbol, windows in stale.items()
        if (kept := {window: derived for window, derived in windows.items() if (symbol, window) in wanted})
    }


def build_stale(
    stores: Stores,
    dataset: FeatureDataset,
    stale: Stale,
    *,
    clock: Clock,
    force: bool,
    names: Sequence[str] | None,
    progress: Progress,
) -> dict[tuple[str, Window], int]:
    """Computes and stores stale partitions.

    Args:
        stores: the stores.
        dataset: what is built.
        stale: the partitions.
        clock: source of the recorded time.
        force: build all features of each partition; with ``names``, those.
        names: build only these features where nothing but definitions has changed; None means all.
        progress: receives a report after each batch.

    Returns:
        The number of rows of each partition.
    """
    pending = stale_names(stores, dataset.store, dataset.name, stale)
    chosen = _chosen(stale, pending, names, force=force)
    rows: dict[tuple[str, Window], int] = {}
    for whole, batch, wanted in _batches(chosen):
        computed = _store(dataset, batch, whole, wanted, clock())
        derived = {}
        for symbol in batch:
            for window in (window for window in stale[symbol] if whole.start <= window.start < whole.end):
                count = _rows_in(computed[symbol], window)
                rows[symbol, window] = count
                left = wanted is not None and set(pending.get((symbol, window)) or ()) - set(wanted)
                present = stale[symbol][window]
                derived[symbol, window] = (partly(present) if left else present, count)
        with stores.database.begin() as connection:
            stores.input_versions.record(connection, dataset.name, derived, clock())
        progress(dataset.name.replace("_", " "), len({symbol for symbol, _ in rows}), len(stale))
    return rows


def _chosen(
    stale: Stale, pending: Mapping[tuple[str, Window], Names], names: Sequence[str] | None, *, force: bool
) -> dict[tuple[str, Window], Names]:
    """The features to build of each stale partition."""
    if not force:
        return {part: _among(own, names) for part, own in pending.items()}
    every = None if names is None else tuple(names)
    parts = ((symbol, window) for symbol, windows in stale.items() for window in windows)
    return {part: None if pending.get(part, ()) is None else every for part in parts}


def _rows_in(computed: pl.DataFrame, window: Window) -> int:
    return computed.filter(pl.col("time").is_between(window.start, window.end, closed="left")).height


def _among(features: Names, names: Sequence[str] | None) -> Names:
    """The features of a stale partition to build now: those of ``names``, unless all are stale."""
    if features is None or names is None:
        return features
    return tuple(name for name in features if name in names)


def _store(
    dataset: FeatureDataset, symbols: Sequence[str], whole: Window, names: Names, present: datetime
) -> dict[str, pl.DataFrame]:
    """Computes and stores some features of some symbols in a window; returns the computed rows of each symbol."""
    compute = dataset.load(symbols, whole, present)

    def rows_of(of: Sequence[str], chosen: Names) -> dict[str, pl.DataFrame]:
        computed = compute(of, chosen)
        parts = computed.filter(pl.col("time") >= whole.start).partition_by("symbol", as_dict=True)
        return {symbol: parts.get((symbol,), computed.clear()) for symbol in of}

    found = rows_of(symbols, names)
    # A file was removed or is not of these bars: its rows are computed whole.
    differing = [
        symbol
        for symbol in (symbols if names is not None else ())
        if not dataset.store.has_rows(symbol, whole, found[symbol]["time"])
    ]
    found |= rows_of(differing, None) if differing else {}
    for symbol, own in found.items():
        dataset.store.replace(own, symbol, whole, None if symbol in differing else names)
    return found


def _batches(chosen: Mapping[tuple[str, Window], Names]) -> Iterator[tuple[Window, list[str], Names]]:
    """Symbols by the contiguous windows and features to build, a few at a time, so that a kill loses little work."""
    alike: dict[tuple[str, Names], list[Window]] = {}
    for (symbol, window), names in chosen.items():
        alike.setdefault((symbol, names), []).append(window)
    together: dict[tuple[Window, Names], list[str]] = {}
    for (symbol, names), windows in alike.items():
        for whole in Window.merge(windows):
            together.setdefault((whole, names), []).append(symbol)
    for (whole, names), symbols in together.items():
        for start in range(0, len(symbols), BATCH_SYMBOLS):
            yield whole, symbols[start : start + BATCH_SYMBOLS], names
