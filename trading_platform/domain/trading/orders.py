"""Orders and fills, and the only definition of the steps between an order's statuses.

::

    pending ──► sent ──► partial ──► filled
       │         ├───────────────────►│
       │         │          │
       └────────►└─────────►└──────► cancelled
       └────────►└─────────────────► rejected

A correction of a fill, and only that, can lead back: from filled to partial or sent, from partial to sent.
The database enforces the same steps (``trading.guard_order``). Only fills make an order partial or
filled; :mod:`trading_platform.domain.trading.positions` applies them to positions, and
:mod:`trading_platform.stores.trading.ledger` stores them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID, uuid5

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.market.instruments import check_symbol
from trading_platform.domain.money import EXACT, amount, round_amount
from trading_platform.domain.texts import shown

FILL_NAMESPACE = UUID("5b0f9c5e-6a43-4f6b-9d5b-3c1f8f0f7a21")
"""Namespace of fill ids; never change it, or recorded fills would be counted again."""


class OrderStatus(StrEnum):
    """The status of an order."""

    PENDING = "pending"
    SENT = "sent"
    PARTIAL = "partial"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"


class Side(StrEnum):
    """Direction."""

    BUY = "buy"
    SELL = "sell"

    @property
    def sign(self) -> int:
        """The sign of a fill's effect on the quantity held."""
        return 1 if self is Side.BUY else -1


class OrderType(StrEnum):
    """How an order is to be executed."""

    MARKET = "market"
    LIMIT = "limit"
    STOP_LIMIT = "stop_limit"


class Broker(StrEnum):
    """The broker that executes."""

    IBKR = "ibkr"
    KRAKEN = "kraken"


STEPS: dict[OrderStatus, frozenset[OrderStatus]] = {
    OrderStatus.PENDING: frozenset({OrderStatus.SENT, OrderStatus.CANCELLED, OrderStatus.REJECTED}),
    OrderStatus.SENT: frozenset({OrderStatus.PARTIAL, OrderStatus.FILLED, OrderStatus.CANCELLED, OrderStatus.REJECTED}),
    OrderStatus.PARTIAL: frozenset({OrderStatus.FILLED, OrderStatus.CANCELLED}),
    OrderStatus.FILLED: frozenset(),
    OrderStatus.CANCELLED: frozenset(),
    OrderStatus.REJECTED: frozenset(),
}
"""The possible next statuses of each status. A partial order that is filled further stays partial."""

CORRECTED_STEPS: dict[OrderStatus, frozenset[OrderStatus]] = {
    OrderStatus.PARTIAL: frozenset({OrderStatus.SENT}),
    OrderStatus.FILLED: frozenset({OrderStatus.PARTIAL, OrderStatus.SENT}),
}
"""The further next statuses of an order of which a fill was corrected or cancelled, so that less is filled."""

WITH_STOP_PRICE = frozenset({OrderType.STOP_LIMIT})
"""The types of orders that become active at a stop price."""

BY_FILLS = frozenset({OrderStatus.PARTIAL, OrderStatus.FILLED})
"""Statuses that only a fill sets."""


def check_step(order_id: UUID, before: OrderStatus, after: OrderStatus, *, corrected: bool = False) -> None:
    """Rejects an impossible step.

    Args:
        order_id: id of the order.
        before: its status.
        after: the wanted status.
        corrected: whether a fill of the order was replaced, so that less of it can be filled than before.

    Raises:
        InvalidRequest: naming the possible steps.
    """
    steps = STEPS[before] | (CORRECTED_STEPS.get(before, frozenset()) if corrected else frozenset())
    if after not in steps:
        possible = ", ".join(sorted(steps)) or f"none, {before} is final"
        raise InvalidRequest(
            f"Order {order_id} cannot go from {before} to {after}.",
            expected=possible,
            received=after.value,
            remedy="read the order again; another process may have changed it",
        )


