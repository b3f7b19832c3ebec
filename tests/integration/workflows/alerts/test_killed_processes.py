"""Real processes and servers are killed: what is left alive reports each within the stated time, and its return."""

from __future__ import annotations

import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
import redis_servers
from clusters import Cluster, running_cluster
from commands import Installation, installation, rows
from heartbeat_server import HeartbeatServer, heartbeat_server
from processes import free_port
from telegram_server import TelegramServer, telegram_server
from waiting import DEADLINE, wait_until

from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.embedded.redis import RedisServer
from trading_platform.resources.platform import open_platform
from trading_platform.simulator.seeded import SeededMarket
from trading_platform.simulator.server import running_exchange, stream_url
from trading_platform.workflows.alerts.watch import AWAY, EVERY, HEARTBEAT_EVERY

pytestmark = [pytest.mark.exhaustive, pytest.mark.slow]

LOOK = 2 * EVERY + 30
"""Seconds from when a fault counts as one to its message: two looks, and what is due waits for others of its cause."""

MACHINE = 30
"""Seconds that a busy machine may add."""

STREAM_SILENT, DAGSTER_SILENT = 60, 120
"""Seconds after which they count as silent (docs/alerts.md)."""


@dataclass
class Place:
    """Everything of one platform, each in processes of its own.

    Attributes:
        ours: the data directory and the settings.
        cluster: PostgreSQL.
        redis: Redis.
        telegram: where messages arrive.
        heartbeat: where heartbeats arrive.
        running: the commands that run, by name.
    """

    ours: Installation
    cluster: Cluster
    redis: RedisServer
    telegram: TelegramServer
    heartbeat: HeartbeatServer
    running: dict[str, subprocess.Popen[str]] = field(default_factory=dict)

    def start(self, name: str, *arguments: str) -> None:
        """Starts a command, whose output is read and dropped, so that it never waits for a reader."""
        process = self.ours.start(*arguments)
        for pipe in (process.stdout, process.stderr):
            assert pipe is not None
            threading.Thread(target=_drain, args=(pipe,), daemon=True).start()
        self.running[name] = process

    def start_stream(self) -> None:
        self.start("stream", "stream")

    def start_dagster(self) -> None:
        self.start("dagster", "dev", "--port", str(free_port()))

    def start_watch(self) -> None:
        self.start("watch", "alerts", "run")

    def kill(self, name: str) -> None:
        """As kill -9 of a command and all its processes."""
        process = self.running.pop(name)
        for each in [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]:
            with suppress(psutil.Error):
                each.kill()
        process.wait(DEADLINE)

    def kill_part_of_dagster(self, *words: str) -> None:
        """As kill -9 of the processes of Dagster whose command line has one of these words."""
        found = []
        for each in psutil.Process(self.running["dagster"].pid).children(recursive=True):
            with suppress(psutil.Error):
                if any(word in " ".join(each.cmdline()) for word in words):
                    found.append(each)
        assert found, f"no process of Dagster is called {words}"
        for each in found:
            with suppress(psutil.Error):
                each.kill()

    def kill_redis(self) -> None:
        process = self.redis.running()
        assert process is not None
        process.kill()
        wait_until(lambda: self.redis.running() is None, "the end of Redis")

    def kill_postgres(self) -> None:
        postmaster = psutil.Process(self.cluster.postmaster)
        servers = [postmaster, *postmaster.children(recursive=True)]
        for each in servers:
            with suppress(psutil.Error):
                each.kill()
        psutil.wait_procs(servers, DEADLINE)

    def message(self, *words: str, within: float) -> str:
        """Waits for a message that has these words, and fails if it comes later than it may."""
        return wait_until(
            lambda: next((text for text in self.telegram.texts if all(word in text for word in words)), None),
            f"a message with {words}, of {self.telegram.texts}",
            deadline=within,
            every=0.2,
        ) or pytest.fail("no message")

    def until_seen(self, *observers: str) -> None:
        """Waits until all of these look."""
        since = rows(self.cluster_url, "SELECT clock_timestamp()")[0][0]
        statement = "SELECT name FROM audit.observers WHERE seen_at > %s"
        wait_until(
            lambda: {name for (name,) in rows(self.cluster_url, statement, [since])} >= set(observers),
            f"a look of {observers}",
            every=0.5,
        )

    @property
    def cluster_url(self) -> str:
        return self.ours.database_url


def _drain(pipe: object) -> None:
    with suppress(ValueError, OSError):
        for _ in pipe:  # type: ignore[attr-defined]
            pass


