"""The jobs that a person, a schedule, a sensor or ``trading-platform backfill`` starts.

There is one job for each kind of partition, and further ones for maintenance and repairs. Repairs and
``indicators_live`` are plain ops: recording partitions every few minutes would cost more than the work. All steps of
a job run in one process: starting a process takes about six seconds, longer than the steps.
"""

from collections.abc import Sequence

from dagster import (
    AssetCheckKey,
    AssetKey,
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
from trading_platform.resources.dagster_platform import has_own_rules
from trading_platform.resources.platform import PlatformContext
from trading_platform.stores.market_data.completeness.outages import OutageState
from trading_platform.workflows.derived.compute_indicators import compute_new_indicators
from trading_platform.workflows.gaps import repair_gaps as gaps
from trading_platform.workflows.gaps import repair_outages as outages
from trading_platform.workflows.quality.suites.expectations import SUITES
from trading_platform.workflows.quality.suites.verify import CHECKED_ASSETS

_FEW = 3  # failures that a message names
_INTRADAY = [
    name
    for timeframe in Timeframe
    if timeframe.is_intraday
    for name in (f"ohlcv_{timeframe}", f"indicators_{timeframe}")
]

NIGHTLY_CHECKS = frozenset(
    AssetCheckKey(AssetKey(checked.asset), check.name)
    for checked in CHECKED_ASSETS.values()
    for check in checked.nightly
)
"""The checks that take longer than a materialization; schedules and sensors leave them to the night."""

NIGHTLY = AssetSelection.checks(*NIGHTLY_CHECKS)

AUDITS = frozenset(AssetCheckKey(AssetKey("features"), name) for name in ("no_look_ahead", "drift")) | frozenset(
    AssetCheckKey(AssetKey(asset), "expectations") for asset in SUITES
)
"""The checks of samples and of all symbols, which are no part of a run."""

_AUDIT = AssetSelection.checks(*AUDITS)

intraday = define_asset_job(
    "intraday",
    AssetSelection.assets(*_INTRADAY, "features_1h") - NIGHTLY,
    description="1m, 5m and 1h bars, their indicators and the hourly features, partitioned by symbol and month.",
)
daily = define_asset_job(
    "daily",
    AssetSelection.assets("ohlcv_1d", "indicators_1d", "features") - NIGHTLY - _AUDIT,
    description="Daily bars, their indicators and the features, partitioned by symbol and year.",
)

corporate_actions = define_asset_job(
    "fetch_corporate_actions",
    AssetSelection.assets("corporate_actions"),
    description="Splits and dividends of all symbols that have a source for them.",
)

reconcile = define_asset_job(
    "reconcile",
    AssetSelection.assets("reconciliation"),
    description="Compares the ledger with the brokers.",
)
news = define_asset_job(
    "news",
    AssetSelection.assets("raw_news", "news_sentiment") - _AUDIT,
    description="Fetches the feeds that are due, links new articles to instruments and scores them.",
    executor_def=in_process_executor,
)

maintenance = define_asset_job(
    "maintenance",
    AssetSelection.groups("maintenance") | NIGHTLY,
    description="Retention of bars and indicators, detection of gaps, the archive of decisions and system events, and "
    "the checks of the night.",
)

features_audit = define_asset_job(
    "features_audit",
    _AUDIT,
    description="Recomputes a sample of the stored features from what could be known at each time and compares, and "
    "compares the last month's distributions with those of before; runs the suites of Great Expectations.",
)


@op(config_schema={"outages": [int]}, description="Requests the minutes of some ended outages from the source.")
def repair_outages_op(context: OpExecutionContext, platform: ResourceParam[PlatformContext]) -> None:
    """Repairs the outages that are due; fails if any is not repaired.

    An outage that is not repaired is due again later or has failed permanently.
    """
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
    description="Requests the minutes of ended feed outages from the source.",
    executor_def=in_process_executor,
)
def repair_outages_job() -> None:
    """One run for each disconnection, with its outages of all symbols; each outage counts its own attempts."""
    repair_outages_op()


@op(
    config_schema={"gaps": [int]},
    description="Requests missing data from the sources and recomputes what is derived from it.",
)
def repair_gaps_op(context: OpExecutionContext, platform: ResourceParam[PlatformContext]) -> None:
    """Repairs the gaps that are due; fails if any has failed permanently (``trading-platform gaps`` lists these)."""
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
    failed = [each for each in done if each.state == GapState.FAILED_PERMANENTLY.value]
    if failed:
        described = "; ".join(f"{each.gap.symbol} {each.gap.window}: {each.note}" for each in failed[:_FEW])
        raise Failure(
            description=f"{len(failed)} of {len(done)} gaps failed permanently. {described}", allow_retries=False
        )


@job(name="repair_gaps", description="Repairs gaps in stored bars and indicators.", executor_def=in_process_executor)
def repair_gaps_job() -> None:
    """One run repairs several gaps; each gap counts its own attempts."""
    repair_gaps_op()


@op(description="Computes the indicators of the bars that were stored since the last run.")
def compute_new(context: OpExecutionContext, platform: ResourceParam[PlatformContext]) -> None:
    """Computes them for all symbols of the universe, for 1m, 5m and 1h."""
    with dagster_failures():
        symbols = list(platform.stores.instruments.all())
        for timeframe in Timeframe:
            if timeframe.is_intraday:
                counted = compute_new_indicators(platform.stores, symbols, timeframe, clock=platform.clock)
                context.log.info("%s: %d new rows of %d symbols", timeframe, sum(counted.values()), len(symbols))


@job(description="Indicators of the newest intraday bars, all symbols.", executor_def=in_process_executor)
def indicators_live() -> None:
    """Records no partition in Dagster; the hourly job ``intraday`` does."""
    compute_new()


def checks_by_day(assets: Sequence[str]) -> list[AssetCheckKey]:
    """The checks of some assets without those of the night."""
    own_rules = has_own_rules()
    return [
        AssetCheckKey(AssetKey(name), check.name)
        for name in assets
        if name in CHECKED_ASSETS
        for check in CHECKED_ASSETS[name].checks + (CHECKED_ASSETS[name].own if own_rules else ())
    ]


def job_for(timeframe: Timeframe) -> str:
    """The job that brings a timeframe's partitions up to date."""
    return intraday.name if timeframe.is_intraday else daily.name
