"""The sensor ``recompute_after_split``: what a new, corrected or removed split touches is computed anew.

It looks at nothing but splits that have changed since its last look, and asks for exactly the partitions whose
features or indicators were computed across others than there are now.
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
from trading_platform.domain.time import Timeframe, Window, partition_windows
from trading_platform.partitions import DAILY_START, ranges_of, symbols
from trading_platform.resources.platform import PlatformContext
from trading_platform.workflows.derived.build_features import partitions_touched_by_split

INTERVAL_SECONDS = 300
RUNS_A_TICK = 20
"""What is left is taken up by the next tick."""


@sensor(
    job_name=jobs.daily.name,
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=DefaultSensorStatus.RUNNING,
    description="Computes anew the daily features and indicators that a new, corrected or removed split touches.",
)
def recompute_after_split(context: SensorEvaluationContext, platform: ResourceParam[PlatformContext]) -> SensorResult:
    """One short query where no split has changed."""
    version = platform.stores.corporate_actions.version_of_splits()
    if version == context.cursor:
        return SensorResult(skip_reason="No split has changed.")
    known = context.instance.get_dynamic_partitions(str(symbols.name))
    window = Window(DAILY_START, platform.clock())
    stale = partitions_touched_by_split(
        platform.stores, platform.stores.instruments.all(), partition_windows(Timeframe.D1, window)
    )
    ranges = ranges_of(known, stale, Timeframe.D1)
    requests = [
        RunRequest(
            run_key=f"{version}|{start}|{end}",
            asset_selection=[AssetKey("indicators_1d"), AssetKey("features")],
            tags={"dagster/asset_partition_range_start": str(start), "dagster/asset_partition_range_end": str(end)},
        )
        for start, end in ranges[:RUNS_A_TICK]
    ]
    left = len(ranges) > RUNS_A_TICK or not set(stale) <= set(known)  # the sensor `sync_symbol_partitions` adds these
    said = None if requests else "No partition was computed across a split that has changed."
    return SensorResult(run_requests=requests, cursor=context.cursor if left else version, skip_reason=said)
