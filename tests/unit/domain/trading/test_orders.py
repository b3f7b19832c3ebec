"""The life of an order, and what could be none."""

from __future__ import annotations

from decimal import Decimal
from itertools import product
from uuid import uuid4

import pytest

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.trading.orders import (
    STEPS,
    Broker,
    OrderStatus,
    OrderType,
    check_order,
    check_step,
    fill_uuid,
)

POSSIBLE = {
    ("pending", "sent"),
    ("pending", "cancelled"),
    ("pending", "rejected"),
    ("sent", "partial"),
    ("sent", "filled"),
    ("sent", "cancelled"),
    ("sent", "rejected"),
    ("partial", "filled"),
    ("partial", "cancelled"),
}


@pytest.mark.parametrize(("before", "after"), list(product(OrderStatus, OrderStatus)))
def test_only_these_steps_are_possible(before: OrderStatus, after: OrderStatus):
    if (before.value, after.value) in POSSIBLE:
        check_step(uuid4(), before, after)
    else:
        with pytest.raises(InvalidRequest, match=f"cannot go from {before} to {after}"):
            check_step(uuid4(), before, after)


def test_every_status_has_its_steps():
    assert set(STEPS) == set(OrderStatus)


@pytest.mark.parametrize(
    ("order_type", "price", "fits"),
    [
        ("market", None, True),
        ("market", "1", False),
        ("limit", "1", True),
        ("limit", None, False),
        ("stop_limit", None, False),
    ],
)
def test_a_price_belongs_to_all_but_market_orders(order_type: str, price: str | None, *, fits: bool):
    limit = Decimal(price) if price else None
    if fits:
        check_order("SPY", OrderType(order_type), limit)
    else:
        with pytest.raises(InvalidRequest, match="price"):
            check_order("SPY", OrderType(order_type), limit)


@pytest.mark.parametrize(
    ("order_type", "price", "stop_price", "said"),
    [
        ("stop_limit", "99", "100", None),
        ("stop_limit", "101", "100", None),
        ("stop_limit", "99", None, "needs its stop price"),
        ("limit", "99", "100", "has no stop price"),
        ("market", None, "100", "has no stop price"),
        ("stop_limit", "99", "0", "stop price cannot be used"),
        ("stop_limit", "99", "-1", "stop price cannot be used"),
        ("stop_limit", "99", "0.123456789", "stop price cannot be used"),
    ],
)
def test_a_stop_price_belongs_to_stop_limit_orders(order_type, price, stop_price, said):
    limit, stop = (None if text is None else Decimal(text) for text in (price, stop_price))
    if said is None:
        check_order("SPY", OrderType(order_type), limit, stop)
    else:
        with pytest.raises(InvalidRequest, match=said):
            check_order("SPY", OrderType(order_type), limit, stop)


def test_a_fill_has_one_id_for_each_broker():
    assert fill_uuid(Broker.IBKR, "0001f4e8.65e5.01.01") == fill_uuid(Broker.IBKR, "0001f4e8.65e5.01.01")
    assert fill_uuid(Broker.IBKR, "1") != fill_uuid(Broker.KRAKEN, "1")
    with pytest.raises(InvalidRequest):
        fill_uuid(Broker.IBKR, " ")
