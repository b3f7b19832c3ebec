"""The ledger as it was recorded at a time: open orders, positions and risk limits, before later fills and changes.

Triggers keep each state (``sql/migrations/versions/0022_recorded_ledger.sql``). The present state is in
:mod:`trading_platform.stores.trading.ledger`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from trading_platform.stores.postgres.database import Database
from trading_platform.stores.postgres.records import fetch
from trading_platform.stores.postgres.sql import query


@dataclass(frozen=True)
class RecordedOrder:
    """An order that was open at a time.

    Attributes:
        id: id of the order.
        symbol: instrument.
        side: ``buy`` or ``sell``.
        order_type: ``market``, ``limit`` or ``stop_limit``.
        quantity: ordered quantity.
        price: limit price.
        stop_price: price at which it becomes active.
        created_at: when it was placed, UTC.
        status: its status at the time.
        filled_qty: what was filled of it by then.
        status_now: its present status.
        filled_now: what is filled of it now.
    """

    id: UUID
    symbol: str
    side: str
    order_type: str
    quantity: Decimal
    price: Decimal | None
    stop_price: Decimal | None
    created_at: datetime
    status: str
    filled_qty: Decimal
    status_now: str
    filled_now: Decimal


@dataclass(frozen=True)
class RecordedPosition:
    """A position at a time.

    Attributes:
        symbol: instrument.
        quantity: quantity held, negative when short.
        avg_entry_price: average entry price; None when nothing was held.
        realized_pnl: realized profit, less commissions.
    """

    symbol: str
    quantity: Decimal
    avg_entry_price: Decimal | None
    realized_pnl: Decimal


@dataclass(frozen=True)
class RecordedLimit:
    """A risk limit at a time.

    Attributes:
        key: its name.
        value: its value at the time.
        value_now: its present value; None if it was removed.
    """

    key: str
    value: Decimal
    value_now: Decimal | None


class RecordedLedger:
    """Reads the states that were recorded by a time; ``symbol`` None means all.

    Args:
        database: the database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def since(self) -> datetime:
        """From when on states are kept, UTC."""
        found: datetime = self._database.rows("SELECT since FROM trading.recorded_since")[0][0]
        return found

    def orders(self, symbol: str | None, time: datetime) -> list[RecordedOrder]:
        """The orders that were open, by the time of their placing."""
        with self._database.begin() as connection:
            return fetch(connection, RecordedOrder, query("trading/recorded/orders"), {"symbol": symbol, "time": time})

    def positions(self, symbol: str | None, time: datetime) -> list[RecordedPosition]:
        """The positions, closed ones included, by symbol."""
        return self._positions("positions", symbol, time)

    def executed_positions(self, symbol: str | None, time: datetime) -> list[RecordedPosition]:
        """The positions by the fills executed by then that are known now, corrections and late reports included."""
        return self._positions("executed_positions", symbol, time)

    def risk_limits(self, time: datetime) -> list[RecordedLimit]:
        """The limits, by name."""
        with self._database.begin() as connection:
            return fetch(connection, RecordedLimit, query("trading/recorded/risk_limits"), {"time": time})

    def _positions(self, name: str, symbol: str | None, time: datetime) -> list[RecordedPosition]:
        with self._database.begin() as connection:
            return fetch(
                connection, RecordedPosition, query(f"trading/recorded/{name}"), {"symbol": symbol, "time": time}
            )
