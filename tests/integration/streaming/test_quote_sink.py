"""Quotes under pressure, on a real Redis that is stopped, restarted and stalled."""

from __future__ import annotations

import asyncio
import random
import signal
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from redis import Redis
from redis_servers import flush, started
from waiting import DEADLINE, until

from trading_platform.domain.errors import StoreUnavailable
from trading_platform.domain.market.live.events import Quote
from trading_platform.embedded.redis import RedisServer
from trading_platform.settings import Settings
from trading_platform.stores.redis.live import AsyncLiveStore, open_live_store
from trading_platform.streaming.quote_sink import QuoteSink, SinkCounts

NOON = datetime(2024, 12, 15, 12, tzinfo=UTC)
SYMBOLS = [f"S{number:03d}" for number in range(100)]


@pytest.fixture(scope="module")
def server(new_settings: Callable[..., Settings]) -> Iterator[RedisServer]:
    made = started(RedisServer(new_settings().root))
    yield made
    made.remove()


@pytest.fixture
def redis(server: RedisServer) -> Iterator[Redis]:
    with Redis.from_url(server.url(), decode_responses=True) as client:
        flush(client)
        yield client


@asynccontextmanager
async def running(url: str, patience: float = DEADLINE) -> AsyncIterator[QuoteSink]:
    store = AsyncLiveStore(url, timeout=patience)
    sink = QuoteSink(store)
    task = asyncio.create_task(sink.run())
    yield sink
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    await store.close()


def quote(number: int) -> Quote:
    return Quote(SYMBOLS[number % 100], NOON + timedelta(milliseconds=number), Decimal(number + 1), Decimal(number + 2))


def balanced(counts: SinkCounts) -> bool:
    known = counts.rejected + counts.conflated + counts.outdated + counts.written + counts.waiting
    return counts.received == known


def test_quotes_arrive(redis: Redis, server: RedisServer):
    async def work() -> SinkCounts:
        async with running(server.url()) as sink:
            for number in range(1000):
                sink.offer(quote(number))
                if number % 100 == 0:
                    await asyncio.sleep(0.005)
            await until(lambda: sink.counts.waiting == 0, "all to be written")
            return sink.counts

    counts = asyncio.run(work())
    assert balanced(counts)
    assert counts.failed == 0
    assert redis.hget("quote:S007", "bid") == "908"
    assert len(redis.keys("quote:*")) == 100
    assert int(redis.get("quotes:seq")) == counts.written


@pytest.mark.exhaustive
def test_a_stalled_redis_costs_a_quote_a_symbol(redis: Redis, server: RedisServer):
    """100,000 quotes while the server does not move: what waits is 100 quotes, and the feed is not held up."""
    process = server.running()
    assert process is not None

    async def work() -> tuple[SinkCounts, int]:
        async with running(server.url(), patience=0.3) as sink:
            sink.offer(quote(0))
            await until(lambda: sink.counts.written == 1, "the first to be written")
            process.send_signal(signal.SIGSTOP)
            try:
                for number in range(1_000):
                    sink.offer(quote(number))
                tracemalloc.start()
                before = tracemalloc.get_traced_memory()[0]
                for number in range(1_000, 101_000):
                    sink.offer(quote(number))
                    if number == 50_000:
                        await until(lambda: sink.counts.failed > 0, "an attempt that fails")
                    elif number % 2_000 == 0:
                        await asyncio.sleep(0)
                    assert sink.counts.waiting <= len(SYMBOLS)
                grown = tracemalloc.get_traced_memory()[0] - before
                tracemalloc.stop()
                assert sink.counts.failed >= 1
                assert isinstance(sink.error, StoreUnavailable)
            finally:
                process.send_signal(signal.SIGCONT)
            await until(lambda: sink.counts.waiting == 0, "all to be written")
            assert sink.error is None
            return sink.counts, grown

    counts, grown = asyncio.run(work())
    assert balanced(counts)
    assert counts.received == 101_001
    assert grown < 300_000
    assert redis.hget("quote:S099", "bid") == "101000"


