"""A database with months of decisions and events, and its archive."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from trading_platform.domain.time import month_window
from trading_platform.stores.audit.archive import AuditArchive
from trading_platform.stores.audit.journal import AuditStore, Decision, SystemEvent
from trading_platform.stores.postgres.database import Database, execute
from trading_platform.workflows.audit.archive_audit import Outcome, archive_audit

FIRST = datetime(2019, 3, 1, tzinfo=UTC)
MAY = month_window(datetime(2019, 5, 1, tzinfo=UTC))
NOW = datetime(2020, 6, 15, 12, tzinfo=UTC)  # a year before is in June: May is archived, June is not


@dataclass
class World:
    """One database with partitions from March 2019 on, and an empty archive."""

    url: str
    database: Database
    archive: AuditArchive

    @property
    def live(self) -> AuditStore:
        return AuditStore(self.database)

    @property
    def everything(self) -> AuditStore:
        return AuditStore(self.database, self.archive)

    def run(self, now: datetime = NOW):
        return archive_audit(self.database, self.archive, clock=lambda: now, sleep=lambda _seconds: None)

    def outcomes(self, now: datetime = NOW) -> dict[tuple[str, str], Outcome]:
        return {(month.table, month.month): month.outcome for month in self.run(now).months}

    def decide(self, timestamp: datetime, count: int = 1) -> list[Decision]:
        return [
            self.live.record(
                decision_type="entry",
                signals={"number": number},
                reasoning="¿por qué?",
                timestamp=timestamp + timedelta(microseconds=number),
            )
            for number in range(count)
        ]

    def happen(self, timestamp: datetime, count: int = 1) -> list[SystemEvent]:
        return [
            self.live.log(
                event_type="test", severity="warning", component="test", message=f"event {number}", timestamp=timestamp
            )
            for number in range(count)
        ]

    def partitions(self) -> set[str]:
        with self.database.begin() as connection:
            rows = execute(connection, "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent IN "
                           "('audit.decisions'::regclass, 'audit.system_events'::regclass)")  # fmt: skip
        return {name.removeprefix("audit.") for (name,) in rows}

    def all_decisions(self) -> list[Decision]:
        return self.everything.decisions(limit=1_000_000)

    def all_events(self) -> list[SystemEvent]:
        return self.everything.events(component="test", limit=1_000_000)


def fresh(url: str, database: Database, folder: Path) -> World:
    with database.begin() as connection:
        old = execute(
            connection,
            "SELECT inhrelid::regclass::text FROM pg_inherits"
            " WHERE inhparent IN ('audit.decisions'::regclass, 'audit.system_events'::regclass)"
            " AND inhrelid::regclass::text LIKE '%%\\_2019\\_%%'",
        )
        for (name,) in old:
            execute(connection, f"DROP TABLE {name}")
        execute(connection, "TRUNCATE audit.decisions, audit.system_events, audit.archived_months, audit.set_aside")
        for table in ("decisions", "system_events"):
            for month in (3, 4, 5, 6, 7):
                window = month_window(datetime(2019, month, 1, tzinfo=UTC))
                execute(
                    connection,
                    "SELECT audit.make_partition(%(table)s, %(name)s, %(first)s, %(after)s)",
                    {
                        "table": table,
                        "name": f"{table}_2019_{month:02}",
                        "first": window.start,
                        "after": window.end,
                    },
                )
    return World(url, database, AuditArchive(folder / "archive"))