@dataclass(frozen=True)
class Order:
    """One order, as stored in ``trading.orders``.

    Attributes:
        id: chosen by the agent that places it.
        symbol: instrument.
        side: direction.
        order_type: how it is to be executed.
        quantity: ordered quantity.
        price: limit price; None for a market order.
        stop_price: price at which a stop-limit order becomes active; None for other types, and for stop-limit orders
            that were placed before stop prices were stored.
        status: current status.
        broker: broker that executes it.
        broker_order_id: the broker's own id for it, once known.
        strategy_id: strategy that placed it; None for a person.
        created_at: when it was placed, UTC.
        updated_at: when it last changed, UTC.
        filled_at: when its last fill was executed, once it is filled.
        filled_qty: sum of its fills.
        avg_fill_price: average price of its fills, half even to eight decimals; None without one.
        commission: sum of its fills' commissions.
    """

    id: UUID
    symbol: str
    side: Side
    order_type: OrderType
    quantity: Decimal
    price: Decimal | None
    stop_price: Decimal | None
    status: OrderStatus
    broker: Broker
    broker_order_id: str | None
    strategy_id: str | None
    created_at: datetime
    updated_at: datetime
    filled_at: datetime | None
    filled_qty: Decimal
    avg_fill_price: Decimal | None
    commission: Decimal

    @property
    def open_quantity(self) -> Decimal:
        """The quantity that is not filled yet."""
        return EXACT.subtract(self.quantity, self.filled_qty)

    def filled_to(self, quantity: Decimal, worth: Decimal, commission: Decimal, last: datetime | None) -> Order:
        """The order with the given totals of its fills; a cancelled order stays cancelled.

        Args:
            quantity: sum over all its fills; 0 if the broker has cancelled them all.
            worth: sum of quantity × price, exactly.
            commission: sum of the commissions.
            last: execution time of the last fill; None without one.
        """
        filled = OrderStatus.FILLED if quantity == self.quantity else OrderStatus.PARTIAL
        status = filled if quantity else OrderStatus.SENT
        status = self.status if self.status is OrderStatus.CANCELLED else status
        return replace(
            self,
            status=status,
            filled_qty=quantity,
            avg_fill_price=round_amount(EXACT.divide(worth, quantity)) if quantity else None,
            commission=commission,
            filled_at=last if status is OrderStatus.FILLED else None,
        )


@dataclass(frozen=True)
class Fill:
    """One execution, as stored in ``trading.trades``.

    Attributes:
        id: :func:`fill_uuid` of the broker and its id for the fill.
        order_id: the order it fills.
        symbol: instrument.
        side: direction.
        quantity: executed quantity; 0 in a report that cancels an execution, which is in no position.
        price: execution price.
        commission: commission charged by the broker, in the currency of the price; negative is a rebate.
        executed_at: when it was executed, by the broker's clock, UTC.
        broker: broker that executed it.
    """

    id: UUID
    order_id: UUID
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    commission: Decimal
    executed_at: datetime
    broker: Broker

    @property
    def in_time(self) -> tuple[datetime, int]:
        """Sort key for the order of execution; fills of the same time sort by id, as in the database."""
        return self.executed_at, self.id.int


@dataclass(frozen=True)
class ReplacedFill(Fill):
    """A report of an execution that does not count, as stored in ``trading.replaced_trades``.

    Attributes:
        broker_fill_id: the broker's id of the report.
        replaced_by: the broker's id of the report that counts instead, or that cancelled the execution; None if it was
            cancelled without a further report.
        replaced_at: when it was recorded that it does not count, UTC.
    """

    broker_fill_id: str
    replaced_by: str | None
    replaced_at: datetime


def fill_uuid(broker: Broker, broker_fill_id: str) -> UUID:
    """The platform's unique id of a broker's fill.

    Raises:
        InvalidRequest: if the broker's id is empty.
    """
    if not broker_fill_id.strip():
        raise InvalidRequest(
            "A fill needs the id its broker assigned.",
            expected="IBKR's execution id, Kraken's trade id",
            received=shown(broker_fill_id),
            remedy="pass the broker's id, so that a fill that is reported twice is counted once",
        )
    return uuid5(FILL_NAMESPACE, f"{broker.value}:{broker_fill_id}")


def check_order(symbol: str, order_type: OrderType, price: Decimal | None, stop_price: Decimal | None = None) -> None:
    """Rejects an invalid order.

    Raises:
        InvalidRequest: for an invalid symbol, a market order with a price or another order without one, and a
            stop-limit order without a stop price or another order with one.
    """
    check_symbol(symbol)
    if (order_type is OrderType.MARKET) != (price is None):
        raise InvalidRequest(
            f"A {order_type} order {'has no price' if price is not None else 'needs its limit price'}.",
            expected="a price for limit and stop_limit orders, none for market orders",
            received=f"{order_type}, price {price}",
            remedy="give the limit price, or order at market",
        )
    if (order_type in WITH_STOP_PRICE) != (stop_price is not None):
        raise InvalidRequest(
            f"A {order_type} order {'has no stop price' if stop_price is not None else 'needs its stop price'}.",
            expected="a stop price for stop_limit orders, none for others",
            received=f"{order_type}, stop price {stop_price}",
            remedy="give the price at which the order becomes active, or order without a stop",
        )
    for name, value in (("price", price), ("stop price", stop_price)):
        if value is not None:
            amount(value, name, positive=True)
