"""The jobs a person, a schedule or ``trading-platform backfill`` starts: one a kind of partition, and maintenance.

They run in one process: a step of its own costs about six seconds of start-up, ours take less.
"""

from __future__ import annotations

from dagster import AssetSelection, define_asset_job

from trading_platform.domain.time import Timeframe

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

maintenance = define_asset_job(
    "maintenance",
    AssetSelection.groups("maintenance"),
    description="The life of bars and indicators, and the archive of decisions and events.",
)


def job_for(timeframe: Timeframe) -> str:
    """The job that brings a timeframe's partitions up to date."""
    return intraday.name if timeframe.is_intraday else daily.name
