"""Positions in Redis as in the ledger, whatever restarts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from redis import Redis
from redis_servers import flush
from waiting import DEADLINE, until

from trading_platform.client import Platform
from trading_platform.domain.time import rfc3339
from trading_platform.stores.postgres.roles import Role, as_role
from trading_platform.stores.redis.live import AsyncLiveStore
from trading_platform.stores.stores import open_stores
from trading_platform.streaming.position_sync import EVERY, PositionSync

TIMESTAMP = datetime(2024, 3, 4, 14, 30, tzinfo=UTC)


@pytest.fixture
def platform(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Platform]:
    with open_stores(database_url, tmp_path, may_upgrade=True) as stores:
        with psycopg.connect(database_url) as connection:
            connection.execute("DELETE FROM trading.position_history")
            connection.execute("DELETE FROM trading.positions")
        with Redis.from_url(redis_url) as client:
            flush(client)
        yield Platform(stores)


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    with Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


@asynccontextmanager
async def mirroring(database_url: str, redis_url: str, every: float = EVERY) -> AsyncIterator[PositionSync]:
    """As the streamer does, in the role that it has."""
    store = AsyncLiveStore(redis_url, timeout=DEADLINE)
    mirror = PositionSync(as_role(database_url, Role.INGEST, trusted=True), store, every=every)
    task = asyncio.create_task(mirror.run())
    await until(lambda: mirror.full_syncs, "the first full sync")
    yield mirror
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    await store.close()


def fill(platform: Platform, name: str, symbol: str, quantity: str) -> None:
    order = platform.orders.place(symbol, "buy", "market", quantity, broker="kraken")
    platform.orders.record_fill(order.id, name, quantity=quantity, price="64000.5", executed_at=TIMESTAMP)


def test_a_fill_is_mirrored_at_once_with_every_column(
    platform: Platform, redis: Redis, database_url: str, redis_url: str
):
    async def work() -> int:
        async with mirroring(database_url, redis_url, every=3600) as mirror:
            await asyncio.to_thread(fill, platform, "F1", "BTCUSD", "0.25")
            await until(lambda: redis.exists("position:BTCUSD"), "the position")
            return mirror.full_syncs

    assert asyncio.run(work()) == 1, "notified, not found by a full read"
    position = platform.positions()["BTCUSD"]
    mirrored = redis.hgetall("position:BTCUSD")
    with psycopg.connect(database_url) as connection:
        columns = [column.name for column in connection.execute("SELECT * FROM trading.positions").description or ()]
    assert set(mirrored) == set(columns)
    assert mirrored["quantity"] == "0.25000000"
    assert mirrored["realized_pnl"] == "0.00000000"
    assert mirrored["avg_entry_price"] == "64000.50000000"
    assert mirrored["updated_at"] == rfc3339(position.updated_at)
    assert (redis.type("position:BTCUSD"), redis.ttl("position:BTCUSD")) == ("hash", -1)


def test_what_closes_loses_its_price_and_what_is_gone_goes(
    platform: Platform, redis: Redis, database_url: str, redis_url: str
):
    redis.hset("position:GONE", "quantity", "1")
    fill(platform, "F2", "ETHUSD", "2")

    async def work() -> None:
        async with mirroring(database_url, redis_url, every=3600):
            assert not redis.exists("position:GONE")
            assert redis.hget("position:ETHUSD", "quantity") == "2.00000000"
            order = platform.orders.place("ETHUSD", "sell", "market", "2", broker="kraken")
            platform.orders.record_fill(order.id, "F3", quantity="2", price="64000.5", executed_at=TIMESTAMP)
            await until(lambda: redis.hget("position:ETHUSD", "quantity") == "0.00000000", "the sale")
            assert not redis.hexists("position:ETHUSD", "avg_entry_price")
            with psycopg.connect(database_url) as connection:
                connection.execute("DELETE FROM trading.positions WHERE symbol = 'ETHUSD'")
            await until(lambda: not redis.exists("position:ETHUSD"), "its end")

    asyncio.run(work())


@pytest.mark.exhaustive
@pytest.mark.usefixtures("platform")
def test_within_five_seconds_although_nobody_told(redis: Redis, database_url: str, redis_url: str):
    async def work() -> None:
        async with mirroring(database_url, redis_url) as mirror:
            with psycopg.connect(database_url) as connection:
                connection.execute("SET session_replication_role = replica")  # no trigger tells
                connection.execute("INSERT INTO trading.positions (symbol) VALUES ('SPY')")
            await until(lambda: mirror.full_syncs > 1, "the next full sync")
            assert redis.exists("position:SPY")

    assert EVERY <= 5
    asyncio.run(work())


@pytest.mark.exhaustive
def test_connections_that_break_and_a_redis_that_was_emptied(
    platform: Platform, redis: Redis, database_url: str, redis_url: str
):
    async def work() -> None:
        async with mirroring(database_url, redis_url) as mirror:
            with psycopg.connect(database_url, autocommit=True) as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE query LIKE 'LISTEN%' OR (usename = 'ingest' AND datname = current_database())"
                )
            fill(platform, "F4", "BTCUSD", "1")
            await until(lambda: redis.exists("position:BTCUSD"), "the position")
            flush(redis)
            redis.client_kill_filter(_type="normal")
            await until(lambda: redis.exists("position:BTCUSD"), "the position")
            await until(lambda: mirror.error is None, "the mirror to be well")

    asyncio.run(work())


def test_a_position_that_cannot_be_read_stops_no_other(
    platform: Platform, redis: Redis, database_url: str, redis_url: str
):
    """One of before the migration 0013, which the rules of the table keep out now."""
    fill(platform, "F9", "BTCUSD", "0.25")
    with psycopg.connect(database_url) as connection:
        ((rule,),) = connection.execute(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'positions_readable'"
        ).fetchall()
        connection.execute("ALTER TABLE trading.positions DROP CONSTRAINT positions_readable")
        connection.execute(
            "INSERT INTO trading.positions (symbol, quantity, avg_entry_price, opened_at)"
            " VALUES ('OLD', 1, 1, 'infinity')"
        )
        connection.execute(f"ALTER TABLE trading.positions ADD CONSTRAINT positions_readable {rule} NOT VALID".encode())

    async def work() -> None:
        async with mirroring(database_url, redis_url):
            await until(lambda: redis.exists("position:BTCUSD"), "the position")

    asyncio.run(work())
    assert not redis.exists("position:OLD")
    assert list(platform.positions()) == ["BTCUSD"]
