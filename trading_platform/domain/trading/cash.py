"""The comparison of cash: what a broker's balances of money have moved by, and what the ledger's fills explain of it.

The ledger knows fills and their commissions, no deposit, withdrawal, dividend or interest. So balances are not compared
with the ledger but with the balances of an earlier comparison: what they have moved by, less what the fills since have
moved them by, is nothing or has a reason that a person knows.
:mod:`trading_platform.domain.trading.reconciliation` compares positions and fills.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from trading_platform.domain.money import EXACT, plain_text
from trading_platform.domain.severity import Severity
from trading_platform.domain.trading.broker import Settlement
from trading_platform.domain.trading.orders import Fill
from trading_platform.domain.trading.reconciliation import FEE_TOLERANCE, Difference, DifferenceKind, paid_for

_NOTHING = Decimal(0)


@dataclass(frozen=True)
class CashState:
    """A balance of money at a comparison.

    Attributes:
        amount: the broker's balance.
        flow: what all fills of the ledger at that broker have moved it by.
        fills: number of these fills.
    """

    amount: Decimal = _NOTHING
    flow: Decimal = _NOTHING
    fills: int = 0


def cash_states(
    amounts: Mapping[str, Decimal], fills: Iterable[Fill], settlements: Mapping[str, Settlement]
) -> dict[str, CashState]:
    """The balances by currency, with what the fills have moved each by.

    Args:
        amounts: the broker's balances by currency.
        fills: all fills of the ledger at the broker.
        settlements: what a fill of each of their symbols moves.
    """
    flows: dict[str, Decimal] = {}
    counts: dict[str, int] = {}
    for fill in fills:
        moved = settlements[fill.symbol]
        bought = EXACT.multiply(fill.side.sign, fill.quantity)
        for currency, amount in ((moved.quote, EXACT.minus(paid_for(fill))), (moved.base, bought)):
            if currency is not None:
                flows[currency] = EXACT.add(flows.get(currency, _NOTHING), amount)
                counts[currency] = counts.get(currency, 0) + 1
    return {
        currency: CashState(amounts.get(currency, _NOTHING), flows.get(currency, _NOTHING), counts.get(currency, 0))
        for currency in sorted({*amounts, *flows})
    }


def compare_cash(before: Mapping[str, CashState], now: Mapping[str, CashState]) -> list[Difference]:
    """Currencies whose balance has moved by something else than the fills since an earlier comparison.

    Brokers round each fill's cost and commission, so that each fill since may differ by half a cent.

    Args:
        before: the states of a comparison that was equal, or that a person has accepted.
        now: the present states.
    """
    found = []
    for currency in sorted({*before, *now}):
        was, state = before.get(currency, CashState()), now.get(currency, CashState())
        expected = EXACT.add(was.amount, EXACT.subtract(state.flow, was.flow))
        tolerance = EXACT.multiply(FEE_TOLERANCE, 1 + abs(state.fills - was.fills))
        if abs(EXACT.subtract(expected, state.amount)) > tolerance:
            ours, theirs = (plain_text(value.normalize(EXACT)) for value in (expected, state.amount))
            found.append(Difference("cash", DifferenceKind.AMOUNT, currency, "", ours, theirs, Severity.ERROR))
    return found
