"""Decisions and system events, one partition per month.

Rows of a month without a partition go to the default one, so nothing is lost;
:meth:`AuditStore.ensure_partitions` creates the missing partitions and moves their rows there. Months older than
a year are read from :mod:`trading_platform.stores.audit.archive`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import polars as pl

from trading_platform.domain.errors import InvalidRequest, StoreError
from trading_platform.domain.market.instruments import check_symbol
from trading_platform.domain.severity import Severity
from trading_platform.domain.time import month_window, parse_timestamp
from trading_platform.stores.audit.archive import AuditArchive
from trading_platform.stores.audit.archive_manifest import AuditTable
from trading_platform.stores.audit.archive_reading import DECISION_PARSERS, EVENT_PARSERS, ArchivedRows, RowQuery
from trading_platform.stores.postgres.database import Database, execute
from trading_platform.stores.postgres.records import (
    checked_count,
    checked_id,
    checked_text,
    checked_time,
    choice,
    fetch,
    fetch_readable,
    json_object,
    not_in_future,
)
from trading_platform.stores.postgres.sql import query

if TYPE_CHECKING:
    from sqlalchemy import Connection

_NAME = 50  # characters of the VARCHAR(50) columns
_TEXT = 250_000  # characters of at most four bytes: the tables take a megabyte


@dataclass(frozen=True)
class Decision:
    """One decision: a row of ``audit.decisions``.

    Attributes:
        id: id of the decision.
        timestamp: when it was taken, UTC.
        decision_type: entry, exit, skip, …
        symbol: instrument; None for the whole portfolio.
        signals: the signals it is based on; decimals and times are read back as text.
        risk_check: result of the risk check.
        final_action: the action taken.
        reasoning: the reasons, as text.
        order_id: the resulting order, if any.
    """

    id: UUID
    timestamp: datetime
    decision_type: str
    symbol: str | None
    signals: Any
    risk_check: Any
    final_action: str | None
    reasoning: str | None
    order_id: UUID | None


@dataclass(frozen=True)
class SystemEvent:
    """One event: a row of ``audit.system_events``.

    Attributes:
        id: sequential number.
        timestamp: when it happened, UTC.
        event_type: kind of event.
        severity: severity of the event.
        component: the component that logged it.
        message: what happened, as text.
        metadata: further data; decimals and times are read back as text.
    """

    id: int
    timestamp: datetime
    event_type: str
    severity: Severity
    component: str
    message: str
    metadata: Any


class AuditStore:
    """The tables ``audit.decisions`` and ``audit.system_events``.

    Args:
        database: the database.
        archive: the archive of old months; without it only the database is read.
    """

    def __init__(self, database: Database, archive: AuditArchive | None = None) -> None:
        self._database = database
        self._archive = archive

    def record(
        self,
        *,
        decision_type: str,
        symbol: str | None = None,
        signals: Mapping[str, Any] | None = None,
        risk_check: Mapping[str, Any] | None = None,
        final_action: str | None = None,
        reasoning: str | None = None,
        order_id: UUID | None = None,
        timestamp: datetime | None = None,
        decision_id: UUID | None = None,
    ) -> Decision:
        """Records a decision; its time defaults to now and its id to a new one.

        Raises:
            InvalidRequest: if a text is too long, a value cannot be written as JSON, or the order does not exist.
        """
        from psycopg.errors import ForeignKeyViolation

        row = {
            "id": None if decision_id is None else checked_id(decision_id, "decision's id"),
            "timestamp": None if timestamp is None else checked_time(timestamp, "time of the decision"),
            "decision_type": checked_text(decision_type, "type of decision", _NAME),
            "symbol": check_symbol(symbol) if symbol is not None else None,
            "signals": _optional_json(signals, "signals"),
            "risk_check": _optional_json(risk_check, "risk check"),
            "final_action": checked_text(final_action, "final action", _NAME) if final_action is not None else None,
            "reasoning": checked_text(reasoning, "reasoning", _TEXT) if reasoning is not None else None,
            "order_id": None if order_id is None else checked_id(order_id, "order's id"),
        }
        with self._database.begin() as connection:
            try:
                with not_in_future(InvalidRequest, timestamp):
                    return fetch(connection, Decision, query("audit/journal/insert_decision"), row)[0]
            except ForeignKeyViolation:
                raise InvalidRequest(
                    f"There is no order {order_id}.", remedy="place it first, or check the id"
                ) from None

    def decisions(
        self,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        symbol: str | None = None,
        decision_type: str | None = None,
        order_id: UUID | None = None,
        limit: int = 1000,
    ) -> list[Decision]:
        """Decisions in a half-open window, newest first, including archived ones.

        Raises:
            StoreError: naming an archived file that is needed and cannot be used.
        """
        order = None if order_id is None else checked_id(order_id, "order's id")
        equal = {"symbol": symbol, "decision_type": decision_type, "order_id": order}
        bounds, limit = _window(start, end), checked_count(limit, "limit")
        with self._database.begin() as connection:
            live = fetch_readable(
                connection, Decision, query("audit/journal/decisions"), {**bounds, **equal, "limit": limit}
            )
        if self._archive is None:
            return live
        wanted = RowQuery(AuditTable.DECISIONS, **bounds, conditions=_equal(equal), limit=limit, ids_descend=False)
        self._require_archived_months(self._archive, wanted, len(live))
        return ArchivedRows(self._archive, Decision, DECISION_PARSERS).added_to(live, wanted)

    def decision(self, decision_id: UUID | str) -> Decision | None:
        """The decision with an id, an archived one too; None if there is none.

        Raises:
            StoreError: naming an archived file that is needed and cannot be used.
        """
        wanted = checked_id(decision_id, "decision's id")
        with self._database.begin() as connection:
            found = fetch(connection, Decision, query("audit/journal/decision"), {"id": wanted})
        if found or self._archive is None:
            return found[0] if found else None
        rows = RowQuery(AuditTable.DECISIONS, None, None, _equal({"id": wanted}), limit=1, ids_descend=False)
        self._require_archived_months(self._archive, rows, 0)
        return next(iter(ArchivedRows(self._archive, Decision, DECISION_PARSERS).added_to([], rows)), None)

    def log(
        self,
        *,
        event_type: str,
        severity: str,
        component: str,
        message: str,
        metadata: Mapping[str, Any] | None = None,
        timestamp: datetime | None = None,
    ) -> SystemEvent:
        """Records a system event; its time defaults to now.

        Raises:
            InvalidRequest: for an unknown severity, a text that is too long, a value that cannot be written as JSON.
        """
        with self._database.begin() as connection:
            return self.add_event(
                connection,
                event_type=event_type,
                severity=severity,
                component=component,
                message=message,
                metadata=metadata,
                timestamp=timestamp,
            )

    def log_all(
        self, event_type: str, severity: str, component: str, events: Sequence[tuple[float, str, Mapping[str, Any]]]
    ) -> None:
        """Records events of one type together, in one transaction.

        Args:
            event_type: kind of event.
            severity: severity of each.
            component: the component that reports them.
            events: of each how many seconds ago it happened, the message and further data.

        Raises:
            InvalidRequest: as :meth:`log`.
        """
        given = {
            "event_type": checked_text(event_type, "type of event", _NAME),
            "severity": choice(Severity, severity, "severity").value,
            "component": checked_text(component, "component", _NAME),
            "ages": [age for age, _, _ in events],
            "messages": [checked_text(message, "message", _TEXT) for _, message, _ in events],
            "metadata": [json_object(metadata, "metadata") for _, _, metadata in events],
        }
        with self._database.begin() as connection:
            execute(connection, query("audit/journal/insert_events"), given)

    def add_event(
        self,
        connection: Connection,
        *,
        event_type: str,
        severity: str,
        component: str,
        message: str,
        metadata: Mapping[str, Any] | None = None,
        timestamp: datetime | None = None,
    ) -> SystemEvent:
        """As :meth:`log`, in the caller's transaction."""
        row = {
            "timestamp": None if timestamp is None else checked_time(timestamp, "time of the event"),
            "event_type": checked_text(event_type, "type of event", _NAME),
            "severity": choice(Severity, severity, "severity").value,
            "component": checked_text(component, "component", _NAME),
            "message": checked_text(message, "message", _TEXT),
            "metadata": _optional_json(metadata, "metadata"),
        }
        with not_in_future(InvalidRequest, timestamp):
            return fetch(connection, SystemEvent, query("audit/journal/insert_event"), row)[0]

    def events(
        self,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        event_type: str | None = None,
        component: str | None = None,
        at_least: str = Severity.INFO,
        limit: int = 1000,
    ) -> list[SystemEvent]:
        """System events in a half-open window, of a severity of at least ``at_least``, newest first, archived ones too.

        Raises:
            StoreError: naming an archived file that is needed and cannot be used.
        """
        equal = {"event_type": event_type, "component": component}
        lowest = choice(Severity, at_least, "severity")
        bounds, limit = _window(start, end), checked_count(limit, "limit")
        conditions = {**bounds, **equal, "at_least": lowest.value, "limit": limit}
        with self._database.begin() as connection:
            live = fetch_readable(connection, SystemEvent, query("audit/journal/events"), conditions)
        if self._archive is None:
            return live
        severe = [severity.value for severity in list(Severity)[list(Severity).index(lowest) :]]
        matching = [*_equal(equal), pl.col("severity").is_in(severe)]
        wanted = RowQuery(AuditTable.EVENTS, **bounds, conditions=matching, limit=limit, ids_descend=True)
        self._require_archived_months(self._archive, wanted, len(live))
        parsers = {**EVENT_PARSERS, "severity": Severity}
        return ArchivedRows(self._archive, SystemEvent, parsers).added_to(live, wanted)

    def require_archive(self, archive: AuditArchive, table: AuditTable) -> None:
        """Verifies that an archive without any month of a table is the right one.

        Raises:
            StoreError: if months of the table were archived elsewhere.
        """
        newest = None if archive.windows(table) else self._newest_archived(table)
        if newest is not None:
            raise self._archive_missing(archive, table, newest)

    def _require_archived_months(self, archive: AuditArchive, wanted: RowQuery, live: int) -> None:
        if live < wanted.limit and not archive.windows(wanted.table):
            newest = self._newest_archived(wanted.table)
            if newest is not None and wanted.overlaps(month_window(parse_timestamp(f"{newest}-01"))):
                raise self._archive_missing(archive, wanted.table, newest)

    def _newest_archived(self, table: AuditTable) -> str | None:
        with self._database.begin() as connection:
            newest = execute(connection, query("audit/archive/newest_archived"), {"table": table.value})[0][0]
        return None if newest is None else str(newest)

    @staticmethod
    def _archive_missing(archive: AuditArchive, table: AuditTable, newest: str) -> StoreError:
        return StoreError(
            f"The audit archive is not in {archive.directory}.",
            expected=f"files of audit.{table} up to {newest}",
            received="none",
            remedy="set ARCHIVE_DIR to the folder of the archive",
        )

    def ensure_partitions(self, since: datetime | None = None, months_ahead: int = 3) -> list[str]:
        """Creates the missing monthly partitions of both tables from ``since`` (default: now); returns their names."""
        row = {"since": checked_time(since, "first month") if since else None, "months_ahead": months_ahead}
        with self._database.begin() as connection:
            return [name for (name,) in execute(connection, query("audit/journal/ensure_partitions"), row)]


def _optional_json(value: Mapping[str, Any] | None, name: str) -> str | None:
    return None if value is None else json_object(value, name)


def _equal(values: Mapping[str, object]) -> list[pl.Expr]:
    """Equality conditions on archived columns; None matches any value."""
    return [pl.col(name) == str(value) for name, value in values.items() if value is not None]


def _window(start: datetime | None, end: datetime | None) -> dict[str, datetime | None]:
    return {
        "start": None if start is None else checked_time(start, "start"),
        "end": None if end is None else checked_time(end, "end"),
    }
