"""The partitions before the available history of a symbol: recorded as done, so that Dagster's "missing" means missing.

All symbols share the partitions' start (:mod:`trading_platform.partitions`); Dagster has no start of each symbol's own.
docs/decisions/0052-partitions-before-the-history.md says what was considered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dagster import AssetExecutionContext, AssetMaterialization, AssetRecordsFilter
from dagster._core.events import DagsterEvent, DagsterEventBatchMetadata

from trading_platform.domain.errors import TradingPlatformError
from trading_platform.domain.time import Timeframe, Window, partition_windows
from trading_platform.partitions import first_window, partition_key, time_key
from trading_platform.resources.platform import PlatformContext
from trading_platform.workflows.backfill.plan_backfill import available_history_of


def record_before_history(
    context: AssetExecutionContext,
    platform: PlatformContext,
    timeframe: Timeframe,
    symbols: Sequence[str],
    windows: Sequence[Window],
) -> None:
    """Records the partitions before the run's, once, for each symbol whose available history begins in the run.

    They hold nothing, and nothing can be requested for them. When an import brings earlier bars, their partitions are
    materialized like all others. Before the run of a symbol whose history begins earlier nothing is recorded: that is
    missing.

    Args:
        context: context of an asset that is partitioned by symbol and time.
        platform: stores and sources.
        timeframe: timeframe of the bars that the asset is, or is made of.
        symbols: symbols of the run.
        windows: windows of their partitions.
    """
    first, start = min(windows), first_window(timeframe).start
    earlier = partition_windows(timeframe, Window(start, first.start)) if start < first.start else []
    unrecorded = _unrecorded(context, timeframe, symbols, earlier[-1]) if earlier else []
    events = [
        AssetMaterialization(
            context.asset_key,
            description=f"before the available history of {symbol}, which begins in {time_key(timeframe, first)}",
            partition=partition_key(symbol, timeframe, window),
            metadata={"dagster/partition_row_count": 0},
        )
        for symbol in unrecorded
        if _begins_in_run(platform, timeframe, symbol, first)
        for window in earlier
    ]
    # One statement stores the whole batch. Thousands of events one by one take longer than the bars themselves.
    step, batch = context.get_step_execution_context(), f"{context.run.run_id} before {first.start:%Y-%m}"
    for number, event in enumerate(events, start=1):
        last = DagsterEventBatchMetadata(batch, is_end=number == len(events))
        DagsterEvent.asset_materialization(step, event, batch_metadata=last)


def _unrecorded(
    context: AssetExecutionContext, timeframe: Timeframe, symbols: Sequence[str], window: Window
) -> list[str]:
    """The symbols without a materialization of one window."""
    keys: Mapping[str, str] = {str(partition_key(symbol, timeframe, window)): symbol for symbol in symbols}
    wanted = AssetRecordsFilter(asset_key=context.asset_key, asset_partitions=list(keys))
    stored = {
        record.partition_key for record in context.instance.fetch_materializations(wanted, limit=len(keys)).records
    }
    return [symbol for key, symbol in keys.items() if key not in stored]


def _begins_in_run(platform: PlatformContext, timeframe: Timeframe, symbol: str, first: Window) -> bool:
    try:
        (instrument,) = platform.instruments([symbol])
        history = available_history_of(platform.stores, platform.sources, instrument, timeframe, platform.clock)
    except TradingPlatformError:
        return False  # its source does not say what it has; what is before stays missing
    return history is not None and bool(history.windows) and history.windows[0].start >= first.start
