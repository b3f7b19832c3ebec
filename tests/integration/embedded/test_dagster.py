"""Dagster's own commands from a plain checkout, with nothing set."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from processes import REPOSITORY, answers, environment, free_port
from waiting import LONG, wait_until

from trading_platform.embedded.stack import running_stack, stack_status
from trading_platform.settings import Settings

PROJECT = """
import os
import dagster as dg

@dg.asset(partitions_def=dg.StaticPartitionsDefinition(["a", "b"]), backfill_policy=dg.BackfillPolicy.single_run())
def batched(context) -> None:
    print("printed by the step")
    context.add_output_metadata({"batch": os.environ["DAGSTER_EVENT_BATCH_SIZE"]})

defs = dg.Definitions([batched], executor=dg.in_process_executor)
"""


@pytest.fixture
def checkout(new_settings: Callable[..., Settings]) -> Iterator[tuple[Path, Settings]]:
    """A folder with the platform's dagster.yaml and a small project, and the settings in effect there."""
    folder = Path(tempfile.mkdtemp(prefix="tp-"))
    folder.chmod(0o755)
    shutil.copy(REPOSITORY / "dagster.yaml", folder)
    (folder / "small_project.py").write_text(PROJECT)
    (folder / "pyproject.toml").write_text('[tool.dagster]\nmodule_name = "small_project"\n')
    yield folder, new_settings(folder / "data")
    shutil.rmtree(folder, ignore_errors=True)


def plain_environment(folder: Path) -> dict[str, str]:
    """Nothing of Dagster's or the platform's is set."""
    ours = ("DAGSTER", "DATA_DIR", "DATABASE_URL", "REDIS_URL")
    kept = {name: value for name, value in environment().items() if not name.startswith(ours)}
    return kept | {"PYTHONPATH": f"{folder}:{kept['PYTHONPATH']}"}


def dagster(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dagster", *arguments]
    return subprocess.run(
        command, cwd=folder, env=plain_environment(folder), capture_output=True, text=True, check=False, timeout=LONG
    )


@pytest.mark.exhaustive
@pytest.mark.slow
def test_commands_keep_their_records_in_the_embedded_database(checkout: tuple[Path, Settings]) -> None:
    folder, settings = checkout
    validated = dagster(folder, "definitions", "validate")
    assert validated.returncode == 0, validated.stderr
    made = dagster(folder, "asset", "materialize", "-m", "small_project", "--select", "*", "--partition-range", "a...b")
    assert made.returncode == 0, made.stderr
    assert {path.name for path in folder.iterdir()} <= {
        "data",
        "dagster.yaml",
        "pyproject.toml",
        "small_project.py",
        "__pycache__",
    }
    assert "printed by the step" in "".join(path.read_text() for path in (folder / "data" / "logs").rglob("*.out"))
    assert [server.state for server in stack_status(settings).servers] == ["stopped", "stopped"]
    with (
        running_stack(settings, need_redis=False) as endpoints,
        psycopg.connect(endpoints.dagster_database_url.replace("+psycopg2", "")) as connection,
    ):
        assert connection.execute("SELECT status FROM runs").fetchall() == [("SUCCESS",)]
        found = connection.execute(
            "SELECT event FROM event_logs WHERE dagster_event_type = 'ASSET_MATERIALIZATION'"
        ).fetchall()
        assert len(found) == 2
        assert all('"batch"' in event and '"1000"' in event for (event,) in found)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_the_development_server_shares_the_servers_and_stops_them(checkout: tuple[Path, Settings]) -> None:
    folder, settings = checkout
    command = [sys.executable, "-m", "dagster", "dev", "--port", str(free_port()), "--host", "127.0.0.1"]
    with (folder / "dev.log").open("w") as log:
        server = subprocess.Popen(
            command, cwd=folder, env=plain_environment(folder), stdout=log, stderr=log, start_new_session=True
        )
    try:
        port = wait_for_port(server, folder / "dev.log")
        wait_until(lambda: server.poll() is not None or answers(port), "the answer of the server", deadline=LONG)
        assert server.poll() is None
        assert stack_status(settings).servers[0].state == "running"
        assert len(stack_status(settings).users) >= 2
    finally:
        server.send_signal(signal.SIGINT)
        try:
            server.wait(LONG)
        finally:
            if server.poll() is None:
                os.killpg(server.pid, signal.SIGKILL)
    wait_until(lambda: stack_status(settings).servers[0].state == "stopped", "the end of PostgreSQL", deadline=LONG)


def wait_for_port(server: subprocess.Popen[bytes], log: Path) -> int:
    deadline = time.monotonic() + LONG
    while time.monotonic() < deadline and server.poll() is None:
        for word in log.read_text().split():
            if word.startswith("http://127.0.0.1:"):
                return int(word.rstrip("/").rpartition(":")[2])
        time.sleep(0.3)
    raise AssertionError(f"no address in {log.read_text()}")
