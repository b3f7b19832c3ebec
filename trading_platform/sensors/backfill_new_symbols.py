"""The sensor ``backfill_new_symbols``: backfills new symbols.

A symbol whose history no source was ever asked for, intraday or daily, gets runs of the job ``intraday``, then of
``daily``, over the available history of its source, in the same ranges of partitions as ``trading-platform backfill``.
Run keys ensure that no run is requested twice. A symbol that is streamed already is new
until its history was requested, too.
"""

from __future__ import annotations

from collections.abc import Iterator

from dagster import (
    DagsterInstance,
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
from trading_platform.sensors.unfinished_runs import UNFINISHED_RUNS
from trading_platform.workflows.backfill.plan_backfill import available_history_of

INTERVAL_SECONDS = 60
SYMBOLS_A_TICK = 5
"""Number of new symbols that get runs in one tick, so that adding a thousand does not start a thousand runs."""

_TAG = "backfill_new_symbols"
_KINDS = ([each for each in Timeframe if each.is_intraday], [Timeframe.D1])


@sensor(
    jobs=[jobs.intraday, jobs.daily],
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=DefaultSensorStatus.RUNNING,
    description="Backfills the available history of new symbols.",
)
def backfill_new_symbols(context: SensorEvaluationContext, platform: ResourceParam[PlatformContext]) -> SensorResult:
    """Requests the runs of a few new symbols, in turn; only of symbols that are partitions already."""
    present = list(context.instance.get_dynamic_partitions(str(symbols.name)))
    universe = platform.stores.instruments.all()
    requested = platform.stores.coverage.requested_symbols()
    missing = {
        symbol: [kind for kind in _KINDS if not any(symbol in requested[timeframe] for timeframe in kind)]
        for symbol in present
        if symbol in universe
    }
    new = [symbol for symbol, kinds in missing.items() if kinds]
    after = context.cursor or ""
    turn = sorted(new, key=lambda symbol: (symbol <= after, symbol))[:SYMBOLS_A_TICK]
    requests = [
        request
        for symbol in turn
        if not _is_under_way(context.instance, symbol)
        for request in _first_runs(platform, universe[symbol], missing[symbol], present)
    ]
    return SensorResult(
        run_requests=requests,
        cursor=turn[-1] if turn else after,
        skip_reason=None if requests else f"{len(new)} symbols lack history; no run can be started for them now.",
    )


def _is_under_way(instance: DagsterInstance, symbol: str) -> bool:
    return bool(instance.get_runs_count(RunsFilter(tags={_TAG: symbol}, statuses=UNFINISHED_RUNS)))


def _first_runs(
    platform: PlatformContext, instrument: Instrument, kinds: list[list[Timeframe]], present: list[str]
) -> list[RunRequest]:
    """The runs of the first kind of partition that has any available history: daily bars may be rolled up from 1m."""
    for timeframes in kinds:
        try:
            found = list(_requests(platform, instrument, timeframes, present))
        except TradingPlatformError:
            continue  # the source's available history is unknown now; the next tick requests it again
        if found:
            return found
    return []


def _requests(
    platform: PlatformContext, instrument: Instrument, timeframes: list[Timeframe], present: list[str]
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
    for start, end in ranges_of(present, {instrument.symbol: windows}, timeframes[0]):
        yield RunRequest(
            job_name=job,
            run_key=f"{_TAG}-{job}-{start}-{end}",
            tags={
                "dagster/asset_partition_range_start": str(start),
                "dagster/asset_partition_range_end": str(end),
                _TAG: instrument.symbol,
            },
        )
