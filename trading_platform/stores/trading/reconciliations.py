"""Comparisons of the ledger with brokers, kept for ever (``trading.reconciliations``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.severity import Severity
from trading_platform.domain.texts import storable
from trading_platform.domain.trading.orders import Broker, Fill, Side
from trading_platform.domain.trading.reconciliation import Difference, DifferenceKind
from trading_platform.stores.postgres.database import Database, execute
from trading_platform.stores.postgres.records import checked_count

_LONGEST = 200


@dataclass(frozen=True)
class Reconciliation:
    """A comparison.

    Attributes:
        number: its number; 0 until it is stored.
        broker: the broker.
        day: day of the fills, in UTC.
        compared_at: when it was made, UTC.
        result: ``equal``, ``different``, or ``unknown``: the broker did not answer.
        positions: number of symbols whose positions were compared.
        fills: number of the broker's fills that were compared.
        reason: why it is unknown.
        differences: what differs.
    """

    number: int
    broker: str
    day: date
    compared_at: datetime
    result: str
    positions: int
    fills: int
    reason: str | None
    differences: tuple[Difference, ...] = ()


class ReconciliationStore:
    """The tables of comparisons, and the fills of the ledger that they compare.

    Args:
        database: the database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def fills(self, broker: Broker) -> list[Fill]:
        """All fills of the ledger at a broker, in the order of execution."""
        rows = self._database.rows(
            "SELECT id, order_id, symbol, side::text, quantity, price, commission, executed_at FROM trading.trades"
            " WHERE broker = %(broker)s::trading.broker_type ORDER BY executed_at, id",
            {"broker": broker.value},
        )
        return [
            Fill(key, order, symbol, Side(side), quantity, price, commission, at, broker)
            for key, order, symbol, side, quantity, price, commission, at in rows
        ]

    def add(self, found: Reconciliation) -> int:
        """Stores a comparison; returns its number."""
        with self._database.begin() as connection:
            row = {**vars(found), "reason": None if found.reason is None else storable(found.reason)}
            ((number,),) = execute(
                connection,
                "INSERT INTO trading.reconciliations (broker, day, compared_at, result, positions, fills, reason)"
                " VALUES (%(broker)s, %(day)s, %(compared_at)s, %(result)s, %(positions)s, %(fills)s, %(reason)s)"
                " RETURNING number",
                row,
            )
            for place, each in enumerate(found.differences):
                execute(
                    connection,
                    "INSERT INTO trading.reconciliation_differences"
                    " (reconciliation, place, about, kind, symbol, subject, ours, theirs, severity) VALUES"
                    " (%(number)s, %(place)s, %(about)s, %(kind)s, %(symbol)s, %(subject)s, %(ours)s, %(theirs)s,"
                    " %(severity)s)",
                    {"number": number, "place": place, **_row(each)},
                )
        return int(number)

    def all(self, limit: int = 50) -> list[Reconciliation]:
        """The newest comparisons, without their differences."""
        rows = self._database.rows(
            "SELECT number, broker, day, compared_at, result, positions, fills, reason FROM trading.reconciliations"
            " ORDER BY number DESC LIMIT %(limit)s",
            {"limit": checked_count(limit, "limit")},
        )
        return [Reconciliation(*row) for row in rows]

    def get(self, number: int) -> Reconciliation:
        """A comparison with its differences.

        Raises:
            InvalidRequest: if there is none of this number.
        """
        rows = self._database.rows(
            "SELECT number, broker, day, compared_at, result, positions, fills, reason FROM trading.reconciliations"
            " WHERE number = %(number)s",
            {"number": number},
        )
        if not rows:
            raise InvalidRequest(
                f"There is no reconciliation {number}.",
                expected="the number of one",
                received=str(number),
                remedy="`trading-platform reconcile list` shows them",
            )
        differences = self._database.rows(
            "SELECT about, kind, symbol, subject, ours, theirs, severity::text FROM trading.reconciliation_differences"
            " WHERE reconciliation = %(number)s ORDER BY place",
            {"number": number},
        )
        found = tuple(
            Difference(about, DifferenceKind(kind), symbol, subject, ours, theirs, Severity(severity))
            for about, kind, symbol, subject, ours, theirs, severity in differences
        )
        return replace(Reconciliation(*rows[0]), differences=found)


def _row(each: Difference) -> dict[str, object]:
    return {
        "about": each.about,
        "kind": each.kind.value,
        "symbol": each.symbol,
        "subject": storable(each.subject)[:100],
        "ours": None if each.ours is None else each.ours[:_LONGEST],
        "theirs": None if each.theirs is None else each.theirs[:_LONGEST],
        "severity": each.severity.value,
    }


def worst(differences: Sequence[Difference]) -> Severity | None:
    """The highest severity of some differences; None if there are none."""
    order = list(Severity)
    return max((each.severity for each in differences), key=order.index, default=None)
