"""Every difference between the ledger and a broker is found and classified, and none is invented."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_platform.domain.severity import Severity
from trading_platform.domain.trading.broker import BrokerFill, BrokerPosition, Settlement
from trading_platform.domain.trading.orders import Broker, Fill, Side, fill_uuid
from trading_platform.domain.trading.reconciliation import (
    Difference,
    DifferenceKind,
    Held,
    compare_fills,
    compare_positions,
    holdings_of,
)

DAY = datetime(2026, 3, 2, 15, tzinfo=UTC)
IBKR = Broker.IBKR


def theirs(number: int, symbol: str, side: str, quantity: int, price: Decimal) -> BrokerFill:
    at = DAY + timedelta(seconds=number)
    return BrokerFill(
        "ibkr",
        "U1",
        f"e.{number}.01",
        "9",
        symbol,
        side,
        Decimal(quantity),
        price,
        Decimal(1),
        "USD",
        at,  # type: ignore[arg-type]
    )


def booked(fill: BrokerFill) -> Fill:
    """The fill as the ledger has it when it was booked right."""
    side = Side(fill.side)
    key = fill_uuid(IBKR, fill.execution_id)
    return Fill(
        key,
        uuid4(),
        fill.symbol,
        side,
        fill.quantity,
        fill.price,
        fill.commission or Decimal(0),
        fill.executed_at,
        IBKR,
    )


def positions(fills: list[BrokerFill]) -> list[BrokerPosition]:
    """What the broker holds after these fills, computed apart from the ledger's way."""
    held: dict[str, Decimal] = {}
    for fill in fills:
        held[fill.symbol] = held.get(fill.symbol, Decimal(0)) + (
            fill.quantity if fill.side == "buy" else -fill.quantity
        )
    return [BrokerPosition("ibkr", "U1", name, value, None, DAY) for name, value in held.items() if value]


rows = st.lists(
    st.tuples(
        st.sampled_from(["AAPL", "SPY", "BTCUSD"]),
        st.sampled_from(["buy", "sell"]),
        st.integers(1, 500),
        st.decimals(1, 900, places=2),
    ),
    min_size=1,
    max_size=30,
)
FAULTS = ["missing_here", "missing_there", "quantity", "side", "price", "fee", "duplicate", "corrected"]


@given(made=rows, faults=st.lists(st.sampled_from(FAULTS), max_size=8), data=st.data())
def test_each_planted_difference_is_found_and_none_is_invented(
    made: list[tuple[str, str, int, Decimal]], faults: list[str], data: st.DataObject
) -> None:
    there = [theirs(number, *row) for number, row in enumerate(made)]
    here = [booked(fill) for fill in there]
    chosen = data.draw(st.permutations(range(len(there))))[: len(faults)]
    planted = []
    extra: list[Fill] = []
    for number, fault in zip(chosen, faults, strict=False):
        fill, own = there[number], here[number]
        planted.append((fault, fill.symbol))
        if fault == "missing_here":
            here[number] = replace(own, quantity=Decimal(0), id=uuid4())  # a cancelled one of no consequence
        elif fault == "missing_there":
            extra.append(replace(own, id=uuid4(), price=own.price + 1))
        elif fault == "quantity":
            here[number] = replace(own, quantity=own.quantity + 1)
        elif fault == "side":
            here[number] = replace(own, side=Side.SELL if own.side is Side.BUY else Side.BUY)
        elif fault == "price":
            here[number] = replace(own, price=own.price + Decimal("0.01"))
        elif fault == "fee":
            here[number] = replace(own, commission=own.commission + Decimal("0.01"))
        elif fault == "duplicate":
            extra.append(replace(own, id=uuid4()))
        else:
            there[number] = replace(
                fill, execution_id=f"e.{number}.02", replaces=(fill.execution_id,), price=fill.price + 1
            )
    found = compare_fills(IBKR, [*here, *extra], there)
    assert sorted((str(each.kind), each.symbol) for each in found) == sorted(planted)


@given(made=rows)
def test_positions_of_the_same_fills_are_equal(made: list[tuple[str, str, int, Decimal]]) -> None:
    there = [theirs(number, *row) for number, row in enumerate(made)]
    assert compare_positions(holdings_of(booked(fill) for fill in there), positions(there)) == []


