"""SIGTERM ends every command that works for long, also one started where SIGINT is ignored; servers are let go of."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from commands import WHERE_SIGINT_IS_IGNORED, Finished, Installation, finish, installation, kill, rows
from daily_bars import years_of_days
from redis import Redis
from waiting import LONG

from trading_platform.domain.errors import StoreUnavailable
from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.embedded.postgres import PostgresServer
from trading_platform.embedded.stack import Endpoints, stack_status
from trading_platform.resources.platform import open_platform
from trading_platform.settings import Settings
from trading_platform.simulator.seeded import SeededMarket
from trading_platform.simulator.server import running_exchange, stream_url

"""Seconds after which something will not come any more, on the busiest machine."""

pytestmark = pytest.mark.exhaustive


@pytest.fixture
def ours(stack: Endpoints) -> Iterator[Installation]:
    with installation(stack.database_url) as made:
        yield made


@pytest.fixture
def alone(new_settings: Callable[..., Settings]) -> Installation:
    """A platform with servers of its own, which are begun by the command."""
    return Installation(new_settings().root)


def ended(made: Installation, at_work: Callable[[subprocess.Popen[str]], object], *arguments: str | Path) -> Finished:
    """Starts a command where SIGINT is ignored, sends it SIGTERM once it is at work, and waits for its end."""
    process = made.start(*arguments, through=WHERE_SIGINT_IS_IGNORED)
    try:
        deadline = time.monotonic() + LONG
        while not at_work(process):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline, "the command did not begin"
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        return finish(process, LONG)
    finally:
        kill(process)


def has(url: str, table: str) -> Callable[[object], bool]:
    return lambda _process: bool(rows(url, f"SELECT FROM {table} LIMIT 1"))


def test_backfill(ours: Installation, tmp_path: Path) -> None:
    assert ours.run("import", years_of_days(tmp_path / "IWM_daily.csv")).code == 0
    found = ended(ours, has(ours.database_url, "market_data.coverage"), "backfill", "IWM", "-t", "1d")
    assert (found.code, "Interrupted" in found.err) == (130, True), found.text


def test_replay(ours: Installation, test_data: Path) -> None:
    ticks = test_data / "tick" / "EURUSD_oanda_ticks_2014-05.csv.gz"
    there = has(ours.database_url, "market_data.stream_positions")
    found = ended(ours, there, "replay", ticks, "--basis", "bid", "--speed", "60")
    assert (found.code, "Interrupted" in found.err) == (130, True), found.text


def test_stream(ours: Installation, redis_url: str) -> None:
    with (
        running_exchange(SeededMarket(5, ("BTCUSD",), trades_per_minute=200)) as url,
        Redis.from_url(redis_url) as redis,
    ):
        ours.variables |= {"KRAKEN_API_URL": url, "KRAKEN_WS_URL": stream_url(url), "REDIS_URL": redis_url}
        with open_platform(ours.settings()) as platform:
            platform.stores.instruments.add(Instrument("BTCUSD", AssetClass.CRYPTO, "24/7", "kraken"))
        found = ended(ours, lambda _process: redis.exists("quote:BTCUSD"), "stream", "--json")
    assert found.code == 0, found.text
    assert found.json["events"] > 0


def test_simulate_exchange(alone: Installation) -> None:
    def announced(process: subprocess.Popen[str]) -> bool:
        assert process.stdout is not None
        return "Local exchange ready" in process.stdout.readline()

    assert ended(alone, announced, "simulate-exchange").code == 0


def test_demo(alone: Installation) -> None:
    server = PostgresServer(alone.data_dir / "demo")

    def stores(_process: object) -> bool:
        try:
            return bool(rows(server.url("trading"), "SELECT FROM market_data.bars_1d LIMIT 1"))
        except (psycopg.Error, StoreUnavailable):  # on its way
            return False

    found = ended(alone, stores, "demo")
    assert (found.code, "Interrupted" in found.err) == (130, True), found.text
    state = stack_status(Settings(_env_file=None, data_dir=alone.data_dir / "demo"))
    assert [server.state for server in state.servers] == ["stopped", "stopped"]


def test_up(alone: Installation) -> None:
    found = ended(alone, lambda _process: (alone.data_dir / "run").exists(), "up")
    state = stack_status(alone.settings())
    servers = {server.state for server in state.servers}
    # One that was done already leaves what it was asked for.
    assert (found.code, servers, state.stays) in [(130, {"stopped"}, False), (0, {"running"}, True)], found.text
