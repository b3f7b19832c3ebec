"""Schedules that bring bars, indicators and features up to date: after each market's close, and hourly.

A tick requests all symbols × the current partition in one run, by range tags. A run is cheap where nothing is new:
only what coverage has as missing is requested from the sources. ``indicators_live`` computes every five minutes the
indicators of the bars that a stream wrote; ``news_refresh`` fetches feeds every quarter of an hour, ``reconcile_daily``
compares the ledger with the brokers. All schedules are
off until a person turns them on in the UI: ``indicators_live`` is useful only where a stream runs, and the others
send requests to the sources.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from dagster import (
    DefaultScheduleStatus,
    RunRequest,
    ScheduleDefinition,
    ScheduleEvaluationContext,
    SkipReason,
    schedule,
)

from trading_platform import jobs
from trading_platform.domain.time import Timeframe, Window, month_window, partition_windows, year_window
from trading_platform.partitions import partition_key, symbols


def _refresh(name: str, cron: str, timezone: str, timeframe: Timeframe, description: str) -> ScheduleDefinition:
    @schedule(
        name=name,
        job_name=jobs.job_for(timeframe),
        cron_schedule=cron,
        execution_timezone=timezone,
        default_status=DefaultScheduleStatus.STOPPED,
        description=description,
    )
    def refresh(context: ScheduleEvaluationContext) -> RunRequest | SkipReason:
        present = context.instance.get_dynamic_partitions(str(symbols.name))
        if not present:
            return SkipReason("There are no symbols yet: `trading-platform instruments add` adds one.")
        partitions = partitions_due(timeframe, context.scheduled_execution_time)
        return RunRequest(
            tags={
                "dagster/asset_partition_range_start": str(partition_key(present[0], timeframe, partitions[0])),
                "dagster/asset_partition_range_end": str(partition_key(present[-1], timeframe, partitions[-1])),
            }
        )

    return refresh


def partitions_due(timeframe: Timeframe, timestamp: datetime) -> list[Window]:
    """The partition that holds a timestamp, and on its first day also the one before it.

    Until the end of the first day, in UTC, of a month (intraday) or a year (daily), the last bars of the partition
    before may still arrive.
    """
    now = timestamp.astimezone(UTC)
    current = month_window(now) if timeframe.is_intraday else year_window(now)
    if now - current.start < timedelta(days=1):
        return partition_windows(timeframe, Window(current.start - timedelta(days=1), current.end))
    return [current]


eu_close = _refresh(
    "eu_close",
    "30 18 * * 1-5",
    "Europe/Berlin",
    Timeframe.D1,
    "Daily bars of the current year, after the close of European markets.",
)
us_close = _refresh(
    "us_close",
    "30 16 * * 1-5",
    "America/New_York",
    Timeframe.D1,
    "Daily bars of the current year, after the close in New York.",
)
crypto_close = _refresh(
    "crypto_close",
    "10 0 * * *",
    "UTC",
    Timeframe.D1,
    "Daily bars of the current year of 24/7 markets, after midnight UTC.",
)
intraday_refresh = _refresh(
    "intraday_refresh",
    "5 * * * *",
    "UTC",
    Timeframe.M1,
    "1m, 5m and 1h bars of the current month, and hourly features of 24/7 markets, every hour.",
)

corporate_actions_refresh = ScheduleDefinition(
    name="corporate_actions_refresh",
    job_name=jobs.corporate_actions.name,
    cron_schedule="0 6 * * 1-5",
    execution_timezone="America/New_York",
    default_status=DefaultScheduleStatus.STOPPED,
    description="Splits and dividends, on weekdays before the markets in New York open.",
)

indicators_live = ScheduleDefinition(
    name="indicators_live",
    job_name=jobs.indicators_live.name,
    cron_schedule="*/5 * * * *",
    execution_timezone="UTC",
    default_status=DefaultScheduleStatus.STOPPED,
    description="Indicators of the newest 1m, 5m and 1h bars every five minutes; of use where a stream writes bars.",
)


@schedule(
    name="news_refresh",
    job_name=jobs.news.name,
    cron_schedule="*/15 * * * *",
    execution_timezone="UTC",
    default_status=DefaultScheduleStatus.STOPPED,
    description="News of the feeds that are due, every fifteen minutes.",
)
def news_refresh(context: ScheduleEvaluationContext) -> RunRequest:
    """The partition of the present day."""
    return RunRequest(partition_key=f"{context.scheduled_execution_time.astimezone(UTC):%Y-%m-%d}")


@schedule(
    name="reconcile_daily",
    job_name=jobs.reconcile.name,
    cron_schedule="30 21 * * *",
    execution_timezone="UTC",
    default_status=DefaultScheduleStatus.STOPPED,
    description="The ledger against the brokers, each day after the close in New York.",
)
def reconcile_daily(context: ScheduleEvaluationContext) -> RunRequest:
    """The partition of the present day."""
    return RunRequest(partition_key=f"{context.scheduled_execution_time.astimezone(UTC):%Y-%m-%d}")


refresh_schedules = [
    eu_close,
    us_close,
    crypto_close,
    intraday_refresh,
    corporate_actions_refresh,
    indicators_live,
    news_refresh,
    reconcile_daily,
]
