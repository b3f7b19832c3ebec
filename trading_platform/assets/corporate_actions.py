"""The asset ``corporate_actions``: splits and dividends, from who can be asked for them.

The work is :mod:`trading_platform.workflows.corporate_actions.fetch_actions`. It has no partitions: an answer is a
symbol's whole history, and the table says what changed.
"""

from dagster import (
    AssetExecutionContext,
    Failure,
    MaterializeResult,
    MetadataValue,
    ResourceParam,
    TableRecord,
    asset,
)

from trading_platform.assets.metadata import OWNERS, column_schema
from trading_platform.domain.market.corporate_actions import ACTION_SCHEMA
from trading_platform.failures import STEP_RETRIES, dagster_failures
from trading_platform.resources.platform import PlatformContext
from trading_platform.workflows.corporate_actions.fetch_actions import FetchedActions, fetch_actions, with_actions

_FEW = 3  # failures that a sentence can still name

_COLUMNS = {
    "ex_date": "midnight UTC of the date of the first session whose prices have it behind them",
    "kind": "split or dividend",
    "new_shares": "of a split: how many new shares …",
    "old_shares": "… there are for how many old ones",
    "amount": "of a dividend: cash per share as shares are on the ex-date",
    "currency": "of the amount",
    "source": "who told",
    "known_at": "from when on it may be used, UTC",
}


@asset(
    group_name="corporate_actions",
    description="Splits and cash dividends, by which raw bars are adjusted when they are read.",
    owners=OWNERS,
    kinds={"postgres"},
    retry_policy=STEP_RETRIES,
    metadata={
        "dagster/column_schema": column_schema(ACTION_SCHEMA, _COLUMNS, {"symbol", "ex_date", "kind", "known_at"})
    },
)
def corporate_actions(
    context: AssetExecutionContext, platform: ResourceParam[PlatformContext]
) -> MaterializeResult[None]:
    """Asks for those of every share and fund that has a source of them; fails once all were asked, if any failed."""
    with dagster_failures():
        instruments = with_actions(platform.stores.instruments.all(), platform.action_sources)
        done = fetch_actions(
            platform.stores,
            platform.action_sources,
            instruments,
            clock=platform.clock,
            progress=platform.progress,
        )
    failed = [one for one in done if one.error is not None]
    for one in failed:
        context.log.error("%s: %s", one.symbol, one.error)
    if failed:
        named = "; ".join(f"{one.symbol}: {one.error}" for one in failed[:_FEW])
        raise Failure(
            description=f"{len(failed)} of {len(done)} symbols could not be had; the others are stored. {named}",
            metadata={"symbols": MetadataValue.table([_record(one) for one in done])},
            allow_retries=any(one.error is not None and one.error.retryable for one in failed),
        )
    return MaterializeResult(
        metadata={
            "symbols": MetadataValue.table([_record(one) for one in done]),
            "changed": MetadataValue.int(sum(one.changed for one in done)),
        }
    )


def _record(one: FetchedActions) -> TableRecord:
    return TableRecord(
        {
            "symbol": one.symbol,
            "splits": one.splits,
            "dividends": one.dividends,
            "changed": one.changed,
            "kept as imported": one.differing,
            "error": "" if one.error is None else one.error.message,
        }
    )
