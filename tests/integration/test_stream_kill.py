"""The whole live process, killed again and again while the exchange misbehaves: afterwards every bar is there, once.

Time runs faster for the exchange and for the process alike. ``TRADING_STREAM_KILLS`` says how often it is killed.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from commands import NOWHERE, Installation, installation
from processes import REPOSITORY, environment

from trading_platform.domain.instruments import AssetClass, Instrument
from trading_platform.domain.time import Timeframe, Window
from trading_platform.embedded.stack import Endpoints
from trading_platform.resources.platform import PlatformContext, open_platform
from trading_platform.simulator.faults import Faults
from trading_platform.simulator.seeded import SeededMarket
from trading_platform.simulator.server import running_exchange, stream_url
from trading_platform.stores.outages import OutageState
from trading_platform.workflows.repair_outages import repair_outages

SPEED = 60
KILLS = int(os.environ.get("TRADING_STREAM_KILLS", "6"))
SYMBOLS = ("BTCUSD", "ETHUSD", "SOLUSD")
VALUES = ["symbol", "time", "open", "high", "low", "close", "volume"]

STREAM = """
import asyncio, sys
from datetime import datetime, timedelta
from trading_platform.cli.stream import open_stream, run_until_stopped
from trading_platform.cli.stream_feeds import Wanted
from trading_platform.domain.time import utc_now
from trading_platform.settings import load_settings
start, speed = datetime.fromisoformat(sys.argv[1]), float(sys.argv[2])
clock = lambda: start + (utc_now() - start) * speed
with open_stream(load_settings(), Wanted(), clock=clock) as process:
    print("ready", flush=True)
    asyncio.run(run_until_stopped(process))
"""


class Clock:
    """Shows the time the exchange and the process have."""

    def __init__(self) -> None:
        self.start = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.start + (datetime.now(UTC) - self.start) * SPEED


@pytest.fixture
def ours(stack: Endpoints) -> Iterator[Installation]:
    with installation(stack.database_url) as made:
        yield made


def start(made: Installation, clock: Clock, url: str, redis_url: str) -> subprocess.Popen[str]:
    addresses = {
        "KRAKEN_API_URL": url,
        "KRAKEN_WS_URL": stream_url(url),
        "KRAKEN_REQUESTS_PER_SECOND": "1000",
        "REDIS_URL": redis_url,
    }
    process = subprocess.Popen(
        [sys.executable, "-c", STREAM, clock.start.isoformat(), str(SPEED)],
        env=environment() | made.environment() | addresses,
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line == "ready\n", process.communicate()[1]
    return process


def repaired(platform: PlatformContext, clock: Clock) -> None:
    """Repairs until nothing is left, as the streamer and Dagster do by themselves; waits are over when we say so."""
    later = [clock()]
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        repair_outages(platform.stores, platform.sources, clock=lambda: later[0])
        states = {outage.state for outage in platform.stores.outages.all()}
        if states <= {OutageState.REPAIRED}:
            return
        later[0] += timedelta(minutes=20)
    pytest.fail(f"not repaired: {platform.stores.outages.all()}")


@pytest.mark.slow
def test_killed_again_and_again_every_bar_is_there_once(
    ours: Installation, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(7)
    clock = Clock()
    market = SeededMarket(11, SYMBOLS, trades_per_minute=20)
    faults = Faults(probability={"duplicate": 0.02, "reorder": 0.01, "malformed": 0.01, "reset": 0.0005}, seed=3)
    with running_exchange(market, faults, clock) as url:
        with open_platform(ours.settings()) as platform:
            for symbol in SYMBOLS:
                platform.stores.instruments.add(Instrument(symbol, AssetClass.CRYPTO, "24/7", "kraken"))
        killed = 0
        for _ in range(KILLS):
            process = start(ours, clock, url, redis_url)
            time.sleep(chance.uniform(0.3, 4.0))
            os.killpg(process.pid, signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
            process.communicate()
            killed += 1
        process = start(ours, clock, url, redis_url)
        time.sleep(5)
        os.killpg(process.pid, signal.SIGTERM)
        out, said = process.communicate(timeout=60)
        assert process.returncode == 0, out + said
        assert killed == KILLS

        for name, value in (("KRAKEN_API_URL", url), ("KRAKEN_REQUESTS_PER_SECOND", "1000")):
            monkeypatch.setenv(name, value)
        settings = ours.settings().model_copy(
            update={"kraken_api_url": url, "kraken_requests_per_second": 1000.0, "kraken_ws_url": NOWHERE}
        )
        with open_platform(settings, clock=clock) as platform:
            position = platform.stores.database.rows("SELECT until FROM market_data.stream_positions")
            until = position[0][0]
            # The last outage is open: nobody came back from it.
            platform.stores.outages.closed("kraken", SYMBOLS, until)
            repaired(platform, clock)
            for symbol in SYMBOLS:
                answered = platform.stores.coverage.answered_by_any([symbol], Timeframe.M1)[symbol]
                (covered,) = [window for window in answered if window.end >= until]
                window = Window(covered.start, until)
                assert window.end - window.start > timedelta(minutes=KILLS)
                assert covered == answered[0], f"a gap was left: {answered}"
                stored = platform.stores.bars.read([symbol], Timeframe.M1, window)
                (instrument,) = platform.instruments([symbol])
                undisturbed = platform.sources["kraken"].bars(instrument, Timeframe.M1, window)
                assert undisturbed.answered[0].end >= until
                assert stored.select(VALUES).equals(undisturbed.bars.select(VALUES)), symbol
                assert stored.filter(pl.col("quality") == "repaired").height < stored.height
