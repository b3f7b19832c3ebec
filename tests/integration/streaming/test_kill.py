"""The whole live process, killed again and again while all around it fails: afterwards every bar is there, once.

Time runs faster for the exchange and for the process alike. ``TEST_STREAM_KILLS`` says how often it is killed,
and ``TEST_STREAM_AWAY`` for how many seconds the database is away.
"""

from __future__ import annotations

import logging
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
import requests
from clusters import Cluster, running_cluster
from commands import Installation, installation, rows
from processes import REPOSITORY, environment
from waiting import LONG

from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.domain.time import Timeframe, Window
from trading_platform.embedded.redis import RedisServer
from trading_platform.resources.platform import PlatformContext, open_platform
from trading_platform.settings import Settings
from trading_platform.simulator.faults import Faults
from trading_platform.simulator.seeded import SeededMarket
from trading_platform.simulator.server import running_exchange, stream_url

log = logging.getLogger(__name__)

SPEED = 60
KILLS = int(os.environ.get("TEST_STREAM_KILLS", "4"))
AWAY = float(os.environ.get("TEST_STREAM_AWAY", "3"))
SYMBOLS = ("BTCUSD", "ETHUSD", "SOLUSD")
VALUES = ["symbol", "time", "open", "high", "low", "close", "volume"]

STREAM = """
import asyncio, sys
from datetime import datetime, timedelta
from trading_platform.cli.live.stream import open_stream, run_until_stopped
from trading_platform.cli.live.stream_feeds import Wanted
from trading_platform.domain.time import utc_now
from trading_platform.settings import load_settings
start, began, speed = *map(datetime.fromisoformat, sys.argv[1:3]), float(sys.argv[3])
clock = lambda: start + (utc_now() - began) * speed
with open_stream(load_settings(), Wanted(), clock=clock) as process:
    print("ready", flush=True)
    asyncio.run(run_until_stopped(process))
"""


class Clock:
    """Shows the time the exchange and the process have: of one and the same day, whenever it is run."""

    start = datetime(2026, 11, 25, 12, tzinfo=UTC)

    def __init__(self) -> None:
        self.began = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.start + (datetime.now(UTC) - self.began) * SPEED


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL of the test's own, to be stopped."""
    with running_cluster(18) as made:
        yield made


@pytest.fixture
def ours(cluster: Cluster) -> Iterator[Installation]:
    with installation(cluster.url) as made:
        yield made


@pytest.fixture
def redis(new_settings: Callable[..., Settings]) -> Iterator[RedisServer]:
    """A Redis of the test's own, to be killed."""
    made = RedisServer(new_settings().root)
    made.ensure_running()
    yield made
    made.remove()


@contextmanager
def streaming(made: Installation, clock: Clock, url: str, redis_url: str) -> Iterator[subprocess.Popen[str]]:
    """The process, running; killed at the end if it still is."""
    addresses = {
        "KRAKEN_API_URL": url,
        "KRAKEN_WS_URL": stream_url(url),
        "KRAKEN_REQUESTS_PER_SECOND": "1000",
        "REDIS_URL": redis_url,
    }
    process = subprocess.Popen(
        [sys.executable, "-c", STREAM, clock.start.isoformat(), clock.began.isoformat(), str(SPEED)],
        env=environment() | made.environment() | addresses,
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line == "ready\n", process.communicate()[1]
        yield process
    finally:
        kill(process)


def fail(url: str, faults: Faults) -> None:
    """From now on the exchange fails like this."""
    response = requests.post(f"{url}/faults", data=faults.model_dump_json(), timeout=10)
    assert response.json()["seed"] == faults.seed


def kill(process: subprocess.Popen[str]) -> None:
    """As ``kill -9``; one that has ended is left alone."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def wait_until_repaired(made: Installation, process: subprocess.Popen[str]) -> None:
    """Waits for what the process does by itself."""
    deadline = time.monotonic() + LONG
    left: list[tuple[object, ...]] = []
    while time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        time.sleep(1)
        left = rows(made.database_url, "SELECT * FROM market_data.outages WHERE state <> 'repaired' ORDER BY id")
        if not left:
            return
    pytest.fail(f"not repaired: {left}")


USUAL = Faults(
    probability={"duplicate": 0.02, "reorder": 0.01, "malformed": 0.01, "late": 0.002, "reset": 0.0005}, seed=3
)


def check(platform: PlatformContext) -> None:
    """Every minute is there, equal to what the exchange's trades give when they are asked for at the end."""
    ((until,),) = platform.stores.database.rows("SELECT until FROM market_data.stream_positions")
    outages = platform.stores.outages.all()
    assert len({outage.down_at for outage in outages}) > KILLS / 2
    streamed = total = 0
    for symbol in SYMBOLS:
        (covered,) = platform.stores.coverage.answered_by_any([symbol], Timeframe.M1, platform.clock())[symbol]
        window = Window(covered.start, until)
        assert covered.end >= until
        assert window.end - window.start > timedelta(minutes=2 * KILLS)
        stored = platform.stores.bars.read([symbol], Timeframe.M1, window)
        (instrument,) = platform.instruments([symbol])
        undisturbed = platform.sources["kraken"].bars(instrument, Timeframe.M1, window)
        assert undisturbed.answered[0].end >= until
        differing = stored.join(undisturbed.bars, on=VALUES, how="anti")
        assert differing.is_empty(), f"{differing.rows()} of {outages}"
        assert stored.height == (window.end - window.start) // timedelta(minutes=1)
        streamed += stored.filter(pl.col("quality") != "repaired").height
        total += stored.height
    assert streamed > 0
    log.info("%d kills, %d outages repaired, %d of %d bars streamed", KILLS, len(outages), streamed, total)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_killed_again_and_again_every_bar_is_there_once(
    ours: Installation, cluster: Cluster, redis: RedisServer
) -> None:
    chance = random.Random(7)
    clock = Clock()
    market = SeededMarket(11, SYMBOLS, trades_per_minute=20)

    def disturb(number: int, url: str) -> None:
        """Beside the kills: each quarter of the way something else goes away for a while."""
        if number == KILLS // 4:
            running = redis.running()
            assert running is not None
            running.kill()
            time.sleep(chance.uniform(0.5, 2))
            redis.ensure_running()
        elif number == KILLS // 2:
            cluster.stop()
            time.sleep(AWAY)
            cluster.start()
        elif number == 3 * KILLS // 4:
            fail(url, Faults(next={"stall": 1}, seed=4))
            time.sleep(8)
            fail(url, USUAL)

    with running_exchange(market, USUAL, clock) as url:
        with open_platform(ours.settings()) as platform:
            for symbol in SYMBOLS:
                platform.stores.instruments.add(Instrument(symbol, AssetClass.CRYPTO, "24/7", "kraken"))
        for number in range(KILLS):
            with streaming(ours, clock, url, redis.url()) as process:
                time.sleep(chance.uniform(0.3, 4.0))
                disturb(number, url)
                time.sleep(chance.uniform(0.0, 1.0))
                assert process.poll() is None, process.communicate()
        fail(url, Faults())
        with streaming(ours, clock, url, redis.url()) as process:
            wait_until_repaired(ours, process)
            os.killpg(process.pid, signal.SIGTERM)
            out, said = process.communicate(timeout=LONG)
            assert process.returncode == 0, out + said

        settings = ours.settings().model_copy(update={"kraken_api_url": url})
        with open_platform(settings, clock=clock) as platform:
            check(platform)
