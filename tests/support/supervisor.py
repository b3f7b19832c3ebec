"""A supervisor that runs systemd units as systemd does, as far as the platform's units go: it starts what they require,
starts again what ends, and stops by the signal and in the time that they name.

Directives that it does not know fail, so that no unit says something that nobody tried.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import threading
from collections.abc import Mapping
from configparser import ConfigParser
from contextlib import suppress
from pathlib import Path

KNOWN = {
    "Unit": {"Description", "Requires", "After", "StartLimitIntervalSec"},
    "Service": {
        "Type", "RemainAfterExit", "WorkingDirectory", "Environment", "ExecStart", "ExecStop", "TimeoutStartSec",
        "TimeoutStopSec", "Restart", "RestartSec", "KillMode",
    },
    "Install": {"WantedBy"},
}  # fmt: skip


class Unit:
    """A unit file."""

    def __init__(self, path: Path) -> None:
        parser = ConfigParser(interpolation=None, delimiters=("=",), comment_prefixes=("#",))
        parser.optionxform = str  # type: ignore[assignment, method-assign]
        parser.read(path)
        for section in parser.sections():
            unknown = set(parser[section]) - KNOWN[section]
            assert not unknown, f"{path.name}: {unknown} of [{section}] was never tried"
        self.name = path.name
        self.requires = [name for name in parser["Unit"].get("Requires", "").split() if name.endswith(".service")]
        self._service = parser["Service"]

    def __getitem__(self, directive: str) -> str:
        return self._service[directive].replace("%%", "%")

    def command(self, directive: str) -> list[str]:
        return shlex.split(self[directive])

    def environment(self) -> dict[str, str]:
        return dict(word.split("=", 1) for word in shlex.split(self["Environment"]))


class Supervisor:
    """Runs units of a folder.

    Args:
        folder: of the unit files.
        environment: what a user's processes begin with.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._environment = dict(environment)
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._started: list[Unit] = []
        self.main: dict[str, subprocess.Popen[bytes]] = {}
        self.ended: dict[str, list[int]] = {}

    def start(self, name: str) -> None:
        """Starts a unit after those that it requires."""
        if name in {unit.name for unit in self._started}:
            return
        unit = Unit(self._folder / name)
        for required in unit.requires:
            self.start(required)
        self._started.append(unit)
        if unit["Type"] == "oneshot":
            assert self._spawn(unit, "ExecStart").wait(float(unit["TimeoutStartSec"])) == 0
            return
        assert (unit["Type"], unit["Restart"], unit["KillMode"]) == ("exec", "always", "process")
        self.main[name] = self._spawn(unit, "ExecStart")
        self._threads.append(threading.Thread(target=self._keep, args=[unit], daemon=True))
        self._threads[-1].start()

    def stop(self) -> None:
        """Stops all units, the last started first."""
        self._stopping.set()
        for unit in reversed(self._started):
            if unit["Type"] == "oneshot":
                assert self._spawn(unit, "ExecStop").wait(float(unit["TimeoutStopSec"])) == 0
                continue
            self.main[unit.name].send_signal(signal.SIGTERM)
            self.main[unit.name].wait(float(unit["TimeoutStopSec"]))
        for thread in self._threads:
            thread.join()

    def kill(self) -> None:
        """Ends what is left, after a failure."""
        self._stopping.set()
        for process in self.main.values():
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    def _keep(self, unit: Unit) -> None:
        while True:
            self.ended.setdefault(unit.name, []).append(self.main[unit.name].wait())
            if self._stopping.wait(float(unit["RestartSec"])):
                return
            self.main[unit.name] = self._spawn(unit, "ExecStart")

    def _spawn(self, unit: Unit, directive: str) -> subprocess.Popen[bytes]:
        log = (self._folder / f"{unit.name}.log").open("ab")
        with log:
            return subprocess.Popen(
                unit.command(directive),
                cwd=unit["WorkingDirectory"],
                env=self._environment | unit.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
