"""The asset ``source_health``: how well each source serves, by day, with a chart; and its check.

The workflow is :mod:`trading_platform.workflows.quality.report_source_health`. ``coverage`` is in the same group.
"""

from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    AssetCheckSpec,
    MaterializeResult,
    MetadataValue,
    ResourceParam,
    TableColumn,
    TableRecord,
    TableSchema,
    asset,
)

from trading_platform.assets.metadata import OWNERS
from trading_platform.domain.quality.source_health import HEALTHY, SourceDay
from trading_platform.failures import STEP_RETRIES, dagster_failures
from trading_platform.resources.platform import PlatformContext
from trading_platform.workflows.quality.report_source_health import score_chart, source_health_of, unhealthy

CHECK = "sources_serve_well"
_DAYS = 90
_NUMBERS = ("score", "requests", "failed", "wrongly empty", "stored", "rejected", "corrected", "conflicting")
_COLUMNS = TableSchema(
    [
        TableColumn(name, "float" if name in ("score", "down") else "int" if name in _NUMBERS else "string")
        for name in ("source", "day", *_NUMBERS, "down")
    ]
)


@asset(
    group_name="maintenance",
    description="How well each source has served, by day: a score of 100 less what failed, was rejected, was empty "
    "although there were bars, was corrected later, came in two versions, or was down or late.",
    owners=OWNERS,
    kinds={"postgres"},
    deps=["coverage"],
    retry_policy=STEP_RETRIES,
    check_specs=[
        AssetCheckSpec(
            CHECK, asset="source_health", description=f"No source has scored less than {HEALTHY:g} since yesterday."
        )
    ],
)
def source_health(platform: ResourceParam[PlatformContext]) -> MaterializeResult:  # type: ignore[type-arg]
    """Counts the last days."""
    with dagster_failures():
        found = source_health_of(platform.stores.database, _DAYS, platform.clock)
    bad = unhealthy(found, platform.clock())
    newest = [days[-1] for days in found.values()]
    charts = {f"score of {source}": MetadataValue.md(score_chart(days)) for source, days in found.items()}
    return MaterializeResult(
        metadata={
            **charts,
            "newest day": MetadataValue.table([_record(each) for each in newest], _COLUMNS),
            "sources": MetadataValue.int(len(found)),
        },
        check_results=[
            AssetCheckResult(
                passed=not bad,
                check_name=CHECK,
                severity=AssetCheckSeverity.WARN,
                description="; ".join(_words(each) for each in bad) or f"{len(found)} sources serve well.",
                metadata={"sources": MetadataValue.int(len(found)), "below the limit": MetadataValue.int(len(bad))},
            )
        ],
    )


def _words(each: SourceDay) -> str:
    return f"{each.source} scored {each.score:g} on {each.day}: {each.words}"


def _record(each: SourceDay) -> TableRecord:
    return TableRecord(
        {
            "source": each.source,
            "day": each.day.isoformat(),
            "score": each.score,
            "requests": each.requests,
            "failed": each.failed,
            "wrongly empty": each.wrongly_empty,
            "stored": each.stored,
            "rejected": each.rejected,
            "corrected": each.corrected,
            "conflicting": each.conflicting,
            "down": round(each.down, 4),
        }
    )
