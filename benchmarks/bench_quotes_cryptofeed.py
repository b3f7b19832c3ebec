"""Throughput of quotes to Redis, against the Redis back end of cryptofeed with the same quotes.

The platform writes a hash that expires after 60 seconds, ignores outdated quotes, and numbers and publishes each
quote. cryptofeed appends each quote to a stream (``TickerStream``) or a sorted set (``TickerRedis``); the faster of the
two counts. Each side gets prepared quotes in one event loop and is timed until Redis has all of them. cryptofeed is
installed from the package index into a separate virtual environment, in a folder that is removed.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import tempfile
import venv
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from common import EPOCH, Figure, arguments, own_servers, seconds, show, symbols
from redis import Redis

from trading_platform.domain.market.live.events import Quote
from trading_platform.embedded.stack import running_stack
from trading_platform.stores.redis.live import AsyncLiveStore
from trading_platform.streaming.quote_sink import BATCH

SYMBOLS = symbols(100)
TARGET = 2.0

CRYPTOFEED = """
import asyncio, sys, time
from cryptofeed.backends import redis as backends
from cryptofeed.types import Ticker
url, kind, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
async def main():
    symbols = [f"S{number:03d}" for number in range(100)]
    tickers = [
        Ticker("BENCH", symbols[n % 100], 185.5 + n % 100 / 100, 185.52 + n % 100 / 100, 1.7e9 + n / 1e6, raw=None)
        for n in range(count)
    ]
    backend = getattr(backends, kind)()
    backend.redis = url
    backend.start(asyncio.get_running_loop())
    began = time.perf_counter()
    for ticker in tickers:
        await backend(ticker, ticker.timestamp)
    written = asyncio.ensure_future(backend.queue.join())
    await asyncio.wait({written, backend.worker}, return_when=asyncio.FIRST_COMPLETED)
    if not written.done():
        backend.worker.result()  # why it has ended
    print(time.perf_counter() - began)
asyncio.run(main())
"""


def main() -> None:
    """Measures and prints the result."""
    given = arguments(__doc__)
    count = 10_000 if given.quick else 200_000
    rounds = given.rounds or (2 if given.quick else 7)
    with tempfile.TemporaryDirectory(prefix="tp-bench-") as folder:
        python = _install(Path(folder))
        if python is None:
            show("Quotes", [], ["cryptofeed cannot be installed here and was not measured."])
            return
        with own_servers() as (settings, _), running_stack(settings) as endpoints:
            ours, theirs = _compare(endpoints.redis_url, python, count, rounds)
    figure = Figure(f"{count:,} quotes, against cryptofeed", ours, theirs, TARGET)
    note = f"{count / statistics.median(ours):,.0f} quotes/s, cryptofeed {count / statistics.median(theirs):,.0f}."
    show("Quotes", [figure], [note], quick=given.quick)


def _install(folder: Path) -> Path | None:
    """The path of a Python with cryptofeed; None if it cannot be installed."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "cryptofeed", "redis"]
    return python if subprocess.run(command, check=False, capture_output=True).returncode == 0 else None


def _compare(url: str, python: Path, count: int, rounds: int) -> tuple[list[float], list[float]]:
    ours: list[float] = []
    theirs: list[float] = []
    with Redis.from_url(url) as redis:
        for number in range(rounds + 1):
            redis.flushdb()
            quotes = [_quote(each, number * count) for each in range(count)]
            own = seconds(lambda: asyncio.run(_write(url, quotes)))  # noqa: B023 - called at once
            other = min(_cryptofeed(redis, url, python, kind, count) for kind in ("TickerStream", "TickerRedis"))
            if number:  # the first round warms caches
                ours.append(own)
                theirs.append(other)
    return ours, theirs


async def _write(url: str, quotes: list[Quote]) -> None:
    store = AsyncLiveStore(url)
    for start in range(0, len(quotes), BATCH):
        await store.write_quotes(quotes[start : start + BATCH])
    await store.close()


def _cryptofeed(redis: Redis, url: str, python: Path, kind: str, count: int) -> float:
    redis.flushdb()  # its back ends use the same keys with different types
    command = [python, "-c", CRYPTOFEED, url, kind, str(count)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=600)
    if done.returncode:
        sys.exit(f"cryptofeed failed: {done.stderr}")
    return float(done.stdout)


def _quote(number: int, offset: int) -> Quote:
    cents = Decimal(18_550 + number % 100) / 100
    timestamp = EPOCH + timedelta(microseconds=offset + number)
    return Quote(SYMBOLS[number % len(SYMBOLS)], timestamp, cents, cents + Decimal("0.02"), cents, Decimal(1_234_567))


if __name__ == "__main__":
    main()
