"""The Dagster runs of a backfill: bars first, then everything that they have made stale.

:mod:`trading_platform.cli.market_data.backfill` is the command, :mod:`trading_platform.cli.market_data.dagster_runs`
starts single runs. The command imports this module only when it runs, as it imports Dagster.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dagster import DagsterInstance

from trading_platform.cli.market_data.dagster_runs import (
    RunOutcome,
    blocked_symbols,
    not_materialized,
    register_symbols,
    run_job,
)
from trading_platform.domain.features.hourly import has_hourly_rows
from trading_platform.domain.time import Timeframe, Window
from trading_platform.embedded.run_leases import RunLeases
from trading_platform.partitions import ranges_of
from trading_platform.resources.dagster_instance import open_instance
from trading_platform.resources.platform import PlatformContext
from trading_platform.resources.run_monitoring import fail_ended_runs
from trading_platform.settings import load_settings
from trading_platform.workflows.backfill.plan_backfill import AvailableHistory, unfinished_partitions
from trading_platform.workflows.bars.stale_partitions import (
    stale_bars_and_indicators,
    stale_feature_partitions,
    stale_hourly_feature_partitions,
)
from trading_platform.workflows.derived.build_features import DATASET as FEATURES
from trading_platform.workflows.derived.build_features import inputs_of
from trading_platform.workflows.derived.build_hourly_features import DATASET as HOURLY_FEATURES


def run_kind(
    platform: PlatformContext, available: Sequence[AvailableHistory], requested: Window | None
) -> list[RunOutcome]:
    """Runs the job of one kind of partition, and what the new bars have made stale.

    Args:
        platform: the open platform.
        available: available histories, all intraday or all daily.
        requested: the part of history to backfill; None means all of it.
    """
    if not available:
        return []
    timeframe = available[0].timeframe
    lengths = sorted({available_history.timeframe for available_history in available}, key=list(Timeframe).index)
    assets = [name for length in lengths for name in (f"ohlcv_{length}", f"indicators_{length}")]
    hourly = _with_hourly_rows(available)
    assets += [FEATURES] if not timeframe.is_intraday else [HOURLY_FEATURES] if hourly else []
    settings = load_settings()
    with open_instance(settings) as instance:
        fail_ended_runs(instance, RunLeases(settings.root))
        register_symbols(instance, sorted({available_history.instrument.symbol for available_history in available}))
        wanted = unfinished_partitions(platform.stores, platform.sources, available, requested, force=platform.force)
        of_all = [name for name in assets if name != HOURLY_FEATURES]
        missing = not_materialized(instance, of_all, _all_partitions(available, requested), timeframe)
        for symbol, windows in missing.items():
            wanted[symbol] = sorted({*wanted.get(symbol, ()), *windows})
        outcomes = _run_bars(instance, platform, available, wanted, assets) if wanted else []
        return outcomes + _run_stale(instance, platform, available, requested, assets, outcomes)


def _run_bars(
    instance: DagsterInstance,
    platform: PlatformContext,
    available: Sequence[AvailableHistory],
    wanted: Mapping[str, Sequence[Window]],
    assets: Sequence[str],
) -> list[RunOutcome]:
    """Runs the job over the wanted partitions, then again without the symbols whose source failed.

    Several runs leave out the features, which need the bars of all symbols: :func:`_run_stale` builds them. Forced
    runs include them, because features from unchanged bars are not stale.
    """
    timeframe = available[0].timeframe
    runs = ranges_of(register_symbols(instance, list(wanted)), wanted, timeframe)
    together = len(runs) == 1 or platform.force
    first = [name for name in assets if together or name not in (FEATURES, HOURLY_FEATURES)]
    outcomes = run_job(instance, platform, timeframe, wanted, first)
    failing = _failing(platform, available)
    rest = {symbol: windows for symbol, windows in wanted.items() if symbol not in failing}
    if any(outcome.error for outcome in outcomes) and failing and rest:
        outcomes = [outcome for outcome in outcomes if not outcome.error]
        outcomes += run_job(instance, platform, timeframe, rest, first)
    return outcomes


def _run_stale(
    instance: DagsterInstance,
    platform: PlatformContext,
    available: Sequence[AvailableHistory],
    requested: Window | None,
    assets: Sequence[str],
    done: Sequence[RunOutcome],
) -> list[RunOutcome]:
    """Runs what the new bars have made stale: later partitions, and features of other symbols.

    Nothing is computed from bars that failed a check which blocks.
    """
    timeframe, stores = available[0].timeframe, platform.stores
    blocked = blocked_symbols(done)
    outcomes: list[RunOutcome] = []
    for length in dict.fromkeys(history.timeframe for history in available):
        for rolled_up, names in (
            (False, (f"indicators_{length}",)),
            (True, (f"ohlcv_{length}", f"indicators_{length}")),
        ):
            chosen = {
                history.instrument.symbol: history.partitions(requested)
                for history in available
                if (history.timeframe, history.rolled_up) == (length, rolled_up)
            }
            if not chosen:
                continue
            stale = stale_bars_and_indicators(stores, length, chosen, rolled_up=rolled_up)
            wanted = {symbol: windows for symbol, windows in stale.items() if symbol not in blocked}
            if wanted:
                outcomes += run_job(instance, platform, timeframe, wanted, names)
    partitions = _all_partitions(available, requested)
    if FEATURES in assets:
        outcomes += _run_stale_features(instance, platform, timeframe, partitions, blocked)
    hours = _all_partitions(_with_hourly_rows(available), requested)
    return outcomes + _run_stale_hourly_features(instance, platform, hours, list(partitions), blocked)


def _run_stale_features(
    instance: DagsterInstance,
    platform: PlatformContext,
    timeframe: Timeframe,
    partitions: Mapping[str, Sequence[Window]],
    blocked: set[str],
) -> list[RunOutcome]:
    stores = platform.stores
    universe = stores.instruments.all()
    wanted = stale_feature_partitions(stores, universe, partitions)
    for symbol, windows in not_materialized(instance, [FEATURES], partitions, timeframe).items():
        wanted[symbol] = sorted({*wanted.get(symbol, ()), *windows})
    wanted = {symbol: windows for symbol, windows in wanted.items() if blocked.isdisjoint(inputs_of(symbol, universe))}
    return run_job(instance, platform, timeframe, wanted, [FEATURES]) if wanted else []


def _run_stale_hourly_features(
    instance: DagsterInstance,
    platform: PlatformContext,
    partitions: Mapping[str, Sequence[Window]],
    changed: Sequence[str],
    blocked: set[str],
) -> list[RunOutcome]:
    """Runs the hourly features of some months, and of those that are computed from changed bars of some symbols."""
    stores = platform.stores
    universe = stores.instruments.all()
    if not any(has_hourly_rows(each) for each in universe.values()):
        return []
    asked = {**{symbol: [] for symbol in changed}, **partitions}
    wanted = stale_hourly_feature_partitions(stores, universe, asked, platform.clock())
    for symbol, windows in not_materialized(instance, [HOURLY_FEATURES], partitions, Timeframe.H1).items():
        wanted[symbol] = sorted({*wanted.get(symbol, ()), *windows})
    wanted = {symbol: windows for symbol, windows in wanted.items() if blocked.isdisjoint(inputs_of(symbol, universe))}
    return run_job(instance, platform, Timeframe.H1, wanted, [HOURLY_FEATURES]) if wanted else []


def _with_hourly_rows(available: Sequence[AvailableHistory]) -> list[AvailableHistory]:
    """The histories of hourly bars that there are hourly features of."""
    return [each for each in available if each.timeframe is Timeframe.H1 and has_hourly_rows(each.instrument)]


def _all_partitions(available: Sequence[AvailableHistory], requested: Window | None) -> dict[str, list[Window]]:
    found: dict[str, set[Window]] = {}
    for available_history in available:
        found.setdefault(available_history.instrument.symbol, set()).update(available_history.partitions(requested))
    return {symbol: sorted(windows) for symbol, windows in found.items()}


def _failing(platform: PlatformContext, available: Sequence[AvailableHistory]) -> set[str]:
    return {
        failure.symbol
        for length in {available_history.timeframe for available_history in available}
        for failure in platform.stores.coverage.failures(
            [available_history.instrument.symbol for available_history in available], length
        )
    }
