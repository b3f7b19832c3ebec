"""The check of the asset ``retention``: that what was due has happened, by its effect and not by a job's word."""

from dagster import AssetCheckResult, AssetCheckSeverity, MetadataValue, ResourceParam, asset_check

from trading_platform.failures import STEP_RETRIES
from trading_platform.resources.platform import PlatformContext
from trading_platform.workflows.bars.apply_retention import overdue


@asset_check(
    asset="retention",
    description="No chunk is past its time to be compressed or dropped by more than two days, and where the database "
    "does not make partitions by itself, tomorrow has one.",
    retry_policy=STEP_RETRIES,
)
def retention_on_time(platform: ResourceParam[PlatformContext]) -> AssetCheckResult:
    """Looks at chunks and partitions."""
    tables = platform.stores.retention.status(platform.clock())
    late = overdue(tables, clock=platform.clock)
    return AssetCheckResult(
        passed=not late,
        severity=AssetCheckSeverity.WARN,
        description="; ".join(late) or f"All {len(tables)} tables are on time.",
        metadata={"looked at": MetadataValue.int(len(tables)), "failing_rows": MetadataValue.int(len(late))},
    )
