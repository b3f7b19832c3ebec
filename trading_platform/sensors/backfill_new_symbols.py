"""The sensor ``backfill_new_symbols``: an instrument that was added backfills itself.

A symbol of which nobody was ever asked for minutes, or for days, gets a run of the job ``intraday``, then of ``daily``,
over all that its source has, by ranges of partitions as ``trading-platform backfill`` makes them. What was requested is
not requested again: the keys of the runs see to that.
"""

from __future__ import annotations

from collections.abc import Iterator

from dagster import (
    DagsterInstance,
    DagsterRunStatus,
    DefaultSensorStatus,
    ResourceParam,
    RunRequest,
    RunsFilter,
    SensorEvaluationContext,
    SensorResult,
    sensor,
)

from trading_platform import jobs
from trading_platform.domain.errors import TradingPlatformError
from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.time import Timeframe
from trading_platform.partitions import first_window, ranges_of, symbols
from trading_platform.resources.platform import PlatformContext
from trading_platform.workflows.bars.plan_backfill import available_history_of

INTERVAL_SECONDS = 60
SYMBOLS_A_TICK = 5
"""How many new symbols get their runs at a time: whoever adds a thousand does not start a thousand runs at once."""

_TAG = "backfill_new_symbols"
_KINDS = ([each for each in Timeframe if each.is_intraday], [Timeframe.D1])
_UNFINISHED = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
]


@sensor(
    jobs=[jobs.intraday, jobs.daily],
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=DefaultSensorStatus.RUNNING,
    description="Starts the backfill of an instrument's whole history when it is new.",
)
def backfill_new_symbols(context: SensorEvaluationContext, platform: ResourceParam[PlatformContext]) -> SensorResult:
    """Asks for the runs of a few new symbols that Dagster knows as partitions already, in turn."""
    known = list(context.instance.get_dynamic_partitions(str(symbols.name)))
    universe = platform.stores.instruments.all()
    asked = platform.stores.coverage.ever_asked()
    lacking = {
        symbol: [kind for kind in _KINDS if not any(symbol in asked[timeframe] for timeframe in kind)]
        for symbol in known
        if symbol in universe
    }
    new = [symbol for symbol, kinds in lacking.items() if kinds]
    after = context.cursor or ""
    turn = sorted(new, key=lambda symbol: (symbol <= after, symbol))[:SYMBOLS_A_TICK]
    requests = [
        request
        for symbol in turn
        if not _is_under_way(context.instance, symbol)
        for request in _first(platform, universe[symbol], lacking[symbol], known)
    ]
    return SensorResult(
        run_requests=requests,
        cursor=turn[-1] if turn else after,
        skip_reason=None if requests else f"{len(new)} symbols lack history; nothing can be begun for them now.",
    )


def _is_under_way(instance: DagsterInstance, symbol: str) -> bool:
    return bool(instance.get_runs_count(RunsFilter(tags={_TAG: symbol}, statuses=_UNFINISHED)))


def _first(
    platform: PlatformContext, instrument: Instrument, kinds: list[list[Timeframe]], known: list[str]
) -> list[RunRequest]:
    """The runs of the first kind of partition that anything can be had of: days may be made of minutes."""
    for timeframes in kinds:
        try:
            found = list(_requests(platform, instrument, timeframes, known))
        except TradingPlatformError:
            continue  # the source does not say what it has; the next round asks again
        if found:
            return found
    return []


def _requests(
    platform: PlatformContext, instrument: Instrument, timeframes: list[Timeframe], known: list[str]
) -> Iterator[RunRequest]:
    available = [
        available_history
        for length in timeframes
        if (
            available_history := available_history_of(
                platform.stores, platform.sources, instrument, length, platform.clock
            )
        )
    ]
    first = first_window(timeframes[0]).start
    windows = sorted(
        {
            window
            for available_history in available
            for window in available_history.partitions(None)
            if window.start >= first
        }
    )
    job = jobs.job_for(timeframes[0])
    for start, end in ranges_of(known, {instrument.symbol: windows}, timeframes[0]):
        yield RunRequest(
            job_name=job,
            run_key=f"{_TAG}-{job}-{start}-{end}",
            tags={
                "dagster/asset_partition_range_start": str(start),
                "dagster/asset_partition_range_end": str(end),
                _TAG: instrument.symbol,
            },
        )
