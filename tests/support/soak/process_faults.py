"""Faults of the live process and of the servers that it uses."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

from soak.kinds import kind
from soak.platform import SoakPlatform


@kind("stream killed", "feed_down")
def stream_killed(platform: SoakPlatform) -> None:
    platform.signal_stream(signal.SIGKILL)


@kind("stream stopped and continued", "stream_paused")
def stream_stopped(platform: SoakPlatform) -> None:
    with stopped_processes(_processes(platform.process.pid)):  # type: ignore[union-attr]
        platform.last(platform.chance.uniform(0.5, 1.5))


@kind("Redis killed", "server_away")
def redis_killed(platform: SoakPlatform) -> None:
    if (server := platform.redis.running()) is not None:
        server.kill()


@kind("Redis stopped and continued", "server_away")
def redis_stopped(platform: SoakPlatform) -> None:
    server = platform.redis.running()
    assert server is not None
    with stopped_processes([server]):
        platform.last(platform.chance.uniform(0.5, 1.5))


@kind("PostgreSQL killed", "server_away", "writes_waiting")
def postmaster_killed(platform: SoakPlatform) -> None:
    running = platform.postgres.running()
    assert running is not None
    running.process.kill()


@kind("PostgreSQL's backend killed", "server_away")
def backend_killed(platform: SoakPlatform) -> None:
    found = platform.rows(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        " AND backend_type = 'client backend' ORDER BY backend_start"
    )
    with suppress(ProcessLookupError):
        os.kill(platform.chance.choice(found)[0], signal.SIGKILL)


@kind("PostgreSQL stopped and continued", "server_away")
def postgres_stopped(platform: SoakPlatform) -> None:
    running = platform.postgres.running()
    assert running is not None
    with stopped_processes(_processes(running.process.pid)):
        platform.last(platform.chance.uniform(0.5, 1.5))


@contextmanager
def stopped_processes(processes: list[psutil.Process]) -> Iterator[None]:
    """These processes are stopped, as by SIGSTOP."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.suspend()
    try:
        yield
    finally:
        for process in reversed(processes):
            with suppress(psutil.NoSuchProcess):
                process.resume()


def _processes(pid: int) -> list[psutil.Process]:
    main = psutil.Process(pid)
    return [main, *main.children(recursive=True)]


KINDS = (
    stream_killed,
    stream_stopped,
    redis_killed,
    redis_stopped,
    postmaster_killed,
    backend_killed,
    postgres_stopped,
)
