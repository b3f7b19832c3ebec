"""Throughput of quotes to Redis, and the latency of a quote at 2,000 quotes a second.

Throughput: quotes from a feed through the live store (hash, expiry, sequence number, message; outdated quotes
ignored), against ``redis-benchmark`` with HSET, EXPIRE and PUBLISH, one command after the other, pipelined, with
prepared bytes, if it is on the PATH; and against a loop over redis-py's pipeline with the same commands. Latency: from
the feed's call of the sink to a subscriber in another process, against a producer that only publishes prepared texts
one by one. The median of the rounds is shown.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from decimal import Decimal

from common import EPOCH, Figure, arguments, own_servers, seconds, show, symbols
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.connection import parse_url

from trading_platform.domain.market.live.events import Quote
from trading_platform.domain.time import rfc3339, utc_now
from trading_platform.embedded.stack import running_stack
from trading_platform.stores.redis.live import AsyncLiveStore, LiveStore
from trading_platform.streaming.quote_sink import QuoteSink

SYMBOLS = symbols(100)
BATCH = 500
RATE = 2_000
"""Quotes a second, for the measurement of latency."""

TARGET_REDIS_BENCHMARK = 0.2
TARGET_PIPELINE = 2.0

SUBSCRIBER = """
import sys
from datetime import UTC, datetime
from redis import Redis
channel = Redis.from_url(sys.argv[1]).pubsub(ignore_subscribe_messages=True)
channel.subscribe("quotes")
channel.get_message(timeout=5)
print("ready", flush=True)
delays = []
while True:
    message = channel.get_message(timeout=5)
    now = datetime.now(UTC)
    if message is None:
        continue
    text = message["data"].decode()
    if text == "end":
        break
    delays.append((now - datetime.fromisoformat(text[13:40])).total_seconds())
