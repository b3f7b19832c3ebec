"""The asset ``corporate_actions``: splits and dividends from the configured sources.

The workflow is :mod:`trading_platform.workflows.corporate_actions.fetch_actions`. The asset has no partitions: a
response holds a symbol's whole history, and the metadata table shows what changed.
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
    "ex_date": "midnight UTC of the first session that trades without the dividend or after the split",
    "kind": "split or dividend",
    "new_shares": "of a split: number of new shares …",
    "old_shares": "… for this number of old shares",
    "amount": "of a dividend: cash per share, in shares as they are on the ex-date",
    "currency": "of the amount",
    "source": "name of the source",
    "known_at": "time from which a point-in-time read uses it, UTC",
}


@asset(
    group_name="corporate_actions",
    description="Splits and cash dividends. Bars are stored raw and adjusted by these when they are read.",
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
    """Fetches the actions of every share and fund that has a source; if any failed, fails after all were requested."""
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
            description=f"{len(failed)} of {len(done)} symbols could not be fetched; the others are stored. {named}",
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
