"""The platform under a soak: exchange, wires, embedded servers and the live process, which is started again if it dies.

Everything that the platform keeps is on a small disk of its own where the tests may mount one, so that it can be full.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import requests
from processes import REPOSITORY, environment
from redis.exceptions import RedisError
from redis_servers import mark

from soak.clock import PACE, SharedClock
from soak.wire import Wire, wires
from trading_platform.domain.errors import StoreError
from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.embedded.postgres import PostgresServer
from trading_platform.embedded.redis import RedisServer
from trading_platform.embedded.stack import TRADING_DATABASE, start_stack, stop_stack
from trading_platform.resources.platform import open_platform
from trading_platform.settings import Settings
from trading_platform.simulator.faults import Faults
from trading_platform.simulator.seeded import SeededMarket
from trading_platform.simulator.server import running_exchange

SYMBOLS = ("BTCUSD", "ETHUSD", "SOLUSD")
FAST = 3000.0
"""How many times as fast as the machine's the clock runs while nothing is wrong."""

RESTART_SECONDS = 5.0
"""Simulated seconds after which what supervises the live process starts it again."""

LAG = timedelta(minutes=15)
"""How far what is stored may be behind the clock before that waits, on a machine that is busy with other things."""

HEALED_WITHIN = 240.0
"""Seconds of the machine in which a fault must be healed."""


