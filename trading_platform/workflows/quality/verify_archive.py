"""The rules for the audit archive: files are intact, partitions are created ahead, and nothing is overdue.

They are separate from :mod:`trading_platform.workflows.quality.suites.verify`, which checks rows of instruments and
timeframes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from trading_platform.domain.errors import StoreError
from trading_platform.domain.time import Clock, Window, month_window, parse_timestamp
from trading_platform.stores.audit.archive import AuditArchive, month_name
from trading_platform.stores.audit.archive_manifest import AuditTable
from trading_platform.stores.audit.archive_source import AuditSource
from trading_platform.stores.postgres.database import Database
from trading_platform.workflows.audit.archive_audit import archive_limit
from trading_platform.workflows.quality.check_results import CheckResult, Row, Severity, finding

ASSET = "audit_archive"

NEWEST = 3
"""How many of each table's newest files are read completely; of the others only the metadata."""

AHEAD = 2
"""How many months after the current one must have a partition."""


@dataclass(frozen=True)
class ArchiveCheck:
    """One rule.

    Attributes:
        name: of the rule.
        description: the rule, as text.
        run: evaluates the rule.
    """

    name: str
    description: str
    run: Callable[[AuditSource, AuditArchive, datetime], CheckResult]


def verify_archive(owner: Database, archive: AuditArchive, *, clock: Clock) -> list[CheckResult]:
    """The result of every rule; nothing is written.

    Args:
        owner: the database, connected as the owner of its schema.
        archive: the archive.
        clock: determines what is overdue.
    """
    source, now = AuditSource(owner), clock()
    return [replace(check.run(source, archive, now), asset=ASSET, check=check.name) for check in ARCHIVE_CHECKS]


def _intact(source: AuditSource, archive: AuditArchive, _now: datetime) -> CheckResult:
    archived = {(AuditTable(table), month_window(parse_timestamp(f"{month}-01"))) for table, month in source.archived()}
    wrong: list[Row] = []
    rows_checked = 0
    for table in AuditTable:
        windows = archive.windows(table)
        expected = sorted({*windows, *(window for of, window in archived if of is table)}, reverse=True)
        rows_checked += len(expected)
        for place, window in enumerate(expected):
            fault = _fault(archive, table, window, whole=place < NEWEST)
            if fault:
                wrong.append({"table": table.value, "month": month_name(window), "fault": fault})
    return finding(
        rows_checked=rows_checked,
        failing_rows=len(wrong),
        what="archived months",
        wrong="have no file, or one with modified content",
        remedy="restore the named files from a backup",
        sample=wrong[:20],
    )


def _fault(archive: AuditArchive, table: AuditTable, window: Window, *, whole: bool) -> str | None:
    try:
        archive.verified(table, window) if whole else archive.month(table, window)
    except StoreError as error:
        return f"{error.message} {error.received}"
    return None


def _months_ahead(source: AuditSource, _archive: AuditArchive, now: datetime) -> CheckResult:
    needed = [month_window(now)]
    for _ in range(AHEAD):
        needed.append(month_window(needed[-1].end))
    wrong: list[Row] = []
    for table in AuditTable:
        there = source.partitions(table)
        wrong += [{"table": table.value, "month": month_name(each)} for each in needed if each not in there]
    return finding(
        rows_checked=len(needed) * len(AuditTable),
        failing_rows=len(wrong),
        what="months, the current one and the next",
        wrong="have no partition",
        remedy="materialize audit_archive, or run `trading-platform archive`; until then rows wait in the default one",
        sample=wrong,
    )


def _nothing_overdue(source: AuditSource, _archive: AuditArchive, now: datetime) -> CheckResult:
    due = month_window(archive_limit(now)).start  # older months are due; a month later, overdue
    before = month_window(due - timedelta(days=1)).start
    wrong: list[Row] = []
    for table in AuditTable:
        rows, oldest = source.overdue(table, before)
        if rows:
            wrong.append({"table": table.value, "rows": rows, "oldest": str(oldest)})
    return finding(
        rows_checked=len(AuditTable),
        failing_rows=len(wrong),
        what="tables",
        wrong="still have rows that should have been archived a month ago",
        remedy="see the events of component archive, then run `trading-platform archive`",
        severity=Severity.WARN,
        sample=wrong,
    )


ARCHIVE_CHECKS = (
    ArchiveCheck(
        "archive_intact",
        f"Every archived month has a file with all its rows; the {NEWEST} newest of each table are "
        "read completely and their checksums recomputed.",
        _intact,
    ),
    ArchiveCheck(
        "months_ahead", f"The current month and the {AHEAD} after it have a partition in both tables.", _months_ahead
    ),
    ArchiveCheck("nothing_overdue", "No row older than a year and a month is still in the database.", _nothing_overdue),
)
