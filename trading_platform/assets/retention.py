"""The asset ``retention``: drops bars and indicators that are older than their table's retention.

The workflow is :mod:`trading_platform.workflows.bars.apply_retention`. ``audit_archive`` is in the same group.
"""

from dagster import AssetExecutionContext, MaterializeResult, MetadataValue, ResourceParam, TableRecord, asset

from trading_platform.assets.metadata import OWNERS
from trading_platform.failures import STEP_RETRIES, dagster_failures
from trading_platform.resources.platform import PlatformContext
from trading_platform.stores.market_data.retention import TableStatus
from trading_platform.workflows.bars.apply_retention import apply_retention


@asset(
    group_name="maintenance",
    description="Applies the retention of bars and indicators: creates partitions ahead, refreshes the hourly "
    "aggregate, drops what is older than its retention. With TimescaleDB, its own policies compress and drop; this "
    "asset sets them from the table `config.retention`.",
    owners=OWNERS,
    kinds={"postgres"},
    retry_policy=STEP_RETRIES,
)
def retention(context: AssetExecutionContext, platform: ResourceParam[PlatformContext]) -> MaterializeResult[None]:
    """Applies what is due."""
    with dagster_failures():
        report = apply_retention(platform.stores, clock=platform.clock)
    for change in report.policies:
        context.log.info("Policy changed: %s", change)
    for dropped in report.dropped:
        context.log.info("Dropped from %s: %s, %d rows", dropped.table, dropped.window, dropped.rows)
    return MaterializeResult(
        metadata={
            "tables": MetadataValue.table([_record(table) for table in report.tables]),
            "partitions created": MetadataValue.int(report.partitions),
            "partitions dropped": MetadataValue.int(len(report.dropped)),
            "rows dropped": MetadataValue.int(sum(dropped.rows for dropped in report.dropped)),
            "messages pruned": MetadataValue.int(report.pruned),
        }
    )


def _record(table: TableStatus) -> TableRecord:
    shown: dict[str, str | int] = {
        "table": table.table,
        "rows": table.rows,
        "first": table.first.isoformat() if table.first else "",
        "last": table.last.isoformat() if table.last else "",
        "bytes": table.bytes,
        "chunks": table.chunks,
        "compressed": "" if table.compressed is None else str(table.compressed),
        "kept": table.keep or "for ever",
        "due to drop": table.due_to_drop,
    }
    return TableRecord(shown)
