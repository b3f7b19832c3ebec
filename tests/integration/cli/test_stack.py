"""The commands up, down, status and doctor, as a user calls them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from trading_platform.cli.operations.stack import register
from trading_platform.settings import Settings

APP = typer.Typer()
register(APP)


@pytest.fixture
def call(new_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Calls a command on a stack of its own; the answer of ``--json``, and the exit code."""
    settings = new_settings()
    monkeypatch.setenv("DATA_DIR", str(settings.root))
    for name in ("DATABASE_URL", "DAGSTER_DATABASE_URL", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(settings.root)

    def run(*arguments: str) -> tuple[Any, int]:
        result = CliRunner().invoke(APP, [*arguments, "--json"])
        return json.loads(result.stdout), result.exit_code

    return run


def server_states(response: dict[str, Any]) -> list[str]:
    return [server["state"] for server in response["servers"]]


def test_up_status_doctor_down(call: Callable[..., Any]) -> None:
    sick, code = call("doctor")
    assert code == 1
    assert [check["part"] for check in sick["checks"] if check["verdict"] == "broken"] == ["schema"]

    up, code = call("up")
    assert code == 0
    assert server_states(up) == ["running", "running"]
    assert up["schema"]["before"] is None
    force, _ = call("up")
    assert force["schema"]["before"] == up["schema"]["after"]
    assert force["servers"] == up["servers"]

    status, _ = call("status")
    assert status["servers"] == up["servers"]
    assert status["stays"]

    healthy, code = call("doctor")
    assert code == 0
    assert healthy["healthy"]
    assert len(healthy["checks"]) >= 8

    down, code = call("down")
    assert code == 0
    assert down["stopped"] == ["redis", "postgresql"]
    assert server_states(down) == ["stopped", "stopped"]
    down, code = call("down", "--purge")
    assert code == 0
    assert server_states(call("status")[0]) == ["stopped", "stopped"]


@pytest.mark.exhaustive
def test_tables_for_people(call: Callable[..., Any]) -> None:
    call("up")
    result = CliRunner().invoke(APP, ["status"], terminal_width=200)
    assert "postgresql" in result.stdout
    assert "running" in result.stdout
    result = CliRunner().invoke(APP, ["doctor"], terminal_width=200)
    assert result.exit_code == 0
    assert "TimescaleDB" in result.stdout
    result = CliRunner().invoke(APP, ["down"])
    assert "redis, postgresql" in result.stdout
