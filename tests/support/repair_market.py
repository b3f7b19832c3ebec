"""A market to repair: a clock, a vendor that can lie and be away, rows that vanish, and what is stored as text.

The vendor is the far side of a network; everything else is done to the real stores.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import psycopg
from psycopg import sql

from trading_platform.domain.derived.indicators import INDICATOR_SCHEMA
from trading_platform.domain.errors import SourceRejected, SourceUnavailable
from trading_platform.domain.market.bars import BAR_SCHEMA
from trading_platform.domain.market.calendars import expected_times
from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.quality.rules import empty_rejected
from trading_platform.domain.time import Timeframe, Window, partition_windows
from trading_platform.sources.base import BarResponse
from trading_platform.stores.stores import Stores, open_stores
from trading_platform.workflows.backfill.backfill_bars import backfill_bars
from trading_platform.workflows.derived.build_features import build_features
from trading_platform.workflows.derived.compute_indicators import compute_indicators_of

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
TABLES = [f"{kind}_{length}" for kind in ("bars", "indicators") for length in ("1m", "5m", "1h", "1d")]
_MORE_TABLES = ["coverage", "coverage_requests", "input_versions", "fingerprints", "gaps", "outages", "quarantine"]


@contextmanager
def opened_empty(database_url: str, features: Path) -> Iterator[Stores]:
    """The stores of a database, emptied."""
    with open_stores(database_url, features, may_upgrade=True) as opened:
        names = [("market_data", table) for table in [*TABLES, *_MORE_TABLES, "stream_positions"]]
        names += [("config", "instruments"), ("audit", "system_events")]
        tables = sql.SQL(", ").join(sql.Identifier(*name) for name in names)
        with psycopg.connect(database_url) as connection:
            connection.execute(sql.SQL("TRUNCATE {}").format(tables))
        yield opened


@dataclass
class Time:
    """A clock that stands until it is moved."""

    now: datetime

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Vendor:
    """The far side of a network: a vendor of bars that can be away, lie and have holes.

    Every expected bar of every instrument has a price that follows from its time, but for ``quiet`` ones.
    """

    clock: Time
    since: datetime
    name: str = "vendor"
    timeframes: tuple[Timeframe, ...] = (Timeframe.M1,)
    quiet: set[datetime] = field(default_factory=set)
    gaps: list[Window] = field(default_factory=list)
    lies: list[Window] = field(default_factory=list)
    away: bool = False
    asked: list[tuple[str, Timeframe, Window]] = field(default_factory=list)

    def longest_request(self, timeframe: Timeframe) -> timedelta:
        return timedelta(days=31) if timeframe.is_intraday else timedelta(days=3660)

    def available_history(self, instrument: Instrument, timeframe: Timeframe) -> tuple[Window, ...]:
        del instrument
        return (Window(self.since, self.clock().replace(second=0)),) if timeframe in self.timeframes else ()

    def bars(self, instrument: Instrument, timeframe: Timeframe, window: Window) -> BarResponse:
        self.asked.append((instrument.symbol, timeframe, window))
        if self.away:
            raise SourceUnavailable("The vendor does not answer.")
        if timeframe not in self.timeframes or any(gap.intersect(window) for gap in self.gaps):
            raise SourceRejected("The vendor has nothing of that window.")
        lies = [lie for lie in self.lies if lie.intersect(window)]
        for lie in lies:
            self.lies.remove(lie)
        times = [
            time
            for time in expected_times(instrument.calendar, timeframe, window)
            if time not in self.quiet and not any(time in lie for lie in lies)
        ]
        return BarResponse(
            bars_of(instrument.symbol, timeframe, times, self.name), empty_rejected(), (window,), "a test"
        )


def bars_of(symbol: str, timeframe: Timeframe, times: Sequence[datetime], source: str) -> pl.DataFrame:
    seed = sum(map(ord, symbol))
    steps = [int(time.timestamp() // 60) for time in times]
    price = [Decimal(100_00 + (step * 7919 + seed) % 997) / 100 for step in steps]
    return pl.DataFrame(
        {
            "time": list(times),
            "symbol": [symbol] * len(times),
            "timeframe": [timeframe.value] * len(times),
            "open": price,
            "high": [value + 1 for value in price],
            "low": [value - 1 for value in price],
            "close": [value + Decimal((step * 31) % 100 - 50) / 100 for value, step in zip(price, steps, strict=True)],
            "volume": [Decimal(step % 1000) for step in steps],
            "source": [source] * len(times),
            "quality": ["traded"] * len(times),
        },
        schema=BAR_SCHEMA,
    )


def rows_of(stores: Stores, statement: str) -> list[tuple[object, ...]]:
    return stores.database.rows(statement)


def snapshot(stores: Stores) -> dict[str, list[str]]:
    """Every row of bars and indicators as text, but for the quality, which :func:`qualities` has.

    What comes back is recorded anew, so the time of that is left out, too.
    """
    bar = "(time, symbol, timeframe, open, high, low, close, volume, source)"
    indicators = f"({', '.join(INDICATOR_SCHEMA)})"
    rows = {table: bar if table.startswith("bars_") else indicators for table in TABLES}
    statement = "SELECT {}::text FROM market_data.{} AS t ORDER BY symbol, time"
    return {table: [text for (text,) in rows_of(stores, statement.format(row, table))] for table, row in rows.items()}


def qualities(stores: Stores) -> dict[tuple[str, str, datetime], tuple[str, str]]:
    """Source and quality of every bar."""
    one = "SELECT timeframe, symbol, time, source, quality FROM market_data.bars_{}"
    statement = " UNION ALL ".join(one.format(length) for length in ("1m", "5m", "1h", "1d"))
    return {tuple(key): (source, quality) for *key, source, quality in rows_of(stores, statement)}


def fill(stores: Stores, sources: dict[str, object], instruments: Sequence[Instrument], clock: Time) -> None:
    """What the jobs ``intraday`` and ``daily`` do, with what the sources have."""
    symbols = [instrument.symbol for instrument in instruments]
    for timeframe in Timeframe:
        for instrument in instruments:
            own = sources[instrument.source]
            available_history = own.available_history(instrument, timeframe) or own.available_history(
                instrument, Timeframe.M1
            )
            if not available_history:
                continue
            parts = partition_windows(timeframe, Window(available_history[0].start, available_history[-1].end))
            report = backfill_bars(stores, sources, [instrument], timeframe, parts, clock=clock)
            assert not report.failures
            compute_indicators_of(stores, [instrument.symbol], timeframe, parts, clock=clock)
    universe = stores.instruments.all()
    years = partition_windows(Timeframe.D1, Window(clock() - 3650 * DAY, clock()))
    build_features(stores, universe, symbols, years, clock=clock)


def delete_windows(url: str, shard: float, seed: int, longest: int | None = None) -> dict[str, int]:
    """Deletes that share of the rows of every table, in random windows scattered over symbols and time.

    Args:
        url: of the database.
        shard: of the rows; three rows at least.
        seed: of the chance.
        longest: how many rows a window has at most; None: a quarter of what is deleted.
    """
    chance = random.Random(seed)
    deleted = {}
    with psycopg.connect(url) as connection:
        for table in TABLES:
            name = sql.Identifier("market_data", table)
            select = sql.SQL("SELECT symbol, time FROM {} ORDER BY symbol, time").format(name)
            stored = connection.execute(select).fetchall()
            wanted, gone = max(3, int(len(stored) * shard)), 0
            while gone < wanted:
                first = chance.randrange(len(stored))
                symbol, start = stored[first]
                last = min(first + chance.randrange(1, longest or max(2, wanted // 4)), len(stored)) - 1
                end = stored[last][1] if stored[last][0] == symbol else start
                delete = sql.SQL("DELETE FROM {} WHERE symbol = %s AND time BETWEEN %s AND %s").format(name)
                gone += connection.execute(delete, (symbol, start, end)).rowcount
            deleted[table] = gone
    return deleted


def stop_feed(stores: Stores, symbol: str, source: str, hour: Window) -> None:
    """Leaves the database as a feed does that was away: its minutes are not there, and an outage is noted."""
    with stores.database.begin() as connection:
        delete = "DELETE FROM market_data.bars_1m WHERE symbol = %s AND time >= %s AND time < %s"
        connection.exec_driver_sql(delete, (symbol, hour.start, hour.end))
    stores.coverage.withdraw(symbol, Timeframe.M1, source, [hour])
    stores.outages.opened(source, [symbol], hour.start, "cut")
    stores.outages.closed(source, [symbol], hour.end)
