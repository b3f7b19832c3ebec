"""Faults of what the platform stores in: full disks, locks, other users, Redis emptied or put back."""

from __future__ import annotations

import shutil
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil
import psycopg
from redis_servers import flush

from soak.kinds import kind
from soak.platform import SoakPlatform
from soak.process_faults import stopped_processes

_AWAY = "server_away", "writes_waiting", "database_full"


@kind("disk full", *_AWAY, needs_disk=True)
def disk_full(platform: SoakPlatform) -> None:
    assert platform.disk is not None
    ballast = platform.disk / "ballast"
    with suppress(OSError), ballast.open("ab", buffering=0) as file:
        while file.write(bytes(1 << 20)):
            pass
    platform.last(platform.chance.uniform(0.5, 1.5))
    ballast.unlink()


@kind("table locked", "writes_waiting")
def table_locked(platform: SoakPlatform) -> None:
    with platform.connect() as connection, connection.transaction():
        connection.execute("LOCK TABLE market_data.bars_1m IN ACCESS EXCLUSIVE MODE")
        platform.last(platform.chance.uniform(0.5, 2))


@kind("long transaction of another", "transaction_long")
def long_transaction(platform: SoakPlatform) -> None:
    with platform.connect() as connection, connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
        connection.execute("SELECT count(*) FROM market_data.bars_1m")
        platform.last(platform.chance.uniform(1.5, 2.5))


@kind("refresh of hours held", "writes_waiting", "transaction_long")
def refresh_held(platform: SoakPlatform) -> None:
    with platform.connect() as connection, connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(hashtext('refresh'), hashtext('ohlcv_1h'))")
        connection.execute("LOCK TABLE market_data.ohlcv_1h_changes IN SHARE ROW EXCLUSIVE MODE")
        platform.live.lose(platform.chance.randrange(1, 4))  # so that a repair needs it
        platform.last(platform.chance.uniform(1.5, 2.5))


@kind("connections used up", *_AWAY)
def connections_used_up(platform: SoakPlatform) -> None:
    url = platform.postgres.url("postgres")
    with ExitStack() as opened:
        with suppress(psycopg.OperationalError):
            while True:
                opened.enter_context(psycopg.connect(url))
        platform.last(platform.chance.uniform(1, 2))


@kind("Redis flushed", "redis_emptied")
def redis_flushed(platform: SoakPlatform) -> None:
    with platform.redis.client() as client:
        flush(client)


@kind("Redis restored from an older file", "server_away")
def redis_restored(platform: SoakPlatform) -> None:
    assert platform.process is not None
    kept, copy = platform.redis.directory / "appendonlydir", platform.home / "older"
    files = kept if kept.is_dir() else platform.redis.directory / "appendonly.aof"
    _copy(files, copy)
    platform.last(1)
    server = platform.redis.running()
    assert server is not None
    with stopped_processes([psutil.Process(platform.process.pid)]):  # nobody starts it before its file is put back
        server.kill()
        with suppress(psutil.TimeoutExpired):
            server.wait(10)
        _copy(copy, files)


def _copy(origin: Path, target: Path) -> None:
    """Copies a file or a folder over another."""
    if target.is_dir():
        shutil.rmtree(target)
    if origin.is_dir():
        shutil.copytree(origin, target)
    else:
        shutil.copy(origin, target)


KINDS = (
    disk_full,
    table_locked,
    long_transaction,
    refresh_held,
    connections_used_up,
    redis_flushed,
    redis_restored,
)