@pytest.fixture
def place() -> Iterator[Place]:
    with ExitStack() as stack:
        exchange = stack.enter_context(running_exchange(SeededMarket(5, ("BTCUSD",), trades_per_minute=200)))
        telegram = stack.enter_context(telegram_server())
        heartbeat = stack.enter_context(heartbeat_server())
        cluster = stack.enter_context(running_cluster(18))
        redis = stack.enter_context(own_redis())
        ours = stack.enter_context(installation(cluster.url))
        ours.variables |= {
            "KRAKEN_API_URL": exchange,
            "KRAKEN_WS_URL": stream_url(exchange),
            "REDIS_URL": redis.url(),
            "TELEGRAM_BOT_TOKEN": "1:x",
            "TELEGRAM_CHAT_ID": "7",
            "TELEGRAM_API_URL": telegram.url,
            "HEARTBEAT_URL": heartbeat.url,
        }
        with open_platform(ours.settings()) as platform:
            platform.stores.instruments.add(Instrument("BTCUSD", AssetClass.CRYPTO, "24/7", "kraken"))
        made = Place(ours, cluster, redis, telegram, heartbeat)
        stack.callback(lambda: [made.kill(name) for name in list(made.running)])
        yield made


@contextmanager
def own_redis() -> Iterator[RedisServer]:
    with tempfile.TemporaryDirectory(prefix="tp-") as folder:
        made = redis_servers.started(RedisServer(Path(folder)))
        try:
            yield made
        finally:
            made.remove()


def test_stream_redis_and_postgres_one_after_another_then_all_at_once_and_everything(place: Place) -> None:
    place.start_watch()
    place.start_stream()
    place.start_dagster()
    place.until_seen("host", "stream", "dagster")

    place.kill("stream")
    place.message("stream silent", within=STREAM_SILENT + LOOK + MACHINE)
    place.start_stream()
    place.until_seen("stream")
    place.kill_redis()
    place.message("host redis_away", within=LOOK + MACHINE)
    place.redis.ensure_running()
    place.message("Over: [error] stream silent", within=DEADLINE)
    place.message("Over: [error] host redis_away", within=DEADLINE)
    place.kill_postgres()
    place.message("The database cannot be used since", within=AWAY.total_seconds() + LOOK + MACHINE)
    place.cluster.start()
    place.message("Over: the database can be used again", within=LOOK + MACHINE)
    assert sum("stream silent" in text and "Over" not in text for text in place.telegram.texts) == 1
    assert any(path.endswith("/fail") for path, _ in place.heartbeat.beats)

    place.until_seen("host", "stream", "dagster")
    before = len(place.telegram.texts)
    place.kill("stream")
    place.kill("dagster")
    place.kill_redis()
    place.kill_postgres()
    within = AWAY.total_seconds() + LOOK + MACHINE
    wait_until(
        lambda: any("The database cannot" in each for each in place.telegram.texts[before:]), "it", deadline=within
    )
    place.cluster.start()
    wanted = {"redis_away", "silent"}
    statement = "SELECT component, rule FROM audit.incidents WHERE ended_at IS NULL"
    wait_until(
        lambda: (
            {("stream", "silent"), ("dagster", "silent"), ("host", "redis_away")}
            <= set(rows(place.cluster_url, statement))
        ),
        f"incidents of {wanted}",
        deadline=DAGSTER_SILENT + LOOK + MACHINE,
        every=0.5,
    )
    wait_until(lambda: any("redis_away" in each for each in place.telegram.texts[before:]), "Redis", deadline=within)

    place.kill("watch")
    killed = time.monotonic()
    period = HEARTBEAT_EVERY.total_seconds()
    wait_until(lambda: time.monotonic() > killed + period + EVERY, "the time of a heartbeat", every=1)
    beats = [at for _, at in place.heartbeat.beats]
    assert max(beats) <= killed
    assert killed - max(beats) <= period + EVERY + MACHINE, "until then it came"


@pytest.mark.parametrize("part", ["daemon", "code server"])
def test_a_killed_part_of_dagster_is_reported_and_its_return(place: Place, part: str) -> None:
    place.start_watch()
    place.start_dagster()
    place.until_seen("host", "dagster")
    if part == "daemon":
        place.kill_part_of_dagster("dagster-daemon", "dagster._daemon")
    else:
        place.kill_part_of_dagster("code-server", "grpc")
    place.message("dagster silent", within=DAGSTER_SILENT + LOOK + MACHINE)
    place.kill("dagster")
    place.start_dagster()
    place.message("Over: [error] dagster silent", within=DEADLINE)
    assert sum("dagster silent" in text for text in place.telegram.texts) == 2, place.telegram.texts
