"""The asset checks of ``audit_archive``, in one multi-check like those of the other assets.

The rules are in :mod:`trading_platform.workflows.quality.verify_archive`.
"""

from collections.abc import Iterator

from dagster import AssetCheckExecutionContext, AssetCheckResult, AssetCheckSpec, ResourceParam, multi_asset_check

from trading_platform.checks.asset_checks import as_asset_check_result
from trading_platform.failures import STEP_RETRIES, dagster_failures
from trading_platform.resources.platform import PlatformContext
from trading_platform.workflows.quality.verify_archive import ARCHIVE_CHECKS, ASSET, verify_archive


@multi_asset_check(
    name=f"{ASSET}_checks",
    description="All rules of the audit archive.",
    specs=[AssetCheckSpec(check.name, asset=ASSET, description=check.description) for check in ARCHIVE_CHECKS],
    retry_policy=STEP_RETRIES,
)
def archive_checks(
    _context: AssetCheckExecutionContext, platform: ResourceParam[PlatformContext]
) -> Iterator[AssetCheckResult]:
    """Checks the archive as it is now."""
    with dagster_failures():
        results = verify_archive(platform.stores.owner, platform.stores.archive, clock=platform.clock)
    for result in results:
        yield as_asset_check_result(result)
