"""What a new order is checked against: its terms here, and lot size, tick size and risk limits in the database.

The database rejects an order by ``trading.order_faults`` whoever places it
(``sql/migrations/versions/0022_recorded_ledger.sql``); a plan asks the same function and writes nothing.
:mod:`trading_platform.stores.trading.ledger` places orders.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.money import EXACT, amount
from trading_platform.domain.trading.orders import Broker, OrderType, Side, check_order
from trading_platform.stores.postgres.database import Database
from trading_platform.stores.postgres.records import checked_id, checked_text, choice, fetch
from trading_platform.stores.postgres.sql import query

if TYPE_CHECKING:
    from sqlalchemy import Connection

CHECKED_LIMITS = ("max_open_orders", "max_order_value", "max_position_value")
"""The risk limits that the database checks: a number of orders, and values in the quote currency of the instrument."""

_WITHIN_LIMITS = "orders_within_limits"
_REMEDY = "change the order, or ask who set the limit; plan the order to see all that stands against it"


@dataclass(frozen=True)
class OrderFault:
    """Something that stands against an order.

    Attributes:
        rule: ``lot_size``, ``tick_size``, ``allowed_symbols``, ``price``, or the name of a risk limit.
        message: what is wrong, one sentence.
        expected: what is allowed.
        received: what the order has.
    """

    rule: str
    message: str
    expected: str
    received: str


@dataclass(frozen=True)
class OrderPlan:
    """What would be placed, and what stands against it.

    Attributes:
        terms: the order's terms, as they would be stored.
        tick_size: smallest price step of the instrument, if known.
        lot_size: smallest step of its quantity, if known.
        price: price that values are computed with: the limit price, else the newest stored one; None if there is none.
        value: quantity × price, in the quote currency.
        held: quantity held now, negative when short.
        limits: all risk limits; the database checks those of :data:`CHECKED_LIMITS`.
        faults: what stands against the order; empty if it would be placed.
    """

    terms: Mapping[str, object]
    tick_size: Decimal | None
    lot_size: Decimal | None
    price: Decimal | None
    value: Decimal | None
    held: Decimal
    limits: Mapping[str, Decimal]
    faults: tuple[OrderFault, ...]


@dataclass(frozen=True)
class _Context:
    tick_size: Decimal | None
    lot_size: Decimal | None
    newest_price: Decimal | None
    held: Decimal
    limits: Any


def checked_terms(
    *,
    symbol: str,
    side: str,
    order_type: str,
    quantity: Decimal | int | str,
    broker: str,
    price: Decimal | int | str | None,
    stop_price: Decimal | int | str | None,
    strategy_id: str | None,
    order_id: UUID | str | None,
) -> dict[str, object]:
    """The columns of a new order.

    Raises:
        InvalidRequest: if the order is invalid, for example of the quantity 0.
    """
    kind = choice(OrderType, order_type, "order type")
    limit = None if price is None else amount(price, "price", positive=True)
    stop = None if stop_price is None else amount(stop_price, "stop price", positive=True)
    check_order(symbol, kind, limit, stop)
    return {
        "id": uuid4() if order_id is None else checked_id(order_id, "order's id"),
        "symbol": symbol,
        "side": choice(Side, side, "side").value,
        "order_type": kind.value,
        "quantity": amount(quantity, "quantity", positive=True),
        "price": limit,
        "stop_price": stop,
        "broker": choice(Broker, broker, "broker").value,
        "strategy_id": None if strategy_id is None else checked_text(strategy_id, "strategy's id"),
    }


@contextmanager
def within_limits() -> Iterator[None]:
    """Runs the statement that inserts an order.

    Raises:
        InvalidRequest: if the database has something against the order.
    """
    from psycopg.errors import CheckViolation

    try:
        yield
    except CheckViolation as error:
        if error.diag.constraint_name != _WITHIN_LIMITS:
            raise
        said = json.loads(error.diag.message_detail or "{}")
        raise InvalidRequest(
            str(error.diag.message_primary),
            expected=said.get("expected"),
            received=said.get("received"),
            remedy=_REMEDY,
        ) from None


def plan(database: Database, terms: dict[str, object]) -> OrderPlan:
    """What would be placed with these terms, and what stands against it; writes nothing."""
    with database.begin() as connection:
        faults = _faults(connection, terms)
        context = fetch(connection, _Context, query("trading/ledger/order_context"), terms)[0]
    limit, quantity = terms["price"], terms["quantity"]
    price = limit if isinstance(limit, Decimal) else context.newest_price
    return OrderPlan(
        {name: value for name, value in terms.items() if name != "id"},
        context.tick_size,
        context.lot_size,
        price,
        EXACT.multiply(quantity, price) if isinstance(quantity, Decimal) and price is not None else None,
        context.held,
        {key: Decimal(value) for key, value in context.limits.items()},
        tuple(faults),
    )


def _faults(connection: Connection, terms: dict[str, object]) -> list[OrderFault]:
    return fetch(connection, OrderFault, query("trading/ledger/order_faults"), terms)
