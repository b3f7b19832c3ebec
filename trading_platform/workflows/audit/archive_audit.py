"""Moves months of decisions and system events that are older than a year from the database to the archive.

For each month, a run adds the rows to those already in the month's file, reads the file back and compares it with
the rows in the database. Only then does one transaction check that the rows are still the same and delete them.
If a run is killed at any time, the next run continues: a row may be in both places for a while, and is never in
neither.
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
from trading_platform.stores.audit.archive_source import AuditSource, Removal
from trading_platform.stores.audit.journal import AuditStore
from trading_platform.stores.postgres.database import Database
from trading_platform.workflows.progress import Progress, silent

if TYPE_CHECKING:
    from sqlalchemy import Connection

STAGES = ("written", "verified", "in place", "removed")
"""The stages of each month that :func:`archive_audit` reports to ``progress``; the last precedes the commit."""

ATTEMPTS = 3
"""Attempts at a month per run when rows are added to it meanwhile."""

COMPONENT = "archive"
"""The component of the events about archiving: ``month_archived`` (info) and ``archive_failed`` (error)."""


class Outcome(StrEnum):
    """Outcome of a month."""

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
            the next run because another session held a lock or kept adding rows; ``failed``.
        rows: number of rows deleted from the database.
        archived_rows: number of rows in the month's file now.
        size: size of that file in bytes.
        error: the error if it failed.
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
        months: results of the months that were due.
    """

    partitions_made: tuple[str, ...]
    months: tuple[MonthReport, ...]

    @property
    def failed(self) -> tuple[MonthReport, ...]:
        """The months that failed."""
        return tuple(month for month in self.months if month.outcome is Outcome.FAILED)


def archive_limit(now: datetime) -> datetime:
    """The same day and time a year before; months that end then or earlier are archived."""
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

    A month that fails stays in the database, and an event is logged; the others are archived nevertheless.
    Concurrent runs work one after the other.

    Args:
        owner: the database, connected as the owner of its schema.
        archive: the archive to write to.
        clock: the current time; it determines what is older than a year.
        sleep: waits between attempts at a lock.
        progress: called after each stage of a month (:data:`STAGES`).

    Raises:
        StoreUnavailable: if the database becomes unavailable.
    """
    run = _Run(owner, archive, clock, sleep, progress)
    made = tuple(run.audit.ensure_partitions())
    months: list[MonthReport] = []
    limit = archive_limit(clock())
    with archive.writing():
        for table in AuditTable:
            for window in run.source.due(table, limit):
                months.append(run.month(table, window))
                if isinstance(months[-1].error, StoreFull):  # so will the next ones be
                    return ArchiveReport(made, tuple(months))
    return ArchiveReport(made, tuple(months))


class _Run:
    """State shared by the months of a run."""

    def __init__(self, owner: Database, archive: AuditArchive, clock: Clock, sleep: Sleep, progress: Progress) -> None:
        self.audit = AuditStore(owner)
        self.source = AuditSource(owner)
        self._archive = archive
        self._clock = clock
        self._sleep = sleep
        self._progress = progress

    def month(self, table: AuditTable, window: Window) -> MonthReport:
        """Archives a month; a failure is reported, not raised."""
        try:
            self.audit.require_archive(self._archive, table)
            for _ in range(ATTEMPTS):
                report, removal = self._attempt(table, window)
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

    def _stages(self, table: AuditTable, window: Window) -> Callable[[str], None]:
        def reached(stage: str) -> None:
            self._progress(f"{table} {month_name(window)}", STAGES.index(stage) + 1, len(STAGES))

        return reached

    def _record_success(self, connection: Connection, stored: ArchivedMonth, rows: int) -> None:
        self.audit.add_event(
            connection,
            event_type="month_archived",
            severity="info",
            component=COMPONENT,
            message=f"{rows:,} rows of audit.{stored.table} of {stored.record.month} are in the archive alone now.",
            metadata={"table": stored.table, "month": stored.record.month, **stored.record.manifest.as_dict()},
        )

    def _record_failure(self, table: AuditTable, window: Window, error: StoreError) -> None:
        with suppress(StoreError):  # the report contains the error in any case
            self.audit.log(
                event_type="archive_failed",
                severity="error",
                component=COMPONENT,
                message=f"{month_name(window)} of audit.{table} could not be archived and stays: {error.message}",
                metadata={"table": table.value, "month": month_name(window), **error.as_dict()},
            )
