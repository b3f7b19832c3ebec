"""The assets ``features`` and ``features_1h``: the feature store's Parquet files of daily and of hourly rows.

Their columns come from the definitions (:mod:`trading_platform.stores.features.definitions`). The workflows are
:mod:`trading_platform.workflows.derived.build_features` and ``build_hourly_features``.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
from dagster import (
    AllPartitionMapping,
    AssetDep,
    AssetExecutionContext,
    AssetsDefinition,
    BackfillPolicy,
    MetadataValue,
    ResourceParam,
    asset,
)

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
from trading_platform.partitions import months_of_year, partition_key, partitions_of, work_of
from trading_platform.resources.platform import PlatformContext
from trading_platform.stores.features.definitions import Definitions
from trading_platform.stores.features.files import FeatureStore
from trading_platform.stores.features.statistics import FeatureStatistics
from trading_platform.workflows.derived.build_features import DATASET as DAILY
from trading_platform.workflows.derived.build_features import build_features
from trading_platform.workflows.derived.build_hourly_features import DATASET as HOURLY
from trading_platform.workflows.derived.build_hourly_features import build_hourly_features
from trading_platform.workflows.features.statistics import months_of, record_statistics

_Described = dict[tuple[str, Window], dict[str, Any]]

_DATASETS = {Timeframe.D1: DAILY, Timeframe.H1: HOURLY}
_DESCRIPTIONS = {
    Timeframe.D1: "Point-in-time features of daily bars, one Parquet file for each symbol and month.",
    Timeframe.H1: "Point-in-time features of hourly bars, of instruments that trade round the clock; one Parquet file "
    "for each symbol and month. Partitions of other instruments are empty.",
}
_NEWS = AssetDep("news_sentiment", partition_mapping=AllPartitionMapping())
_DEPENDENCIES: dict[Timeframe, list[AssetDep | str]] = {
    Timeframe.D1: ["ohlcv_1d", "corporate_actions", _NEWS],
    Timeframe.H1: ["ohlcv_1h", AssetDep("ohlcv_1d", partition_mapping=months_of_year), "corporate_actions", _NEWS],
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
    described = {part: partition_metadata(rows, None, None) for part, rows in report.rows.items()}
    if frequency is Timeframe.D1:
        described = _with_statistics(platform.stores.features, report.rows, described)
    describe_partitions(
        context, {partition_key(symbol, frequency, window): each for (symbol, window), each in described.items()}
    )
    record_before_history(context, platform, frequency, symbols, windows)
    log_up_to_date(context, report.up_to_date)


def _with_statistics(store: FeatureStore, rows: Mapping[tuple[str, Window], int], described: _Described) -> _Described:
    """The descriptions of partitions of daily rows with their statistics, which are recorded before."""
    record_statistics(store, rows)
    statistics = FeatureStatistics(store.directory).read(sorted({symbol for symbol, _ in rows}))
    newest = max((window for _, window in rows), default=None)
    return {
        (symbol, window): {
            **each,
            **_statistics_of(statistics.filter(symbol=symbol), window, drawn=window == newest),
        }
        for (symbol, window), each in described.items()
    }


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
