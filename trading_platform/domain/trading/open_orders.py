"""The comparison of open orders: what can still be filled, by the ledger and by a broker.

:mod:`trading_platform.domain.trading.reconciliation` compares positions and fills.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from trading_platform.domain.money import EXACT, plain_text
from trading_platform.domain.severity import Severity
from trading_platform.domain.trading.broker import BrokerOrder
from trading_platform.domain.trading.orders import Order, OrderStatus
from trading_platform.domain.trading.reconciliation import Difference, DifferenceKind

OPEN = frozenset({OrderStatus.SENT, OrderStatus.PARTIAL})
"""Statuses of orders that a broker has."""


def compare_open_orders(ours: Sequence[Order], theirs: Iterable[BrokerOrder]) -> list[Difference]:
    """The differences of open orders, by the broker's ids.

    Args:
        ours: orders of the ledger at the broker: the open ones, and those that have an id of ``theirs``.
        theirs: the broker's.
    """
    there = {order.order_id: order for order in theirs}
    here: dict[str, Order] = {order.broker_order_id: order for order in ours if order.broker_order_id}
    found = [
        _difference(DifferenceKind.MISSING_THERE, order.symbol, str(order.id), _ours(order), None)
        for order in ours
        if order.status in OPEN and (order.broker_order_id is None or order.broker_order_id not in there)
    ]
    for number, order in sorted(there.items()):
        found += _order(here, number, order)
    return found


def _order(here: Mapping[str, Order], number: str, order: BrokerOrder) -> list[Difference]:
    own, theirs = here.get(number), _theirs(order)
    if own is None:
        return [_difference(DifferenceKind.MISSING_HERE, order.symbol, number, None, theirs)]
    if own.status not in OPEN:
        return [_difference(DifferenceKind.STATUS, order.symbol, number, f"{own.status}: {_ours(own)}", theirs)]
    is_as_filled = order.filled is None or order.filled == own.filled_qty
    for kind, equal in (
        (DifferenceKind.SYMBOL, own.symbol == order.symbol),
        (DifferenceKind.SIDE, own.side == order.side),
        (DifferenceKind.QUANTITY, own.quantity == order.quantity and is_as_filled),
        (DifferenceKind.PRICE, own.price == order.price),
    ):
        if not equal:
            return [_difference(kind, order.symbol, number, _ours(own), theirs)]
    return []


def _difference(kind: DifferenceKind, symbol: str, subject: str, ours: str | None, theirs: str | None) -> Difference:
    return Difference("order", kind, symbol, subject, ours, theirs, Severity.ERROR)


def _ours(order: Order) -> str:
    return _text(order.symbol, order.side, order.quantity, order.filled_qty, order.price)


def _theirs(order: BrokerOrder) -> str:
    return _text(order.symbol, order.side, order.quantity, order.filled, order.price)


def _text(symbol: str, side: str, quantity: Decimal, filled: Decimal | None, price: Decimal | None) -> str:
    numbers = [None if each is None else plain_text(each.normalize(EXACT)) for each in (quantity, filled, price)]
    at = "" if numbers[2] is None else f" at {numbers[2]}"
    done = "" if not filled else f", {numbers[1]} filled"
    return f"{side} {numbers[0]} {symbol}{at}{done}"
