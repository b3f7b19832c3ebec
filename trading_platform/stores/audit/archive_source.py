"""Old months of the audit tables in the database: found, counted, read, and taken out.

All of it as the owner of the schema. Where the rows go: :mod:`trading_platform.stores.audit.archive`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from trading_platform.domain.errors import StoreError
from trading_platform.domain.time import Sleep, Window, month_window
from trading_platform.stores.audit.archive_files import BATCH_ROWS
from trading_platform.stores.audit.archive_manifest import AuditTable, Manifest, Row, manifest_of_digest
from trading_platform.stores.postgres.database import Database, driver, execute
from trading_platform.stores.postgres.sql import query

if TYPE_CHECKING:
    from sqlalchemy import Connection

LOCK_ATTEMPTS = 20
LOCK_PAUSE = 0.05
"""A lock is asked for so often, with so many seconds between, and never waited for: whoever waits for an
exclusive lock holds up all who come after, and could be waiting for one who waits for us."""


class Removal(StrEnum):
    """What came of taking a month out of the database."""

    DONE = "done"
    CHANGED = "changed"
    BUSY = "busy"


@dataclass(frozen=True)
class _Place:
    """Where a month's rows are.

    Attributes:
        name: the relation, as SQL takes it.
        default: whether it is the default partition, which has rows of other months too.
    """

    name: str
    default: bool


class AuditSource:
    """The audit tables as the archive's source.

    Args:
        database: as the owner of the schema.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def due(self, table: AuditTable, before: datetime) -> list[Window]:
        """The months that end at ``before`` or earlier and have a partition, or rows in the default one; in order."""
        with self._database.begin() as connection:
            parted = [window for window in _partitions(connection, table) if window.end <= before]
            months = execute(
                connection,
                query("audit/archive/months_by_default").format(place=_default(table)),
                {"before": month_window(before).start},
            )
        return sorted({*parted, *(month_window(month) for (month,) in months)})

    def partitions(self, table: AuditTable) -> list[Window]:
        """The months that have a partition, in order."""
        with self._database.begin() as connection:
            return list(_partitions(connection, table))

    def archived(self) -> list[tuple[str, str]]:
        """Table and month (2024-05) of what the events of the last year say was archived."""
        with self._database.begin() as connection:
            return [(table, month) for table, month in execute(connection, query("audit/archive/archived_months"))]

    def overdue(self, table: AuditTable, before: datetime) -> tuple[int, datetime | None]:
        """How many rows older than ``before`` the table has, and the time of the oldest."""
        with self._database.begin() as connection:
            statement = query("audit/archive/overdue").format(place=f"audit.{table}")
            rows, oldest = execute(connection, statement, {"before": before})[0]
        return rows, oldest

    @contextmanager
    def reading(self, table: AuditTable, window: Window) -> Iterator[tuple[Manifest, Iterator[Sequence[Row]]]]:
        """A month's tally, and its rows by (time, id), some thousands at once: both of the same moment."""
        import psycopg

        bounds = {"first": window.start, "after": window.end}
        with self._database.begin() as connection:
            execute(connection, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            manifest = _digest(connection, table, window, f"audit.{table}")
            with psycopg.ServerCursor(driver(connection), "archive") as cursor:
                cursor.execute(query(f"audit/archive/rows_{table}").encode(), bounds)
                yield manifest, iter(lambda: cursor.fetchmany(BATCH_ROWS), [])

    def remove(
        self,
        table: AuditTable,
        window: Window,
        expected: Manifest,
        *,
        sleep: Sleep,
        before_commit: Callable[[Connection], None],
    ) -> Removal:
        """Takes a month's rows out, in one transaction, if they are those expected.

        Nobody can change them from the moment they are counted until they are gone; others can read them
        meanwhile, and write other months, but for the moment of the removal itself.

        Args:
            table: whose rows.
            window: their month.
            expected: their tally.
            sleep: waits between attempts at a lock.
            before_commit: does what is to be committed together with it.

        Returns:
            ``CHANGED`` if they are not those expected, ``BUSY`` if somebody holds a lock; nothing was done then.
        """
        with self._database.begin() as connection:
            place = _place(connection, table, window)
            if not _locked(connection, f"{place.name} IN SHARE ROW EXCLUSIVE MODE", sleep):
                return Removal.BUSY
            if _digest(connection, table, window, place.name) != expected:
                return Removal.CHANGED
            if place.default:
                _delete(connection, place, window, expected.rows)
            elif not _drop(connection, table, place, sleep):
                return Removal.BUSY
            before_commit(connection)
        return Removal.DONE


def _default(table: AuditTable) -> str:
    return f"audit.{table}_default"


def _partitions(connection: Connection, table: AuditTable) -> dict[Window, str]:
    """The partitions that are whole months, by month."""
    found = execute(connection, query("audit/archive/partitions"), {"table": f"audit.{table}"})
    return {
        Window(first, after): name
        for name, first, after in found
        if first is not None and after is not None and month_window(first) == Window(first, after)
    }


def _place(connection: Connection, table: AuditTable, window: Window) -> _Place:
    partition = _partitions(connection, table).get(window)
    return _Place(_default(table), default=True) if partition is None else _Place(partition, default=False)


def _digest(connection: Connection, table: AuditTable, window: Window, place: str) -> Manifest:
    statement = query(f"audit/archive/digest_{table}").format(place=place)
    return manifest_of_digest(execute(connection, statement, {"first": window.start, "after": window.end})[0])


def _locked(connection: Connection, what: str, sleep: Sleep) -> bool:
    """Whether the lock was free within the attempts; held until the transaction ends."""
    from psycopg.errors import LockNotAvailable

    for _ in range(LOCK_ATTEMPTS):
        try:
            with driver(connection).transaction():
                execute(connection, f"LOCK TABLE {what} NOWAIT")
        except LockNotAvailable:
            sleep(LOCK_PAUSE)
        else:
            return True
    return False


def _drop(connection: Connection, table: AuditTable, place: _Place, sleep: Sleep) -> bool:
    """Drops a partition; False if the locks that takes are not to be had.

    Dropped as it is and not detached first: a detached table gets the foreign key to the orders for itself, and
    for that the orders would have to be locked.
    """
    tables = f"ONLY audit.{table}, ONLY {_default(table)}, ONLY {place.name}"
    if not _locked(connection, f"{tables} IN ACCESS EXCLUSIVE MODE", sleep):
        return False
    execute(connection, f"DROP TABLE {place.name}")
    return True


def _delete(connection: Connection, place: _Place, window: Window, rows: int) -> None:
    bounds = {"first": window.start, "after": window.end}
    deleted = execute(connection, query("audit/archive/delete").format(place=place.name), bounds)[0][0]
    if deleted != rows:
        raise StoreError(
            f"{place.name} changed while it was locked.",
            expected=f"{rows:,} rows of {window} to be deleted",
            received=f"{deleted:,}",
            remedy="look for a rule or trigger on the table; nothing was deleted",
        )
