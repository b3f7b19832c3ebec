"""``trading-platform dev`` for real: however it is started and ended, nothing of it stays behind."""

from __future__ import annotations

import os
import pty
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from processes import REPOSITORY, answers, environment, free_port
from waiting import LONG

from trading_platform.embedded.stack import stack_status
from trading_platform.settings import Settings

"""Seconds after which something will not come any more, on the busiest machine."""

COMMAND = Path(sys.executable).with_name("trading-platform")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def settings(new_settings: Callable[..., Settings]) -> Settings:
    """A data directory of its own; the servers in it are begun by the first test."""
    return new_settings()


class Dev:
    """A development server over that directory, and all its processes."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings = settings
        self.folder = folder
        self.log = folder / "dev.log"
        self.environment = environment() | {"DATA_DIR": os.path.relpath(settings.root, folder)}
        self.started: list[psutil.Process] = []

    def shell(self, script: str, *command: str | Path) -> subprocess.Popen[str]:
        """Runs a script of the shell, whose arguments are the command."""
        process = subprocess.Popen(
            ["sh", "-c", script, *map(str, command)], cwd=self.folder, env=self.environment,
            stdout=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        self.started.append(psutil.Process(process.pid))
        return process

    def until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + LONG
        while not condition():
            assert time.monotonic() < deadline, f"it did not come to that: {self.said()}\n{self.living()}"
            time.sleep(0.1)

    def said(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def processes(self, main: int) -> list[psutil.Process]:
        """The main process and all that have come of it."""
        process = psutil.Process(main)
        found = [process, *process.children(recursive=True)]
        self.started += found
        return found

    def code_server(self, main: int) -> bool:
        """Whether it is in the middle of its start."""
        found = self.processes(main)
        assert len(found) > 1 or found[0].is_running(), self.said()
        for process in found:
            with suppress(psutil.Error):
                if "code-server" in process.cmdline():
                    return True
        return False

    def living(self) -> list[psutil.Process]:
        return [each for each in set(self.started) if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]

    def is_gone(self) -> bool:
        """Whether none of its processes lives, and no server that only they used."""
        return not self.living() and stack_status(self.settings).servers[0].state == "stopped"

    def left(self) -> list[Path]:
        """Homes of Dagster that are to be there only while it runs."""
        return [path for folder in (self.folder, REPOSITORY) for path in folder.glob(".tmp_dagster_home_*")]


@pytest.fixture
def dev(settings: Settings, tmp_path: Path) -> Iterator[Dev]:
    before = set(REPOSITORY.glob(".tmp_dagster_home_*"))
    made = Dev(settings, tmp_path)
    yield made
    for process in made.started:
        with suppress(psutil.Error):
            process.kill()
    assert set(made.left()) == before


@pytest.mark.exhaustive
def test_started_where_sigint_is_ignored_it_serves_and_sigterm_ends_it(dev: Dev) -> None:
    port = free_port()
    process = dev.shell('trap "" INT; exec "$0" dev --port "$1" > dev.log 2>&1', COMMAND, str(port))
    dev.until(lambda: answers(port) or process.poll() is not None)
    assert process.poll() is None, dev.said()
    assert len(dev.processes(process.pid)) >= 6  # supervisor, dagster dev, its webserver, daemon and code servers
    assert stack_status(dev.settings).servers[0].state == "running"
    assert len(stack_status(dev.settings).users) >= 2
    process.send_signal(signal.SIGTERM)
    assert process.wait(LONG) == 0
    assert dev.is_gone()
    assert {path.name for path in dev.folder.iterdir()} == {"dev.log"}


@pytest.mark.exhaustive
def test_under_nohup_a_hang_up_does_not_end_it_and_sigterm_to_make_does(dev: Dev) -> None:
    if not shutil.which("make"):
        pytest.skip("no make on the PATH (Debian: apt-get install make)")
    make = ("make", "-C", REPOSITORY, "-o", ".venv/.installed", f"BIN={COMMAND.parent}", "dev")
    dev.environment["DATA_DIR"] = str(dev.settings.root)
    process = dev.shell('nohup "$0" "$@" > dev.log 2>&1 & echo $!; wait $!; exit 0', *make)
    assert process.stdout is not None
    main = int(process.stdout.readline())
    dev.until(lambda: dev.code_server(main))
    for each in dev.processes(main)[:2]:  # make and the command
        each.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1)
    os.kill(main, signal.SIGTERM)
    dev.until(lambda: process.poll() is not None)
    dev.until(dev.is_gone)


@pytest.mark.exhaustive
def test_ctrl_c_on_a_terminal_ends_it(dev: Dev) -> None:
    main, terminal = pty.fork()
    if main == 0:
        os.chdir(dev.folder)
        os.execve(COMMAND, [COMMAND, "dev", "--port", str(free_port())], dev.environment)  # noqa: S606 - the process of the terminal becomes the command
    try:
        dev.until(lambda: dev.code_server(main))
        os.write(terminal, b"\x03")
        said, code = finish(main, terminal)
    finally:
        os.close(terminal)
    assert code == 130, said
    assert dev.is_gone()


def finish(main: int, terminal: int) -> tuple[str, int]:
    """What a process writes to its terminal until it ends, and its exit code."""
    said = b""
    with suppress(OSError):  # the terminal of a process that has ended
        while read := os.read(terminal, 4096):
            said += read
    return said.decode(errors="replace"), os.waitstatus_to_exitcode(os.waitpid(main, 0)[1])


@pytest.mark.exhaustive
def test_killed_it_leaves_nothing_behind(dev: Dev) -> None:
    process = dev.shell('exec "$0" dev --port "$1" > dev.log 2>&1', COMMAND, str(free_port()))
    dev.until(lambda: dev.code_server(process.pid))
    process.kill()
    process.wait()
    dev.until(dev.is_gone)


def test_a_port_that_is_taken_is_told_before_anything_starts(dev: Dev) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        process = dev.shell('exec "$0" dev --port "$1" > dev.log 2>&1', COMMAND, port)
        assert process.wait(LONG) == 2
    assert port in dev.said()
    assert "Dagster services" not in dev.said()
    assert dev.is_gone()
