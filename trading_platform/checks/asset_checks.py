"""One multi-check for each asset, so that all rules of an asset run in one step.

The rules are run by :mod:`trading_platform.workflows.quality.suites.verify`; docs/checks.md explains them. A run of
partitions checks only these partitions; any other run checks everything.
"""

from collections.abc import Iterator

from dagster import (
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSeverity,
    AssetCheckSpec,
    MetadataValue,
    ResourceParam,
    TableRecord,
    multi_asset_check,
)

from trading_platform.domain.time import Timeframe, Window
from trading_platform.failures import STEP_RETRIES
from trading_platform.partitions import work_of
from trading_platform.resources.dagster_platform import has_own_rules
from trading_platform.resources.platform import PlatformContext
from trading_platform.stores.market_data.checks import Scope
from trading_platform.workflows.quality.check_results import CheckResult, Row, Severity
from trading_platform.workflows.quality.suites.verify import CHECKED_ASSETS, EVERYTHING, CheckedAsset, verify_asset


def _checks_of(checked: CheckedAsset) -> AssetChecksDefinition:
    @multi_asset_check(
        name=f"{checked.asset}_checks",
        description=f"All rules of {checked.asset}; each can be run alone.",
        specs=[
            AssetCheckSpec(check.name, asset=checked.asset, description=check.description, blocking=check.blocking)
            for check in checked.checks_with(own_rules=has_own_rules())
        ],
        can_subset=True,
        retry_policy=STEP_RETRIES,
    )
    def checks(
        context: AssetCheckExecutionContext, platform: ResourceParam[PlatformContext]
    ) -> Iterator[AssetCheckResult]:
        results = verify_asset(
            platform.stores,
            platform.sources,
            checked.asset,
            scopes_of(context, checked.timeframe),
            clock=platform.clock,
            only={key.name for key in context.selected_asset_check_keys},
        )
        for result in results:
            yield as_asset_check_result(result)

    return checks


asset_checks = [_checks_of(checked) for checked in CHECKED_ASSETS.values()]


def scopes_of(context: AssetCheckExecutionContext, timeframe: Timeframe) -> tuple[Scope, ...]:
    """The scopes that a run checks: its partitions, or everything if the run has none."""
    if not (context.has_partition_key or context.has_partition_key_range):
        return EVERYTHING
    return tuple(
        Scope(tuple(symbols), window)
        for symbols, windows in work_of(timeframe, context.partition_keys)
        for window in Window.merge(windows)
    )


def as_asset_check_result(result: CheckResult) -> AssetCheckResult:
    """The result of a check as a Dagster asset check result."""
    return AssetCheckResult(
        passed=result.passed,
        asset_key=result.asset,
        check_name=result.check,
        severity=AssetCheckSeverity.WARN if result.severity is Severity.WARN else AssetCheckSeverity.ERROR,
        description=result.description,
        metadata={
            "rows checked": MetadataValue.int(result.rows_checked),
            "failing rows": MetadataValue.int(result.failing_rows),
            **{name: MetadataValue.int(count) for name, count in result.counts.items()},
            **({"sample": MetadataValue.table([_record(row) for row in result.sample])} if result.sample else {}),
        },
    )


def _record(row: Row) -> TableRecord:
    return TableRecord({name: value if isinstance(value, int) else str(value) for name, value in row.items()})