@pytest.mark.exhaustive
@pytest.mark.usefixtures("redis")
def test_a_restart_of_redis(server: RedisServer):
    async def work() -> SinkCounts:
        async with running(server.url()) as sink:
            sink.offer(quote(0))
            await until(lambda: sink.counts.written == 1, "the first to be written")
            process = server.running()
            assert process is not None
            process.kill()
            process.wait(DEADLINE)
            for number in range(100, 300):
                sink.offer(quote(number))
            await until(lambda: sink.counts.failed > 0, "an attempt that fails")
            await asyncio.to_thread(server.ensure_running)
            await until(lambda: sink.counts.waiting == 0, "all to be written")
            return sink.counts

    counts = asyncio.run(work())
    assert balanced(counts)
    with open_live_store(server.url()) as live:
        quotes = live.quotes()
    assert len(quotes) == 100
    assert quotes["S050"].bid == 251


def test_what_waits_is_written_when_the_sink_is_told_to_stop(redis: Redis, server: RedisServer):
    async def work() -> SinkCounts:
        async with running(server.url()) as sink:
            sink.offer(quote(0))
            await until(lambda: sink.counts.written == 1, "the first to be written")
            sink.offer(quote(1))
            sink.offer(quote(2))
        return sink.counts

    counts = asyncio.run(work())
    assert (counts.written, counts.waiting) == (3, 0)
    assert len(redis.keys("quote:*")) == 3


@pytest.mark.exhaustive
def test_told_to_stop_at_any_moment_it_stops(redis: Redis, server: RedisServer):
    """A cancellation that comes together with Redis's answer must not get lost."""
    chance = random.Random(7)

    async def work(number: int) -> SinkCounts:
        async with asyncio.timeout(DEADLINE), running(server.url()) as sink:
            for step in range(chance.randrange(40)):
                sink.offer(quote(number * 40 + step))
                await asyncio.sleep(chance.choice([0, 0, 0.0005]))
        return sink.counts

    found = [asyncio.run(work(number)) for number in range(200)]
    assert all(balanced(counts) and counts.waiting == 0 for counts in found)
    assert redis.keys("quote:*")


@pytest.mark.usefixtures("redis")
def test_sides_are_conflated_one_by_one_and_older_ones_dropped(server: RedisServer):
    later = NOON + timedelta(seconds=1)

    async def work() -> SinkCounts:
        store = AsyncLiveStore(server.url())
        sink = QuoteSink(store)
        sink.offer(Quote("AAPL", NOON, bid=Decimal(10)))
        sink.offer(Quote("AAPL", later, ask=Decimal(11)))
        sink.offer(Quote("AAPL", NOON, bid=Decimal(9)))
        assert await sink.flush()
        sink.offer(Quote("AAPL", NOON, bid=Decimal(8)))
        assert await sink.flush()
        await store.close()
        return sink.counts

    assert asyncio.run(work()) == SinkCounts(received=4, conflated=1, outdated=2, written=1)
    with open_live_store(server.url()) as live:
        assert live.quotes() == {"AAPL": Quote("AAPL", later, Decimal(10), Decimal(11))}


def test_what_is_no_quote_is_refused_and_counted(redis: Redis, server: RedisServer):
    good = Quote("AAPL", NOON, Decimal(10), Decimal(11), volume=Decimal(0))
    wrong = [
        replace(good, bid=Decimal(0)),
        replace(good, ask=Decimal(-1)),
        replace(good, last=Decimal("NaN")),
        replace(good, volume=Decimal(-1)),
        replace(good, time=NOON + timedelta(minutes=1)),
        replace(good, symbol="no symbol"),
    ]
    said: list[Quote] = []

    async def work() -> SinkCounts:
        store = AsyncLiveStore(server.url())
        sink = QuoteSink(store, rejected=lambda quote, _fault: said.append(quote), clock=lambda: NOON)
        for each in [*wrong, good]:
            sink.offer(each)
        assert await sink.flush()
        await store.close()
        return sink.counts

    counts = asyncio.run(work())
    assert (counts.rejected, counts.written) == (6, 1)
    assert said == wrong
    assert redis.keys("quote:*") == ["quote:AAPL"]
