"""Duration of comparing all stored bars with what was committed, and of detecting gaps.

50 symbols × ten years of daily bars and ten symbols × six months of minutes, against counting the same rows.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import polars as pl
import psycopg
from common import (
    EPOCH,
    SOURCE,
    Figure,
    arguments,
    instrument,
    new_stores,
    on_database,
    own_servers,
    random_bars,
    seconds,
    show,
    symbols,
)

from trading_platform.domain.quality.rules import empty_rejected
from trading_platform.domain.time import Timeframe, Window
from trading_platform.sources.base import BarResponse
from trading_platform.stores.stores import Stores
from trading_platform.workflows.backfill.store_response import store_response
from trading_platform.workflows.gaps.detect_gaps import detect_gaps

DAY = timedelta(days=1)


def main() -> None:
    """Measures and prints the result."""
    given = arguments(__doc__)
    rounds = given.rounds or (2 if given.quick else 3)
    sizes = {Timeframe.D1: (50, 200 if given.quick else 2520), Timeframe.M1: (10, 5_000 if given.quick else 260_000)}
    figures, notes = [], []
    with own_servers() as (settings, endpoints), new_stores(endpoints, "bench", settings.root / "features") as stores:
        for timeframe, (count, length) in sizes.items():
            fill(stores, timeframe, count, length)
        with psycopg.connect(on_database(endpoints.database_url, "bench"), autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE market_data.bars_1m")
            connection.execute("VACUUM ANALYZE market_data.bars_1d")
            for timeframe, (count, length) in sizes.items():
                figures.append(_measure(stores, connection, timeframe, count, rounds))
                notes.append(f"{timeframe}: {count} symbols, {count * length:,} bars")
            for table in ("bars_1m", "fingerprints"):
                size = connection.execute(
                    "SELECT sum(pg_total_relation_size(oid)) / greatest(1, sum(reltuples))::bigint,"
                    " sum(reltuples)::bigint FROM pg_class WHERE relkind = 'r' AND relname LIKE %s",
                    (f"{table}%",),
                ).fetchone()
                notes.append(f"{table}: {size[0]:.0f} bytes per row with its indexes, {size[1]:,} rows")
        alone = [seconds(lambda: _find(stores)) for _ in range(rounds)]
        notes.append(f"coverage against calendars alone: {min(alone) * 1000:.0f} ms for all symbols and timeframes")
    show("Stored bars compared with committed ones, against counting the same rows", figures, notes, quick=given.quick)


def fill(stores: Stores, timeframe: Timeframe, count: int, length: int) -> None:
    """Stores bars as a backfill does."""
    window = Window(EPOCH, EPOCH + length * timeframe.duration)
    times = pl.datetime_range(window.start, window.end, timeframe.value, closed="left", time_unit="us", eager=True)
    for symbol in symbols(count):
        stores.instruments.add(instrument(symbol))
        bars = random_bars(symbol, times, timeframe)
        response = BarResponse(bars, empty_rejected(), (window,), "memory")
        store_response(stores, SOURCE, instrument(symbol), timeframe, window, response, EPOCH)


def _measure(stores: Stores, connection: psycopg.Connection, timeframe: Timeframe, count: int, rounds: int) -> Figure:
    ours, baseline = [], []
    for number in range(rounds + 1):
        took = seconds(lambda: stores.fingerprints.differing(symbols(count), timeframe, Window(EPOCH, _now()), _now()))
        counted = seconds(
            lambda: connection.execute(
                f"SELECT symbol, count(*), sum(close) FROM market_data.bars_{timeframe} GROUP BY 1"
            ).fetchall()
        )
        if number:
            ours.append(took)
            baseline.append(counted)
    return Figure(f"{timeframe} compared with what was committed", ours, baseline, None, lower_is_better=True)


def _find(stores: Stores) -> None:
    detect_gaps(stores, {}, list(stores.instruments.all().values()), clock=_now)


def _now() -> datetime:
    return EPOCH + 10 * 366 * DAY


if __name__ == "__main__":
    main()
