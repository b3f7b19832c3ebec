"""Finds, counts, reads and deletes old months of the audit tables in the database.

All of it works as the owner of the schema. The rows go to :mod:`trading_platform.stores.audit.archive`.
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
"""A lock is tried this often, with this many seconds in between, and never waited for: a transaction that waits
for an exclusive lock blocks all later ones, and could deadlock with one that waits for it."""


class Removal(StrEnum):
    """Outcome of deleting a month from the database."""

    DONE = "done"
    CHANGED = "changed"
    BUSY = "busy"


@dataclass(frozen=True)
class _Place:
    """The relation that holds a month's rows.

    Attributes:
        name: of the relation, quoted for SQL.
        default: whether it is the default partition, which has rows of other months too.
    """

    name: str
    default: bool


class AuditSource:
    """The audit tables as the source of the archive.

    Args:
        database: as the owner of the schema.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def due(self, table: AuditTable, before: datetime) -> list[Window]:
        """The months that end at ``before`` or earlier and have a partition or rows in the default one; in order."""
        with self._database.begin() as connection:
            parted = [window for window in _partitions(connection, table) if window.end <= before]
            months = execute(
                connection,
                query("audit/archive/months_by_default").format(place=_default(table)),
                {"before": month_window(before).start},
            )
        return sorted({*parted, *(month_window(month) for (month,) in months)})

    def partitions(self, table: AuditTable) -> list[Window]:
        """The months with a partition, in order."""
        with self._database.begin() as connection:
            return list(_partitions(connection, table))

    def archived(self) -> list[tuple[str, str]]:
        """Table and month (2024-05) of each archived month."""
        with self._database.begin() as connection:
            return [(table, month) for table, month in execute(connection, query("audit/archive/archived_months"))]

    def overdue(self, table: AuditTable, before: datetime) -> tuple[int, datetime | None]:
        """Number of rows older than ``before`` in the table, and the time of the oldest."""
        with self._database.begin() as connection:
            statement = query("audit/archive/overdue").format(place=f"audit.{table}")
            rows, oldest = execute(connection, statement, {"before": before})[0]
        return rows, oldest

    @contextmanager
    def reading(self, table: AuditTable, window: Window) -> Iterator[tuple[Manifest, Iterator[Sequence[Row]]]]:
        """A month's manifest, and its rows by (time, id), some thousands at once, both from one snapshot."""
        import psycopg

        bounds = {"first": window.start, "after": window.end}
        with self._database.begin() as connection:
            execute(connection, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            manifest = _digest(connection, table, window, f"audit.{table}")
            with psycopg.ServerCursor(driver(connection), "archive") as cursor:
                cursor.execute(query(f"audit/archive/rows_{table}").encode(), bounds)
                yield manifest, iter(lambda: cursor.fetchmany(BATCH_ROWS), [])

    def note_archived(self, connection: Connection, table: AuditTable, month: str) -> None:
        """Notes that a month (2024-05) is in the archive; only the owner can, so that no role can pretend it."""
        execute(connection, query("audit/archive/note_archived"), {"table": table.value, "month": month})

    def set_aside(
        self, connection: Connection, table: AuditTable, window: Window, keys: Sequence[tuple[int, str | int]]
    ) -> int:
        """Moves the rows of a month with these keys (time in microseconds, id) to ``audit.set_aside``; counts them."""
        relation = f"audit.{table}"
        parameters = {
            "ids": [str(identifier) for _, identifier in keys],
            "times": [microseconds for microseconds, _ in keys],
            "first": window.start,
            "after": window.end,
            "relation": relation,
            "reason": "It has the key of an archived row and other content.",
        }
        return int(execute(connection, query("audit/archive/set_aside").format(place=relation), parameters)[0][0])

    def remove(
        self,
        table: AuditTable,
        window: Window,
        expected: Manifest,
        *,
        sleep: Sleep,
        before_commit: Callable[[Connection], None],
    ) -> Removal:
        """Deletes a month's rows in one transaction, if they match the expected manifest.

        The rows are locked against writes from the count until the deletion. Other transactions can read them
        and write other months in the meantime, except while the rows are being deleted.

        Args:
            table: the table of the rows.
            window: their month.
            expected: their manifest.
            sleep: waits between attempts at a lock.
            before_commit: does what is to be committed in the same transaction.

        Returns:
            ``CHANGED`` if the rows differ from the manifest, ``BUSY`` if another transaction holds a lock;
            nothing was deleted then.
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
    """Whether the lock was acquired within the attempts; held until the transaction ends."""
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
    """Drops a partition; False if the locks for it are not available.

    It is not detached first: a detached table gets a foreign key to the orders of its own, which would require
    a lock on the orders.
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
