"""The asset ``retention``: bars and indicators kept as long as the rules say, and no longer.

The work is :mod:`trading_platform.workflows.bars.apply_retention`; its neighbour in the group is ``audit_archive``.
"""

from dagster import AssetExecutionContext, MaterializeResult, MetadataValue, ResourceParam, TableRecord, asset

from trading_platform.assets.metadata import OWNERS
from trading_platform.failures import STEP_RETRIES, dagster_failures
from trading_platform.resources.platform import PlatformContext
from trading_platform.stores.market_data.retention import TableStatus
from trading_platform.workflows.bars.apply_retention import apply_retention


@asset(
    group_name="maintenance",
    description="How long bars and indicators live: partitions made ahead, the hourly aggregate refreshed, what is "
    "past its keep dropped. With TimescaleDB its own policies compress and drop; they are made what the rules say.",
    owners=OWNERS,
    kinds={"postgres"},
    retry_policy=STEP_RETRIES,
)
def retention(context: AssetExecutionContext, platform: ResourceParam[PlatformContext]) -> MaterializeResult[None]:
    """Does what is due."""
    with dagster_failures():
        report = apply_retention(platform.stores, clock=platform.clock)
    for said in report.policies:
        context.log.info("Policy changed: %s", said)
    for dropped in report.dropped:
        context.log.info("Dropped of %s: %s, %d rows", dropped.table, dropped.window, dropped.rows)
    return MaterializeResult(
        metadata={
            "tables": MetadataValue.table([_record(table) for table in report.tables]),
            "partitions made": MetadataValue.int(report.partitions),
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
