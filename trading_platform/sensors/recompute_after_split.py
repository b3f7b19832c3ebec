"""The sensor ``recompute_after_split``: recomputes what a new, corrected or removed split affects.

It acts only when splits have changed since its last tick, and requests exactly the partitions of which the features
or indicators were computed with other splits than are stored now.
"""

from __future__ import annotations

from dagster import (
    AssetKey,
    DefaultSensorStatus,
    ResourceParam,
    RunRequest,
    SensorEvaluationContext,
    SensorResult,
    sensor,
)

from trading_platform import jobs
from trading_platform.domain.time import DAILY_START, Timeframe, Window, partition_windows
from trading_platform.partitions import ranges_of, symbols
from trading_platform.resources.platform import PlatformContext
from trading_platform.workflows.derived.build_features import partitions_touched_by_split

INTERVAL_SECONDS = 300
RUNS_A_TICK = 20
"""The next tick requests the remaining runs."""


@sensor(
    job_name=jobs.daily.name,
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=DefaultSensorStatus.RUNNING,
    description="Recomputes the daily features and indicators that a new, corrected or removed split affects.",
)
def recompute_after_split(context: SensorEvaluationContext, platform: ResourceParam[PlatformContext]) -> SensorResult:
    """Requests runs for the affected partitions; one short query if no split has changed."""
    version = platform.stores.corporate_actions.version_of_splits()
    if version == context.cursor:
        return SensorResult(skip_reason="No split has changed.")
    present = context.instance.get_dynamic_partitions(str(symbols.name))
    window = Window(DAILY_START, platform.clock())
    stale = partitions_touched_by_split(
        platform.stores, platform.stores.instruments.all(), partition_windows(Timeframe.D1, window)
    )
    ranges = ranges_of(present, stale, Timeframe.D1)
    requests = [
        RunRequest(
            run_key=f"{version}|{start}|{end}",
            asset_selection=[AssetKey("indicators_1d"), AssetKey("features")],
            tags={"dagster/asset_partition_range_start": str(start), "dagster/asset_partition_range_end": str(end)},
        )
        for start, end in ranges[:RUNS_A_TICK]
    ]
    left = len(ranges) > RUNS_A_TICK or not set(stale) <= set(present)  # the sensor `sync_symbol_partitions` adds these
    reason = None if requests else "No partition was computed with a split that has changed."
    return SensorResult(run_requests=requests, cursor=context.cursor if left else version, skip_reason=reason)
