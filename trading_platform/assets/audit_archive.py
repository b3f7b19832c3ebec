"""The asset ``audit_archive``: decisions and system events older than a year, in Parquet files.

The workflow is :mod:`trading_platform.workflows.audit.archive_audit`, the rules are in
:mod:`trading_platform.workflows.quality.verify_archive`.
"""

from dagster import AssetExecutionContext, Failure, MaterializeResult, MetadataValue, ResourceParam, TableRecord, asset

from trading_platform.assets.metadata import OWNERS
from trading_platform.failures import STEP_RETRIES, dagster_failures
from trading_platform.resources.platform import PlatformContext
from trading_platform.workflows.audit.archive_audit import ArchiveReport, MonthReport, archive_audit
from trading_platform.workflows.quality.verify_archive import ASSET


@asset(
    name=ASSET,
    group_name="maintenance",
    description="Moves decisions and system events older than a year from the database to Parquet files, one for each "
    "table and month. Verifies a file before the rows are dropped. Also creates the partitions of the next months.",
    owners=OWNERS,
    kinds={"postgres", "parquet"},
    retry_policy=STEP_RETRIES,
)
def audit_archive(context: AssetExecutionContext, platform: ResourceParam[PlatformContext]) -> MaterializeResult[None]:
    """Brings the archive up to date."""
    with dagster_failures():
        report = archive_audit(
            platform.stores.owner, platform.stores.archive, clock=platform.clock, progress=platform.progress
        )
    if report.failed:
        raise _as_failure(report)
    for month in report.months:
        context.log.info("%s %s: %s, %d rows", month.table, month.month, month.outcome.value, month.rows)
    return MaterializeResult(
        metadata={
            "rows archived": MetadataValue.int(sum(month.rows for month in report.months)),
            "partitions created": MetadataValue.int(len(report.partitions_made)),
            **_months(report.months),
        }
    )


def _months(months: tuple[MonthReport, ...]) -> dict[str, MetadataValue]:
    records = [
        TableRecord(
            {
                "table": month.table,
                "month": month.month,
                "outcome": month.outcome.value,
                "rows": month.rows,
                "bytes": month.size,
            }
        )
        for month in months
    ]
    return {"months": MetadataValue.table(records)} if records else {}


def _as_failure(report: ArchiveReport) -> Failure:
    names = ", ".join(f"{month.table} {month.month}" for month in report.failed[:10])
    return Failure(
        description=f"{len(report.failed)} months could not be archived and stay in the database ({names}). "
        f"First: {report.failed[0].error}",
        metadata=_months(report.months),
        allow_retries=False,
    )