print(*delays)
"""


def main() -> None:
    """Measures and prints the result."""
    given = arguments(__doc__)
    count = 10_000 if given.quick else 200_000
    rounds = given.rounds or (2 if given.quick else 7)
    with own_servers() as (settings, _), running_stack(settings) as endpoints:
        figures, notes = _throughput(endpoints.redis_url, count, rounds)
        latency = _latency(endpoints.redis_url, length=1.0 if given.quick else 10.0, rounds=2 if given.quick else 5)
    show("Quotes", [*figures, *latency], notes, quick=given.quick)


def _throughput(url: str, count: int, rounds: int) -> tuple[list[Figure], list[str]]:
    program = shutil.which("redis-benchmark") or shutil.which("valkey-benchmark")
    live = LiveStore(url)
    ours: list[float] = []
    pipelined: list[float] = []
    bare: list[float] = []
    with Redis.from_url(url) as redis:
        for number in range(rounds + 1):
            quotes = [_quote(each, number * count) for each in range(count)]
            batches = [quotes[start : start + BATCH] for start in range(0, count, BATCH)]
            own = seconds(lambda: [live.write_quotes(batch) for batch in batches])  # noqa: B023 - called at once
            loop = seconds(lambda: [_pipeline(redis, batch) for batch in batches])  # noqa: B023
            tool = _redis_benchmark(program, url, count) if program else 0.0
            if number:  # the first round warms caches
                ours.append(own)
                pipelined.append(loop)
                bare.append(tool)
    live.close()
    figures = [Figure(f"{count:,} quotes, against redis-py's pipeline", ours, pipelined, TARGET_PIPELINE)]
    notes = [
        f"{count / statistics.median(ours):,.0f} quotes/s, {count / statistics.median(pipelined):,.0f} by pipeline"
    ]
    if program:
        figures.append(Figure(f"{count:,} quotes, against redis-benchmark", ours, bare, TARGET_REDIS_BENCHMARK))
        notes[0] += f", {count / statistics.median(bare):,.0f} of each command by {program}."
    else:
        notes[0] += "; redis-benchmark is not on the PATH and was not measured."
    return figures, notes


def _quote(number: int, offset: int) -> Quote:
    cents = Decimal(18_550 + number % 100) / 100
    timestamp = EPOCH + timedelta(microseconds=offset + number)
    return Quote(SYMBOLS[number % len(SYMBOLS)], timestamp, cents, cents + Decimal("0.02"), cents, Decimal(1_234_567))


def _pipeline(redis: Redis, quotes: list[Quote]) -> None:
    pipeline = redis.pipeline(transaction=False)
    for quote in quotes:
        key, ts = f"bare:{quote.symbol}", rfc3339(quote.time)
        values = {"bid": str(quote.bid), "ask": str(quote.ask), "last": str(quote.last), "volume": str(quote.volume)}
        pipeline.hset(key, mapping={**values, "timestamp": ts})
        pipeline.expire(key, 60)
        body = ",".join(f'"{name}":"{value}"' for name, value in values.items())
        pipeline.publish("bare", f'{{"v":1,"ts":"{ts}","payload":{{"symbol":"{quote.symbol}",{body}}}}}')
    pipeline.execute()


def _redis_benchmark(program: str, url: str, count: int) -> float:
    """Seconds of redis-benchmark for the same number of HSET, EXPIRE and PUBLISH, 100 in a pipeline."""
    address, timestamp = parse_url(url), rfc3339(EPOCH)
    command = [program, "-s", address["path"], "-a", address["password"], "-P", "100", "-n", str(count), "-r", "100"]
    body = '"payload":{"symbol":"S000","bid":"185.50","ask":"185.52","last":"185.51","volume":"1234567"}'
    total = 0.0
    for request in (
        [*"HSET tool:__rand_int__ bid 185.50 ask 185.52 last 185.51 volume 1234567 timestamp".split(), timestamp],
        ["EXPIRE", "tool:__rand_int__", "60"],
        ["PUBLISH", "tool", f'{{"v":1,"ts":"{timestamp}","seq":1,{body}}}'],
    ):
        response = subprocess.run(
            [*command, "--csv", *request], check=True, capture_output=True, text=True, timeout=300
        )
        total += count / float(re.findall(r'","(\d+\.\d+)"', response.stdout.splitlines()[-1])[0])
    return total


def _latency(url: str, *, length: float, rounds: int) -> list[Figure]:
    ours: dict[int, list[float]] = {50: [], 99: []}
    nothing: dict[int, list[float]] = {50: [], 99: []}
    for number in range(rounds + 1):
        for found, producer in ((ours, _through_the_sink), (nothing, _published_one_by_one)):
            delays = _delays(url, producer, length)
            if number:
                for percentile, values in found.items():
                    values.append(statistics.quantiles(delays, n=100)[percentile - 1])
    return [
        Figure(f"latency of a quote at {RATE:,}/s, p{percentile}", ours[percentile], nothing[percentile], None, True)
        for percentile in ours
    ]


def _delays(url: str, producer: Callable[[str, float], Awaitable[None]], length: float) -> list[float]:
    with _subscriber(url) as process:
        asyncio.run(_call(producer, url, length))
        with Redis.from_url(url) as redis:
            redis.publish("quotes", "end")
        output, _ = process.communicate(timeout=30)
    return [float(line) for line in output.split()]


async def _call(producer: Callable[[str, float], Awaitable[None]], url: str, length: float) -> None:
    await producer(url, length)


@contextmanager
def _subscriber(url: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, "-c", SUBSCRIBER, url], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None  # noqa: S101 - for the type checker
        process.stdout.readline()
        yield process
    finally:
        process.kill()
        process.wait()


async def _paced(length: float, offer: Callable[[int], Awaitable[None]]) -> None:
    """Calls ``offer`` at the rate, as evenly as the event loop can."""
    began = time.perf_counter()
    for number in range(int(length * RATE)):
        await asyncio.sleep(max(0.0, began + number / RATE - time.perf_counter()))
        await offer(number)


async def _through_the_sink(url: str, length: float) -> None:
    store = AsyncLiveStore(url)
    sink = QuoteSink(store)
    running = asyncio.create_task(sink.run())
    price = Decimal("185.50")

    async def offer(number: int) -> None:
        sink.offer(Quote(SYMBOLS[number % len(SYMBOLS)], utc_now(), price, price, price, price))

    await _paced(length, offer)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    await store.close()


async def _published_one_by_one(url: str, length: float) -> None:
    async with AsyncRedis.from_url(url) as redis:
        body = '"seq":1,"payload":{"symbol":"S000","bid":"185.50","ask":"185.50","last":"185.50","volume":"185.50"}}'

        async def offer(_: int) -> None:
            await redis.publish("quotes", f'{{"v":1,"ts":"{rfc3339(utc_now())}",{body}')

        await _paced(length, offer)


if __name__ == "__main__":
    main()
