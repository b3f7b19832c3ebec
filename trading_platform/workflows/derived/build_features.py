"""Builds the rows of the feature store from daily bars, for partitions with changed bars, splits or definitions.

The formulas are in :mod:`trading_platform.domain.features`, the files in :mod:`trading_platform.stores.features.files`.
A symbol's features also depend on the members of its sector and on its benchmark: a change in any of their bars or
splits makes the partition stale, too. A changed definition makes only its own feature stale
(:mod:`trading_platform.workflows.derived.stale_definitions`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

import polars as pl

from trading_platform.domain.features.compute import compute_features
from trading_platform.domain.features.cross_section import STALE_AFTER
from trading_platform.domain.features.feature_set import FeatureSet
from trading_platform.domain.features.inputs import InputKind
from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.time import Clock, Timeframe, Window
from trading_platform.stores.market_data.input_versions import Derived
from trading_platform.stores.stores import Stores
from trading_platform.workflows.corporate_actions.adjust import Fingerprints, fingerprints, splits_between
from trading_platform.workflows.derived.compute_indicators import (
    ComputeReport,
    stale_partitions,
)
from trading_platform.workflows.derived.series_gaps import gaps_between
from trading_platform.workflows.derived.stale_definitions import Names, code_version, partly, stale_names
from trading_platform.workflows.progress import Progress, silent

DATASET = "features"

BATCH_SYMBOLS = 25
"""Symbols built at once."""


def inputs_of(symbol: str, universe: Mapping[str, Instrument]) -> list[str]:
    """The symbols from whose bars a symbol's features are computed: itself, its sector, its benchmark."""
    instrument = universe[symbol]
    peers = {
        other.symbol
        for other in universe.values()
        if instrument.sector is not None and other.sector == instrument.sector
    }
    benchmark = {instrument.benchmark} if instrument.benchmark in universe else set()
    return sorted({symbol} | peers | {name for name in benchmark if name})


def dependents_of(symbol: str, universe: Mapping[str, Instrument]) -> list[str]:
    """The symbols with features computed from a symbol's bars: the inverse of :func:`inputs_of`."""
    own = universe[symbol]
    return sorted(
        other.symbol
        for other in universe.values()
        if symbol in (other.symbol, other.benchmark) or (other.sector is not None and other.sector == own.sector)
    )


def stale_features(
    stores: Stores,
    universe: Mapping[str, Instrument],
    symbols: Sequence[str],
    partitions: Sequence[Window],
    *,
    force: bool = False,
    names: Sequence[str] | None = None,
) -> dict[str, dict[Window, Derived]]:
    """For each symbol, the partitions not computed from the current bars, splits, universe and definitions.

    Args:
        stores: the stores.
        universe: all instruments, by symbol.
        symbols: the symbols.
        partitions: the partitions to consider.
        force: treat every partition with bars as stale.
        names: consider only these features where nothing but definitions has changed; None means all.
    """
    inputs = {symbol: inputs_of(symbol, universe) for symbol in symbols}
    code_versions = {symbol: code_version(stores.definitions, names, universe) for symbol, names in inputs.items()}
    across = _across(stores, universe, inputs, partitions)
    found = stale_partitions(stores, DATASET, inputs, Timeframe.D1, partitions, code_versions, across, force=force)
    if force:
        return found
    features = stale_names(stores, DATASET, found)
    wanted = {part for part, own in features.items() if names is None or _among(own, names) != ()}
    return {
        symbol: kept
        for symbol, windows in found.items()
        if (kept := {window: derived for window, derived in windows.items() if (symbol, window) in wanted})
    }


def build_features(
    stores: Stores,
    universe: Mapping[str, Instrument],
    symbols: Sequence[str],
    partitions: Sequence[Window],
    *,
    clock: Clock,
    force: bool = False,
    names: Sequence[str] | None = None,
    progress: Progress = silent,
) -> ComputeReport:
    """Builds the stale features of some symbols and partitions.

    Args:
        stores: stores of daily bars (input) and feature files (output).
        universe: all instruments, by symbol.
        symbols: the symbols.
        partitions: disjoint whole years, in order.
        clock: source of the recorded time.
        force: build everything, stale or not; with ``names``, those features.
        names: build only these features where nothing but definitions has changed; None means all. Where bars or splits
            have changed, all features are built, as all of them are stale.
        progress: receives a report after each batch.

    Raises:
        InvalidRequest: if a feature is unknown.
    """
    stores.definitions.features.known(names)
    stores.features.write_catalog()
    stores.catalog.publish(stores.definitions)
    stale = stale_features(stores, universe, symbols, partitions, force=force, names=names)
    pending = stale_names(stores, DATASET, stale)
    chosen = _chosen(stale, pending, names, force=force)
    rows: dict[tuple[str, Window], int] = {}
    for whole, batch, wanted in _batches(chosen):
        computed = _store(stores, universe, batch, whole, wanted, clock())
        derived = {}
        for symbol in batch:
            for window in (window for window in stale[symbol] if whole.start <= window.start < whole.end):
                count = _rows_in(computed[symbol], window)
                rows[symbol, window] = count
                left = wanted is not None and set(pending.get((symbol, window)) or ()) - set(wanted)
                present = stale[symbol][window]
                derived[symbol, window] = (partly(present) if left else present, count)
        with stores.database.begin() as connection:
            stores.input_versions.record(connection, DATASET, derived, clock())
        progress("features", len({symbol for symbol, _ in rows}), len(stale))
    return ComputeReport(DATASET, rows, len(symbols) * len(partitions) - len(rows))


