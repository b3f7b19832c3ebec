"""The check ``expectations`` of bars, features and news: suites of Great Expectations, with a link to their pages.

The job ``features_audit`` runs them each night. The suites are in
:mod:`trading_platform.workflows.quality.suites.expectations`; importing this module loads neither it nor pandas.
"""

from dagster import (
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSeverity,
    MetadataValue,
    ResourceParam,
    asset_check,
)

from trading_platform.failures import STEP_RETRIES, dagster_failures
from trading_platform.resources.platform import PlatformContext
from trading_platform.workflows.quality.suites.expectations import SUITES, run_suite


def _check_of(asset: str) -> AssetChecksDefinition:
    @asset_check(
        asset=asset,
        name="expectations",
        description=f"The suite of Great Expectations for {asset} holds over the last year, of news the last month.",
        retry_policy=STEP_RETRIES,
    )
    def expectations(platform: ResourceParam[PlatformContext]) -> AssetCheckResult:
        with dagster_failures():
            found = run_suite(platform.stores, asset, platform.data_docs, clock=platform.clock)
        return AssetCheckResult(
            passed=not found.failed,
            severity=AssetCheckSeverity.ERROR,
            description=found.note or _description(found.failed, found.rows),
            metadata={
                "rows checked": MetadataValue.int(found.rows),
                "failing expectations": MetadataValue.int(len(found.failed)),
                **({"Data Docs": MetadataValue.url(found.page.as_uri())} if found.page else {}),
            },
        )

    return expectations


def _description(failed: tuple[str, ...], rows: int) -> str:
    if not failed:
        return f"All expectations hold over {rows:,} rows."
    return f"Of {rows:,} rows some do not hold: {'; '.join(failed)}. The Data Docs show the values."


expectations_checks = [_check_of(asset) for asset in SUITES]
