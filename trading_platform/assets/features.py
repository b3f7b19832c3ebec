"""The assets ``features`` and ``features_1h``: the feature store's Parquet files of daily and of hourly rows.

Their columns come from the definitions (:mod:`trading_platform.stores.features.definitions`). The workflows are
:mod:`trading_platform.workflows.derived.build_features` and ``build_hourly_features``.
"""

from collections.abc import Sequence

from dagster import AssetDep, AssetExecutionContext, AssetsDefinition, BackfillPolicy, ResourceParam, asset

from trading_platform.assets.before_history import record_before_history
from trading_platform.assets.metadata import (
    OWNERS,
    column_schema,
    describe_partitions,
    log_up_to_date,
    partition_metadata,
)
from trading_platform.domain.time import Timeframe, Window
from trading_platform.failures import STEP_RETRIES, dagster_failures
from trading_platform.partitions import months_of_year, partition_key, partitions_of, work_of
from trading_platform.resources.platform import PlatformContext
from trading_platform.stores.features.definitions import Definitions
from trading_platform.workflows.derived.build_features import DATASET as DAILY
from trading_platform.workflows.derived.build_features import build_features
from trading_platform.workflows.derived.build_hourly_features import DATASET as HOURLY
from trading_platform.workflows.derived.build_hourly_features import build_hourly_features

_DATASETS = {Timeframe.D1: DAILY, Timeframe.H1: HOURLY}
_DESCRIPTIONS = {
    Timeframe.D1: "Point-in-time features of daily bars, one Parquet file for each symbol and month.",
    Timeframe.H1: "Point-in-time features of hourly bars, of instruments that trade round the clock; one Parquet file "
    "for each symbol and month. Partitions of other instruments are empty.",
}
_DEPENDENCIES: dict[Timeframe, list[AssetDep | str]] = {
    Timeframe.D1: ["ohlcv_1d", "corporate_actions"],
    Timeframe.H1: ["ohlcv_1h", AssetDep("ohlcv_1d", partition_mapping=months_of_year), "corporate_actions"],
}


def feature_assets(definitions: Definitions) -> list[AssetsDefinition]:
    """The assets with a column for each feature of some definitions."""
    return [_feature_asset(definitions.of(frequency), frequency) for frequency in (Timeframe.D1, Timeframe.H1)]


def _feature_asset(definitions: Definitions, frequency: Timeframe) -> AssetsDefinition:
    known = definitions.features
    columns = {
        "available_at": "first time at which the values could be known, UTC; point-in-time reads use it",
        **{name: f"{each.description}: {each.formula}" for name, each in known.features.items()},
        **{name: f"{each.description}. {each.awaits}" for name, each in known.features.items() if each.awaits},
    }

    @asset(
        name=_DATASETS[frequency],
        group_name="features",
        description=_DESCRIPTIONS[frequency],
        owners=OWNERS,
        kinds={"parquet", "polars"},
        deps=_DEPENDENCIES[frequency],
        partitions_def=partitions_of(frequency),
        backfill_policy=BackfillPolicy.single_run(),
        retry_policy=STEP_RETRIES,
        code_version=definitions.fingerprint,
        metadata={"dagster/column_schema": column_schema(known.schema, columns, {"time", "symbol", "available_at"})},
    )
    def features(context: AssetExecutionContext, platform: ResourceParam[PlatformContext]) -> None:
        """Builds those partitions of the run that are out of date."""
        with dagster_failures():
            for symbols, windows in work_of(frequency, context.partition_keys):
                _build(context, platform, frequency, symbols, windows)

    return features


def _build(
    context: AssetExecutionContext,
    platform: PlatformContext,
    frequency: Timeframe,
    symbols: Sequence[str],
    windows: Sequence[Window],
) -> None:
    build = build_hourly_features if frequency is Timeframe.H1 else build_features
    report = build(
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
            partition_key(symbol, frequency, window): partition_metadata(rows, None, None)
            for (symbol, window), rows in report.rows.items()
        },
    )
    record_before_history(context, platform, frequency, symbols, windows)
    log_up_to_date(context, report.up_to_date)
