"""Writes beside compressed bars, on TimescaleDB: what is not concerned stays compressed, and is not even read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import reduce

import polars as pl
import psycopg
import pytest
from psycopg import sql

from trading_platform.domain.derived.indicators import INDICATOR_SCHEMA, compute_indicators
from trading_platform.domain.market.bars import BAR_SCHEMA
from trading_platform.domain.time import Timeframe, Window
from trading_platform.stores.market_data.bars import BarStore
from trading_platform.stores.market_data.indicators import IndicatorStore
from trading_platform.stores.market_data.stream.store import StreamStore
from trading_platform.stores.postgres.database import Database
from trading_platform.stores.postgres.sql import query, sql_directory

SYMBOLS = [f"S{number}" for number in range(8)]
CHUNKS = 20
WEEK = timedelta(days=7)
DAY = timedelta(days=1)
NEWEST = datetime(1970, 1, 1, tzinfo=UTC) + 2_900 * WEEK
"""Begin of the chunk after the compressed ones; when it is makes no difference."""


@pytest.fixture(scope="module")
def compressed(timescale_url: str) -> str:
    """The URL of a database with 20 compressed chunks of minutes and of their indicators, and no job at work."""
    with psycopg.connect(timescale_url, autocommit=True) as connection:
        connection.execute("SELECT alter_job(job_id, scheduled => FALSE) FROM timescaledb_information.jobs")
        connection.execute(
            "INSERT INTO market_data.bars_1m (time, symbol, open, high, low, close, volume, source)"
            " SELECT time, symbol, 100 + price, 110 + price, 90, 101 + price, price + 1, 'test'"
            " FROM generate_series(%(start)s, %(end)s - interval '5 minutes', interval '5 minutes') AS time,"
            " unnest(%(symbols)s::text[]) AS symbol,"
            " LATERAL (SELECT extract(epoch FROM time)::bigint / 300 %% 7 AS price) AS priced",
            {"start": NEWEST - CHUNKS * WEEK, "end": NEWEST, "symbols": SYMBOLS},
        )
        connection.execute(
            "INSERT INTO market_data.indicators_1m (time, symbol, sma_20)"
            " SELECT time, symbol, close FROM market_data.bars_1m"
        )
        compress(connection)
        assert chunks(connection, "bars_1m") == chunks(connection, "indicators_1m") == (CHUNKS, 0)
    return timescale_url


@pytest.fixture
def database(compressed: str) -> Iterator[Database]:
    opened = Database(compressed)
    yield opened
    opened.close()


def compress(connection: psycopg.Connection) -> None:
    """Compresses the chunks before the newest day, those again that were decompressed in part."""
    for table in ("market_data.bars_1m", "market_data.indicators_1m"):
        chosen = "SELECT compress_chunk(chunk) FROM show_chunks(%s::regclass, older_than => %s) AS chunk"
        connection.execute(chosen, (table, NEWEST))


def chunks(connection: psycopg.Connection, table: str) -> tuple[int, int]:
    """Number of compressed chunks, and of rows in them that are not compressed."""
    names = connection.execute(
        "SELECT chunk_schema, chunk_name FROM timescaledb_information.chunks"
        " WHERE hypertable_name = %s AND is_compressed",
        (table,),
    ).fetchall()
    rows = 0
    for name in names:
        counted = sql.SQL("SELECT count(*) FROM ONLY {}").format(sql.Identifier(*name))
        rows += connection.execute(counted).fetchall()[0][0]
    return len(names), rows


def sizes(connection: psycopg.Connection) -> tuple[int, int]:
    """Bytes of all minutes, and of those of the newest day."""
    return connection.execute(
        "SELECT hypertable_size('market_data.bars_1m'), COALESCE(sum(total_bytes), 0)::bigint"
        " FROM chunks_detailed_size('market_data.bars_1m')"
        " JOIN timescaledb_information.chunks USING (chunk_schema, chunk_name)"
        " WHERE NOT is_compressed"
    ).fetchall()[0]


def day_of(symbol: str, price: int) -> pl.DataFrame:
    numbers = range(1_440)
    return pl.DataFrame(
        {
            "time": [NEWEST + timedelta(minutes=number) for number in numbers],
            "symbol": symbol,
            "timeframe": "1m",
            "open": [Decimal(price + number % 7) for number in numbers],
            "high": Decimal(price + 10),
            "low": Decimal(price - 10),
            "close": [Decimal(price + number % 5) for number in numbers],
            "volume": Decimal(3),
            "source": "test",
            "quality": "traded",
        },
        schema=BAR_SCHEMA,
    )


def test_the_newest_day_leaves_compressed_history_alone(database: Database, compressed: str) -> None:
    """Eight symbols by a backfill, corrected by another and by a stream, so often that statements are prepared."""
    bars, indicators, stream = BarStore(database), IndicatorStore(database), StreamStore(database)
    window = Window(NEWEST, NEWEST + DAY)
    with psycopg.connect(compressed, autocommit=True) as connection:
        before, _ = sizes(connection)
        for price in (100, 150, 100):
            for symbol in SYMBOLS:
                day = day_of(symbol, price)
                with database.begin() as transaction:
                    assert bars.replace(transaction, symbol, Timeframe.M1, window, day)
                    indicators.replace(transaction, [symbol], Timeframe.M1, window, compute_indicators(day))
        last = pl.concat([day_of(symbol, 120) for symbol in SYMBOLS]).filter(pl.col("time") == NEWEST + DAY / 2)
        for minute in range(8):
            stream.commit(
                "test", "test", bars=last, answered={}, until=NEWEST + DAY, position={"n": minute}, now=NEWEST + DAY
            )
            last = last.with_columns(pl.col("time") + timedelta(minutes=1))
        assert chunks(connection, "bars_1m") == chunks(connection, "indicators_1m") == (CHUNKS, 0)
        after, day_bytes = sizes(connection)
        assert day_bytes > 0
        assert after <= 1.02 * before + day_bytes


def statements() -> dict[str, str]:
    """The statements that write to a table of bars or indicators, or take what they write from one, by name."""
    root = sql_directory() / "queries"
    names = [str(path.relative_to(root).with_suffix("")) for path in sorted(root.rglob("*.sql"))]
    return {name: query(name) for name in names if re.search(r"\b(UPDATE|DELETE FROM|INSERT INTO)\b", query(name))}


ON_HYPERTABLES = sorted(
    name for name, text in statements().items() if re.search(r"\{table\}|\b(bars|indicators)_", text)
)
MINUTE = NEWEST + timedelta(minutes=30)
GIVEN: dict[str, object] = {
    "timeframe": "1m", "source": ["test"], "quality": "review", "start": NEWEST, "end": NEWEST + DAY,
    "starts": [NEWEST], "ends": [NEWEST + DAY], "first": NEWEST, "last": NEWEST + DAY, "present": NEWEST + DAY,
    "open": ["1"], "high": ["1"], "low": ["1"], "close": ["1"], "volume": ["1"],
    "times": [MINUTE], "differs": [True], "recorded_at": MINUTE, "replaced_at": MINUTE, "reason": "test",
}  # fmt: skip
AS_ARRAYS = {
    "market_data/stream/upsert",
    "market_data/fingerprints/change",
    "market_data/revisions/replace_indicators",
}


@pytest.mark.parametrize("name", ON_HYPERTABLES)
def test_no_statement_decompresses_or_reads_what_it_does_not_write(compressed: str, name: str) -> None:
    """Each as it is for the newest day, with the values known to the planner and, as when prepared, not known."""
    keys: dict[str, object] = {"symbol": "S1", "symbols": ["S1"], "time": MINUTE}
    if name in AS_ARRAYS:
        keys = {"symbol": ["S1"], "time": [MINUTE], "quality": ["review"]}
    kind = "indicators" if "indicators" in name else "bars"
    parts = {"{table}": f"market_data.{kind}_1m", "{columns}": ", ".join(INDICATOR_SCHEMA)}
    text = reduce(lambda made, part: made.replace(*part), parts.items(), statements()[name]).encode()
    with psycopg.connect(compressed) as connection:
        found = connection.execute(b"EXPLAIN (ANALYZE) " + text, GIVEN | keys).fetchall()
        plan = "\n".join(line for (line,) in found)
        assert re.findall(r"(?:Batches|Tuples) decompressed: \d+", plan) == []
        assert len(set(re.findall(r"_hyper_\d+_\d+_chunk", plan))) <= 1
        connection.execute("SET plan_cache_mode = force_generic_plan")
        for number in range(1, 3):  # a revision is replaced once at a time
            connection.execute(text, GIVEN | keys | {"replaced_at": MINUTE + number * DAY}, prepare=True)
        assert chunks(connection, f"{kind}_1m") == (CHUNKS, 0)
        connection.rollback()


def test_a_mark_far_behind_a_window_is_right_and_costs_one_batch(database: Database, compressed: str) -> None:
    """The next bar may be months later and compressed: its mark changes, and nothing else is decompressed."""
    bars = BarStore(database)
    first = NEWEST - CHUNKS * WEEK
    written = day_of("S3", 40).with_columns(time=pl.col("time") - (CHUNKS + 60) * WEEK)
    window = Window(written["time"][0], written["time"][0] + DAY)
    with psycopg.connect(compressed, autocommit=True) as connection:
        for mark, day in (("review", written), ("traded", written.clear())):
            with database.begin() as transaction:
                assert bars.replace(transaction, "S3", Timeframe.M1, window, day)
            following = bars.read(["S3"], Timeframe.M1, Window(first, first + DAY))
            if mark == "review":  # without a bar before it keeps the mark that it has
                assert following["quality"].to_list() == [mark] + ["traded"] * 287
            _, rows = chunks(connection, "bars_1m")
            assert 0 < rows <= 1_000, "more than a batch"
        compress(connection)