def _chosen(
    stale: Mapping[str, Mapping[Window, Derived]],
    pending: Mapping[tuple[str, Window], Names],
    names: Sequence[str] | None,
    *,
    force: bool,
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
    stores: Stores,
    universe: Mapping[str, Instrument],
    symbols: Sequence[str],
    whole: Window,
    names: Names,
    present: datetime,
) -> dict[str, pl.DataFrame]:
    """Computes and stores some features of some symbols in a window; returns the computed rows of each symbol."""
    needed = sorted({name for symbol in symbols for name in inputs_of(symbol, universe)})
    definitions = stores.definitions.features
    bars = stores.bars.read_with_history(needed, Timeframe.D1, whole, definitions.warm_up)
    splits = splits_between(stores, bars, Timeframe.D1)
    gaps = gaps_between(stores, bars, Timeframe.D1, universe, present)

    def compute(of: Sequence[str], chosen: Names) -> dict[str, pl.DataFrame]:
        computed = compute_features(bars, universe, of, splits, gaps, definitions=definitions, names=chosen)
        parts = computed.filter(pl.col("time") >= whole.start).partition_by("symbol", as_dict=True)
        return {symbol: parts.get((symbol,), computed.clear()) for symbol in of}

    found = compute(symbols, names)
    # A file was removed or is not of these bars: its rows are computed whole.
    differing = [
        symbol
        for symbol in (symbols if names is not None else ())
        if not stores.features.has_rows(symbol, whole, found[symbol]["time"])
    ]
    found |= compute(differing, None) if differing else {}
    for symbol, own in found.items():
        stores.features.replace(own, symbol, whole, None if symbol in differing else names)
    return found


def _across(
    stores: Stores,
    universe: Mapping[str, Instrument],
    inputs: Mapping[str, Sequence[str]],
    partitions: Sequence[Window],
) -> Fingerprints:
    """The splits that each partition of features is computed across, within the lookback of each feature."""
    splits = stores.corporate_actions.splits(sorted({name for names in inputs.values() for name in names}))
    concerned = [symbol for symbol, names in inputs.items() if not splits.keys().isdisjoint(names)]
    definitions = stores.definitions.features
    of_peers, of_benchmark = (_reach(definitions, kind) for kind in (InputKind.PEERS, InputKind.BENCHMARK))
    paired = [
        (symbol, window.start, reach)
        for symbol in concerned
        for window in partitions
        for reach in (of_peers, of_benchmark)
    ]
    begins = stores.bars.history_begins(Timeframe.D1, paired)
    depth = max((definitions.features[name].warm_up for name in definitions.of_others), default=0)
    needs: dict[str, dict[Window, list[tuple[str, datetime, int]]]] = {}
    for symbol in concerned:
        sector, benchmark = universe[symbol].sector, universe[symbol].benchmark
        peers = [name for name in inputs[symbol] if name != symbol and sector and universe[name].sector == sector]
        for window in partitions:
            needed = [(symbol, window.start, definitions.warm_up)]
            since = begins.get((symbol, window.start, of_peers), window.start)
            needed += [(peer, since - STALE_AFTER, depth) for peer in peers]
            if benchmark is not None and benchmark in inputs[symbol]:
                since = begins.get((symbol, window.start, of_benchmark), window.start)
                needed.append((benchmark, since, depth))
            needs.setdefault(symbol, {})[window] = needed
    return fingerprints(stores, Timeframe.D1, splits, needs)


def _reach(definitions: FeatureSet, kind: InputKind) -> int:
    """Number of bars of the symbol over which features look at other symbols."""
    return max((each.warm_up for each in definitions.features.values() if each.names_of(kind)), default=0)


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
