"""Exact amounts: prices, quantities and money as the database holds them, ``DECIMAL(18,8)``.

Input is never rounded: an amount with more than eight decimals is rejected; a caller that wants it
rounded calls :func:`round_amount`. Prices of sources may carry the noise of floats, which rounding removes
(:func:`keeps_price`). Sums and products are exact (:data:`EXACT`); displayed values
are rounded half to even.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.texts import shown

AMOUNT_DECIMALS = 8
AMOUNT_LIMIT = Decimal(10) ** 10
"""Smallest amount that DECIMAL(18,8) cannot hold."""

PRICE_NOISE = Decimal(2) ** -24
"""Relative error of a number in single precision, which vendors calculate in: half a unit of its last bit."""

FINE_BELOW = Decimal("0.1")
"""Prices from here on keep their value in eight decimals, whatever their digits: the rounding is below the noise."""

COST_DECIMALS = 24
"""Decimals of a cost basis: a product of two amounts has 16, the share of a partial close can have any number."""

EXACT = Context(prec=120, rounding=ROUND_HALF_EVEN)
"""Wide enough that only :func:`round_amount` and :func:`round_cost` round."""

_AMOUNT = Decimal(1).scaleb(-AMOUNT_DECIMALS)
_COST = Decimal(1).scaleb(-COST_DECIMALS)


def round_amount(value: Decimal) -> Decimal:
    """``value`` rounded to eight decimals, half to even."""
    return value.quantize(_AMOUNT, context=EXACT)


def keeps_price(value: Decimal) -> bool:
    """Whether a price is stored as it is: rounding to eight decimals changes it by noise of a float at most."""
    return abs(round_amount(value) - value) <= abs(value) * PRICE_NOISE


def without_noise(price: Decimal) -> Decimal:
    """A price rounded to eight decimals; a price that is finer than that is returned unchanged."""
    return round_amount(price) if keeps_price(price) else price


def round_cost(value: Decimal) -> Decimal:
    """``value`` rounded to the decimals of a cost basis, half to even."""
    return value.quantize(_COST, context=EXACT)


def amount(value: Decimal | int | str, name: str, *, positive: bool = False) -> Decimal:
    """``value`` as an amount with eight decimals, unchanged in value.

    Args:
        value: a decimal, a whole number, or either as text; no float, because floats have lost digits already.
        name: name of the value in error messages.
        positive: reject zero and less.

    Raises:
        InvalidRequest: if it is not a number, not finite, too large, or has more than eight decimals.
    """
    number = _decimal(value, name)
    if number.copy_abs() >= AMOUNT_LIMIT:  # abs() would round to the context, and fails for large exponents
        raise _rejected(name, "less than 10,000,000,000 in size", value)
    rounded = round_amount(number) if number.adjusted() >= -AMOUNT_DECIMALS or not number else None
    if rounded is None or rounded != number:
        raise _rejected(name, "at most 8 decimals", value, remedy="round it where it is known what may be dropped")
    if positive and number <= 0:
        raise _rejected(name, "more than 0", value)
    return rounded


def fits_amount(value: Decimal) -> bool:
    """Whether ``value``, rounded, fits DECIMAL(18,8)."""
    return abs(round_amount(value)) < AMOUNT_LIMIT


def _decimal(value: Decimal | int | str, name: str) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, (Decimal, int, str)):
        raise _rejected(name, "a Decimal", value, remedy="give it as text or Decimal: Decimal('1.5')")
    try:
        number = Decimal(value)
    except (InvalidOperation, ValueError):
        number = Decimal("NaN")
    if not number.is_finite():
        raise _rejected(name, "a number", value)
    return number


def _rejected(name: str, expected: str, value: object, remedy: str | None = None) -> InvalidRequest:
    return InvalidRequest(
        f"The {name} cannot be used.",
        expected=expected,
        received=shown(value),
        remedy=remedy or f"give another {name}",
    )


def plain_text(value: Decimal) -> str:
    """``value`` with all its digits and without an exponent."""
    return format(value, "f")
