"""Comparisons of the ledger with brokers, kept for ever (``trading.reconciliations``)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.severity import Severity
from trading_platform.domain.texts import storable
from trading_platform.domain.trading.cash import CashState
from trading_platform.domain.trading.open_orders import OPEN
from trading_platform.domain.trading.orders import Broker, Fill, Order, Side
from trading_platform.domain.trading.reconciliation import Difference, DifferenceKind
from trading_platform.stores.postgres.database import Database, execute
from trading_platform.stores.postgres.records import checked_count, checked_text, fetch

_LONGEST = 200
_NAME = 200
_TEXT = 10_000
_LATE = timedelta(hours=1)
_SELECT = (
    "SELECT number, broker, day, compared_at, result, positions, fills, reason, orders, not_compared, has_cash,"
    " fills_until, accepted_at, accepted_by, accepted_because FROM trading.reconciliations"
)


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
        orders: number of open orders that were compared, over both sides.
        not_compared: what the broker does not show, and why; None if all was compared.
        has_cash: whether balances of money are part of it.
        fills_until: fills before it were compared, UTC; None if the broker did not show them.
        accepted_at: when a person accepted its balances of money as they are, UTC.
        accepted_by: who did.
        accepted_because: for which reason.
        differences: what differs.
        cash: the balances of money, by currency; only in what is to be stored.
    """

    number: int
    broker: str
    day: date
    compared_at: datetime
    result: str
    positions: int
    fills: int
    reason: str | None
    orders: int = 0
    not_compared: str | None = None
    has_cash: bool = False
    fills_until: datetime | None = None
    accepted_at: datetime | None = None
    accepted_by: str | None = None
    accepted_because: str | None = None
    differences: tuple[Difference, ...] = ()
    cash: Mapping[str, CashState] = field(default_factory=dict)


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

    def orders(self, broker: Broker, broker_order_ids: Iterable[str]) -> list[Order]:
        """The ledger's open orders at a broker, and those that have one of the broker's ids."""
        with self._database.begin() as connection:
            return fetch(
                connection,
                Order,
                "SELECT * FROM trading.orders WHERE broker = %(broker)s::trading.broker_type"
                " AND (status = ANY(%(open)s::trading.order_status[]) OR broker_order_id = ANY(%(ids)s))"
                " ORDER BY created_at, id",
                {
                    "broker": broker.value,
                    "open": sorted(OPEN),
                    "ids": [each for each in map(storable, broker_order_ids) if len(each) <= _LONGEST],
                },
            )

    def fills_compared_until(self, broker: str, day: date) -> datetime | None:
        """Until when fills were compared by comparisons of days before; None if there was none.

        It is an hour early, for fills that the broker showed a little later.
        """
        rows = self._database.rows(
            "SELECT max(fills_until) FROM trading.reconciliations WHERE broker = %(broker)s AND day < %(day)s",
            {"broker": broker, "day": day},
        )
        until: datetime | None = rows[0][0]
        return None if until is None else until - _LATE

    def last_cash(self, broker: str) -> dict[str, CashState] | None:
        """The balances of the newest comparison that can be gone on from; None if there is none.

        That is one in which cash, fills and quantities were equal, or whose cash a person has accepted: where fills are
        missing, what they have moved is not known yet.
        """
        rows = self._database.rows(
            "SELECT number FROM trading.reconciliations AS compared WHERE broker = %(broker)s AND has_cash"
            " AND (accepted_at IS NOT NULL OR NOT EXISTS (SELECT FROM trading.reconciliation_differences"
            " WHERE reconciliation = compared.number AND (about IN ('cash', 'fill')"
            " OR about = 'position' AND kind <> 'price'))) ORDER BY number DESC LIMIT 1",
            {"broker": broker},
        )
        if not rows:
            return None
        states = self._database.rows(
            "SELECT currency, amount, flow, fills FROM trading.reconciled_cash WHERE reconciliation = %(number)s",
            {"number": rows[0][0]},
        )
        return {currency: CashState(amount, flow, fills) for currency, amount, flow, fills in states}

    def accept(self, number: int, *, by: str, because: str, at: datetime) -> Reconciliation:
        """Accepts the balances of money of a comparison as they are: later ones are compared with them.

        Raises:
            InvalidRequest: if there is no such comparison, its cash does not differ, fills differ too, or it is
                accepted.
        """
        row = {"number": number, "by": checked_text(by, "name", _NAME), "at": at}
        row["because"] = checked_text(because, "reason", _TEXT)
        found = self.get(number)
        if found.accepted_at is not None:
            raise InvalidRequest(
                f"The cash of reconciliation {number} is accepted.",
                expected="one that is not",
                received=f"accepted by {found.accepted_by}: {found.accepted_because}",
                remedy="nothing is to be done",
            )
        if not any(each.about == "cash" for each in found.differences):
            raise InvalidRequest(
                f"There is no difference of cash in reconciliation {number}.",
                expected="a comparison with a difference of cash",
                received=found.result,
                remedy="book missing fills and orders in the ledger; only cash can be accepted as it is",
            )
        if any(each.about == "fill" for each in found.differences):
            raise InvalidRequest(
                f"Fills differ in reconciliation {number}, which may explain its cash.",
                expected="a comparison whose fills are equal",
                received=", ".join(each.words for each in found.differences if each.about == "fill")[:_LONGEST],
                remedy="book them in the ledger, compare again, and accept what cash still differs then",
            )
        with self._database.begin() as connection:
            execute(
                connection,
                "UPDATE trading.reconciliations SET accepted_at = %(at)s, accepted_by = %(by)s,"
                " accepted_because = %(because)s WHERE number = %(number)s AND accepted_at IS NULL",
                row,
            )
        return self.get(number)

    def add(self, found: Reconciliation) -> int:
        """Stores a comparison; returns its number."""
        with self._database.begin() as connection:
            row = {
                **{name: value for name, value in vars(found).items() if name not in ("differences", "cash")},
                **{name: _storable(getattr(found, name)) for name in ("reason", "not_compared")},
            }
            ((number,),) = execute(
                connection,
                "INSERT INTO trading.reconciliations (broker, day, compared_at, result, positions, fills, reason,"
                " orders, not_compared, has_cash, fills_until) VALUES (%(broker)s, %(day)s, %(compared_at)s,"
                " %(result)s, %(positions)s, %(fills)s, %(reason)s, %(orders)s, %(not_compared)s, %(has_cash)s,"
                " %(fills_until)s) RETURNING number",
                row,
            )
            for currency, state in found.cash.items():
                execute(
                    connection,
                    "INSERT INTO trading.reconciled_cash (reconciliation, currency, amount, flow, fills)"
                    " VALUES (%(number)s, %(currency)s, %(amount)s, %(flow)s, %(fills)s)",
                    {"number": number, "currency": currency, **vars(state)},
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
            f"{_SELECT} ORDER BY number DESC LIMIT %(limit)s",
            {"limit": checked_count(limit, "limit")},
        )
        return [Reconciliation(*row) for row in rows]

    def get(self, number: int) -> Reconciliation:
        """A comparison with its differences.

        Raises:
            InvalidRequest: if there is none of this number.
        """
        rows = self._database.rows(
            f"{_SELECT} WHERE number = %(number)s",
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


def _storable(text: str | None) -> str | None:
    return None if text is None else storable(text)


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
