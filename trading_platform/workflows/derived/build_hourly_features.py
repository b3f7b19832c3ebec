"""Builds the hourly rows of the feature store, for instruments that trade round the clock.

The rows are computed by :mod:`trading_platform.domain.features.hourly` from hourly bars: of the symbol, and of the
members of its sector and its benchmark that trade round the clock, too; of the others from daily bars. A partition is a
month. It is stale as one of daily features is (:mod:`trading_platform.workflows.derived.build_features`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

import polars as pl

from trading_platform.domain.features.hourly import MarketBars, compute_hourly_features, has_hourly_rows
from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.time import Clock, Timeframe, Window
from trading_platform.stores.market_data.input_versions import BarVersions, Derived
from trading_platform.stores.stores import Stores
from trading_platform.workflows.corporate_actions.adjust import Fingerprints, fingerprints, splits_between
from trading_platform.workflows.derived.build_features import inputs_of
from trading_platform.workflows.derived.compute_indicators import ComputeReport
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

DATASET = "features_1h"

_HOUR = timedelta(hours=1)


class HourlyInputVersions:
    """The versions of the bars that hourly rows are computed from.

    Args:
        stores: source of the versions.
        universe: all instruments, by symbol.
        symbols: the symbols whose bars are needed.
    """

    def __init__(self, stores: Stores, universe: Mapping[str, Instrument], symbols: Sequence[str]) -> None:
        self._universe = universe
        self._versions: dict[Timeframe, BarVersions] = {
            length: stores.input_versions.bar_versions(names, length)
            for length, names in inputs_by_length(universe, symbols).items()
        }

    def before(self, symbols: Sequence[str], timestamp: datetime, *, streamed: bool = True) -> int:
        """As :meth:`BarVersions.before`, of hourly or daily bars by the symbols' calendars."""
        return sum(
            self._versions[length].before(names, timestamp, streamed=streamed)
            for length, names in inputs_by_length(self._universe, symbols).items()
        )


def inputs_by_length(universe: Mapping[str, Instrument], symbols: Sequence[str]) -> dict[Timeframe, list[str]]:
    """The symbols by the length of the bars that hourly rows use of them; lengths without a symbol are left out."""
    found: dict[Timeframe, list[str]] = {}
    for symbol in symbols:
        length = Timeframe.H1 if has_hourly_rows(universe[symbol]) else Timeframe.D1
        found.setdefault(length, []).append(symbol)
    return found


def stale_hourly_features(
    stores: Stores,
    universe: Mapping[str, Instrument],
    symbols: Sequence[str],
    partitions: Sequence[Window],
    present: datetime,
    *,
    force: bool = False,
    names: Sequence[str] | None = None,
) -> dict[str, dict[Window, Derived]]:
    """For each symbol, the months not computed from the current bars, splits, news, universe and definitions.

    Symbols that do not trade round the clock have none. A month that was computed keeps its values for ever when bars
    that it needs have been dropped because of their age, unless it is the present month.

    Args:
        stores: the stores.
        universe: all instruments, by symbol.
        symbols: the symbols.
        partitions: the months to consider.
        present: current time.
        force: treat every month with bars as stale.
        names: consider only these features where nothing but definitions has changed; None means all.
    """
    inputs = {symbol: inputs_of(symbol, universe) for symbol in symbols if has_hourly_rows(universe[symbol])}
    if not inputs:
        return {}
    versions = HourlyInputVersions(stores, universe, sorted({name for own in inputs.values() for name in own}))
    across = with_news(stores, _across(stores, universe, inputs, partitions), inputs, partitions, Timeframe.H1)
    recorded = stores.input_versions.read(DATASET, list(inputs))
    dropped = stores.coverage.expired_by_any(list(inputs), Timeframe.H1, present)
    found: dict[str, dict[Window, Derived]] = {}
    for symbol, own in inputs.items():
        code = code_version(stores.definitions, own, universe)
        kept_until = _kept_until(stores, dropped.get(symbol, ()))
        for window in partitions:
            derived = Derived(versions.before(own, window.end), code, across.get((symbol, window), ""))
            before = recorded.get((symbol, window.start))
            keeps = before is not None and window.start < kept_until and present not in window
            if versions.before([symbol], window.end) and not keeps and (force or before != derived):
                found.setdefault(symbol, {})[window] = derived
    return found if force else among_pending(stores, stores.hourly_features, DATASET, found, names)


