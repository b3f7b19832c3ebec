"""A session ends whole, whatever its programs do about it and whoever is killed first."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from isolation import isolated
from properties import some_usual
from waiting import LONG

from trading_platform.cli.operations.dev import _environment
from trading_platform.settings import load_settings

REPOSITORY = Path(__file__).parents[2]
"""Seconds; what is waited for takes some moments."""

COMMAND = """
import os, sys
from pathlib import Path
from trading_platform.cli.operations.dev_session import run_session
from trading_platform.cli.signals import end_on_signals
end_on_signals()
ended = run_session(sys.argv[1:], os.environ, Path.cwd())
print(ended.asked_by and ended.asked_by.name, ended.code)
"""

FAMILY = """
import os, signal, subprocess, sys, time
if sys.argv[1] == "deaf":
    signal.signal(signal.SIGINT, signal.SIG_IGN), signal.signal(signal.SIGTERM, signal.SIG_IGN)
if len(sys.argv) == 2:
    child = subprocess.Popen([sys.executable, "-c", sys.orig_argv[2], sys.argv[1], "child"])
    while not os.path.exists(f"child-{child.pid}"):
        time.sleep(0.01)
    open(f"program-{os.getpid()}", "w").close()
    child.wait()
else:
    parent = os.getppid()
    open(f"child-{os.getpid()}", "w").close()
    while os.getppid() == parent or sys.argv[1] == "deaf":
        time.sleep(0.05)
"""
"""A program with a child, which notices that it is alone; where they are deaf, neither hears of anything."""


@pytest.fixture
def environment() -> dict[str, str]:
    return isolated(os.environ) | {"PYTHONPATH": str(REPOSITORY)}


@contextmanager
def running(
    folder: Path, environment: dict[str, str], *program: str, script: str = 'exec "$0" "$@"'
) -> Iterator[subprocess.Popen[str]]:
    """The command over a program, begun by a shell; whatever is left of it is killed."""
    command = ["sh", "-c", script, sys.executable, "-c", COMMAND, sys.executable, "-c", *program]
    process = subprocess.Popen(
        command, cwd=folder, env=environment | {"DATA_DIR": str(folder / "data")},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.05)


def family(folder: Path, process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Supervisor, program and child, once all are there."""
    until(lambda: any(folder.glob("program-*")) or process.poll() is not None)
    assert process.poll() is None, process.communicate()
    found = psutil.Process(process.pid).children(recursive=True)
    assert len(found) == 3
    return found


def all_gone(processes: list[psutil.Process]) -> bool:
    return not [each for each in processes if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.parametrize(
    ("script", "number", "said"),
    some_usual(
        [
            ('exec "$0" "$@"', signal.SIGINT, "SIGINT"),
            ('exec "$0" "$@"', signal.SIGTERM, "SIGTERM"),
            ('exec "$0" "$@"', signal.SIGHUP, "SIGHUP"),
            ('trap "" INT HUP QUIT; exec "$0" "$@"', signal.SIGTERM, "SIGTERM"),
        ],
        usual=2,
    ),
)
def test_one_signal_ends_all(
    tmp_path: Path, environment: dict[str, str], script: str, number: signal.Signals, said: str
) -> None:
    with running(tmp_path, environment, FAMILY, "usual", script=script) as process:
        processes = family(tmp_path, process)
        process.send_signal(number)
        out, err = process.communicate(timeout=LONG)
        assert out.split()[0] == said, err
        assert all_gone(processes)
        assert "by force" not in err


@pytest.mark.exhaustive
def test_what_it_was_started_to_ignore_does_not_end_it(tmp_path: Path, environment: dict[str, str]) -> None:
    with running(tmp_path, environment, FAMILY, "usual", script='trap "" INT HUP; exec "$0" "$@"') as process:
        processes = family(tmp_path, process)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)
        assert [each.is_running() for each in processes] == [True] * 3
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=LONG)[0].split()[0] == "SIGTERM"
        assert all_gone(processes)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_what_does_not_listen_is_killed(tmp_path: Path, environment: dict[str, str]) -> None:
    with running(tmp_path, environment, FAMILY, "deaf") as process:
        processes = family(tmp_path, process)
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGHUP)  # asked again: at once; of two that wait the system hands over either first
        out, err = process.communicate(timeout=LONG)
        assert out.split()[0] in {"SIGTERM", "SIGHUP"}
        assert err.count("process ") == 2, err
        assert all_gone(processes)


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.parametrize("killed", ["command", "supervisor", "program"])
def test_nothing_stays_behind_one_that_is_killed(tmp_path: Path, environment: dict[str, str], killed: str) -> None:
    with running(tmp_path, environment, FAMILY, "usual") as process:
        processes = family(tmp_path, process)
        victim = {"command": psutil.Process(process.pid), "supervisor": processes[0], "program": processes[1]}[killed]
        victim.kill()
        until(lambda: all_gone(processes))
        process.wait(LONG)


def test_a_program_that_ends_by_itself_is_told_with_its_code(tmp_path: Path, environment: dict[str, str]) -> None:
    with running(tmp_path, environment, "raise SystemExit(7)") as process:
        assert process.communicate(timeout=LONG)[0].split() == ["None", "7"]
        assert process.returncode == 0


def test_what_is_configured_here_is_configured_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("DATA_DIR=mine\nREDIS_URL=redis://file\nOTHER=of-the-file\nGIVEN=of-the-file\n")
    monkeypatch.setenv("SETTINGS_FILE", ".env")
    monkeypatch.setenv("GIVEN", "here")
    monkeypatch.setenv("logs_dir", "there")
    monkeypatch.setenv("FEATURES_DIR", "~/features")
    here = load_settings()
    handed_on = _environment(here)
    monkeypatch.undo()
    monkeypatch.chdir("/")
    for name, value in handed_on.items():
        monkeypatch.setenv(name, value)
    found = load_settings()
    assert (found.root, found.redis_url) == (tmp_path / "mine", here.redis_url)
    assert found.logs_directory == tmp_path / "there"
    assert found.features_directory == Path.home() / "features"
    assert [handed_on[name] for name in ("OTHER", "GIVEN")] == ["of-the-file", "here"]
