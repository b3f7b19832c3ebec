"""The assets ``ohlcv_1m``, ``ohlcv_5m``, ``ohlcv_1h`` and ``ohlcv_1d``: final OHLCV bars in TimescaleDB.

The workflow is :mod:`trading_platform.workflows.backfill.backfill_bars`.
"""

from collections.abc import Sequence
from datetime import datetime

from dagster import (
    AssetDep,
    AssetExecutionContext,
    AssetMaterialization,
    AssetObservation,
    AssetsDefinition,
    BackfillPolicy,
    MetadataValue,
    ResourceParam,
    asset,
)

from trading_platform.assets.before_history import record_before_history
from trading_platform.assets.metadata import OWNERS, column_schema, describe_partitions, partition_metadata
from trading_platform.domain.market.bars import BAR_SCHEMA
from trading_platform.domain.quality.completeness import CoverageCount
from trading_platform.domain.time import Timeframe, Window
from trading_platform.failures import STEP_RETRIES, as_failures, dagster_failures
from trading_platform.partitions import months_of_year, partition_key, partitions_of, work_of
from trading_platform.resources.platform import PlatformContext
from trading_platform.workflows.backfill.backfill_bars import BackfillReport, backfill_bars
from trading_platform.workflows.bars.roll_up_bars import shorter_than

BAR_COLUMNS = {
    "open": "first price",
    "high": "highest price",
    "low": "lowest price",
    "close": "last price",
    "volume": "traded quantity; NULL where the source has none",
    "source": "name of the source of the bar",
    "quality": "traded, no_trade, repaired or review",
}

_DESCRIPTIONS = {
    Timeframe.M1: "One-minute bars, from the source's trades or the imported files.",
    Timeframe.M5: "Five-minute bars: the source's own where it has them, else rolled up from one-minute bars.",
    Timeframe.H1: "Hourly bars: the source's own where it has them, else rolled up from shorter bars.",
    Timeframe.D1: "Daily bars: the source's own where it has them, else the session rolled up from shorter bars.",
}


def _depends_on(timeframe: Timeframe) -> list[AssetDep]:
    mapping = months_of_year if timeframe is Timeframe.D1 else None
    return [AssetDep(f"ohlcv_{shorter}", partition_mapping=mapping) for shorter in shorter_than(timeframe)]


def _bar_asset(timeframe: Timeframe) -> AssetsDefinition:
    @asset(
        name=f"ohlcv_{timeframe}",
        group_name="bars",
        description=_DESCRIPTIONS[timeframe],
        owners=OWNERS,
        kinds={"postgres", "polars"},
        deps=_depends_on(timeframe),
        partitions_def=partitions_of(timeframe),
        backfill_policy=BackfillPolicy.single_run(),
        retry_policy=STEP_RETRIES,
        metadata={
            "dagster/column_schema": column_schema(BAR_SCHEMA, BAR_COLUMNS, {"time", "symbol", "timeframe", "quality"}),
            "dagster/table_name": f"market_data.bars_{timeframe}",
        },
    )
    def bars(context: AssetExecutionContext, platform: ResourceParam[PlatformContext]) -> None:
        reports: list[BackfillReport] = []
        with dagster_failures():
            for symbols, windows in work_of(timeframe, context.partition_keys):
                report = backfill_bars(
                    platform.stores,
                    platform.sources,
                    platform.instruments(symbols),
                    timeframe,
                    windows,
                    clock=platform.clock,
                    force=platform.force,
                    progress=platform.progress,
                )
                _describe(context, platform, timeframe, report, symbols, windows)
                reports.append(report)
        _fail_where_failed(context, timeframe, reports)

    return bars


bar_assets = [_bar_asset(timeframe) for timeframe in Timeframe]


def _describe(
    context: AssetExecutionContext,
    platform: PlatformContext,
    timeframe: Timeframe,
    report: BackfillReport,
    symbols: Sequence[str],
    windows: Sequence[Window],
) -> None:
    closes = _daily_closes(platform, timeframe, symbols, Window(windows[0].start, windows[-1].end))
    described = {}
    for count in report.counts:
        drawn = [value for time, value in closes.get(count.symbol, ()) if time in count.window]
        described[partition_key(count.symbol, timeframe, count.window)] = {
            **_coverage_metadata(count),
            **partition_metadata(count.bars, count.first, count.last, drawn),
        }
    describe_partitions(context, described)
    record_before_history(context, platform, timeframe, symbols, windows)


def _coverage_metadata(count: CoverageCount) -> dict[str, MetadataValue]:
    return {
        name: MetadataValue.int(bars)
        for name, bars in (
            ("expected", count.expected),
            ("confirmed empty", count.empty),
            ("pending confirmation", count.pending_confirmation),
            ("rejected", count.rejected),
            ("missing", count.missing),
            ("out of session", count.out_of_session),
        )
    }


def _daily_closes(
    platform: PlatformContext, timeframe: Timeframe, symbols: Sequence[str], window: Window
) -> dict[str, list[tuple[datetime, float]]]:
    closes = platform.stores.bars.closes(symbols, timeframe, window)
    return {
        symbol: list(part.select("time", "close").iter_rows())
        for (symbol,), part in closes.partition_by("symbol", as_dict=True).items()
    }


def _fail_where_failed(context: AssetExecutionContext, timeframe: Timeframe, reports: Sequence[BackfillReport]) -> None:
    """Records the partitions that succeeded, then fails the run if any partition failed.

    Dagster cannot mark one partition of a single run as failed (dagster-io/dagster#21072).
    """
    failed = {failure.symbol: failure.error for report in reports for failure in report.failures}
    if not failed:
        return
    stored = 0
    for report in reports:
        for count in report.counts:
            key = partition_key(count.symbol, timeframe, count.window)
            if count.symbol in failed:
                error = {"error": MetadataValue.text(str(failed[count.symbol]))}
                context.log_event(AssetObservation(context.asset_key, partition=key, metadata=error))
            else:
                metadata = {
                    **_coverage_metadata(count),
                    **partition_metadata(count.bars, count.first, count.last),
                }
                context.log_event(AssetMaterialization(context.asset_key, partition=key, metadata=metadata))
                stored += 1
    raise as_failures(list(failed.items()), kept=stored)
