"""Servers of the user, named in every way there is, are not touched by a run of the tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from clusters import running_cluster
from commands import rows
from databases import on_database
from isolation import isolated
from processes import REPOSITORY
from redis import Redis
from redis_servers import flush, mark

from trading_platform.embedded.redis import RedisServer
from trading_platform.settings import Settings

SELECTION = (
    "stores/redis/test_live.py::test_no_number_gets_an_exponent",  # empties Redis
    # sets the passwords of the roles
    "stores/market_data/completeness/test_outages.py::test_a_changed_position_is_told_to_who_listens[database_url]",
    "cli/test_stack.py::test_tables_for_people",  # settings of the process itself
    "cli/test_main.py::test_results_and_progress_do_not_mix",  # a command in a process of its own
    "embedded/test_stack.py::test_redis_is_left_out_when_nobody_needs_it",
)
"""Each takes its servers in another way."""


@pytest.fixture
def their_redis(new_settings: Callable[..., Settings]) -> Iterator[str]:
    server = RedisServer(new_settings().root)
    server.ensure_running()
    with Redis.from_url(server.url()) as client:
        client.set("position:BTCUSD", "1.5")
    yield server.url()
    server.remove()


@pytest.fixture
def their_database() -> Iterator[str]:
    """A server with the roles of the platform, which have passwords, and a database that is in use."""
    with running_cluster(18) as cluster:
        with psycopg.connect(cluster.url, autocommit=True) as connection:
            connection.execute("CREATE DATABASE trading")
            for role in ("ingest", "agent", "dashboard"):
                connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'theirs'".encode())
        yield on_database(cluster.url, "trading")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what is under version control or is about to be."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode:
        pytest.skip("not a git checkout: what belongs to it is unknown")
    for name in filter(None, listed.stdout.split("\0")):
        if (REPOSITORY / name).is_file():
            (tmp_path / "checkout" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / name, tmp_path / "checkout" / name)
    return tmp_path / "checkout"


def state(url: str) -> list[tuple[Any, ...]]:
    """What others would have changed on the server: its databases, its roles and who was ever in that database."""
    return [
        *rows(on_database(url, "postgres"), "SELECT datname FROM pg_database ORDER BY 1"),
        *rows(on_database(url, "postgres"), "SELECT rolname, rolpassword, rolsuper FROM pg_authid ORDER BY 1"),
        *rows(on_database(url, "postgres"), "SELECT sessions FROM pg_stat_database WHERE datname = 'trading'"),
    ]


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_run_leaves_the_servers_of_its_user_alone(checkout: Path, their_redis: str, their_database: str) -> None:
    servers = {
        "DATABASE_URL": their_database,
        "DAGSTER_DATABASE_URL": their_database,
        "REDIS_URL": their_redis,
        "redis_url": their_redis,
        "INGEST_PASSWORD": "theirs",
    }
    (checkout / ".env").write_text("".join(f"{name}={value}\n" for name, value in servers.items()))
    data = checkout / "theirs"
    surroundings = {
        "DATA_DIR": str(data),
        "FEATURES_DIR": str(data / "features"),
        "DAGSTER_HOME": str(data),
        "KRAKEN_API_URL": "http://127.0.0.1:9",
        "KRAKEN_TIER": "no such tier",
        "IBKR_HOST": "127.0.0.1",
        "PGHOST": "127.0.0.1",
        "PGPORT": "9",
        "PGUSER": "nobody",
        "PGDATABASE": "nothing",
        "PGPASSWORD": "theirs",
        "TZ": "Asia/Kolkata",
        "LANG": "tr_TR.UTF-8",
        "LC_ALL": "tr_TR.UTF-8",
        "COLUMNS": "40",
        "FORCE_COLOR": "1",
        "PYTHONPATH": f"{checkout}:{sysconfig.get_path('purelib')}",
    }
    before = state(their_database)
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
            *(f"tests/integration/{test}" for test in SELECTION),
        ],
        cwd=checkout,
        env=isolated(os.environ) | servers | surroundings,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"{len(SELECTION)} passed" in ran.stdout
    assert state(their_database) == before
    with Redis.from_url(their_redis) as client:
        assert client.info("keyspace") == {"db0": {"keys": 1, "expires": 0, "avg_ttl": 0}}
        assert client.get("position:BTCUSD") == b"1.5"
    assert not data.exists()


def test_a_redis_that_the_tests_did_not_start_is_not_emptied(their_redis: str) -> None:
    with Redis.from_url(their_redis) as client:
        with pytest.raises(AssertionError, match="did not start"):
            flush(client)
        with pytest.raises(AssertionError, match="holds keys"):
            mark(their_redis)
        assert client.get("position:BTCUSD") == b"1.5"
        assert client.info("keyspace").keys() == {"db0"}


def test_one_that_they_started_is_emptied_as_often_as_they_like(redis_url: str) -> None:
    with Redis.from_url(redis_url, decode_responses=True) as client:
        for _ in range(2):
            client.set("quote:BTCUSD", "1")
            flush(client)
            assert client.keys() == []
