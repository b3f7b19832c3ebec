"""Who may write the feature store: one writer of a symbol at a time, on one machine or over several.

A lock of the database holds between machines and ends with the connection of its holder. Without a database, as in a
folder of one machine, locks of files do. The store of the files is :mod:`trading_platform.stores.features.files`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from trading_platform.domain.time import Clock
from trading_platform.stores.atomic_files import exclusive, shared
from trading_platform.stores.postgres.database import Database, execute
from trading_platform.stores.postgres.sql import query

OBJECTS = "_objects"
"""Name of the lock of the objects: writers share it, and who removes objects holds it alone."""


@dataclass(frozen=True)
class Held:
    """A lock that is held.

    Attributes:
        at: the time with the lock held, UTC; what follows is recorded at it.
        confirm: raises an error of the store if the lock was lost meanwhile; called before a change is published.
    """

    at: datetime
    confirm: Callable[[], object]


class WriterLocks(Protocol):
    """The locks of one feature store."""

    def holding(self, name: str) -> AbstractContextManager[Held]:
        """Excludes other writers of a symbol, or of what else has a name, and the removal of objects."""
        ...

    def removing_objects(self) -> AbstractContextManager[None]:
        """Excludes all writers, and those who save a snapshot."""
        ...


def lock_file(directory: Path, name: str) -> Path:
    """The lock file of a name in a store's folder."""
    return directory / "_metadata" / "locks" / name


class FileLocks:
    """Locks by files, for the processes of one machine.

    Args:
        directory: folder of the store.
        clock: source of the time at which changes are recorded.
    """

    def __init__(self, directory: Path, clock: Clock) -> None:
        self._directory = directory
        self._clock = clock

    @contextmanager
    def holding(self, name: str) -> Iterator[Held]:
        """As :meth:`WriterLocks.holding`."""
        with shared(lock_file(self._directory, OBJECTS)), exclusive(lock_file(self._directory, name)):
            yield Held(self._clock(), lambda: None)

    @contextmanager
    def removing_objects(self) -> Iterator[None]:
        """As :meth:`WriterLocks.removing_objects`."""
        with exclusive(lock_file(self._directory, OBJECTS)):
            yield


class DatabaseLocks:
    """Advisory locks of a database, for the processes of all machines that use it.

    Args:
        database: the database; its role may take advisory locks.
        directory: folder of the store. Snapshots are saved under its file lock, because the role of agents has no
            lock of the database.
    """

    def __init__(self, database: Database, directory: Path) -> None:
        self._database = database
        self._directory = directory

    @contextmanager
    def holding(self, name: str) -> Iterator[Held]:
        """As :meth:`WriterLocks.holding`.

        Raises:
            StoreBusy: if another writer holds the lock for longer than the role may wait.
            StoreUnavailable: if the database does not respond.
        """
        with self._database.begin() as connection:
            ((at,),) = execute(connection, query("features/files/lock"), {"name": name})
            yield Held(at, lambda: execute(connection, "SELECT 1"))

    @contextmanager
    def removing_objects(self) -> Iterator[None]:
        """As :meth:`WriterLocks.removing_objects`, with the same errors as :meth:`holding`."""
        with self._database.begin() as connection, exclusive(lock_file(self._directory, OBJECTS)):
            execute(connection, query("features/files/lock_objects"))
            yield
