"""Live prices that the columns cannot hold."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from trading_platform.domain.market.live.event_validation import fault_of_quote, fault_of_trade
from trading_platform.domain.market.live.events import Quote, Trade
from trading_platform.domain.rejection_reasons import Reason

AT = datetime(2024, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize("price", ["9.712E-7", "4E-9", "0.0000000051", "0.000012345678"])
def test_a_price_finer_than_eight_decimals_is_named_so(price: str) -> None:
    fine = Decimal(price)
    assert fault_of_trade(Trade("PEPEUSD", AT, fine, Decimal(1))) == (
        Reason.TOO_FINE,
        f"price is finer than eight decimals: {fine}",
    )
    for side in ("bid", "ask", "last"):
        quote = Quote("PEPEUSD", AT, **{"bid": None, "ask": None, side: fine})
        assert fault_of_quote(quote) == (Reason.TOO_FINE, f"{side} is finer than eight decimals: {fine}")


@pytest.mark.parametrize(
    ("price", "reason"),
    [
        ("0", Reason.NON_POSITIVE_PRICE),
        ("-0.5", Reason.NON_POSITIVE_PRICE),
        ("10000000000", Reason.OUT_OF_RANGE),
        ("NaN", Reason.UNREADABLE_NUMBER),
        ("Infinity", Reason.OUT_OF_RANGE),
    ],
)
def test_other_faults_keep_their_names(price: str, reason: Reason) -> None:
    fault = fault_of_trade(Trade("BTCUSD", AT, Decimal(price), Decimal(1)))
    assert fault is not None
    assert fault[0] is reason


@pytest.mark.parametrize("price", ["0.00000001", "0.00002654", "0.099999999999999", "0.123456789", "64000.1"])
def test_prices_that_keep_their_value_are_valid(price: str) -> None:
    assert fault_of_trade(Trade("BTCUSD", AT, Decimal(price), Decimal(1))) is None
