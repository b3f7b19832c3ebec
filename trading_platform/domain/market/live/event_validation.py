"""The rules a live event must meet to be used, one event at a time.

The same rules over whole frames are in :mod:`trading_platform.domain.quality.rules`. Numbers are checked as they
would be stored, with eight decimals; a price that eight decimals cannot hold is rejected.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation

from trading_platform.domain.market.live.events import Quote, Trade
from trading_platform.domain.money import FINE_BELOW, keeps_price
from trading_platform.domain.rejection_reasons import Reason

AHEAD = timedelta(seconds=5)
"""How far a source's clock may be ahead of the receiver's before its times count as in the future."""

FIRST_TIME = datetime(1800, 1, 1, tzinfo=UTC)
LAST_TIME = datetime(9000, 1, 1, tzinfo=UTC)

VOLUME_LIMIT = Decimal(10) ** 16 - 1
"""The largest volume that DECIMAL(24,8) holds under any rounding."""

_ROUNDS_TO_LIMIT = Decimal(10) ** 10 - Decimal("5E-9")

Fault = tuple[Reason, str]
"""Which rule is broken, and a description of how."""


def fault_of_time(timestamp: datetime, received: datetime | None) -> Fault | None:
    """Checks the time of an event; None if it is valid.

    Args:
        timestamp: time of the event.
        received: the receiver's clock when the event arrived, if known.
    """
    if timestamp.tzinfo is None:
        return Reason.UNREADABLE_TIME, f"{timestamp.isoformat()} has no zone"
    if timestamp < FIRST_TIME:
        return Reason.OUT_OF_RANGE, f"{timestamp.isoformat()} is before {FIRST_TIME.year}"
    if timestamp >= LAST_TIME or (received is not None and timestamp > received and timestamp - received > AHEAD):
        return Reason.FUTURE_TIME, f"{timestamp.isoformat()} is later than now"
    return None


def fault_of_quote(quote: Quote) -> Fault | None:
    """Checks the numbers of a quote; None if they are valid. A side that is None is valid."""
    bid, ask, last, volume = quote.bid, quote.ask, quote.last, quote.volume
    try:
        for name, price in (("bid", bid), ("ask", ask), ("last", last)):
            if price is not None and not FINE_BELOW <= price < _ROUNDS_TO_LIMIT:
                fault = fault_of_price(name, price)
                if fault is not None:
                    return fault
        if volume is not None and not 0 <= volume < VOLUME_LIMIT:
            return _fault_of_quantity("volume", volume)
    except InvalidOperation:
        return Reason.UNREADABLE_NUMBER, f"not a number: bid {bid}, ask {ask}, last {last}, volume {volume}"
    return None


def fault_of_trade(trade: Trade) -> Fault | None:
    """Checks the numbers of a trade; None if they are valid."""
    price, quantity = trade.price, trade.quantity
    try:
        if not FINE_BELOW <= price < _ROUNDS_TO_LIMIT:
            fault = fault_of_price("price", price)
            if fault is not None:
                return fault
        if not 0 <= quantity < VOLUME_LIMIT:
            return _fault_of_quantity("quantity", quantity)
    except InvalidOperation:
        return Reason.UNREADABLE_NUMBER, f"not a number: price {price}, quantity {quantity}"
    return None


def fault_of_price(name: str, value: Decimal) -> Fault | None:
    """Checks a price; None if it is valid."""
    if not value > 0:
        return Reason.NON_POSITIVE_PRICE, f"{name} is not above zero: {value}"
    if value >= _ROUNDS_TO_LIMIT:
        return Reason.OUT_OF_RANGE, f"{name} does not fit its column: {value}"
    if not keeps_price(value):
        return Reason.TOO_FINE, f"{name} is finer than eight decimals: {value}"
    return None


def _fault_of_quantity(name: str, value: Decimal) -> Fault:
    if value < 0:
        return Reason.NEGATIVE_VOLUME, f"{name} is negative: {value}"
    return Reason.OUT_OF_RANGE, f"{name} does not fit its column: {value}"