@pytest.mark.parametrize(
    ("ours", "broker", "kind", "severity"),
    [
        ("1000", "1011", DifferenceKind.QUANTITY, Severity.CRITICAL),  # 1.1 % of the larger one is 11.12
        ("1000", "1010", DifferenceKind.QUANTITY, Severity.ERROR),
        ("1000", "1000.00000001", DifferenceKind.QUANTITY, Severity.ERROR),
        ("1000", "0", DifferenceKind.MISSING_THERE, Severity.CRITICAL),
        ("0", "-3", DifferenceKind.MISSING_HERE, Severity.CRITICAL),
        ("5", "-5", DifferenceKind.SIDE, Severity.CRITICAL),
    ],
)
def test_how_bad_a_position_is(ours: str, broker: str, kind: DifferenceKind, severity: Severity) -> None:
    held = {"SPY": Held(Decimal(ours), Decimal(100))} if ours != "0" else {}
    there = [BrokerPosition("ibkr", "U1", "SPY", Decimal(broker), None, DAY)]
    (found,) = compare_positions(held, there)
    assert (found.kind, found.severity) == (kind, severity)
    assert "SPY" in found.words


def test_positions_of_two_accounts_count_together_and_prices_may_differ_by_a_little() -> None:
    held = {"SPY": Held(Decimal(30), Decimal(100))}
    two = [BrokerPosition("ibkr", name, "SPY", Decimal(15), Decimal(90), DAY) for name in ("U1", "U2")]
    assert compare_positions(held, two) == []
    one = BrokerPosition("ibkr", "U1", "SPY", Decimal(30), Decimal("100.9"), DAY)
    assert compare_positions(held, [one]) == []
    (found,) = compare_positions(held, [replace(one, average_price=Decimal("101.2"))])
    assert found == Difference("position", DifferenceKind.PRICE, "SPY", "", "100", "101.2", Severity.WARNING)


def test_busts_and_fees_in_coins() -> None:
    fill = theirs(1, "BTCUSD", "buy", 2, Decimal(100))
    own = booked(fill)
    busted = replace(fill, execution_id="e.1.02", quantity=Decimal(0), replaces=("e.1.01",))
    assert [each.kind for each in compare_fills(IBKR, [own], [busted])] == [DifferenceKind.CORRECTED]
    gone = replace(own, id=fill_uuid(IBKR, "e.1.02"), quantity=Decimal(0))
    assert compare_fills(IBKR, [gone], [busted]) == []
    assert compare_fills(IBKR, [own], [replace(fill, commission=Decimal("0.001"), commission_currency="BTC")]) == []
    assert compare_fills(IBKR, [own], [replace(fill, commission=None)]) == []


def test_ten_thousand_positions() -> None:
    there = [theirs(n, f"S{n}", "buy", 1 + n % 7, Decimal(10)) for n in range(10_000)]
    here = [booked(fill) for fill in there]
    assert compare_positions(holdings_of(here), positions(there)) + compare_fills(IBKR, here, there) == []
    there[77] = replace(there[77], quantity=Decimal(50))
    found = compare_positions(holdings_of(here), positions(there)) + compare_fills(IBKR, here, there)
    assert [(each.about, each.symbol) for each in found] == [("position", "S77"), ("fill", "S77")]


def test_a_coin_is_one_position_whatever_it_was_paid_with() -> None:
    settlements = {
        "BTCEUR": Settlement("BTCUSD", "EUR"),
        "BTCUSD": Settlement("BTCUSD", "USD"),
        "ETHBTC": Settlement("ETHUSD", None, None, "BTCUSD"),
        "EURUSD": Settlement(None, "USD", "EUR"),
    }
    made = [
        ("BTCEUR", "buy", 2, "50000"),
        ("BTCUSD", "buy", 1, "60000"),
        ("ETHBTC", "buy", 10, "0.0312345"),
        ("EURUSD", "buy", 500, "1.1"),
    ]
    fills = [
        booked(theirs(number, name, side, size, Decimal(price)))
        for number, (name, side, size, price) in enumerate(made)
    ]
    fills = [replace(fill, commission=Decimal(0)) for fill in fills]
    held = holdings_of(fills, settlements)
    assert held["BTCUSD"] == Held(Decimal("2.687655"), None, Decimal("0.00001"))
    assert held["ETHUSD"] == Held(Decimal(10), Decimal("0.0312345"))
    assert set(held) == {"BTCUSD", "ETHUSD"}, "money is no position"
    there = [
        BrokerPosition("kraken", "main", "BTCUSD", Decimal("2.6876500001"), None, DAY),
        BrokerPosition("kraken", "main", "ETHUSD", Decimal(10), None, DAY),
    ]
    assert compare_positions(held, there) == []
    (found,) = compare_positions(held, [replace(there[0], quantity=Decimal("2.6")), there[1]])
    assert (found.symbol, found.kind, found.severity) == ("BTCUSD", DifferenceKind.QUANTITY, Severity.CRITICAL)
