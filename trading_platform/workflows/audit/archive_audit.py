"""Moves months of decisions and system events that are older than a year from the database to the archive.

For each month the rows are added to the month's file, the file is read back and compared with the manifest computed by
the database, and then one transaction verifies that the rows are unchanged and deletes them. A run that is killed at
any time is continued by the next: a row may be in both places for a while, but never in neither.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from time import sleep as system_sleep
from typing import TYPE_CHECKING

from trading_platform.domain.errors import StoreError, StoreFull, StoreUnavailable
from trading_platform.domain.time import Clock, Sleep, Window, utc_now
from trading_platform.stores.audit.archive import ArchivedMonth, AuditArchive, month_name
from trading_platform.stores.audit.archive_manifest import AuditTable
from trading_platform.stores.audit.archive_merge import ConflictingRows
from trading_platform.stores.audit.archive_source import AuditSource, Removal
from trading_platform.stores.audit.journal import AuditStore
from trading_platform.stores.postgres.database import Database
from trading_platform.workflows.progress import Progress, silent

if TYPE_CHECKING:
    from sqlalchemy import Connection

STAGES = ("written", "verified", "in place", "removed")
"""Stages that :func:`archive_audit` reports of each month; the last one before the transaction is committed."""

ATTEMPTS = 3
"""How often a run tries a month if rows are added to it in the meantime, or have to be set aside."""

COMPONENT = "archive"
"""The component of the events about archiving: ``month_archived`` (info), ``rows_set_aside`` and ``archive_failed``
(errors). They are for people: which months are archived is in ``audit.archived_months``, which only the owner
writes."""


class Outcome(StrEnum):
    """Outcome of archiving a month."""

    ARCHIVED = "archived"
    EMPTY = "empty"
    POSTPONED = "postponed"
    FAILED = "failed"


@dataclass(frozen=True)
class MonthReport:
    """Result of archiving one month of one table.

    Attributes:
        table: ``decisions`` or ``system_events``.
        month: as ``2024-05``.
        outcome: ``archived``; ``empty``, a partition without rows that was dropped; ``postponed``, left for
            the next run because another transaction held a lock or kept adding rows; ``failed``.
        rows: number of rows moved out of the database.
        archived_rows: number of rows in the month's file.
        size: of that file, in bytes.
        error: the error, if it failed.
    """

    table: str
    month: str
    outcome: Outcome
    rows: int = 0
    archived_rows: int = 0
    size: int = 0
    error: StoreError | None = None

    def as_dict(self) -> dict[str, object]:
        """For tables and ``--json``."""
        return {
            "table": self.table,
            "month": self.month,
            "outcome": self.outcome.value,
            "rows": self.rows,
            "archived_rows": self.archived_rows,
            "bytes": self.size,
            "error": str(self.error) if self.error else None,
        }


@dataclass(frozen=True)
class ArchiveReport:
    """Result of a run.

    Attributes:
        partitions_made: names of the partitions created ahead.
        months: each month that was due.
    """

    partitions_made: tuple[str, ...]
    months: tuple[MonthReport, ...]

    @property
    def failed(self) -> tuple[MonthReport, ...]:
        """The months that failed."""
        return tuple(month for month in self.months if month.outcome is Outcome.FAILED)


def archive_limit(now: datetime) -> datetime:
    """Months that end then or earlier are archived: the same day and time one year before ``now``."""
    try:
        return now.replace(year=now.year - 1)
    except ValueError:  # the 29th of February
        return now.replace(year=now.year - 1, day=28)


def archive_audit(
    owner: Database,
    archive: AuditArchive,
    *,
    clock: Clock = utc_now,
    sleep: Sleep = system_sleep,
    progress: Progress = silent,
) -> ArchiveReport:
    """Creates the partitions of the next months, then archives every month that is older than a year.

    A month that fails stays in the database and is logged as a system event; the others are archived
    nevertheless. Two concurrent runs work one after the other.

    Args:
        owner: the database, as the owner of its schema.
        archive: the archive.
        clock: determines which months are older than a year.
        sleep: waits between attempts at a lock.
        progress: receives the stages of each month (:data:`STAGES`).

    Raises:
        StoreUnavailable: if the database becomes unavailable.
    """
    run = _Run(owner, archive, clock, sleep, progress)
    made = run.partitions_ahead()
    months: list[MonthReport] = []
    limit = archive_limit(clock())
    with archive.writing():
        for table in AuditTable:
            for window in run.source.due(table, limit):
                months.append(run.month(table, window))
                if isinstance(months[-1].error, StoreFull):  # the next months would fail in the same way
                    return ArchiveReport(made, tuple(months))
    return ArchiveReport(made, tuple(months))


class _Run:
    """State shared by the months of a run."""

    def __init__(self, owner: Database, archive: AuditArchive, clock: Clock, sleep: Sleep, progress: Progress) -> None:
        self.audit = AuditStore(owner)
        self._owner = owner
        self.source = AuditSource(owner)
        self._archive = archive
        self._clock = clock
        self._sleep = sleep
        self._progress = progress

    def partitions_ahead(self) -> tuple[str, ...]:
        """Creates the next partitions, unless somebody holds the tables: then the next run does.

        Rows without a partition wait in the default one, and the check ``months_ahead`` reports it in time.
        """
        from psycopg.errors import LockNotAvailable

        try:
            return tuple(self.audit.ensure_partitions())
        except StoreError as error:
            if not isinstance(getattr(error.__cause__, "orig", error.__cause__), LockNotAvailable):
                raise
            return ()

    def month(self, table: AuditTable, window: Window) -> MonthReport:
        """Archives a month; a failure is logged and reported, not raised."""
        try:
            self.audit.require_archive(self._archive, table)
            for _ in range(ATTEMPTS):
                try:
                    report, removal = self._attempt(table, window)
                except ConflictingRows as conflict:
                    self._set_aside(table, window, conflict)
                    continue
                if removal is Removal.DONE:
                    return report
                if removal is Removal.BUSY:
                    break
            return MonthReport(table.value, month_name(window), Outcome.POSTPONED)
        except StoreUnavailable:
            raise
        except StoreError as error:
            self._record_failure(table, window, error)
            return MonthReport(table.value, month_name(window), Outcome.FAILED, error=error)

    def _attempt(self, table: AuditTable, window: Window) -> tuple[MonthReport, Removal]:
        reached = self._stages(table, window)
        stored: ArchivedMonth | None = None
        with self.source.reading(table, window) as (live, batches):
            if live.rows:
                stored = self._archive.add(table, window, live, batches, clock=self._clock, reached=reached)

        def before_commit(connection: Connection) -> None:
            if stored is not None:
                self._record_success(connection, stored, live.rows)
            reached("removed")

        removal = self.source.remove(table, window, live, sleep=self._sleep, before_commit=before_commit)
        if stored is None:
            return MonthReport(table.value, month_name(window), Outcome.EMPTY), removal
        rows, size = stored.record.manifest.rows, stored.size
        return MonthReport(table.value, month_name(window), Outcome.ARCHIVED, live.rows, rows, size), removal

    def _set_aside(self, table: AuditTable, window: Window, conflict: ConflictingRows) -> None:
        """Takes rows with the keys of archived ones out of the table, so that they do not stop the month."""
        with self._owner.begin() as connection:
            rows = self.source.set_aside(connection, table, window, conflict.keys)
            self.audit.add_event(
                connection,
                event_type="rows_set_aside",
                severity="error",
                component=COMPONENT,
                message=f"{rows:,} rows of audit.{table} have the keys of archived rows of {month_name(window)} and "
                "other content; they are in audit.set_aside, and the archived ones stay.",
                metadata={"table": table.value, "month": month_name(window), **conflict.as_dict()},
            )

    def _stages(self, table: AuditTable, window: Window) -> Callable[[str], None]:
        def reached(stage: str) -> None:
            self._progress(f"{table} {month_name(window)}", STAGES.index(stage) + 1, len(STAGES))

        return reached

    def _record_success(self, connection: Connection, stored: ArchivedMonth, rows: int) -> None:
        self.source.note_archived(connection, stored.table, stored.record.month)
        self.audit.add_event(
            connection,
            event_type="month_archived",
            severity="info",
            component=COMPONENT,
            message=f"{rows:,} rows of audit.{stored.table} of {stored.record.month} are now in the archive only.",
            metadata={"table": stored.table, "month": stored.record.month, **stored.record.manifest.as_dict()},
        )

    def _record_failure(self, table: AuditTable, window: Window, error: StoreError) -> None:
        with suppress(StoreError):  # the report contains the error in any case
            self.audit.log(
                event_type="archive_failed",
                severity="error",
                component=COMPONENT,
                message=f"{month_name(window)} of audit.{table} could not be archived: {error.message}",
                metadata={"table": table.value, "month": month_name(window), **error.as_dict()},
            )
