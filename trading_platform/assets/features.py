"""The asset ``features``: the feature store's Parquet files.

Features are defined in :mod:`trading_platform.domain.derived.features`. The workflow is
:mod:`trading_platform.workflows.derived.build_features`.
"""

from dagster import AssetExecutionContext, BackfillPolicy, ResourceParam, asset

from trading_platform.assets.before_history import record_before_history
from trading_platform.assets.metadata import (
    OWNERS,
    column_schema,
    describe_partitions,
    log_up_to_date,
    partition_metadata,
)
from trading_platform.domain.derived.features import FEATURE_SCHEMA, FEATURES
from trading_platform.domain.time import Timeframe
from trading_platform.failures import STEP_RETRIES, dagster_failures
from trading_platform.partitions import daily, partition_key, work_of
from trading_platform.resources.platform import PlatformContext
from trading_platform.workflows.derived.build_features import CODE_VERSION, build_features

_COLUMNS = {
    "available_at": "first time at which the values could be known, UTC; point-in-time reads use it",
    **{name: f"{spec.description}: {spec.computation}" for name, spec in FEATURES.items()},
}


@asset(
    group_name="features",
    description="Point-in-time features of daily bars, one Parquet file for each symbol and month.",
    owners=OWNERS,
    kinds={"parquet", "polars"},
    deps=["ohlcv_1d", "corporate_actions"],
    partitions_def=daily,
    backfill_policy=BackfillPolicy.single_run(),
    retry_policy=STEP_RETRIES,
    code_version=CODE_VERSION,
    metadata={"dagster/column_schema": column_schema(FEATURE_SCHEMA, _COLUMNS, {"time", "symbol", "available_at"})},
)
def features(context: AssetExecutionContext, platform: ResourceParam[PlatformContext]) -> None:
    """Builds those partitions of the run that are out of date."""
    with dagster_failures():
        for symbols, windows in work_of(Timeframe.D1, context.partition_keys):
            report = build_features(
                platform.stores,
                platform.stores.instruments.all(),
                symbols,
                windows,
                clock=platform.clock,
                force=platform.force,
                progress=platform.progress,
            )
            describe_partitions(
                context,
                {
                    partition_key(symbol, Timeframe.D1, window): partition_metadata(rows, None, None)
                    for (symbol, window), rows in report.rows.items()
                },
            )
            record_before_history(context, platform, Timeframe.D1, symbols, windows)
            log_up_to_date(context, report.up_to_date)
