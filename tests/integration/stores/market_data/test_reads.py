"""What agents ask most, on PostgreSQL and on TimescaleDB: the right rows, over the named index, from few partitions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import psycopg
import pytest

from trading_platform.client import Platform
from trading_platform.domain.errors import InvalidRequest, StoreUnavailable
from trading_platform.domain.market.bars import BAR_SCHEMA
from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.domain.time import Timeframe
from trading_platform.stores.market_data.bars import LATEST_PRICE_SCHEMA, bars_table
from trading_platform.stores.postgres.database import Database, copy_frame
from trading_platform.stores.postgres.sql import query
from trading_platform.stores.stores import Stores, open_stores

NOW = datetime(2026, 11, 26, 14, 37, tzinfo=UTC)
MIDNIGHT = NOW.replace(hour=0, minute=0)
DAY = timedelta(days=1)
YEARS_AGO = datetime(2013, 10, 4, 13, 30, tzinfo=UTC)
UNIVERSE = ["ALIVE", "DAILY", "EMPTY", "FEW", "HOURLY", "PAUSED", "STALE", "YOUNG"]


def some_bars(symbol: str, timeframe: Timeframe, last: datetime, count: int, every: int = 1) -> pl.DataFrame:
    """That many bars of one symbol, each so many after the other, the last of them opening at ``last``."""
    random = np.random.default_rng([*symbol.encode(), *timeframe.value.encode()])
    close = 100 + random.integers(-5_000, 5_000, count) / 100
    step = timeframe.duration * every
    times = pl.datetime_range(last - (count - 1) * step, last, step, time_unit="us", eager=True).alias("time")
    volume = [None if number % 7 == 0 else number for number in range(count)]
    return pl.DataFrame({"time": times}).select(
        pl.col("time"),
        symbol=pl.lit(symbol),
        timeframe=pl.lit(timeframe.value),
        open=pl.Series(close).cast(BAR_SCHEMA["open"]),
        high=pl.Series(close + 1).cast(BAR_SCHEMA["high"]),
        low=pl.Series(close - 1).cast(BAR_SCHEMA["low"]),
        close=pl.Series(close).cast(BAR_SCHEMA["close"]),
        volume=pl.Series(volume).cast(BAR_SCHEMA["volume"]),
        source=pl.lit('the "file", of (a\\b)'),
        quality=pl.lit("traded"),
    )


def everything() -> pl.DataFrame:
    """All bars there are: of live, paused, old and young symbols."""
    hour = NOW.replace(minute=0)
    crowd = [f"CROWD{number}" for number in range(25)]  # outside the universe, in the same partitions
    five = NOW - timedelta(minutes=NOW.minute % 5 + 5)
    return pl.concat(
        [
            some_bars("ALIVE", Timeframe.M1, NOW - timedelta(minutes=1), 40_000),
            some_bars("ALIVE", Timeframe.M5, five, 3_000),
            some_bars("ALIVE", Timeframe.H1, hour - timedelta(hours=1), 2_000),
            some_bars("ALIVE", Timeframe.D1, MIDNIGHT - DAY, 2_500),
            some_bars("DAILY", Timeframe.D1, MIDNIGHT - DAY, 2_500),
            some_bars("FEW", Timeframe.M1, NOW - timedelta(minutes=1), 3),
            some_bars("FEW", Timeframe.D1, MIDNIGHT - 400 * DAY, 3),
            some_bars("HOURLY", Timeframe.M1, NOW - timedelta(days=2), 100),
            some_bars("HOURLY", Timeframe.H1, hour - timedelta(hours=1), 100),
            some_bars("PAUSED", Timeframe.M1, NOW - 3 * DAY, 2_000),
            some_bars("PAUSED", Timeframe.M5, five - 3 * DAY - timedelta(hours=1), 500),
            some_bars("STALE", Timeframe.M1, YEARS_AGO, 1_000),
            some_bars("STALE", Timeframe.M5, YEARS_AGO, 200),
            some_bars("STALE", Timeframe.D1, YEARS_AGO.replace(hour=0, minute=0) - 30 * DAY, 900),
            some_bars("YOUNG", Timeframe.D1, MIDNIGHT - DAY, 2),
            *(some_bars(name, Timeframe.M1, NOW - timedelta(minutes=1), 8_000, every=5) for name in crowd),
            *(some_bars(name, Timeframe.M1, YEARS_AGO, 1_000) for name in crowd),
            *(some_bars(name, Timeframe.M5, YEARS_AGO, 200) for name in crowd),
            *(some_bars(name, Timeframe.D1, YEARS_AGO.replace(hour=0, minute=0) - 30 * DAY, 900) for name in crowd),
            *(some_bars(name, Timeframe.M5, five, 1_000, every=3) for name in crowd),
            *(some_bars(name, Timeframe.H1, hour - timedelta(hours=1), 1_000, every=2) for name in crowd),
            *(some_bars(name, Timeframe.D1, MIDNIGHT - DAY, 1_250, every=2) for name in crowd),
        ]
    )


@pytest.fixture(scope="module", params=["database_url", "timescale_url"], ids=["postgresql", "timescaledb"])
def url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


@pytest.fixture(scope="module")
def stored() -> pl.DataFrame:
    return everything()


@pytest.fixture(scope="module")
def stores(url: str, stored: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    folder: Path = tmp_path_factory.mktemp("features")
    with open_stores(url, folder, may_upgrade=True) as opened:
        for symbol in UNIVERSE:
            opened.instruments.add(Instrument(symbol, AssetClass.CRYPTO, "24/7", "file"))
        for timeframe in Timeframe:
            bars = stored.filter(pl.col("timeframe") == timeframe.value)
            opened.bars.prepare(timeframe, bars)
            with opened.database.begin() as connection:
                copy_frame(connection, bars_table(timeframe), bars)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("ANALYZE")
        yield opened


@pytest.fixture(scope="module")
def platform(stores: Stores) -> Platform:
    return Platform(stores, clock=lambda: NOW)


def expected_last(stored: pl.DataFrame, symbols: Sequence[str], timeframe: str, count: int) -> pl.DataFrame:
    of = stored.filter(pl.col("symbol").is_in(symbols), pl.col("timeframe") == timeframe)
    return of.sort("symbol", "time").group_by("symbol", maintain_order=True).tail(count).select(list(BAR_SCHEMA))


@pytest.mark.parametrize("timeframe", list(Timeframe))
@pytest.mark.parametrize("count", [1, 3, 500, 2_600])
def test_the_last_bars_are_those_of_the_stored_frame(
    platform: Platform, stored: pl.DataFrame, timeframe: Timeframe, count: int
) -> None:
    for symbols in ([name] for name in UNIVERSE):
        found = platform.last_bars(symbols, timeframe.value, count)
        assert dict(found.schema) == BAR_SCHEMA
        assert found.equals(expected_last(stored, symbols, timeframe.value, count)), symbols
    found = platform.last_bars(UNIVERSE[::-1], timeframe.value, count)
    assert found.equals(expected_last(stored, UNIVERSE, timeframe.value, count))


def test_a_month_of_minutes_is_that_of_the_stored_frame(platform: Platform, stored: pl.DataFrame) -> None:
    start = NOW - 27 * DAY
    found = platform.bars("ALIVE", "1m", start, NOW)
    mine = pl.col("symbol") == "ALIVE", pl.col("timeframe") == "1m", pl.col("time") >= start
    assert found.height == 27 * 24 * 60
    assert found.equals(stored.filter(*mine).sort("time"))


def test_the_latest_price_is_the_close_of_the_newest_bar(platform: Platform, stored: pl.DataFrame) -> None:
    """Whatever its timeframe; all symbols here that have a fresh minute have no newer bar of another length."""
    coarseness = pl.col("timeframe").replace_strict({"1m": 0, "5m": 1, "1h": 2, "1d": 3})
    newest = (
        stored.filter(pl.col("symbol").is_in(UNIVERSE))
        .sort("time", -coarseness)
        .group_by("symbol")
        .last()
        .sort("symbol")
    )
    expected = newest.select("symbol", "time", "timeframe", price="close")
    for prices in (platform.latest_prices(), platform.latest_prices(UNIVERSE[::-1])):
        assert dict(prices.schema) == LATEST_PRICE_SCHEMA
        assert prices.equals(expected)
    lengths = dict(expected.select("symbol", "timeframe").iter_rows())
    assert lengths == {
        "ALIVE": "1m",
        "DAILY": "1d",
        "FEW": "1m",
        "HOURLY": "1h",
        "PAUSED": "1m",
        "STALE": "1m",
        "YOUNG": "1d",
    }


def test_symbols_without_bars_give_no_row(platform: Platform) -> None:
    assert platform.latest_prices("EMPTY").is_empty()
    assert dict(platform.latest_prices("EMPTY").schema) == LATEST_PRICE_SCHEMA
    assert platform.last_bars("EMPTY", "1m", 5).is_empty()
    assert platform.last_bars(["EMPTY", "YOUNG"], "1d", 5)["symbol"].to_list() == ["YOUNG", "YOUNG"]


def test_unknown_symbols_are_named_even_where_they_have_bars(platform: Platform, stores: Stores) -> None:
    for read in (lambda of: platform.last_bars(of, "1d", 5), platform.latest_prices):
        with pytest.raises(InvalidRequest, match="There is no instrument 'ALIV'") as rejected:
            read(["ALIVE", "ALIV"])
        assert "did you mean ALIVE" in str(rejected.value.remedy)
        with pytest.raises(InvalidRequest, match="No symbol"):
            read([])
    stores.instruments.remove("YOUNG")
    try:
        for read in (lambda of: platform.last_bars(of, "1d", 2), platform.latest_prices):
            with pytest.raises(InvalidRequest, match="There is no instrument 'YOUNG'"):
                read(["ALIVE", "YOUNG"])
        assert "YOUNG" not in platform.latest_prices()["symbol"]
    finally:
        stores.instruments.add(Instrument("YOUNG", AssetClass.CRYPTO, "24/7", "file"))


@pytest.mark.parametrize("count", [0, -1, 1.5, True, "5", 10**12])
def test_a_count_that_is_none_is_refused(platform: Platform, count: Any) -> None:
    with pytest.raises(InvalidRequest, match="cannot be read") as rejected:
        platform.last_bars("ALIVE", "1m", count)
    assert rejected.value.received == repr(count)


def test_an_enormous_count_reads_all_there_is(platform: Platform, stored: pl.DataFrame) -> None:
    assert platform.last_bars("DAILY", "1d", 10_000_000).equals(expected_last(stored, ["DAILY"], "1d", 2_500))


def holds_bars(url: str, partition: str) -> bool:
    """Whether a partition or chunk has more than a page of rows, for which an index would be a detour."""
    with psycopg.connect(url) as connection:
        return bool(
            connection.execute("SELECT FROM pg_class WHERE relname = %s AND relpages > 1", (partition,)).rowcount
        )


def scans(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The nodes of a plan that read a table or an index."""
    if "Relation Name" in node or "Index Name" in node:
        yield node
    for below in node.get("Plans", ()):
        yield from scans(below)


