"""The sensor ``history``: an instrument that was added backfills itself.

A symbol of which nobody was ever asked anything gets runs of the jobs ``intraday`` and ``daily`` over all that its
source has, by ranges of partitions as ``trading-platform backfill`` makes them. It remembers nothing between ticks; the
keys of the runs see to it that each is started once.
"""

from __future__ import annotations

from collections.abc import Iterator

from dagster import (
    DefaultSensorStatus,
    ResourceParam,
    RunRequest,
    SensorEvaluationContext,
    SensorResult,
    sensor,
)

from trading_platform import jobs
from trading_platform.domain.errors import TradingPlatformError
from trading_platform.domain.instruments import Instrument
from trading_platform.domain.time import Timeframe, Window
from trading_platform.partitions import first_window, ranges_of, symbols
from trading_platform.resources.platform import PlatformContext
from trading_platform.workflows.backfill_bars import source_of
from trading_platform.workflows.plan_backfill import reach_of, unfinished_partitions

INTERVAL_SECONDS = 60
SYMBOLS_A_TICK = 5
"""How many new symbols get their runs at a time: whoever adds a thousand does not start a thousand runs at once."""


@sensor(
    jobs=[jobs.intraday, jobs.daily],
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=DefaultSensorStatus.RUNNING,
    description="Starts the backfill of an instrument's whole history when it is new.",
)
def history(context: SensorEvaluationContext, platform: ResourceParam[PlatformContext]) -> SensorResult:
    """Asks for the runs of a few new symbols that Dagster knows as partitions already."""
    known = list(context.instance.get_dynamic_partitions(str(symbols.name)))
    universe = platform.stores.instruments.all()
    asked = platform.stores.coverage.ever_asked()
    new = [symbol for symbol in known if symbol in universe and symbol not in asked]
    after = context.cursor or ""
    turn = sorted(new, key=lambda symbol: (symbol <= after, symbol))[:SYMBOLS_A_TICK]
    requests = [request for symbol in turn for request in _requests(platform, universe[symbol], known)]
    return SensorResult(
        run_requests=requests,
        cursor=turn[-1] if turn else after,
        skip_reason=None if requests else f"{len(new)} symbols have no history yet, and their sources have none now.",
    )


def _requests(platform: PlatformContext, instrument: Instrument, known: list[str]) -> Iterator[RunRequest]:
    """A run for each kind of partition; none where the source has nothing or does not say."""
    lengths = list(Timeframe)
    try:
        source_of(platform.sources, instrument)
        reaches = [
            reach
            for length in lengths
            if (reach := reach_of(platform.stores, platform.sources, instrument, length, platform.clock))
        ]
        for job in (jobs.intraday, jobs.daily):
            of_kind = [reach for reach in reaches if jobs.job_for(reach.timeframe) == job.name]
            if not of_kind:
                continue
            timeframe = of_kind[0].timeframe
            wanted = unfinished_partitions(platform.stores, platform.sources, of_kind, None, again=False)
            first = first_window(timeframe).start
            windows = [window for window in wanted.get(instrument.symbol, ()) if window.start >= first]
            for start, end in ranges_of(known, {instrument.symbol: windows}, timeframe):
                yield _request(job.name, instrument.symbol, str(start), str(end), windows)
    except TradingPlatformError:
        return


def _request(job: str, symbol: str, start: str, end: str, windows: list[Window]) -> RunRequest:
    return RunRequest(
        job_name=job,
        run_key=f"history-{job}-{start}-{end}",
        tags={
            "dagster/asset_partition_range_start": start,
            "dagster/asset_partition_range_end": end,
            "history": symbol,
            "partitions": str(len(windows)),
        },
    )
