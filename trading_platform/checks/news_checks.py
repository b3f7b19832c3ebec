"""The asset checks of ``raw_news`` and ``news_sentiment``, in one multi-check each like those of the other assets.

The rules are in :mod:`trading_platform.workflows.quality.verify_news`. A run of partitions checks only these days; any
other run checks everything.
"""

from collections.abc import Iterator

from dagster import (
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSpec,
    ResourceParam,
    multi_asset_check,
)

from trading_platform.assets.news import windows_of
from trading_platform.checks.asset_checks import as_asset_check_result
from trading_platform.domain.time import EARLIEST, LATEST, Window
from trading_platform.failures import STEP_RETRIES, dagster_failures
from trading_platform.resources.platform import PlatformContext
from trading_platform.workflows.quality.verify_news import ARTICLES, NEWS_CHECKS, SENTIMENT, verify_news


def _checks_of(asset: str) -> AssetChecksDefinition:
    @multi_asset_check(
        name=f"{asset}_checks",
        description=f"All rules of {asset}.",
        specs=[
            AssetCheckSpec(check.name, asset=asset, description=check.description)
            for check in NEWS_CHECKS
            if check.asset == asset
        ],
        retry_policy=STEP_RETRIES,
    )
    def checks(
        context: AssetCheckExecutionContext, platform: ResourceParam[PlatformContext]
    ) -> Iterator[AssetCheckResult]:
        """Checks the articles that were first seen on the days of the run."""
        has_days = context.has_partition_key or context.has_partition_key_range
        windows = windows_of(list(context.partition_keys)) if has_days else [Window(EARLIEST, LATEST)]
        with dagster_failures():
            results = verify_news(platform.stores, windows, clock=platform.clock, asset=asset)
        for result in results:
            yield as_asset_check_result(result)

    return checks


news_checks = [_checks_of(asset) for asset in (ARTICLES, SENTIMENT)]
