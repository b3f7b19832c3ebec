"""Leases of Dagster's runs: a locked file for each, which tells a run at work from one whose process has ended.

Dagster learns of the end of a run from the run itself; a run that is killed together with the process that watches it
stays unfinished for ever, and takes a place in the queue. The file of a run is locked by the process that works on it,
and the system drops the lock however that process ends. :mod:`trading_platform.resources.run_monitoring` fails the runs
whose process is gone. The leases on the embedded servers are in :mod:`trading_platform.embedded.leases`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path

from trading_platform.embedded.folders import explain_os_error, private_directory
from trading_platform.stores.atomic_files import file_locks

START_SECONDS = 300.0
"""Seconds that a launched run may take until its process holds its lease, as long as Dagster lets a start take."""


class RunProcess(StrEnum):
    """What is known of the process of an unfinished run."""

    ALIVE = "alive"
    ENDED = "ended"
    UNKNOWN = "unknown"
    """The run has no lease here: it belongs to another machine, or to an older version of the platform."""


class RunLeases:
    """The leases of the runs of one data directory.

    Args:
        root: the platform's data directory.
        clock: seconds since the epoch, as the times of files are.
    """

    def __init__(self, root: Path, clock: Callable[[], float] = time.time) -> None:
        self._directory = root / "run" / "dagster"
        self._clock = clock

    def expect(self, run_id: str) -> None:
        """Notes that a process of this machine will work on a run that is about to be launched.

        Raises:
            StoreFull: if the disk is full.
            ConfigurationError: if the folder cannot be written to.
        """
        path = self._path(run_id)
        try:
            path.touch()
        except OSError as error:
            raise explain_os_error(error, path) from error

    @contextmanager
    def held(self, run_id: str) -> Iterator[None]:
        """Holds the lease of a run for the body.

        Raises:
            StoreFull: if the disk is full.
            ConfigurationError: if the folder cannot be written to, or this system has no file locks.
        """
        locks, path = file_locks(), self._path(run_id)
        try:
            file = path.open("w")
            locks.flock(file, locks.LOCK_EX)
            file.write(f"{os.getpid()}\n")
            file.flush()
        except OSError as error:
            raise explain_os_error(error, path) from error
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
            file.close()

    def process_of(self, run_id: str) -> RunProcess:
        """Whether the process of an unfinished run is alive."""
        locks = file_locks()
        try:
            with self._path(run_id).open() as file:
                try:
                    locks.flock(file, locks.LOCK_SH | locks.LOCK_NB)
                except BlockingIOError:
                    return RunProcess.ALIVE
                launched = os.fstat(file.fileno())
                begins = not launched.st_size and self._clock() - launched.st_mtime < START_SECONDS
                return RunProcess.ALIVE if begins else RunProcess.ENDED
        except FileNotFoundError:
            return RunProcess.UNKNOWN

    def forget(self, run_id: str) -> None:
        """Removes the lease of a run that has ended."""
        self._path(run_id).unlink(missing_ok=True)

    def known(self) -> list[str]:
        """Ids of the runs that have a lease."""
        with suppress(FileNotFoundError):
            return sorted(path.name for path in self._directory.iterdir())
        return []

    def _path(self, run_id: str) -> Path:
        private_directory(self._directory.parent)
        private_directory(self._directory)
        return self._directory / run_id
