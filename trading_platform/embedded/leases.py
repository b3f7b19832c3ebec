"""Leases on the embedded servers: one locked file for each process that uses them; ``kill -9`` releases it, too.

The operating system drops a ``flock`` when its process ends, however it ends, so a lease cannot outlive its holder,
and no process id has to be trusted. Servers are started and stopped under one exclusive lock, the guard. Only
:mod:`trading_platform.embedded.stack` uses this module.
"""

from __future__ import annotations

import json
import os
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from trading_platform.domain.errors import StoreUnavailable
from trading_platform.domain.time import Sleep, utc_now
from trading_platform.embedded.folders import explain_os_error, private_directory
from trading_platform.stores.atomic_files import file_locks

GUARD_SECONDS = 180.0
"""Seconds to wait for another process that starts or stops the servers; crash recovery can take long."""


@dataclass(frozen=True)
class Holder:
    """A process that uses the servers, as it described itself; for display only, never a basis for actions."""

    pid: int
    command: str
    since: str


class Lease:
    """A held lease; :meth:`release` and the end of the process release it."""

    def __init__(self, file: IO[str], path: Path) -> None:
        self._file = file
        self._path = path
        self._owner = os.getpid()

    @property
    def is_ours(self) -> bool:
        """False in a forked child, which inherits its parent's lease and must not release it."""
        return os.getpid() == self._owner

    def release(self) -> None:
        """Release the lease; a second release does nothing."""
        self._path.unlink(missing_ok=True)
        self._file.close()


class LeaseBook:
    """The leases of one data directory.

    Args:
        directory: folder of the lock files; created if missing.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._keep = directory / "stays-until-down"
        self._stopped = directory / "stopped-while-used"

    @property
    def stays(self) -> bool:
        """Whether the servers keep running when no process uses them."""
        return self._keep.exists()

    @stays.setter
    def stays(self, value: bool) -> None:
        if value:
            self._keep.touch()
        else:
            self._keep.unlink(missing_ok=True)

    @property
    def stopped(self) -> bool:
        """Whether somebody stopped the servers although processes use them; who starts them takes it back."""
        return self._stopped.exists()

    @stopped.setter
    def stopped(self, value: bool) -> None:
        if value:
            self._stopped.touch()
        else:
            self._stopped.unlink(missing_ok=True)

    @contextmanager
    def guard(self, timeout: float = GUARD_SECONDS, sleep: Sleep = time.sleep) -> Iterator[None]:
        """Hold the exclusive right to start and stop the servers.

        Raises:
            StoreUnavailable: if another process holds it for longer than ``timeout`` seconds.
            ConfigurationError: if the directory belongs to another user, or this system has no file locks.
        """
        file_locks()
        private_directory(self._directory)
        try:
            file = (self._directory / "guard").open("w")
        except OSError as error:
            raise explain_os_error(error, self._directory) from error
        with file:
            deadline = time.monotonic() + timeout
            while not _try_lock(file, exclusive=True):
                if time.monotonic() > deadline:
                    raise StoreUnavailable(
                        f"Another process has been starting or stopping the embedded servers for {timeout:.0f} s.",
                        remedy="look at `trading-platform status`; end that process if it hangs",
                    )
                sleep(0.02)
            yield

    def take(self) -> Lease:
        """A new lease for this process. Call it under the guard."""
        path = self._directory / f"{os.getpid()}-{uuid.uuid4().hex[:8]}.lease"
        try:
            file = path.open("w")
            locks = file_locks()
            locks.flock(file, locks.LOCK_EX)
            holder = Holder(os.getpid(), " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])[:120], utc_now().isoformat())
            json.dump(asdict(holder), file)
            file.flush()
        except OSError as error:
            path.unlink(missing_ok=True)
            raise explain_os_error(error, path) from error
        return Lease(file, path)

    def holders(self) -> list[Holder]:
        """The holders of the present leases."""
        found = ((path, _read_if_held(path)) for path in sorted(self._directory.glob("*.lease")))
        return [holder for _, holder in found if holder is not None]

    def prune(self) -> None:
        """Remove the files of processes that have ended. Call it under the guard."""
        for path in self._directory.glob("*.lease"):
            if _read_if_held(path) is None:
                path.unlink(missing_ok=True)


def _try_lock(file: IO[str], *, exclusive: bool) -> bool:
    locks = file_locks()
    try:
        locks.flock(file, (locks.LOCK_EX if exclusive else locks.LOCK_SH) | locks.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read_if_held(path: Path) -> Holder | None:
    """The holder of a lease, as it described itself; None if the lease is not held."""
    try:
        with path.open() as file:
            if _try_lock(file, exclusive=False):
                return None
            return Holder(**json.load(file))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):  # held, but cut short by a full disk
        return Holder(int(path.name.split("-")[0]), "unknown", "unknown")
