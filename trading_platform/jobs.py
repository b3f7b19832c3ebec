"""The jobs a person, a schedule, a sensor or ``trading-platform backfill`` starts.

One a kind of partition, and maintenance. The two that go with the live path are plain ops: to record
partitions every few minutes would cost more than the work. All run in one process: a step of its own
costs about six seconds of start-up, ours take less.
"""

from dagster import (
    AssetSelection,
    Failure,
    OpExecutionContext,
    ResourceParam,
    define_asset_job,
    in_process_executor,
    job,
    op,
)

from trading_platform.domain.quality.gaps import GapState
from trading_platform.domain.time import Timeframe
from trading_platform.failures import dagster_failures
from trading_platform.resources.platform import PlatformContext
from trading_platform.stores.market_data.outages import OutageState
from trading_platform.workflows.derived.compute_indicators import compute_new_indicators
from trading_platform.workflows.gaps import repair_gaps as gaps
from trading_platform.workflows.gaps import repair_outages as outages

_FEW = 3  # failures that a sentence can still name
_INTRADAY = [
    name
    for timeframe in Timeframe
    if timeframe.is_intraday
    for name in (f"ohlcv_{timeframe}", f"indicators_{timeframe}")
]

intraday = define_asset_job(
    "intraday",
    AssetSelection.assets(*_INTRADAY),
    description="Bars and indicators of 1m, 5m and 1h, a symbol and month at a time.",
)
daily = define_asset_job(
    "daily",
    AssetSelection.assets("ohlcv_1d", "indicators_1d", "features"),
    description="Daily bars, their indicators and the features, a symbol and year at a time.",
)

corporate_actions = define_asset_job(
    "corporate_actions",
    AssetSelection.assets("corporate_actions"),
    description="Splits and dividends, of all symbols that somebody can be asked about.",
)

maintenance = define_asset_job(
    "maintenance",
    AssetSelection.groups("maintenance"),
    description="The life of bars and indicators, what is missing of them, and the archive of decisions and events.",
)


@op(config_schema={"outages": [int]}, description="Asks the source for the minutes of some outages that are over.")
def repair_outages(context: OpExecutionContext, platform: ResourceParam[PlatformContext]) -> None:
    """Repairs what of it is due; fails if any is not repaired, which is then due again later or given up."""
    with dagster_failures():
        numbers = context.op_config["outages"]
        done = outages.repair_outages(
            platform.stores, platform.sources, clock=platform.clock, only=numbers, limit=len(numbers)
        )
    for each in done:
        context.log.info("Outage %d of %s: %s, %s", each.outage.id, each.outage.symbol, each.state, each.note)
    failed = [each for each in done if each.state is not OutageState.REPAIRED]
    if failed:
        described = "; ".join(f"{each.outage.symbol}: {each.note}" for each in failed[:_FEW])
        raise Failure(
            description=f"{len(failed)} of {len(done)} outages are not repaired. {described}", allow_retries=False
        )


@job(
    name="repair_outages",
    description="Asks the source for the minutes that a feed was down.",
    executor_def=in_process_executor,
)
def repair_outages_job() -> None:
    """One run a disconnection: its outages of all symbols, each with attempts of its own."""
    repair_outages()


@op(config_schema={"gaps": [int]}, description="Asks for what is missing, and makes again what hangs on it.")
def repair_gaps(context: OpExecutionContext, platform: ResourceParam[PlatformContext]) -> None:
    """Repairs what of it is due; fails if some of it is given up, which ``trading-platform gaps`` then lists."""
    with dagster_failures():
        numbers = context.op_config["gaps"]
        done = gaps.repair_gaps(
            platform.stores,
            platform.sources,
            clock=platform.clock,
            only=numbers,
            limit=len(numbers),
            publish=platform.publish,
            progress=platform.progress,
        )
    for each in done:
        gap = each.gap
        context.log.info("%s of %s, %s: %s, %s", gap.dataset, gap.symbol, gap.window, each.state, each.note)
    lost = [each for each in done if each.state == GapState.FAILED_PERMANENTLY.value]
    if lost:
        described = "; ".join(f"{each.gap.symbol} {each.gap.window}: {each.note}" for each in lost[:_FEW])
        raise Failure(description=f"{len(lost)} of {len(done)} gaps are given up. {described}", allow_retries=False)


@job(name="repair_gaps", description="Repairs gaps in what is stored.", executor_def=in_process_executor)
def repair_gaps_job() -> None:
    """One run some gaps, each with attempts of its own."""
    repair_gaps()


@op(description="Computes the indicators of the bars that have come since the last ones.")
def compute_new(context: OpExecutionContext, platform: ResourceParam[PlatformContext]) -> None:
    """All symbols of the universe, 1m, 5m and 1h."""
    with dagster_failures():
        symbols = list(platform.stores.instruments.all())
        for timeframe in Timeframe:
            if timeframe.is_intraday:
                counted = compute_new_indicators(platform.stores, symbols, timeframe, clock=platform.clock)
                context.log.info("%s: %d new rows of %d symbols", timeframe, sum(counted.values()), len(symbols))


@job(description="Indicators of the newest intraday bars, all symbols.", executor_def=in_process_executor)
def indicators_live() -> None:
    """Tells Dagster of no partition; the hourly job ``intraday`` does."""
    compute_new()


def job_for(timeframe: Timeframe) -> str:
    """The job that brings a timeframe's partitions up to date."""
    return intraday.name if timeframe.is_intraday else daily.name
