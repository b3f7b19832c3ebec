"""The asset ``reconciliation``: the comparison of the ledger with the brokers, partitioned by the day of the fills.

Its check fails where something differs; a broker that did not answer is a warning. The workflow is
:mod:`trading_platform.workflows.trading.reconcile`.
"""

from datetime import date

import polars as pl
from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetExecutionContext,
    DailyPartitionsDefinition,
    MaterializeResult,
    MetadataValue,
    ResourceParam,
    asset,
)

from trading_platform.assets.metadata import OWNERS, column_schema
from trading_platform.domain.market.bars import TIME
from trading_platform.failures import STEP_RETRIES, dagster_failures
from trading_platform.resources.platform import PlatformContext
from trading_platform.workflows.trading.reconcile import Reconciled, page_of

CHECK = "ledger_equals_brokers"

reconciled_days = DailyPartitionsDefinition(start_date="2024-01-01", end_offset=1)
"""Days in UTC, the present one included."""


_SCHEMA: dict[str, pl.DataType] = {
    "day": pl.Date(),
    "broker": pl.String(),
    "result": pl.String(),
    "compared_at": TIME,
    "positions": pl.Int64(),
    "fills": pl.Int64(),
    "reason": pl.String(),
    "orders": pl.Int64(),
    "not_compared": pl.String(),
}
_COLUMNS = {
    "day": "day of the fills, UTC",
    "broker": "the broker",
    "result": "equal, different, or unknown: the broker did not answer",
    "compared_at": "when they were compared, UTC",
    "positions": "number of symbols whose positions were compared",
    "fills": "number of the broker's fills that were compared",
    "reason": "why it is unknown",
    "orders": "number of open orders that were compared, over both sides",
    "not_compared": "what the broker does not show, and why",
}


@asset(
    group_name="trading",
    description="The ledger compared with each broker: positions, open orders, cash and fills of the day. A critical "
    "difference pauses trading until a person ends it.",
    owners=OWNERS,
    kinds={"postgres"},
    partitions_def=reconciled_days,
    retry_policy=STEP_RETRIES,
    metadata={"dagster/column_schema": column_schema(_SCHEMA, _COLUMNS, set(_SCHEMA) - {"reason", "not_compared"})},
    check_specs=[
        AssetCheckSpec(
            CHECK, asset="reconciliation", description="Every account answered, and nothing differs from the ledger."
        )
    ],
)
def reconciliation(context: AssetExecutionContext, platform: ResourceParam[PlatformContext]) -> MaterializeResult:  # type: ignore[type-arg]
    """Compares the accounts that are configured."""
    from trading_platform.resources.accounts import open_accounts
    from trading_platform.settings import load_settings
    from trading_platform.workflows.trading.reconcile import reconcile

    day = date.fromisoformat(context.partition_key)
    with dagster_failures(), open_accounts(load_settings(), clock=platform.clock) as accounts:
        found = reconcile(platform.stores.database, accounts, day, platform.clock)
    pages = "\n\n".join(page_of(each.found) for each in found) or "No account is configured."
    return MaterializeResult(
        metadata={
            "dagster/partition_row_count": MetadataValue.int(len(found)),
            "differences": MetadataValue.int(sum(len(each.found.differences) for each in found)),
            "page": MetadataValue.md(pages),
        },
        check_results=[_judged(found)],
    )


def _judged(found: list[Reconciled]) -> AssetCheckResult:
    different = [each for each in found if each.found.result == "different"]
    unknown = [each for each in found if each.found.result == "unknown"]
    words = [f"{len(each.found.differences)} differences at {each.found.broker}" for each in different]
    words += [f"{each.found.broker}: {each.found.reason}" for each in unknown]
    return AssetCheckResult(
        passed=not words,
        check_name=CHECK,
        severity=AssetCheckSeverity.ERROR if different else AssetCheckSeverity.WARN,
        description="; ".join(words) or f"{len(found)} accounts equal the ledger.",
        metadata={"alert_severity": "none"},  # the comparison is an incident by itself, and knows when it is over
    )
