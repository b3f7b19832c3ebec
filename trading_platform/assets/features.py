"""The asset ``features``: the feature store's Parquet files.

Its columns come from the definitions (:mod:`trading_platform.stores.features.definitions`). The workflow is
:mod:`trading_platform.workflows.derived.build_features`.
"""

from collections.abc import Mapping, Sequence

import polars as pl
from dagster import AssetExecutionContext, AssetsDefinition, BackfillPolicy, MetadataValue, ResourceParam, asset

from trading_platform.assets.before_history import record_before_history
from trading_platform.assets.metadata import (
    OWNERS,
    column_schema,
    describe_partitions,
    log_up_to_date,
    partition_metadata,
)
from trading_platform.domain.charts import small_multiples
from trading_platform.domain.time import Timeframe, Window
from trading_platform.failures import STEP_RETRIES, dagster_failures
from trading_platform.partitions import daily, partition_key, work_of
from trading_platform.resources.platform import PlatformContext
from trading_platform.stores.features.definitions import Definitions
from trading_platform.stores.features.statistics import FeatureStatistics
from trading_platform.workflows.derived.build_features import build_features
from trading_platform.workflows.features.statistics import months_of, record_statistics


def features_asset(definitions: Definitions) -> AssetsDefinition:
    """The asset with a column for each feature of some definitions."""
    known = definitions.features
    columns = {
        "available_at": "first time at which the values could be known, UTC; point-in-time reads use it",
        **{name: f"{each.description}: {each.formula}" for name, each in known.features.items()},
        **{name: f"{each.description}. {each.awaits}" for name, each in known.features.items() if each.awaits},
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
        code_version=definitions.fingerprint,
        metadata={"dagster/column_schema": column_schema(known.schema, columns, {"time", "symbol", "available_at"})},
    )
    def features(context: AssetExecutionContext, platform: ResourceParam[PlatformContext]) -> None:
        """Builds those partitions of the run that are out of date."""
        with dagster_failures():
            for symbols, windows in work_of(Timeframe.D1, context.partition_keys):
                _build(context, platform, symbols, windows)

    return features


def _build(
    context: AssetExecutionContext, platform: PlatformContext, symbols: Sequence[str], windows: Sequence[Window]
) -> None:
    report = build_features(
        platform.stores,
        platform.stores.instruments.all(),
        symbols,
        windows,
        clock=platform.clock,
        force=platform.force,
        progress=platform.progress,
    )
    record_statistics(platform.stores.features, report.rows)
    statistics = FeatureStatistics(platform.stores.features.directory).read(
        sorted({symbol for symbol, _ in report.rows})
    )
    newest = max((window for _, window in report.rows), default=None)
    describe_partitions(
        context,
        {
            partition_key(symbol, Timeframe.D1, window): {
                **partition_metadata(rows, None, None),
                **_statistics_of(statistics.filter(symbol=symbol), window, drawn=window == newest),
            }
            for (symbol, window), rows in report.rows.items()
        },
    )
    record_before_history(context, platform, Timeframe.D1, symbols, windows)
    log_up_to_date(context, report.up_to_date)


def _statistics_of(statistics: pl.DataFrame, window: Window, *, drawn: bool) -> Mapping[str, MetadataValue]:
    """The share of missing values in a partition, and the course of each feature's monthly mean as a picture.

    Only the newest year of a run is drawn: pictures of 20,000 partitions would be 160 MB in Dagster's database.
    """
    own = statistics.filter(pl.col("month").is_in(months_of(window))).sort("feature", "month")
    rows, nulls = own.select(pl.col("rows").sum(), pl.col("nulls").sum()).row(0)
    share = {"share of missing values": MetadataValue.float(nulls / rows if rows else 0.0)}
    if not drawn:
        return share
    means = {
        str(name): part["mean"].to_list()
        for (name,), part in own.partition_by("feature", as_dict=True, maintain_order=True).items()
    }
    return {**share, "monthly means": MetadataValue.md(small_multiples(means))}
