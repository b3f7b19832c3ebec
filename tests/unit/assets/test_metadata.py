"""Metadata of many partitions at once reaches each partition's materialization, as Dagster's own way does for one."""

from datetime import UTC, datetime

import pytest
from dagster import AssetExecutionContext, BackfillPolicy, DagsterInstance, asset, materialize

from trading_platform.assets.metadata import describe_partitions, partition_metadata
from trading_platform.domain.time import Timeframe, Window, partition_windows
from trading_platform.partitions import daily, partition_key
from trading_platform.partitions import symbols as symbol_partitions

YEARS = partition_windows(Timeframe.D1, Window(datetime(2021, 1, 1, tzinfo=UTC), datetime(2023, 1, 1, tzinfo=UTC)))
ROWS = {
    partition_key(symbol, Timeframe.D1, year): 10 * row + column
    for row, symbol in enumerate(("AAPL", "SPY"))
    for column, year in enumerate(YEARS)
}


def _at_once(context: AssetExecutionContext) -> None:
    describe_partitions(context, {key: partition_metadata(rows, None, None) for key, rows in ROWS.items()})


def _one_by_one(context: AssetExecutionContext) -> None:
    for key, rows in ROWS.items():
        context.add_asset_metadata(partition_metadata(rows, None, None), partition_key=key)


def _materialized(describe) -> dict[str, dict[str, object]]:
    @asset(name="bars", partitions_def=daily, backfill_policy=BackfillPolicy.single_run())
    def bars(context: AssetExecutionContext) -> None:
        context.add_asset_metadata({"of the run": 1})
        describe(context)

    keys = list(ROWS)
    with DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(symbol_partitions.name, ["AAPL", "SPY"])
        result = materialize(
            [bars],
            instance=instance,
            tags={
                "dagster/asset_partition_range_start": str(keys[0]),
                "dagster/asset_partition_range_end": str(keys[-1]),
            },
        )
        return {
            event.partition: {name: value.value for name, value in event.materialization.metadata.items()}
            for event in result.get_asset_materialization_events()
        }


@pytest.mark.parametrize("describe", [_at_once, _one_by_one])
def test_each_partition_carries_its_own_metadata(describe):
    found = _materialized(describe)
    assert {key: metadata["dagster/partition_row_count"] for key, metadata in found.items()} == {
        str(key): rows for key, rows in ROWS.items()
    }
    assert all(metadata["of the run"] == 1 for metadata in found.values())
