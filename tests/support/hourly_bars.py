"""Minutes, their hours, and TimescaleDB's jobs, for tests of ``market_data.ohlcv_1h`` on both back ends."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from decimal import Decimal

import polars as pl
from waiting import LONG

from trading_platform.domain.market.bars import BAR_SCHEMA, roll_up
from trading_platform.domain.time import Timeframe, Window
from trading_platform.stores.market_data.bars import BarStore
from trading_platform.stores.market_data.completeness.coverage import CoverageStore, Outcome, Request
from trading_platform.stores.market_data.retention import RetentionStore
from trading_platform.stores.postgres.database import Database, execute

HOUR_COLUMNS = ["bucket", "symbol", "open", "high", "low", "close", "volume"]


def stop_jobs(database: Database) -> None:
    """TimescaleDB runs its policies by itself, too; here they run when a test says so."""
    if not uses_timescaledb(database):
        return
    with database.begin() as connection:
        execute(connection, "SELECT alter_job(job_id, scheduled => FALSE) FROM timescaledb_information.jobs")
    deadline = time.monotonic() + LONG
    running = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE '%Policy%'"
    with database.begin() as connection:
        while execute(connection, running) and time.monotonic() < deadline:
            execute(connection, "SELECT pg_sleep(0.05), pg_stat_clear_snapshot()")


def uses_timescaledb(database: Database) -> bool:
    return RetentionStore(database, database).uses_timescaledb()


def now_of(database: Database) -> datetime:
    with database.begin() as connection:
        return execute(connection, "SELECT date_trunc('minute', now())")[0][0]


def run_jobs(database: Database, *policies: str) -> None:
    if not uses_timescaledb(database):
        return
    with database.autocommit() as connection:
        jobs = execute(
            connection,
            "SELECT job_id FROM timescaledb_information.jobs"
            " WHERE hypertable_schema = 'market_data' AND proc_name = ANY(%(policies)s)"
            " ORDER BY array_position(%(policies)s, proc_name::text), job_id",
            {"policies": list(policies)},
        )
        assert jobs
        for (job,) in jobs:
            execute(connection, f"CALL run_job({job})")


def minutes(symbol: str, start: datetime, count: int, price: int = 100) -> pl.DataFrame:
    """Minute bars that differ from each other."""
    bars = [
        {
            "time": start + timedelta(minutes=number),
            "symbol": symbol,
            "timeframe": "1m",
            "open": Decimal(price + number % 7),
            "high": Decimal(price + 10 + number % 11),
            "low": Decimal(price - 10 - number % 13),
            "close": Decimal(price + number % 5),
            "volume": Decimal(1 + number % 3),
            "source": "test",
            "quality": "traded",
        }
        for number in range(count)
    ]
    return pl.DataFrame(bars, schema=BAR_SCHEMA)


def store(database: Database, bars: pl.DataFrame) -> None:
    bar_store = BarStore(database)
    bar_store.prepare(Timeframe.M1, bars)
    for (symbol,), part in bars.partition_by("symbol", as_dict=True).items():
        window = Window(part["time"].min(), part["time"].max() + timedelta(minutes=1))  # type: ignore[operator]
        with database.begin() as connection:
            bar_store.replace(connection, str(symbol), Timeframe.M1, window, part)


def hours(database: Database) -> list[tuple[object, ...]]:
    with database.begin() as connection:
        return execute(
            connection, "SELECT bucket, symbol, open, high, low, close, volume FROM market_data.ohlcv_1h ORDER BY 1, 2"
        )


def hours_of(bars: pl.DataFrame) -> list[tuple[object, ...]]:
    rolled = pl.concat([roll_up(part, Timeframe.H1) for part in bars.partition_by("symbol")])
    return rolled.rename({"time": "bucket"}).sort("bucket", "symbol").select(HOUR_COLUMNS).rows()


def hour_of(timestamp: datetime) -> datetime:
    return timestamp.replace(minute=0, second=0, microsecond=0)


def url_of(database: Database) -> str:
    return database._engine.url.set(drivername="postgresql").render_as_string(hide_password=False)


def answer(database: Database, symbol: str, bars: pl.DataFrame, window: Window) -> None:
    """Stores the response of a source, as a backfill does."""
    store = BarStore(database)
    store.prepare(Timeframe.M1, bars)
    with database.begin() as connection:
        changed = store.replace(connection, symbol, Timeframe.M1, window, bars)
        outcome = Outcome.STORED if bars.height else Outcome.EMPTY
        request = Request(
            symbol, Timeframe.M1, "test", window, outcome, "test", window.end, stored=bars.height, changed=changed
        )
        CoverageStore(database).record(connection, request, [window])
