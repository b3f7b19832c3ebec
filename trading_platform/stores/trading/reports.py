"""The reports of one execution: an execution, its corrections and its cancellation, as far as they are recorded.

Of the reports of an execution the newest counts and is in ``trading.trades``; the others are in
``trading.replaced_trades``. Which one is newer: :mod:`trading_platform.domain.trading.executions`, or the caller says
which fill a report corrects.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING
from uuid import UUID

from trading_platform.domain.trading.executions import execution_id
from trading_platform.domain.trading.orders import Broker, Fill, fill_uuid
from trading_platform.stores.postgres.database import execute
from trading_platform.stores.postgres.records import fetch
from trading_platform.stores.postgres.sql import query

if TYPE_CHECKING:
    from sqlalchemy import Connection

_CORRECTED_BY_CALLER = -1
"""Version of the fill that the caller names as corrected; older than every numbered report."""


@dataclass(frozen=True)
class Report:
    """A recorded report of an execution.

    Attributes:
        fill: its content; of quantity 0 if it cancels the execution.
        broker_fill_id: the broker's id of it.
        version: of two reports of an execution the one with the higher version counts.
        counts: whether it counts.
        replaced_by: the broker's id of the report that replaced it; None if it counts or was cancelled without one.
    """

    fill: Fill
    broker_fill_id: str
    version: int
    counts: bool
    replaced_by: str | None


@dataclass(frozen=True)
class _Row(Fill):
    counts: bool
    replaced_by: str | None


def version_of(broker: Broker, broker_fill_id: str) -> int:
    """The version of a report within its execution; 0 where the broker does not number versions."""
    numbered = execution_id(broker_fill_id) if broker is Broker.IBKR else None
    return numbered.version if numbered else 0


def recorded_reports(
    connection: Connection, broker: Broker, broker_fill_id: str, corrects: str | None = None
) -> list[Report]:
    """All recorded reports of an execution, the oldest first.

    Args:
        connection: connection in a transaction that has locked the order.
        broker: the broker that reported them.
        broker_fill_id: the broker's id of one of them.
        corrects: the broker's id of a fill that is corrected by it, where that does not follow from the ids.
    """
    numbered = execution_id(broker_fill_id) if broker is Broker.IBKR else None
    names = dict(numbered.versions()) if numbered else {broker_fill_id: 0}
    if corrects is not None:
        names.setdefault(corrects, _CORRECTED_BY_CALLER)
    by_id: dict[UUID, str] = {fill_uuid(broker, name): name for name in names}
    rows = fetch(connection, _Row, query("trading/ledger/known_reports"), {"ids": list(by_id)})
    reports = [
        Report(_fill(row), by_id[row.id], names[by_id[row.id]], counts=row.counts, replaced_by=row.replaced_by)
        for row in rows
    ]
    return sorted(reports, key=lambda report: report.version)


def insert_fill(connection: Connection, fill: Fill) -> bool:
    """Inserts a fill that counts; False if it exists, for which a concurrent insert is waited for."""
    return bool(execute(connection, query("trading/ledger/insert_trade"), asdict(fill)))


def insert_replaced(connection: Connection, fill: Fill, broker_fill_id: str, replaced_by: str | None) -> bool:
    """Inserts a report that does not count; False if it exists."""
    row = asdict(fill) | {"broker_fill_id": broker_fill_id, "replaced_by": replaced_by}
    return bool(execute(connection, query("trading/ledger/insert_replaced_trade"), row))


def replace_fills(connection: Connection, reports: Sequence[Report], replaced_by: str | None) -> None:
    """Moves fills that count to those that do not, with the positions after them; their position must be locked."""
    for report in reports:
        insert_replaced(connection, report.fill, report.broker_fill_id, replaced_by)
        execute(connection, query("trading/ledger/delete_trade"), {"id": report.fill.id})


def _fill(row: _Row) -> Fill:
    return Fill(**{field.name: getattr(row, field.name) for field in fields(Fill)})
