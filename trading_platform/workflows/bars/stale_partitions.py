"""Finds the partitions that are stale after bars have changed: longer bars, indicators and features.

New bars of one symbol and year make partitions of later years stale, and features of every symbol of its sector and
of every symbol that has it as its benchmark. A backfill therefore asks again after its bars are stored; the sensor
``recompute_stale`` asks after runs that were started elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.time import Timeframe, Window, partition_windows
from trading_platform.stores.stores import Stores
from trading_platform.workflows.bars.roll_up_bars import stale_roll_ups
from trading_platform.workflows.derived.build_features import DATASET as FEATURES
from trading_platform.workflows.derived.build_features import dependents_of, stale_features
from trading_platform.workflows.derived.build_hourly_features import DATASET as HOURLY_FEATURES
from trading_platform.workflows.derived.build_hourly_features import stale_hourly_features
from trading_platform.workflows.derived.compute_indicators import indicators_dataset, stale_indicators

Partitions = Mapping[str, Iterable[Window]]
"""Partitions by symbol."""


def stale_bars_and_indicators(
    stores: Stores, timeframe: Timeframe, requested: Partitions, *, rolled_up: bool
) -> dict[str, list[Window]]:
    """The partitions with stale indicators or stale rolled-up bars.

    Args:
        stores: the stores to read.
        timeframe: length of the bars.
        requested: partitions to consider besides those that were computed before.
        rolled_up: whether bars of this timeframe are rolled up from minutes.
    """
    symbols = list(requested)
    considered = _computed(stores, indicators_dataset(timeframe), symbols, timeframe)
    for symbol, windows in requested.items():
        considered.setdefault(symbol, set()).update(windows)
    partitions = sorted({window for windows in considered.values() for window in windows})
    stale = {
        symbol: considered[symbol].intersection(windows)
        for symbol, windows in stale_indicators(stores, symbols, timeframe, partitions).items()
    }
    for symbol in symbols if rolled_up else ():
        windows = stale_roll_ups(stores, symbol, timeframe, sorted(considered[symbol]))
        stale[symbol] = stale.get(symbol, set()).union(windows)
    return {symbol: sorted(windows) for symbol, windows in stale.items() if windows}


def stale_feature_partitions(
    stores: Stores, universe: Mapping[str, Instrument], requested: Partitions
) -> dict[str, list[Window]]:
    """The partitions with stale features of some symbols and of those with features computed from their bars.

    Args:
        stores: the stores to read.
        universe: all instruments, by symbol.
        requested: partitions to consider besides those that were built before.
    """
    symbols = sorted({name for symbol in requested for name in dependents_of(symbol, universe)})
    considered = _computed(stores, FEATURES, symbols, Timeframe.D1)
    for symbol, windows in requested.items():
        considered.setdefault(symbol, set()).update(windows)
    partitions = sorted({window for windows in considered.values() for window in windows})
    stale = stale_features(stores, universe, symbols, partitions)
    return {
        symbol: found
        for symbol, windows in stale.items()
        if (found := sorted(considered.get(symbol, set()).intersection(windows)))
    }


def stale_hourly_feature_partitions(
    stores: Stores, universe: Mapping[str, Instrument], requested: Partitions, present: datetime
) -> dict[str, list[Window]]:
    """The months with stale hourly rows of some symbols and of those with rows computed from their bars.

    Args:
        stores: the stores to read.
        universe: all instruments, by symbol.
        requested: partitions to consider besides those that were built before.
        present: current time.
    """
    symbols = sorted({name for symbol in requested for name in dependents_of(symbol, universe)})
    considered = _computed(stores, HOURLY_FEATURES, symbols, Timeframe.H1)
    for symbol, windows in requested.items():
        considered.setdefault(symbol, set()).update(windows)
    partitions = sorted({window for windows in considered.values() for window in windows})
    stale = stale_hourly_features(stores, universe, symbols, partitions, present)
    return {
        symbol: found
        for symbol, windows in stale.items()
        if (found := sorted(considered.get(symbol, set()).intersection(windows)))
    }


def _computed(stores: Stores, dataset: str, symbols: Sequence[str], timeframe: Timeframe) -> dict[str, set[Window]]:
    """For each symbol, the partitions of a dataset that were computed before."""
    found: dict[str, set[Window]] = {}
    for symbol, start in stores.input_versions.read(dataset, symbols):
        found.setdefault(symbol, set()).update(partition_windows(timeframe, Window(start, start + timeframe.duration)))
    return found
