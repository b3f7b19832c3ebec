"""The assets ``indicators_1m``, ``indicators_5m``, ``indicators_1h`` and ``indicators_1d``.

Formulas are in :mod:`trading_platform.domain.derived.indicators`. The workflow is
:mod:`trading_platform.workflows.derived.compute_indicators`.
"""

from dagster import AssetExecutionContext, AssetsDefinition, BackfillPolicy, ResourceParam, asset

from trading_platform.assets.before_history import record_before_history
from trading_platform.assets.metadata import (
    OWNERS,
    column_schema,
    describe_partitions,
    log_up_to_date,
    partition_metadata,
)
from trading_platform.domain.derived.indicators import INDICATOR_SCHEMA, INDICATORS
from trading_platform.domain.time import Timeframe
from trading_platform.failures import STEP_RETRIES, dagster_failures
from trading_platform.partitions import partition_key, partitions_of, work_of
from trading_platform.resources.platform import PlatformContext
from trading_platform.workflows.derived.compute_indicators import CODE_VERSION, compute_indicators_of

_COLUMNS = {name: f"{spec.description}: {spec.formula}" for name, spec in INDICATORS.items()}


def _indicator_asset(timeframe: Timeframe) -> AssetsDefinition:
    @asset(
        name=f"indicators_{timeframe}",
        group_name="indicators",
        description=f"The fourteen technical indicators of the {timeframe} bars, NULL while warming up.",
        owners=OWNERS,
        kinds={"postgres", "polars"},
        deps=[f"ohlcv_{timeframe}", "corporate_actions"],
        partitions_def=partitions_of(timeframe),
        backfill_policy=BackfillPolicy.single_run(),
        retry_policy=STEP_RETRIES,
        code_version=CODE_VERSION,
        metadata={
            "dagster/column_schema": column_schema(INDICATOR_SCHEMA, _COLUMNS, {"time", "symbol", "timeframe"}),
            "dagster/table_name": f"market_data.indicators_{timeframe}",
        },
    )
    def indicators(context: AssetExecutionContext, platform: ResourceParam[PlatformContext]) -> None:
        with dagster_failures():
            for symbols, windows in work_of(timeframe, context.partition_keys):
                report = compute_indicators_of(
                    platform.stores,
                    symbols,
                    timeframe,
                    windows,
                    clock=platform.clock,
                    force=platform.force,
                    progress=platform.progress,
                )
                describe_partitions(
                    context,
                    {
                        partition_key(symbol, timeframe, window): partition_metadata(rows, None, None)
                        for (symbol, window), rows in report.rows.items()
                    },
                )
                record_before_history(context, platform, timeframe, symbols, windows)
                log_up_to_date(context, report.up_to_date)

    return indicators


indicator_assets = [_indicator_asset(timeframe) for timeframe in Timeframe]