@dataclass
class SoakPlatform:
    """What faults are inflicted on.

    Attributes:
        clock: everybody's.
        chance: all choices.
        url: the exchange itself.
        live: the wire of the live feed.
        rest: the wire of requests.
        data_dir: the platform's data directory.
        disk: the small disk that it is on; None where there is none.
        logs: of the live process, one of each start.
    """

    clock: SharedClock
    chance: random.Random
    url: str
    live: Wire
    rest: Wire
    data_dir: Path
    disk: Path | None
    home: Path
    process: subprocess.Popen[bytes] | None = None
    logs: list[Path] = field(default_factory=list)
    _again_at: float = 0.0

    @property
    def exchange_port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def postgres(self) -> PostgresServer:
        return PostgresServer(self.data_dir)

    @property
    def redis(self) -> RedisServer:
        return RedisServer(self.data_dir)

    def settings(self) -> Settings:
        """The platform's, for the test's own process."""
        return Settings(
            _env_file=None, data_dir=self.data_dir, kraken_api_url=self.url, kraken_requests_per_second=1000
        )  # type: ignore[call-arg, arg-type]

    def start(self) -> None:
        """Starts the live process."""
        variables = {
            "DATA_DIR": str(self.data_dir),
            "KRAKEN_API_URL": f"http://127.0.0.1:{self.rest.port}",
            "KRAKEN_WS_URL": f"ws://127.0.0.1:{self.live.port}/v2",
            "KRAKEN_REQUESTS_PER_SECOND": "1000",
            "SETTINGS_FILE": "",
        }
        paths = {"PYTHONPATH": f"{environment()['PYTHONPATH']}:{Path(__file__).parents[1]}"}
        self.logs.append(self.home / f"stream-{len(self.logs) + 1}.log")
        with self.logs[-1].open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "soak.stream", self.home / "clock"],
                env=environment() | paths | variables,
                cwd=REPOSITORY,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def supervise(self) -> None:
        """Starts the live process again if it has ended, as systemd does."""
        assert self.process is not None
        code = self.process.poll()
        if code is None:
            return
        if not self._again_at:
            assert code == -signal.SIGKILL, f"the live process ended by itself with {code}:\n{self.said()}"
            self._again_at = time.monotonic() + RESTART_SECONDS / PACE
        elif time.monotonic() >= self._again_at:
            self._again_at = 0.0
            self.start()

    def signal_stream(self, number: int) -> None:
        """Sends a signal to the live process."""
        assert self.process is not None
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def set_faults(self, faults: Faults) -> None:
        """From now on the exchange fails like this."""
        requests.post(f"{self.url}/faults", data=faults.model_dump_json(), timeout=30).raise_for_status()

    def last(self, minutes: float) -> None:
        """Lets so many simulated minutes pass."""
        until = self.clock() + timedelta(minutes=minutes)
        while self.clock() < until:
            self.supervise()
            time.sleep(0.02)

    def last_until_begun(self, incident: str, most: float) -> None:
        """Lets time pass until an incident has begun, at most so many simulated minutes."""
        until = self.clock() + timedelta(minutes=most)
        while self.clock() < until:
            self.supervise()
            with self.connect() as connection:
                if incident in open_incidents(connection):
                    return
            time.sleep(0.05)

    def pass_until(self, end: datetime) -> None:
        """Lets the rest of an hour pass: fast, unless something is wrong or the live process does not keep up.

        Returns when all is well, so that what begins then is of the next fault.
        """
        while (left := (end - self.clock()).total_seconds()) > 0:
            self.supervise()
            speed = PACE if self.ails(self.clock() - LAG) else FAST
            self.clock.run_at(speed)
            time.sleep(min(0.1, left / speed))
        self.clock.run_at(PACE)
        self.heal(self.clock() - LAG)

    def connect(self) -> psycopg.Connection[Any]:
        """A connection to the platform's database as its owner."""
        return psycopg.connect(self.postgres.url(TRADING_DATABASE), autocommit=True, connect_timeout=5)

    def rows(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        with self.connect() as connection:
            return connection.execute(statement.encode(), parameters or None).fetchall()

    def ails(self, since: datetime, untold: Callable[[], str] = str) -> list[str]:
        """What is not well yet after a fault that ended at ``since``; empty when everything is.

        Args:
            since: when the fault ended.
            untold: what the system events do not say yet of it.
        """
        assert self.process is not None
        if self.process.poll() is not None or self._again_at:
            return ["the live process does not run"]
        try:
            found = [*_stored_ails(self, since), *filter(None, [untold()])]
            with self.redis.client() as client:
                state = {key.decode(): value.decode() for key, value in client.hgetall("session:state").items()}
                circuit = (client.get("circuit:feed") or b"").decode()
        except (psycopg.Error, RedisError, StoreError, OSError) as error:
            return [f"a server does not answer: {error}"]
        if state.get("state") != "streaming" or state.get("updated_at", "") <= since.isoformat():
            found.append(f"the session is {state}")
        if circuit != "closed":
            found.append(f"the circuit is {circuit}")
        return found

    def heal(self, since: datetime, untold: Callable[[], str] = str) -> timedelta:
        """Waits until everything is well again, by itself; gives the simulated time that it took."""
        deadline = time.monotonic() + HEALED_WITHIN
        while ails := self.ails(since, untold):
            assert time.monotonic() < deadline, f"not healed within {HEALED_WITHIN:g} s: {ails}\n{self.said()}"
            self.supervise()
            time.sleep(0.05)
        return self.clock() - since

    def said(self) -> str:
        """The end of the live process's log."""
        return self.logs[-1].read_text(errors="replace")[-4000:]


def _stored_ails(platform: SoakPlatform, since: datetime) -> list[str]:
    with platform.connect() as connection:
        outages = connection.execute(
            "SELECT symbol, down_at, up_at, state, reason, note, attempts FROM market_data.outages"
            " WHERE state <> 'repaired'"
        ).fetchall()
        failed = [row for row in outages if row[3] == "failed_permanently"]
        assert not failed, f"given up, so that a human is needed: {failed}"
        untils = [row[0] for row in connection.execute("SELECT until FROM market_data.stream_positions").fetchall()]
        incidents = open_incidents(connection)
    found = [f"an outage is not repaired: {row}" for row in outages]
    found += [f"an incident goes on: {name}" for name in incidents]
    if not untils or min(untils) <= since:
        found.append(f"nothing is stored since {since:%d %H:%M:%S}, but until {untils}")
    return found


def open_incidents(connection: psycopg.Connection[Any]) -> list[str]:
    """The incidents of the system events that have no end."""
    rows = connection.execute(
        "SELECT DISTINCT ON (metadata->>'incident') metadata->>'incident', (metadata->>'over')::boolean"
        " FROM audit.system_events WHERE metadata ? 'incident' ORDER BY metadata->>'incident', id DESC"
    ).fetchall()
    return [name for name, over in rows if not over]


@contextmanager
def soak_platform(seed: int, start: datetime, market: SeededMarket) -> Iterator[SoakPlatform]:
    """The platform, streaming, until the end of the block."""
    with ExitStack() as opened:
        home = Path(tempfile.mkdtemp(prefix="tp-"))
        home.chmod(0o755)
        opened.callback(shutil.rmtree, home, ignore_errors=True)
        disk = opened.enter_context(_disk(home / "disk"))
        data_dir = (disk or home) / "data"
        data_dir.mkdir()
        clock = SharedClock.create(home / "clock", start)
        url = opened.enter_context(running_exchange(market, clock=clock))
        port = int(url.rpartition(":")[2])
        live, rest = opened.enter_context(wires(port, port))
        made = SoakPlatform(clock, random.Random(seed), url, live, rest, data_dir, disk, home)
        settings = made.settings()
        mark(start_stack(settings).redis_url)
        opened.callback(stop_stack, settings, force=True, purge=True)
        with open_platform(settings) as platform:
            for symbol in SYMBOLS:
                platform.stores.instruments.add(Instrument(symbol, AssetClass.CRYPTO, "24/7", "kraken"))
        with made.connect() as connection:  # a small disk holds few segments of the log
            connection.execute("ALTER SYSTEM SET max_wal_size = '96MB'")
            connection.execute("SELECT pg_reload_conf()")
        made.start()
        try:
            yield made
        finally:
            assert made.process is not None
            for number in (signal.SIGCONT, signal.SIGKILL):
                made.signal_stream(number)
            made.process.wait()


@contextmanager
def _disk(folder: Path) -> Iterator[Path | None]:
    """A disk of some hundred megabytes; None where the tests may not mount one."""
    folder.mkdir()
    options = ["mount", "-t", "tmpfs", "-o", "size=900m,mode=755", "tmpfs", folder]
    if subprocess.run(options, capture_output=True, check=False).returncode:
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
