"""Starting, sharing and stopping the embedded servers, by real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from processes import endpoints_of, leave, start_holder
from redis import Redis

from trading_platform.domain.errors import ConfigurationError, StoreUnavailable
from trading_platform.embedded.processes import processes_of
from trading_platform.embedded.stack import (
    Endpoints,
    running_stack,
    stack_status,
    start_stack,
    stop_stack,
)
from trading_platform.settings import Settings
from trading_platform.stores.postgres.databases import ensure_database

MakeSettings = Callable[..., Settings]


def states(settings: Settings) -> list[str]:
    return [server.state for server in stack_status(settings).servers]


def pids(settings: Settings) -> list[int | None]:
    return [server.pid for server in stack_status(settings).servers]


def test_the_databases_and_redis_answer(stack: Endpoints) -> None:
    with psycopg.connect(stack.database_url) as connection:
        row = connection.execute("SELECT current_database(), current_setting('timezone')").fetchone()
    assert row == ("trading", "UTC")
    with psycopg.connect(stack.dagster_database_url.replace("+psycopg2", "")) as connection:
        assert connection.execute("SELECT current_database()").fetchone() == ("dagster",)
    assert stack.dagster_database_url.startswith("postgresql+psycopg2://")
    with Redis.from_url(stack.redis_url) as client:
        assert client.ping()


def test_the_last_one_out_stops_the_servers_and_data_stays(new_settings: MakeSettings) -> None:
    settings = new_settings()
    with running_stack(settings) as outer:
        with psycopg.connect(outer.database_url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n")
        with Redis.from_url(outer.redis_url) as client:
            client.set("kept", "yes")
        with running_stack(settings) as inner:
            assert inner == outer
        assert states(settings) == ["running", "running"]
    assert states(settings) == ["stopped", "stopped"]
    with running_stack(settings) as force:
        with psycopg.connect(force.database_url) as connection:
            assert connection.execute("SELECT sum(n) FROM kept").fetchone() == (500_500,)
        with Redis.from_url(force.redis_url) as client:
            assert client.get("kept") == b"yes"


@pytest.mark.exhaustive
def test_a_killed_user_leaves_servers_that_the_next_one_takes_over(new_settings: MakeSettings) -> None:
    settings = new_settings()
    with start_holder(settings.root, redis=True) as killed:
        endpoints_of(killed)
        before = pids(settings)
        killed.send_signal(signal.SIGKILL)
    assert states(settings) == ["running", "running"]
    assert stack_status(settings).users == ()
    with running_stack(settings):
        assert pids(settings) == before
    assert states(settings) == ["stopped", "stopped"]


@pytest.mark.exhaustive
def test_a_killed_user_does_not_take_the_servers_from_the_others(new_settings: MakeSettings) -> None:
    settings = new_settings()
    with start_holder(settings.root) as killed, start_holder(settings.root) as other:
        endpoints_of(killed)
        endpoints_of(other)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        with running_stack(settings, need_redis=False):
            assert [user.pid for user in stack_status(settings).users if user.pid != os.getpid()] == [other.pid]
        assert states(settings)[0] == "running"
        leave(other)
    assert states(settings)[0] == "stopped"


@pytest.mark.exhaustive
def test_eight_processes_start_at_the_same_moment(new_settings: MakeSettings) -> None:
    settings = new_settings()
    processes = [start_holder(settings.root, redis=True) for _ in range(8)]
    answers = [endpoints_of(process) for process in processes]
    assert all(response == answers[0] for response in answers)
    assert len(stack_status(settings).users) == 8
    for process in processes:
        leave(process)
    assert states(settings) == ["stopped", "stopped"]


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.parametrize("existing", [False, True])
def test_starters_killed_at_any_moment_do_no_harm(new_settings: MakeSettings, *, existing: bool) -> None:
    settings = new_settings()
    if existing:
        with running_stack(settings) as endpoints, Redis.from_url(endpoints.redis_url) as client:
            client.set("kept", "yes")
    for attempt in range(6):
        with start_holder(settings.root, redis=True) as killed:
            assert not wait_for_lock(settings, killed)
            time.sleep(attempt * (0.04 if existing else 0.25))
            killed.kill()
        if existing:
            stop_stack(settings)
    with running_stack(settings) as endpoints:
        with psycopg.connect(endpoints.database_url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        with Redis.from_url(endpoints.redis_url) as client:
            assert client.get("kept") == (b"yes" if existing else None)
        for name, server in zip(("postgres", "redis-server"), stack_status(settings).servers, strict=True):
            parents = [p.pid for p in processes_of(Path(server.where), (name,)) if p.ppid() != server.pid]
            assert parents == [server.pid]
    assert states(settings) == ["stopped", "stopped"]


def wait_for_lock(settings: Settings, process: subprocess.Popen[str]) -> int | None:
    """Until the process has begun to start the servers; its exit code if it ended before."""
    while process.poll() is None and not list((settings.root / "run").glob(f"{process.pid}-*")):
        time.sleep(0.002)
    return process.poll()


@pytest.mark.exhaustive
def test_up_stays_until_down(new_settings: MakeSettings) -> None:
    settings = new_settings()
    endpoints = start_stack(settings)
    assert start_stack(settings) == endpoints
    with running_stack(settings):
        pass
    assert states(settings) == ["running", "running"]
    assert stack_status(settings).stays
    assert stop_stack(settings) == ("redis", "postgresql")
    assert states(settings) == ["stopped", "stopped"]
    assert stop_stack(settings) == ()


@pytest.mark.exhaustive
def test_down_waits_for_users_unless_forced(new_settings: MakeSettings) -> None:
    settings = new_settings()
    start_stack(settings)
    with start_holder(settings.root) as user:
        endpoints_of(user)
        assert stop_stack(settings) == ()
        with pytest.raises(StoreUnavailable, match="in use"):
            stop_stack(settings, purge=True)
        assert states(settings) == ["running", "running"]
        leave(user)
    assert states(settings) == ["stopped", "stopped"]
    with start_holder(settings.root) as user:
        endpoints_of(user)
        assert stop_stack(settings, force=True) == ("postgresql",)
        leave(user)


@pytest.mark.exhaustive
def test_redis_is_left_out_when_nobody_needs_it(new_settings: MakeSettings) -> None:
    settings = new_settings()
    with running_stack(settings, need_redis=False) as endpoints:
        assert endpoints.redis_url == ""
        assert states(settings) == ["running", "stopped"]
        with running_stack(settings) as complete:
            assert complete.redis_url
        assert states(settings) == ["running", "running"]


def test_servers_of_the_settings_are_used_and_nothing_is_embedded(
    new_settings: MakeSettings, stack: Endpoints, redis_url: str
) -> None:
    ensure_database(stack.database_url, "external")
    external = stack.database_url.replace("/trading?", "/external?")
    settings = new_settings(database_url=external, redis_url=redis_url)
    with running_stack(settings) as endpoints:
        assert endpoints.database_url == external
        assert endpoints.redis_url == redis_url
        with psycopg.connect(endpoints.dagster_database_url.replace("+psycopg2", "")) as connection:
            assert connection.execute("SELECT current_database()").fetchone() == ("dagster",)
    assert list(settings.root.iterdir()) == []
    assert states(settings) == ["external", "external"]


def test_an_address_of_another_kind_is_refused(new_settings: MakeSettings) -> None:
    settings = new_settings(database_url="mysql://somewhere/else")
    with pytest.raises(ConfigurationError, match="DATABASE_URL"), running_stack(settings, need_redis=False):
        pass


def test_a_server_that_does_not_answer_is_named(new_settings: MakeSettings) -> None:
    settings = new_settings(database_url="postgresql://nobody@127.0.0.1:9/none", redis_url="redis://127.0.0.1:9")
    with pytest.raises(StoreUnavailable, match="does not answer"), running_stack(settings):
        pass


@pytest.mark.exhaustive
def test_a_start_that_fails_leaves_nothing_running(new_settings: MakeSettings) -> None:
    settings = new_settings()
    settings.root.mkdir(exist_ok=True)
    (settings.root / "redis").write_text("not a directory")
    with pytest.raises(ConfigurationError, match="cannot be used"), running_stack(settings):
        pass
    assert states(settings) == ["stopped", "stopped"]
    assert stack_status(settings).users == ()
    (settings.root / "redis").unlink()


@pytest.mark.exhaustive
def test_a_forked_child_leaves_the_lease_of_its_parent_alone(new_settings: MakeSettings) -> None:
    settings = new_settings()
    with running_stack(settings, need_redis=False) as endpoints:
        block = running_stack(settings, need_redis=False)
        block.__enter__()
        child = os.fork()
        if child == 0:
            block.__exit__(None, None, None)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert len(stack_status(settings).users) == 2
        block.__exit__(None, None, None)
        with psycopg.connect(endpoints.database_url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    assert states(settings)[0] == "stopped"
