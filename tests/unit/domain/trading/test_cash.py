"""What fills do not explain of a balance is found, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_platform.domain.trading.broker import Settlement
from trading_platform.domain.trading.cash import CashState, cash_states, compare_cash
from trading_platform.domain.trading.orders import Broker, Fill, Side
from trading_platform.domain.trading.reconciliation import DifferenceKind

DAY = datetime(2026, 3, 2, 15, tzinfo=UTC)
MONEY = {
    "SPY": Settlement("SPY", "USD"),
    "SAP": Settlement("SAP", "EUR"),
    "EURUSD": Settlement(None, "USD", "EUR"),
    "ETHBTC": Settlement("ETHUSD", None, None, "BTCUSD"),
}


def fill(number: int, symbol: str, side: str, quantity: object, price: object, commission: object) -> Fill:
    values = (Decimal(str(each)) for each in (quantity, price, commission))
    return Fill(uuid4(), uuid4(), symbol, Side(side), *values, DAY + timedelta(seconds=number), Broker.IBKR)


rows = st.lists(
    st.tuples(
        st.sampled_from(sorted(MONEY)),
        st.sampled_from(["buy", "sell"]),
        st.integers(1, 500),
        st.decimals("0.01", 900, places=4),
        st.decimals("-0.5", 3, places=4),
    ),
    max_size=30,
)


def moved_by(fills: list[Fill]) -> dict[str, Decimal]:
    """The balances after some fills from nothing, rounded to cents as a broker does, each fill by itself."""
    held = {"EUR": Decimal(0), "USD": Decimal(0)}
    for each in fills:
        sign = 1 if each.side == "buy" else -1
        cost, commission = (value.quantize(Decimal("0.01")) for value in (each.quantity * each.price, each.commission))
        currency = {"SPY": "USD", "SAP": "EUR", "EURUSD": "USD", "ETHBTC": None}[each.symbol]
        if currency is not None:
            held[currency] -= sign * cost + commission
        if each.symbol == "EURUSD":
            held["EUR"] += sign * each.quantity
    return held


@given(
    made=rows,
    at=st.integers(0, 30),
    opening=st.decimals(-1000, 1000, places=2),
    deposits=st.dictionaries(st.sampled_from(["CHF", "EUR", "USD"]), st.decimals(1, 9000, places=2), max_size=3),
)
def test_only_what_fills_do_not_explain_differs(
    made: list[tuple[str, str, int, Decimal, Decimal]], at: int, opening: Decimal, deposits: dict[str, Decimal]
) -> None:
    fills = [fill(number, *row) for number, row in enumerate(made)]

    def states(known: list[Fill], more: dict[str, Decimal]) -> dict[str, CashState]:
        held = {currency: amount + opening for currency, amount in moved_by(known).items()}
        amounts = {name: held.get(name, Decimal(0)) + more.get(name, Decimal(0)) for name in {*held, *more}}
        return cash_states(amounts, known, MONEY)

    before, now = states(fills[:at], {}), states(fills, deposits)
    # Two roundings a fill, of cost and of commission: half a cent each, where brokers round the sum.
    found = {each.symbol: each for each in compare_cash(before, now)}
    planted = {name for name, amount in deposits.items() if amount > Decimal("0.01") * (2 + len(fills))}
    assert planted <= set(found) <= set(deposits) | _rounded_apart(before, now)
    for each in found.values():
        assert (each.about, each.kind) == ("cash", DifferenceKind.AMOUNT)


def _rounded_apart(before: dict[str, CashState], now: dict[str, CashState]) -> set[str]:
    """Currencies in which this test's broker has rounded away more than half a cent a fill."""
    found = set()
    for name, state in now.items():
        was = before.get(name, CashState())
        apart = abs(was.amount + state.flow - was.flow - state.amount)
        if apart <= Decimal("0.01") * (1 + state.fills - was.fills):
            found.add(name)
    return found


def test_the_difference_says_what_was_expected() -> None:
    bought = fill(1, "SPY", "buy", 10, "500.25", 1)
    before = cash_states({"USD": Decimal(10_000)}, [], MONEY)
    equal = cash_states({"USD": Decimal("4996.5")}, [bought], MONEY)
    assert compare_cash(before, equal) == []
    (found,) = compare_cash(before, cash_states({"USD": Decimal("5046.5")}, [bought], MONEY))
    assert found.words == "cash USD: amount, ledger 4996.5, broker 5046.5"
    (gone,) = compare_cash(before, cash_states({}, [], MONEY))
    assert (gone.ours, gone.theirs) == ("10000", "0")


def test_a_correction_moves_cash_back() -> None:
    bought, corrected = (fill(1, "SPY", "buy", quantity, 100, 1) for quantity in (10, 9))
    before = cash_states({"USD": Decimal(0)}, [bought], MONEY)
    assert compare_cash(before, cash_states({"USD": Decimal(100)}, [corrected], MONEY)) == []
    assert len(compare_cash(before, cash_states({"USD": Decimal(0)}, [corrected], MONEY))) == 1


def test_an_instrument_of_unknown_money_is_no_zero() -> None:
    with pytest.raises(KeyError):
        cash_states({}, [fill(1, "XYZ", "buy", 1, 1, 0)], MONEY)
