"""The check ``drift`` of the asset ``features``: the last month's distributions against those of before.

The job ``features_audit`` runs it each night. The rule is in :mod:`trading_platform.workflows.features.statistics`.
"""

from dagster import AssetCheckResult, AssetCheckSeverity, MetadataValue, ResourceParam, TableRecord, asset_check

from trading_platform.failures import STEP_RETRIES, dagster_failures
from trading_platform.resources.platform import PlatformContext
from trading_platform.workflows.features.statistics import Drift, drifts, record_missing


@asset_check(
    asset="features",
    description="In the last complete month, no feature without a unit has a distribution that is further from its "
    "baseline (population stability index) than in the months before.",
    retry_policy=STEP_RETRIES,
)
def drift(platform: ResourceParam[PlatformContext]) -> AssetCheckResult:
    """Compares all features; the statistics that lack are computed first."""
    with dagster_failures():
        record_missing(platform.stores.features)
        found = drifts(platform.stores.features)
    unusual = [each for each in found if each.is_unusual]
    return AssetCheckResult(
        passed=not unusual,
        severity=AssetCheckSeverity.WARN,
        description=_description(found, unusual),
        metadata={
            "features judged": MetadataValue.int(sum(each.limit is not None for each in found)),
            "features with too few months": MetadataValue.int(sum(each.limit is None for each in found)),
            **({"indices": MetadataValue.table([_record(each) for each in found])} if found else {}),
        },
    )


def _description(found: list[Drift], unusual: list[Drift]) -> str:
    if unusual:
        names = ", ".join(each.feature for each in unusual)
        return (
            f"In {unusual[0].month} the distribution of {len(unusual)} of {len(found)} features is further from its "
            f"baseline than in any month before: {names}. To do: look whether the market or the data has changed, and "
            "test models that use them on this month."
        )
    if not any(each.limit is not None for each in found):
        return "There are no features with a baseline and twelve months before the last one, so nothing was judged."
    return f"The distributions of {len(found)} features in {found[0].month} are as in the months before."


def _record(each: Drift) -> TableRecord:
    return TableRecord(
        {
            "feature": each.feature,
            "month": each.month,
            "to the month before": "" if each.before is None else round(each.before, 3),
            "to the baseline": round(each.baseline, 3),
            "limit": "" if each.limit is None else round(each.limit, 3),
        }
    )
