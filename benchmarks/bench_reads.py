"""Speed of agents' reads on five million bars, against the best hand-written SQL.

The platform's side is the client: it checks symbols and returns frames. The baseline is psycopg on an open connection
in autocommit, with a statement written for this read, and its rows fetched as tuples; the fastest of the driver's modes
(prepared or not, text or binary) counts. It runs on the embedded PostgreSQL, and on TimescaleDB if
``TEST_TIMESCALE_DSN`` names a server.
"""

from __future__ import annotations

import os
import tempfile
import time
import uuid
from collections.abc import Callable
from datetime import timedelta
from itertools import product
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
from common import (
    Figure,
    Run,
    arguments,
    instrument,
    on_database,
    own_servers,
    random_bars,
    show,
    symbols,
)

from trading_platform.client import Platform
from trading_platform.domain.time import Timeframe, utc_now
from trading_platform.stores.market_data.bars import bars_table
from trading_platform.stores.postgres.database import copy_frame
from trading_platform.stores.postgres.databases import ensure_database
from trading_platform.stores.stores import Stores, open_stores

TARGET = 2
COLUMNS = "time, symbol, timeframe, open, high, low, close, volume, source, quality"
LAST = f"""
SELECT {COLUMNS} FROM market_data.bars_1m
WHERE symbol = %(symbol)s AND time >= %(recent)s AND time < %(end)s ORDER BY time DESC LIMIT 500"""
LATEST = """
SELECT wanted.symbol, bar.time, bar.close FROM unnest(%(symbols)s::text[]) AS wanted (symbol)
CROSS JOIN LATERAL (
    SELECT time, close FROM market_data.bars_1m AS bar
    WHERE bar.symbol = wanted.symbol AND bar.time >= %(week)s AND bar.time < %(end)s ORDER BY bar.time DESC LIMIT 1
) AS bar"""
MONTH = f"""
SELECT {COLUMNS} FROM market_data.bars_1m
WHERE symbol = %(symbol)s AND time >= %(month)s AND time < %(end)s ORDER BY time"""

Fetch = Callable[[], list[tuple[Any, ...]]]


def main() -> None:
    """Measures and prints the result."""
    given = arguments(__doc__)
    rounds = given.rounds or (5 if given.quick else 200)
    server = os.environ.get("TEST_TIMESCALE_DSN")
    with own_servers() as (_, endpoints):
        _measure("PostgreSQL", endpoints.database_url, rounds=rounds, quick=given.quick)
    if server:
        _measure("TimescaleDB", server, rounds=rounds, quick=given.quick)


def _measure(title: str, server: str, *, rounds: int, quick: bool) -> None:
    name = f"bench_{uuid.uuid4().hex[:8]}"
    ensure_database(server, name)
    url = on_database(server, name)
    try:
        with (
            tempfile.TemporaryDirectory() as features,
            open_stores(url, Path(features), may_upgrade=True) as stores,
            psycopg.connect(url, autocommit=True) as connection,
        ):
            stored = _fill(stores, connection, quick=quick)
            figures = _compare(Platform(stores), connection, rounds=rounds)
        show(f"Reads of {stored:,} bars on {title}", figures, quick=quick)
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _fill(stores: Stores, connection: psycopg.Connection, *, quick: bool) -> int:
    """Stores minutes up to now and nine years of daily bars, of a hundred symbols."""
    now = utc_now().replace(second=0, microsecond=0)
    sizes = {Timeframe.M1: 2_000 if quick else 46_800, Timeframe.D1: 200 if quick else 3_200}
    for timeframe, count in sizes.items():
        step = timeframe.duration
        end = now if timeframe.is_intraday else now.replace(hour=0, minute=0)
        times = pl.datetime_range(end - count * step, end, step, closed="left", time_unit="us", eager=True).alias(
            "time"
        )
        for symbol in symbols(100):
            stores.instruments.add(instrument(symbol))
            bars = random_bars(symbol, times, timeframe)
            stores.bars.prepare(timeframe, bars)
            with stores.database.begin() as transaction:
                copy_frame(transaction, bars_table(timeframe), bars)
    connection.execute("VACUUM ANALYZE")
    connection.execute("CHECKPOINT")
    return 100 * sum(sizes.values())


def _compare(platform: Platform, connection: psycopg.Connection, *, rounds: int) -> list[Figure]:
    now, every = utc_now(), symbols(100)
    one = every[50]
    month = now - timedelta(days=31)
    values = {
        "symbol": one,
        "symbols": every,
        "recent": now - timedelta(days=2),
        "week": now - timedelta(days=7),
        "month": month,
        "end": now,
    }
    cases: list[tuple[str, str, Run, int]] = [
        ("last 500 minutes of a symbol", LAST, lambda: platform.last_bars(one, "1m", 500), rounds),
        ("latest price of 100 symbols", LATEST, lambda: platform.latest_prices(every), rounds),
        ("latest price of the universe", LATEST, platform.latest_prices, rounds),
        ("a month of minutes", MONTH, lambda: platform.bars(one, "1m", month, now), max(5, rounds // 10)),
    ]
    figures = []
    for what, statement, ours, often in cases:
        theirs = _fastest(connection, statement, values)
        _agree(ours(), theirs())
        took: dict[str, list[float]] = {"ours": [], "theirs": []}
        for number in range(often + 5):
            for side, run in (("ours", ours), ("theirs", theirs)):
                elapsed = _seconds(run)
                if number >= 5:  # the first rounds warm caches
                    took[side].append(elapsed)
        figures.append(Figure(what, took["ours"], took["theirs"], TARGET, lower_is_better=True))
    return figures


def _fastest(connection: psycopg.Connection, statement: str, values: dict[str, Any]) -> Fetch:
    """The fastest mode of running a statement; each mode is tried twenty times, in turns."""

    def way(*, binary: bool, prepare: bool) -> Fetch:
        cursor = connection.cursor(binary=binary)
        return lambda: cursor.execute(statement.encode(), values, prepare=prepare).fetchall()

    ways = [way(binary=binary, prepare=prepare) for binary, prepare in product((True, False), repeat=2)]
    took = [[_seconds(run) for run in ways] for _ in range(20)]
    medians = [sorted(times)[len(times) // 2] for times in zip(*took, strict=True)]
    return ways[medians.index(min(medians))]


def _seconds(run: Run) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def _agree(frame: object, rows: list[tuple[Any, ...]]) -> None:
    """Ends the benchmark unless both sides have read the same number of rows."""
    if not isinstance(frame, pl.DataFrame) or frame.height != len(rows):
        raise SystemExit(f"the two sides differ: {frame} against {len(rows)} rows")


if __name__ == "__main__":
    main()
