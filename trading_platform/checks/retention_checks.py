"""The check of the asset ``retention``: compression and drops that were due have happened.

It looks at the chunks and partitions themselves, not at the reports of jobs.
"""

from dagster import AssetCheckResult, AssetCheckSeverity, MetadataValue, ResourceParam, asset_check

from trading_platform.failures import STEP_RETRIES
from trading_platform.resources.platform import PlatformContext
from trading_platform.workflows.bars.apply_retention import overdue


@asset_check(
    asset="retention",
    description="No chunk is more than two days overdue for compression or dropping. Where the database does not "
    "create partitions by itself, tomorrow has one.",
    retry_policy=STEP_RETRIES,
)
def retention_on_time(platform: ResourceParam[PlatformContext]) -> AssetCheckResult:
    """Checks chunks and partitions."""
    tables = platform.stores.retention.status(platform.clock())
    late = overdue(tables, clock=platform.clock)
    return AssetCheckResult(
        passed=not late,
        severity=AssetCheckSeverity.WARN,
        description="; ".join(late) or f"All {len(tables)} tables are on time.",
        metadata={"tables checked": MetadataValue.int(len(tables)), "overdue": MetadataValue.int(len(late))},
    )
