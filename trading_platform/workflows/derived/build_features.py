"""Builds the rows of the feature store from daily bars, for partitions with changed bars, splits, news or definitions.

The formulas are in :mod:`trading_platform.domain.features`, the files in :mod:`trading_platform.stores.features.files`.
A symbol's features also depend on the members of its sector and on its benchmark: a change in any of their bars or
splits makes the partition stale, too. A changed definition makes only its own feature stale
(:mod:`trading_platform.workflows.derived.stale_definitions`). Hourly rows are built by
:mod:`trading_platform.workflows.derived.build_hourly_features`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial

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
from trading_platform.workflows.derived.news_inputs import load_news, with_news
from trading_platform.workflows.derived.publish_latest import publish_latest
from trading_platform.workflows.derived.series_gaps import gaps_between
from trading_platform.workflows.derived.stale_definitions import Names, code_version
from trading_platform.workflows.derived.store_features import (
    Compute,
    FeatureDataset,
    among_pending,
    build_stale,
    publish_catalogs,
)
from trading_platform.workflows.progress import Progress, silent

DATASET = "features"


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
    """For each symbol, the partitions not computed from the current bars, splits, news, universe and definitions.

    Args:
        stores: the stores.
        universe: all instruments, by symbol.
        symbols: the symbols.
        partitions: the partitions to consider.
        force: treat every partition with bars as stale.
        names: consider only these features where nothing but definitions has changed; None means all.
    """
    inputs = {symbol: inputs_of(symbol, universe) for symbol in symbols}
    code_versions = {
        symbol: code_version(stores.features.definitions, names, universe) for symbol, names in inputs.items()
    }
    across = with_news(stores, _across(stores, universe, inputs, partitions), inputs, partitions, Timeframe.D1)
    found = stale_partitions(stores, DATASET, inputs, Timeframe.D1, partitions, code_versions, across, force=force)
    return found if force else among_pending(stores, stores.features, DATASET, found, names)


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

    The rows of today are then in Redis, too (:mod:`trading_platform.workflows.derived.publish_latest`).

    Raises:
        InvalidRequest: if a feature is unknown.
    """
    stores.features.definitions.features.known(names)
    publish_catalogs(stores)
    stale = stale_features(stores, universe, symbols, partitions, force=force, names=names)
    dataset = FeatureDataset(DATASET, stores.features, partial(load_days, stores, universe))
    rows = build_stale(stores, dataset, stale, clock=clock, force=force, names=names, progress=progress)
    publish_latest(stores, universe, symbols, clock())
    return ComputeReport(DATASET, rows, len(symbols) * len(partitions) - len(rows))


def load_days(
    stores: Stores, universe: Mapping[str, Instrument], symbols: Sequence[str], whole: Window, present: datetime
) -> Compute:
    """Loads the bars of some symbols, of their sectors and of their benchmarks, with the longest warm-up."""
    needed = sorted({name for symbol in symbols for name in inputs_of(symbol, universe)})
    definitions = stores.features.definitions.features
    bars = stores.bars.read_with_history(needed, Timeframe.D1, whole, definitions.warm_up)
    splits = splits_between(stores, bars, Timeframe.D1)
    gaps = gaps_between(stores, bars, Timeframe.D1, universe, present)
    news = load_news(stores, bars, whole)

    def compute(of: Sequence[str], names: Names) -> pl.DataFrame:
        return compute_features(bars, universe, of, splits, gaps, definitions=definitions, names=names, news=news)

    return compute


def _across(
    stores: Stores,
    universe: Mapping[str, Instrument],
    inputs: Mapping[str, Sequence[str]],
    partitions: Sequence[Window],
) -> Fingerprints:
    """The splits that each partition of features is computed across, within the lookback of each feature."""
    splits = stores.corporate_actions.splits(sorted({name for names in inputs.values() for name in names}))
    concerned = [symbol for symbol, names in inputs.items() if not splits.keys().isdisjoint(names)]
    definitions = stores.features.definitions.features
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
