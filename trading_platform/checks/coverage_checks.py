"""The check of the asset ``coverage``: no gap is open, and none has failed permanently."""

from dagster import AssetCheckResult, AssetCheckSeverity, MetadataValue, ResourceParam, TableRecord, asset_check

from trading_platform.domain.quality.gaps import GapState
from trading_platform.domain.time import Timeframe
from trading_platform.failures import STEP_RETRIES, dagster_failures
from trading_platform.resources.platform import PlatformContext
from trading_platform.workflows.bars.roll_up_bars import bars_dataset
from trading_platform.workflows.derived.compute_indicators import indicators_dataset

_SHOWN = 20


@asset_check(
    asset="coverage",
    description="No gap is open or has failed permanently. A gap fails permanently when no source could fill it "
    "after all attempts; it stays listed until its bars are stored.",
    retry_policy=STEP_RETRIES,
)
def no_gap_left(platform: ResourceParam[PlatformContext]) -> AssetCheckResult:
    """Reads the list of gaps: an error if any has failed permanently, a warning while repairs are under way."""
    with dagster_failures():
        symbols = list(platform.stores.instruments.all())
        datasets = [name(timeframe) for timeframe in Timeframe for name in (bars_dataset, indicators_dataset)]
        gaps = platform.stores.gaps.of(symbols, datasets)
    failed = [gap for gap in gaps if gap.state is GapState.FAILED_PERMANENTLY]
    open_count = len(gaps) - len(failed)
    if failed:
        description = (
            f"{len(failed)} gaps failed permanently. To do: add another source (`instruments add … --fallback`) or "
            "import a file, then run `trading-platform repair`."
        )
    elif open_count:
        description = f"{open_count} gaps are being repaired."
    else:
        description = f"{len(symbols)} symbols have no gap."
    rows = [
        TableRecord({"asset": gap.dataset, "symbol": gap.symbol, "window": str(gap.window), "note": gap.note or ""})
        for gap in failed[:_SHOWN]
    ]
    return AssetCheckResult(
        passed=not gaps,
        severity=AssetCheckSeverity.ERROR if failed else AssetCheckSeverity.WARN,
        description=description,
        metadata={
            "symbols checked": MetadataValue.int(len(symbols)),
            "gaps": MetadataValue.int(len(gaps)),
            "failed permanently": MetadataValue.int(len(failed)),
            **({"sample": MetadataValue.table(rows)} if rows else {}),
        },
    )
