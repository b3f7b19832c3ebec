"""Builds the rows of the feature store from daily bars, for partitions with changed bars or splits.

Features are defined in :mod:`trading_platform.domain.derived.features` and stored by
:mod:`trading_platform.stores.features.files`. A symbol's features also depend on the members of its sector and on its
benchmark: a change in any of their bars or splits makes the partition stale, too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

import polars as pl

from trading_platform.domain.derived.cross_section import BETA_LOOKBACK, STALE_AFTER
from trading_platform.domain.derived.features import FEATURE_WARM_UP, FEATURES, compute_features
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
from trading_platform.workflows.progress import Progress, silent

CODE_VERSION = "2"
"""Increase it when a definition changes: everything built before is then stale."""

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
) -> dict[str, dict[Window, Derived]]:
    """For each symbol, the partitions with features not computed from the current bars, splits and universe."""
    inputs = {symbol: inputs_of(symbol, universe) for symbol in symbols}
    code_versions = {symbol: _code_version(names, universe) for symbol, names in inputs.items()}
    across = _across(stores, universe, inputs, partitions)
    return stale_partitions(stores, DATASET, inputs, Timeframe.D1, partitions, code_versions, across, force=force)


def build_features(
    stores: Stores,
    universe: Mapping[str, Instrument],
    symbols: Sequence[str],
    partitions: Sequence[Window],
    *,
    clock: Clock,
    force: bool = False,
    progress: Progress = silent,
) -> ComputeReport:
    """Builds the stale features of some symbols and partitions.

    Args:
        stores: stores of daily bars (input) and feature files (output).
        universe: all instruments, by symbol.
        symbols: the symbols.
        partitions: disjoint whole years, in order.
        clock: source of the recorded time.
        force: build everything, stale or not.
        progress: receives a report after each batch.
    """
    stores.features.write_catalog()
    stores.catalog.publish()
    stale = stale_features(stores, universe, symbols, partitions, force=force)
    rows: dict[tuple[str, Window], int] = {}
    for whole, names in _batches(stale):
        needed = sorted({name for symbol in names for name in inputs_of(symbol, universe)})
        bars = stores.bars.read_with_history(needed, Timeframe.D1, whole, FEATURE_WARM_UP)
        splits = splits_between(stores, bars, Timeframe.D1)
        gaps = gaps_between(stores, bars, Timeframe.D1, universe, clock())
        computed = compute_features(bars, universe, names, splits, gaps).filter(pl.col("time") >= whole.start)
        parts = computed.partition_by("symbol", as_dict=True)
        derived = {}
        for symbol in names:
            own = parts.get((symbol,), computed.clear())
            stores.features.replace(own, symbol, whole)
            for window in (window for window in stale[symbol] if whole.start <= window.start < whole.end):
                count = own.filter(pl.col("time").is_between(window.start, window.end, closed="left")).height
                rows[symbol, window] = count
                derived[symbol, window] = (stale[symbol][window], count)
        with stores.database.begin() as connection:
            stores.input_versions.record(connection, DATASET, derived, clock())
        progress("features", len({symbol for symbol, _ in rows}), len(stale))
    return ComputeReport(DATASET, rows, len(symbols) * len(partitions) - len(rows))


def _across(
    stores: Stores,
    universe: Mapping[str, Instrument],
    inputs: Mapping[str, Sequence[str]],
    partitions: Sequence[Window],
) -> Fingerprints:
    """The splits that each partition of features is computed across, within the lookback of each feature."""
    splits = stores.corporate_actions.splits(sorted({name for names in inputs.values() for name in names}))
    concerned = [symbol for symbol, names in inputs.items() if not splits.keys().isdisjoint(names)]
    paired = [(symbol, window.start, BETA_LOOKBACK) for symbol in concerned for window in partitions]
    beta_begins = stores.bars.history_begins(Timeframe.D1, paired)
    needs: dict[str, dict[Window, list[tuple[str, datetime, int]]]] = {}
    for symbol in concerned:
        sector, benchmark = universe[symbol].sector, universe[symbol].benchmark
        peers = [name for name in inputs[symbol] if name != symbol and sector and universe[name].sector == sector]
        for window in partitions:
            needed = [(symbol, window.start, FEATURE_WARM_UP)]
            needed += [(peer, window.start - STALE_AFTER, FEATURES["sector_momentum"].warm_up) for peer in peers]
            if benchmark is not None and benchmark in inputs[symbol]:
                since = beta_begins.get((symbol, window.start, BETA_LOOKBACK), window.start)
                needed.append((benchmark, since, 1))
            needs.setdefault(symbol, {})[window] = needed
    return fingerprints(stores, Timeframe.D1, splits, needs)


def _batches(stale: Mapping[str, Mapping[Window, Derived]]) -> Iterator[tuple[Window, list[str]]]:
    """Symbols by the contiguous windows to build, a few at a time, so that a kill loses little work."""
    alike: dict[Window, list[str]] = {}
    for symbol, windows in stale.items():
        for whole in Window.merge(windows):
            alike.setdefault(whole, []).append(symbol)
    for whole, names in alike.items():
        for start in range(0, len(names), BATCH_SYMBOLS):
            yield whole, names[start : start + BATCH_SYMBOLS]


def _code_version(inputs: Sequence[str], universe: Mapping[str, Instrument]) -> str:
    """A version that changes with the definitions and with the universe's data about the instruments involved."""
    text = repr([(universe[name].calendar, universe[name].sector, universe[name].benchmark, name) for name in inputs])
    return f"{CODE_VERSION}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
