"""The sensor ``recompute_stale``: recomputes daily indicators, and features, of which an input has changed.

New bars of one symbol change features of its sector, bars of an earlier year those of later ones, a new, corrected or
removed split those on both sides of it, news that were seen or scored late those of the day after them, and a changed
definition its own feature. The sensor acts only when bars, splits, news or definitions have changed since its last
tick, waits for runs of the jobs ``daily`` and ``intraday`` to finish, and requests exactly the stale partitions that
were computed before; the others are left to the backfill. So hourly features follow each hour that a stream has stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from dagster import (
    AssetKey,
    DefaultSensorStatus,
    ResourceParam,
    RunRequest,
    RunsFilter,
    SensorEvaluationContext,
    SensorResult,
    sensor,
)

from trading_platform import jobs
from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.time import Timeframe, Window
from trading_platform.partitions import ranges_of, symbols
from trading_platform.resources.platform import PlatformContext
from trading_platform.sensors.unfinished_runs import UNFINISHED_RUNS
from trading_platform.stores.stores import Stores
from trading_platform.workflows.bars.stale_partitions import (
    stale_bars_and_indicators,
    stale_feature_partitions,
    stale_hourly_feature_partitions,
)
from trading_platform.workflows.derived.build_hourly_features import HourlyInputVersions

INTERVAL_SECONDS = 300
RUNS_A_TICK = 20
"""The next tick requests the remaining runs."""


@sensor(
    jobs=[jobs.daily, jobs.intraday],
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=DefaultSensorStatus.RUNNING,
    description="Recomputes the daily indicators, and the features of which bars, splits, news or definitions changed.",
)
def recompute_stale(context: SensorEvaluationContext, platform: ResourceParam[PlatformContext]) -> SensorResult:
    """Requests runs for the stale partitions; a few short queries if nothing has changed."""
    stores, universe = platform.stores, platform.stores.instruments.all()
    version = _version(stores, universe, platform.clock() + Timeframe.D1.duration)
    if version == context.cursor:
        return SensorResult(
            skip_reason="No daily or hourly bar, no split, no news and no definition of a feature has changed."
        )
    for name in (jobs.daily.name, jobs.intraday.name):
        if context.instance.get_runs_count(RunsFilter(job_name=name, statuses=UNFINISHED_RUNS)):
            return SensorResult(skip_reason=f"Runs of the job {name} are in progress; they may compute what is stale.")
    present = context.instance.get_dynamic_partitions(str(symbols.name))
    everything: dict[str, list[Window]] = {symbol: [] for symbol in universe}
    daily = {symbol: set(windows) for symbol, windows in stale_feature_partitions(stores, universe, everything).items()}
    for symbol, windows in stale_bars_and_indicators(stores, Timeframe.D1, everything, rolled_up=False).items():
        daily.setdefault(symbol, set()).update(windows)
    hourly = stale_hourly_feature_partitions(stores, universe, everything, platform.clock())
    requests = [
        *_requests(version, jobs.daily.name, ["indicators_1d", "features"], present, daily, Timeframe.D1),
        *_requests(version, jobs.intraday.name, ["features_1h"], present, hourly, Timeframe.H1),
    ]
    # The sensor `sync_symbol_partitions` adds the symbols that have no partition yet.
    left = len(requests) > RUNS_A_TICK or not {*daily, *hourly} <= set(present)
    reason = None if requests else "No partition was computed from bars, splits or news that have changed."
    return SensorResult(
        run_requests=requests[:RUNS_A_TICK], cursor=context.cursor if left else version, skip_reason=reason
    )


def _version(stores: Stores, universe: Mapping[str, Instrument], until: datetime) -> str:
    """Changes with the daily bars, the hourly ones of instruments with hourly rows, splits, news and definitions."""
    names = list(universe)
    days = stores.input_versions.bar_versions(names, Timeframe.D1).before(names, until)
    hours = HourlyInputVersions(stores, universe, names).before(names, until)
    splits, news = stores.corporate_actions.version_of_splits(), stores.sentiment.version()
    return f"{days}|{hours}|{splits}|{news}|{stores.definitions.fingerprint}"


def _requests(
    version: str,
    job: str,
    assets: Sequence[str],
    present: Sequence[str],
    stale: Mapping[str, Iterable[Window]],
    timeframe: Timeframe,
) -> list[RunRequest]:
    """A run of some assets for each range of stale partitions."""
    return [
        RunRequest(
            run_key=f"{version}|{start}|{end}",
            job_name=job,
            asset_selection=[AssetKey(name) for name in assets],
            asset_check_keys=jobs.checks_by_day(assets),
            tags={"dagster/asset_partition_range_start": str(start), "dagster/asset_partition_range_end": str(end)},
        )
        for start, end in ranges_of(present, {symbol: sorted(windows) for symbol, windows in stale.items()}, timeframe)
    ]
