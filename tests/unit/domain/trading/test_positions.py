"""Positions by hand-computed examples and by laws that hold for any fills; a database is not needed."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_platform.domain.trading.orders import Broker, Fill, Side
from trading_platform.domain.trading.positions import Holding, steps

START = datetime(2024, 3, 4, 14, 30, tzinfo=UTC)


def fill(signed: str, price: str, commission: str = "0", minute: int = 0) -> Fill:
    size = Decimal(signed)
    return Fill(
        id=uuid.uuid4(),
        order_id=uuid.uuid4(),
        symbol="SPY",
        side=Side.BUY if size > 0 else Side.SELL,
        quantity=abs(size),
        price=Decimal(price),
        commission=Decimal(commission),
        executed_at=START + timedelta(minutes=minute),
        broker=Broker.IBKR,
    )


def after(*fills: Fill) -> Holding:
    return [holding for _, holding in steps(Holding(), fills)][-1]


@pytest.mark.parametrize(
    ("fills", "quantity", "average", "realized"),
    [
        pytest.param([("10", "100"), ("10", "110")], "20", "105", "0", id="long, added to"),
        pytest.param([("10", "100"), ("10", "110"), ("-5", "120")], "15", "105", "75", id="long, closed in part"),
        pytest.param([("10", "100"), ("-10", "90")], "0", None, "-100", id="long, closed at a loss"),
        pytest.param([("-10", "100"), ("4", "90")], "-6", "100", "40", id="short, closed in part"),
        pytest.param([("-10", "100"), ("10", "105")], "0", None, "-50", id="short, closed at a loss"),
        pytest.param([("10", "100"), ("-15", "120")], "-5", "120", "200", id="long to short"),
        pytest.param([("-10", "100"), ("15", "80")], "5", "80", "200", id="short to long"),
        pytest.param([("1", "10"), ("2", "11"), ("-1", "11")], "2", "10.66666667", "0.33333333", id="thirds"),
    ],
)
def test_average_cost(fills, quantity, average, realized):
    held = after(*(fill(*each, minute=minute) for minute, each in enumerate(fills)))
    assert held.quantity == Decimal(quantity)
    assert held.avg_entry_price == (Decimal(average) if average else None)
    assert held.realized_pnl.quantize(Decimal("1e-8")) == Decimal(realized)


def test_commissions_are_paid_at_once_and_are_no_part_of_the_entry_price():
    entered = after(fill("10", "100", "1.5"))
    assert (entered.avg_entry_price, entered.realized_pnl) == (100, Decimal("-1.5"))
    left = entered.after(fill("-10", "101", "-0.25"))  # a rebate
    assert left.realized_pnl == Decimal("8.75")


def test_a_flip_opens_again_and_a_closed_position_is_not_open():
    first, flipped, closed = fill("1", "10"), fill("-3", "12", minute=1), fill("2", "11", minute=2)
    assert after(first).opened_at == first.executed_at
    assert after(first, flipped).opened_at == flipped.executed_at
    assert after(first, flipped, closed).opened_at is None


def test_fills_count_in_the_order_of_execution():
    first, second, third = fill("1", "10"), fill("1", "20", minute=1), fill("-1", "30", minute=2)
    assert after(third, first, second) == after(first, second, third)


fills = st.lists(
    st.builds(
        fill,
        st.integers(-(10**12), 10**12).filter(bool).map(lambda units: str(Decimal(units).scaleb(-8))),
        st.integers(1, 10**14).map(lambda units: str(Decimal(units).scaleb(-8))),
        st.integers(-(10**8), 10**8).map(lambda units: str(Decimal(units).scaleb(-8))),
        st.integers(0, 30),
    ),
    min_size=1,
    max_size=40,
)


@given(fills)
def test_no_money_appears_or_goes_missing(many: list[Fill]):
    cash = sum((-each.side.sign * Fraction(each.quantity) * Fraction(each.price) for each in many), Fraction(0))
    commissions = sum(Fraction(each.commission) for each in many)
    held = after(*many)
    assert Fraction(held.realized_pnl) - Fraction(held.cost) == cash - commissions


@given(fills, st.integers(1, 10**14))
def test_realized_and_unrealized_make_what_closing_would_leave(many: list[Fill], units: int):
    price = Decimal(units).scaleb(-8)
    held = after(*many)
    worth = Fraction(held.realized_pnl) + Fraction(held.unrealized_pnl(price))
    if held.quantity:
        closing = fill(str(-held.quantity), str(price), minute=60)
        assert abs(Fraction(held.after(closing).realized_pnl) - worth) <= Fraction(1, 2 * 10**8)
        assert held.after(closing).cost == 0
    else:
        assert held.unrealized_pnl(price) == held.cost == 0
