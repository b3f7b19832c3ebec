"""The sensor ``recompute_stale``: recomputes daily indicators and features of which an input has changed.

New bars of one symbol change features of its sector, bars of an earlier year those of later ones, a new, corrected or
removed split those on both sides of it, and a changed definition its own feature. The sensor acts only when bars,
splits or definitions have changed since its last tick, waits for runs of the job ``daily`` to finish, and requests
exactly the stale partitions that were computed before; the others are left to the backfill.
"""

from __future__ import annotations

from dagster import (
    AssetKey,
    DefaultSensorStatus,
    ResourceParam,
    RunRequest,
    RunsFilter,
    SensorEvaluationContext,
    SensorResult,
    sensor,
)

from trading_platform import jobs
from trading_platform.domain.time import Timeframe, Window
from trading_platform.partitions import ranges_of, symbols
from trading_platform.resources.platform import PlatformContext
from trading_platform.sensors.unfinished_runs import UNFINISHED_RUNS
from trading_platform.workflows.bars.stale_partitions import stale_bars_and_indicators, stale_feature_partitions

INTERVAL_SECONDS = 300
RUNS_A_TICK = 20
"""The next tick requests the remaining runs."""


@sensor(
    job_name=jobs.daily.name,
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=DefaultSensorStatus.RUNNING,
    description="Recomputes the daily indicators and features of which bars, splits or definitions have changed.",
)
def recompute_stale(context: SensorEvaluationContext, platform: ResourceParam[PlatformContext]) -> SensorResult:
    """Requests runs for the stale partitions; two short queries if nothing has changed."""
    stores, universe = platform.stores, platform.stores.instruments.all()
    versions = stores.input_versions.bar_versions(list(universe), Timeframe.D1)
    bars = versions.before(list(universe), platform.clock() + Timeframe.D1.duration)
    version = f"{bars}|{stores.corporate_actions.version_of_splits()}|{stores.definitions.fingerprint}"
    if version == context.cursor:
        return SensorResult(skip_reason="No daily bar, no split and no definition of a feature has changed.")
    if context.instance.get_runs_count(RunsFilter(job_name=jobs.daily.name, statuses=UNFINISHED_RUNS)):
        return SensorResult(skip_reason="Runs of the job daily are in progress; they may compute what is stale.")
    present = context.instance.get_dynamic_partitions(str(symbols.name))
    everything: dict[str, list[Window]] = {symbol: [] for symbol in universe}
    stale = {symbol: set(windows) for symbol, windows in stale_feature_partitions(stores, universe, everything).items()}
    for symbol, windows in stale_bars_and_indicators(stores, Timeframe.D1, everything, rolled_up=False).items():
        stale.setdefault(symbol, set()).update(windows)
    ranges = ranges_of(present, {symbol: sorted(windows) for symbol, windows in stale.items()}, Timeframe.D1)
    requests = [
        RunRequest(
            run_key=f"{version}|{start}|{end}",
            asset_selection=[AssetKey("indicators_1d"), AssetKey("features")],
            tags={"dagster/asset_partition_range_start": str(start), "dagster/asset_partition_range_end": str(end)},
        )
        for start, end in ranges[:RUNS_A_TICK]
    ]
    left = len(ranges) > RUNS_A_TICK or not set(stale) <= set(present)  # the sensor `sync_symbol_partitions` adds these
    reason = None if requests else "No partition was computed from bars or splits that have changed."
    return SensorResult(run_requests=requests, cursor=context.cursor if left else version, skip_reason=reason)
