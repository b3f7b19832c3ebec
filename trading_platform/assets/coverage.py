"""The asset ``coverage``: compares stored data each night with what was committed and with the market calendars.

The workflow is :mod:`trading_platform.workflows.gaps.detect_gaps`. The sensor ``repair_gaps`` repairs what it finds.
The other assets of the group are ``retention`` and ``audit_archive``.
"""

from collections import Counter

from dagster import (
    AssetExecutionContext,
    MaterializeResult,
    MetadataValue,
    ResourceParam,
    TableColumn,
    TableRecord,
    TableSchema,
    asset,
)

from trading_platform.assets.metadata import OWNERS
from trading_platform.domain.quality.gaps import Gap
from trading_platform.failures import STEP_RETRIES, dagster_failures
from trading_platform.resources.platform import PlatformContext
from trading_platform.workflows.bars.coverage_maps import coverage_maps
from trading_platform.workflows.gaps.detect_gaps import detect_gaps
from trading_platform.workflows.gaps.verify_integrity import Proof

_SHOWN = 100
_COLUMNS = TableSchema(
    [
        TableColumn(name, "int" if name == "attempts" else "string")
        for name in ("asset", "symbol", "window", "kind", "state", "attempts", "note")
    ]
)


@asset(
    group_name="maintenance",
    description="Finds missing bars and indicators: compares everything stored with what was committed, and coverage "
    "with the calendars. The sensor `repair_gaps` repairs missing or modified rows. One map for each timeframe shows "
    "the share of the expected bars that is stored, rejected or confirmed empty.",
    owners=OWNERS,
    kinds={"postgres", "polars"},
    deps=["retention"],
    retry_policy=STEP_RETRIES,
)
def coverage(context: AssetExecutionContext, platform: ResourceParam[PlatformContext]) -> MaterializeResult[None]:
    """Checks everything that is stored."""
    stores, sources, clock = platform.stores, platform.sources, platform.clock
    with dagster_failures():
        stores.fingerprints.expire(clock())
        stores.revisions.expire(clock())
        universe = list(stores.instruments.all().values())
        found = detect_gaps(stores, sources, universe, clock=clock, proof=Proof.ALL, publish=platform.publish)
        maps = coverage_maps(stores, sources, universe, clock=clock)
    for each in found.missing_or_modified:
        values = (each.symbol, each.timeframe, each.window, each.committed, each.stored)
        context.log.warning("%s %s %s: missing or modified; %d bars were committed, %d are stored", *values)
    counts = Counter(gap.state.value for gap in found.gaps)
    return MaterializeResult(
        metadata={
            **{f"{timeframe} by {unit}": MetadataValue.md(drawn) for (timeframe, unit), drawn in maps.items()},
            "gaps": MetadataValue.table([_record(gap) for gap in found.gaps[:_SHOWN]], _COLUMNS),
            "open": MetadataValue.int(counts["open"]),
            "failed permanently": MetadataValue.int(counts["failed_permanently"]),
            "periods missing or modified": MetadataValue.int(len(found.missing_or_modified)),
        }
    )


def _record(gap: Gap) -> TableRecord:
    return TableRecord(
        {
            "asset": gap.dataset,
            "symbol": gap.symbol,
            "window": str(gap.window),
            "kind": gap.kind.value,
            "state": gap.state.value,
            "attempts": gap.attempts,
            "note": gap.note or "",
        }
    )
