"""That Dagster was down is in the system events, with its end, however it ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
from processes import answers, environment, free_port
from supervisor import Supervisor
from waiting import wait_until

from trading_platform.cli.operations.systemd import DAGSTER, unit_files
from trading_platform.resources.dagster_incidents import EVENT, session_file
from trading_platform.resources.platform import open_platform
from trading_platform.settings import SETTINGS_FILE, Settings
from trading_platform.stores.audit.journal import AuditStore, SystemEvent


def test_a_session_that_was_killed_is_noticed_by_the_next(tmp_path: Path) -> None:
    with session_file(tmp_path) as was_killed:
        assert not was_killed
    with session_file(tmp_path) as was_killed:
        assert not was_killed, "one that ended by itself has said so"
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    for left in (f"{ended.pid} 1.0", f"{os.getpid()} 1.0", ""):
        (tmp_path / "run" / "dev" / "session").write_text(left)
        with session_file(tmp_path) as was_killed:
            assert was_killed, "the process has ended, or another one has its id"
    with session_file(tmp_path), session_file(tmp_path) as was_killed:
        assert not was_killed, "it runs"


@pytest.fixture
def supervised(new_settings: Callable[..., Settings], tmp_path: Path) -> Iterator[tuple[Supervisor, Settings, int]]:
    settings, port = new_settings(), free_port()
    for name, text in unit_files(settings, tmp_path, port).items():
        (tmp_path / name).write_text(text)
    users = environment()
    users.pop(SETTINGS_FILE)
    supervisor = Supervisor(tmp_path, users)
    try:
        yield supervisor, settings, port
    finally:
        supervisor.kill()


@pytest.mark.slow
@pytest.mark.exhaustive
def test_daemon_code_server_and_all_of_it_killed(supervised: tuple[Supervisor, Settings, int]) -> None:
    """Each time it is started again by what supervises it, and both the end and the new beginning are found."""
    supervisor, settings, port = supervised

    def is_up() -> bool:
        """Whether its sensor has ticked after all that was told."""
        return all(event.metadata["over"] for event in told()[-1:])

    def told() -> list[SystemEvent]:
        with open_platform(settings) as platform:
            return AuditStore(platform.stores.database).events(event_type=EVENT)[::-1]

    def ticks() -> int:
        with open_platform(settings) as platform:
            found = platform.stores.database.rows("SELECT count(*) FROM audit.observers WHERE name = 'dagster'")
            return int(found[0][0])

    supervisor.start(DAGSTER)
    wait_until(lambda: answers(port), "the UI")
    wait_until(ticks, "a tick of the sensor")
    healed: dict[str, timedelta] = {}
    for number, victim in enumerate(("daemon", "code server", "dev")):
        before = supervisor.main[DAGSTER]
        kill(victim, before)
        wait_until(lambda before=before: supervisor.main[DAGSTER] is not before, "another start of Dagster")
        wait_until(lambda number=number: len(told()) == 2 * number + 2 and is_up(), "the end in the system events")
        began, over = told()[-2:]
        assert (began.metadata["over"], began.severity, over.metadata["over"]) == (False, "error", True)
        healed[victim] = over.timestamp - began.timestamp
    print({victim: f"{took.total_seconds():.0f} s" for victim, took in healed.items()})  # noqa: T201
    supervisor.stop()


def kill(victim: str, main: subprocess.Popen[bytes]) -> None:
    """Kills a part of a session of Dagster."""
    if victim == "dev":
        os.kill(main.pid, signal.SIGKILL)
        return
    # Dagster replaces the parent of the code server by itself, but not the process that has the code.
    words = {"daemon": {"dagster._daemon"}, "code server": {"api", "grpc"}}[victim]
    for process in psutil.Process(main.pid).children(recursive=True):
        if words <= set(process.cmdline()):
            process.kill()
            return
    raise AssertionError(f"no {victim} among {main.pid}'s processes")
