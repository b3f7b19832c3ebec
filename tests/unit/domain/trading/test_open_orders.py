"""Each difference of open orders is found and classified, and none is invented."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from trading_platform.domain.trading.broker import BrokerOrder
from trading_platform.domain.trading.open_orders import compare_open_orders
from trading_platform.domain.trading.orders import Broker, Order, OrderStatus, OrderType, Side

DAY = datetime(2026, 3, 2, 15, tzinfo=UTC)
FAULTS = ["missing_here", "missing_there", "status", "symbol", "side", "quantity", "filled", "price", "without_id"]


def pair(number: int, side: str, quantity: int, filled: int, price: Decimal | None) -> tuple[Order, BrokerOrder]:
    """An order as the ledger has it and as the broker does."""
    done = min(filled, quantity - 1)
    ours = Order(
        id=UUID(int=number),
        symbol=f"S{number}",
        side=Side(side),
        order_type=OrderType.MARKET if price is None else OrderType.LIMIT,
        quantity=Decimal(quantity),
        price=price,
        stop_price=None,
        status=OrderStatus.PARTIAL if done else OrderStatus.SENT,
        broker=Broker.KRAKEN,
        broker_order_id=f"B{number}",
        strategy_id=None,
        created_at=DAY,
        updated_at=DAY,
        filled_at=None,
        filled_qty=Decimal(done),
        avg_fill_price=Decimal(1) if done else None,
        commission=Decimal(0),
    )
    quantities = Decimal(quantity), Decimal(done)
    theirs = BrokerOrder("kraken", "main", f"B{number}", f"S{number}", side, *quantities, price)  # type: ignore[arg-type]
    return ours, theirs


rows = st.lists(
    st.tuples(
        st.sampled_from(["buy", "sell"]),
        st.integers(1, 500),
        st.integers(0, 3),
        st.none() | st.decimals(1, 900, places=2),
    ),
    min_size=1,
    max_size=20,
)


@given(made=rows, faults=st.lists(st.sampled_from(FAULTS), max_size=9), data=st.data())
def test_each_planted_difference_is_found_and_none_is_invented(
    made: list[tuple[str, int, int, Decimal | None]], faults: list[str], data: st.DataObject
) -> None:
    pairs = [pair(number, *row) for number, row in enumerate(made)]
    here = {number: ours for number, (ours, _) in enumerate(pairs)}
    there = {number: theirs for number, (_, theirs) in enumerate(pairs)}
    planted = []
    for number, fault in zip(data.draw(st.permutations(range(len(pairs)))), faults, strict=False):
        own, other, kinds = here[number], there[number], [fault]
        match fault:
            case "missing_here":
                del here[number]
            case "missing_there":
                del there[number]
            case "status":
                ended = data.draw(st.sampled_from([OrderStatus.CANCELLED, OrderStatus.FILLED, OrderStatus.PENDING]))
                here[number] = replace(own, status=ended)
            case "symbol":
                there[number] = replace(other, symbol="OTHER")
            case "side":
                there[number] = replace(other, side="sell" if other.side == "buy" else "buy")
            case "quantity":
                there[number] = replace(other, quantity=other.quantity + 1)
            case "filled":
                there[number] = replace(other, filled=own.filled_qty + 1)
                kinds = ["quantity"]
            case "price":
                there[number] = replace(other, price=Decimal(1) if other.price is None else other.price + 1)
            case _:
                here[number] = replace(own, broker_order_id=None)
                kinds = ["missing_here", "missing_there"]
        planted += [(kind, "OTHER" if kind == "symbol" else f"S{number}") for kind in kinds]
    found = compare_open_orders(list(here.values()), list(there.values()))
    assert sorted((str(each.kind), each.symbol) for each in found) == sorted(planted)
    assert {each.about for each in found} <= {"order"}


def test_orders_that_are_over_here_and_unknown_there_are_equal() -> None:
    ours, theirs = pair(1, "buy", 5, 0, Decimal(10))
    assert compare_open_orders([replace(ours, status=OrderStatus.CANCELLED)], []) == []
    assert compare_open_orders([replace(ours, status=OrderStatus.PENDING, broker_order_id=None)], []) == []
    assert compare_open_orders([ours], [replace(theirs, filled=None)]) == []
    (found,) = compare_open_orders([replace(ours, status=OrderStatus.CANCELLED)], [theirs])
    assert found.words == "order S1 B1: status, ledger cancelled: buy 5 S1 at 10, broker buy 5 S1 at 10"