def build_hourly_features(
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
    """Builds the stale hourly rows of some symbols and months.

    Args:
        stores: stores of bars (input) and feature files (output).
        universe: all instruments, by symbol.
        symbols: the symbols; those that do not trade round the clock have no hourly rows.
        partitions: disjoint whole months, in order.
        clock: source of the recorded time.
        force: build everything, stale or not; with ``names``, those features.
        names: build only these features where nothing but definitions has changed; None means all.
        progress: receives a report after each batch.

    The newest rows are then in Redis, too (:mod:`trading_platform.workflows.derived.publish_latest`).

    Raises:
        InvalidRequest: if a feature is unknown.
    """
    stores.definitions.features.known(names)
    if not any(has_hourly_rows(universe[symbol]) for symbol in symbols):
        return ComputeReport(DATASET, {}, len(symbols) * len(partitions))
    publish_catalogs(stores)
    stale = stale_hourly_features(stores, universe, symbols, partitions, clock(), force=force, names=names)
    dataset = FeatureDataset(DATASET, stores.hourly_features, partial(load_hours, stores, universe))
    rows = build_stale(stores, dataset, stale, clock=clock, force=force, names=names, progress=progress)
    publish_latest(stores, universe, symbols, clock())
    return ComputeReport(DATASET, rows, len(symbols) * len(partitions) - len(rows))


def load_hours(
    stores: Stores, universe: Mapping[str, Instrument], symbols: Sequence[str], whole: Window, present: datetime
) -> Compute:
    """Loads the bars that the hourly rows of some symbols in a window are computed from, with the longest warm-up."""
    definitions = stores.definitions.features
    needed = inputs_by_length(universe, sorted({name for symbol in symbols for name in inputs_of(symbol, universe)}))
    history = {Timeframe.H1: definitions.warm_up_hours, Timeframe.D1: definitions.warm_up}

    def loaded(length: Timeframe) -> MarketBars:
        bars = stores.bars.read_with_history(needed.get(length, []), length, whole, history[length])
        gaps = gaps_between(stores, bars, length, universe, present)
        return MarketBars(bars, splits_between(stores, bars, length), gaps)

    hours, days = loaded(Timeframe.H1), loaded(Timeframe.D1)
    news = load_news(stores, pl.concat([hours.bars, days.bars]), whole)

    def compute(of: Sequence[str], names: Names) -> pl.DataFrame:
        return compute_hourly_features(hours, days, universe, of, definitions=definitions, names=names, news=news)

    return compute


def _kept_until(stores: Stores, dropped: Sequence[Window]) -> datetime:
    """The time before which months need bars that were dropped."""
    if not dropped:
        return datetime.min.replace(tzinfo=Timeframe.H1.stored_from.tzinfo)
    return dropped[-1].end + stores.definitions.features.warm_up_hours * _HOUR


def _across(
    stores: Stores,
    universe: Mapping[str, Instrument],
    inputs: Mapping[str, Sequence[str]],
    partitions: Sequence[Window],
) -> Fingerprints:
    """The splits that each month is computed across, of hourly and daily bars, within the longest warm-up."""
    splits = stores.corporate_actions.splits(sorted({name for names in inputs.values() for name in names}))
    if not splits:
        return {}
    definitions = stores.definitions.features
    history = {Timeframe.H1: definitions.warm_up_hours, Timeframe.D1: definitions.warm_up}
    found: dict[tuple[str, Window], str] = {}
    for length, depth in history.items():
        needs = {
            symbol: {window: [(name, window.start, depth) for name in concerned] for window in partitions}
            for symbol, names in inputs.items()
            if (concerned := [name for name in inputs_by_length(universe, names).get(length, ()) if name in splits])
        }
        for part, of_length in fingerprints(stores, length, splits, needs).items():
            both = found.get(part, "") + of_length
            found[part] = of_length if both == of_length else hashlib.sha256(both.encode()).hexdigest()[:16]
    return found