def is_of_instruments(scan: dict[str, Any]) -> bool:
    return scan.get("Relation Name") == "instruments" or scan.get("Index Name") == "instruments_pkey"


def plan_of(url: str, statement: str, parameters: dict[str, object]) -> list[dict[str, Any]]:
    """What reads a table in a statement's plan, as it is run with these parameters, and how."""
    with psycopg.connect(url) as connection:
        explained = "EXPLAIN (ANALYZE, FORMAT JSON) " + statement
        ((plan,),) = connection.execute(explained.encode(), parameters, prepare=False).fetchall()
    found = plan if isinstance(plan, list) else json.loads(plan)
    return [scan for scan in scans(found[0]["Plan"]) if not is_of_instruments(scan)]


RECENT = {"start": NOW - 8 * DAY, "end": NOW + DAY}
ALWAYS = {"start": datetime(1, 1, 1, tzinfo=UTC), "end": NOW + DAY}
PLANS = [
    ("last", {"symbols": ["ALIVE"], "count": 500, **RECENT}, 3),
    ("last", {"symbols": ["STALE"], "count": 500, **ALWAYS}, None),
    ("latest_prices", {"symbols": UNIVERSE, "start": NOW - timedelta(hours=1), "end": NOW + DAY}, 2),
    ("latest_prices_of_any", {"symbols": UNIVERSE, **RECENT}, 9),
    ("latest_prices_of_any", {"symbols": UNIVERSE, **ALWAYS}, None),
    ("read", {"symbols": ["ALIVE"], "start": NOW - 20 * DAY, "end": NOW - 13 * DAY}, 2),
]


