"""The check of the asset ``coverage``: the standing list of what is missing and could not be had."""

from dagster import AssetCheckResult, AssetCheckSeverity, MetadataValue, ResourceParam, TableRecord, asset_check

from trading_platform.domain.quality.gaps import GapState
from trading_platform.domain.time import Timeframe
from trading_platform.failures import STEP_RETRIES, dagster_failures
from trading_platform.resources.platform import PlatformContext
from trading_platform.workflows.gaps.verify_integrity import bars_dataset, indicators_dataset

_SHOWN = 20


@asset_check(
    asset="coverage",
    description="No gap was given up: what no source could give after all its attempts is listed until it is there.",
    retry_policy=STEP_RETRIES,
)
def no_gap_left(platform: ResourceParam[PlatformContext]) -> AssetCheckResult:
    """Reads the list; an error as long as something is given up, a warning while repairs are under way."""
    with dagster_failures():
        symbols = list(platform.stores.instruments.all())
        datasets = [name(timeframe) for timeframe in Timeframe for name in (bars_dataset, indicators_dataset)]
        gaps = platform.stores.gaps.of(symbols, datasets)
    lost = [gap for gap in gaps if gap.state is GapState.FAILED_PERMANENTLY]
    open_ones = len(gaps) - len(lost)
    if lost:
        said = f"{len(lost)} gaps are given up. To do: another source (`instruments add … --fallback`) or a file, then"
        said += " `trading-platform repair`."
    elif open_ones:
        said = f"{open_ones} gaps are being repaired."
    else:
        said = f"{len(symbols)} symbols have no gap."
    rows = [
        TableRecord({"asset": gap.dataset, "symbol": gap.symbol, "window": str(gap.window), "note": gap.note or ""})
        for gap in lost[:_SHOWN]
    ]
    return AssetCheckResult(
        passed=not gaps,
        severity=AssetCheckSeverity.ERROR if lost else AssetCheckSeverity.WARN,
        description=said,
        metadata={
            "looked at": MetadataValue.int(len(symbols)),
            "failing_rows": MetadataValue.int(len(gaps)),
            "given up": MetadataValue.int(len(lost)),
            **({"sample": MetadataValue.table(rows)} if rows else {}),
        },
    )