@pytest.mark.parametrize(("name", "parameters", "most"), PLANS)
def test_reads_ride_on_the_named_index_and_open_few_partitions(
    stores: Stores, url: str, name: str, parameters: dict[str, object], most: int | None
) -> None:
    assert stores.bars  # filled
    statement = query(f"market_data/bars/{name}").replace("{table}", bars_table(Timeframe.M1))
    found = plan_of(url, statement, parameters)
    assert found
    for scan in found:
        assert scan["Node Type"] != "Seq Scan" or not holds_bars(url, scan["Relation Name"]), scan
        assert "symbol_time" in scan.get("Index Name", "symbol_time"), scan
    if most is not None:
        relations = [scan for scan in found if "Relation Name" in scan and scan["Node Type"] != "Custom Scan"]
        opened = {scan["Relation Name"] for scan in relations}
        assert len(opened) <= most, opened


def test_a_read_survives_connections_that_died_unused(url: str) -> None:
    database = Database(url)
    try:
        (before,) = database.rows("SELECT pg_backend_pid()")[0]
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("SELECT pg_terminate_backend(%s, 5000)", (before,))
        frame = database.read("SELECT 1::bigint AS one", {}, {"one": pl.Int64()})
        assert frame.to_dicts() == [{"one": 1}]
        assert database.rows("SELECT pg_backend_pid()")[0] != (before,)
    finally:
        database.close()


def test_a_read_that_always_loses_its_connection_says_so(url: str) -> None:
    database = Database(url)
    try:
        with pytest.raises(StoreUnavailable):
            database.rows("SELECT pg_terminate_backend(pg_backend_pid())")
        assert database.rows("SELECT 1") == [(1,)]
    finally:
        database.close()
