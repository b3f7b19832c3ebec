"""Amounts: taken exactly or not at all."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.money import amount, fits_amount, round_amount, round_cost


@given(st.decimals(min_value=-9_999_999_999, max_value=9_999_999_999, places=8))
def test_an_amount_is_taken_as_it_is(value: Decimal):
    assert amount(value, "price") == value
    assert amount(str(value), "price") == value
    assert amount(value, "price").as_tuple().exponent == -8


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.1, "a Decimal"),
        (True, "a Decimal"),
        (None, "a Decimal"),
        ("ten", "a number"),
        ("NaN", "a number"),
        (Decimal("Infinity"), "a number"),
        ("0.000000001", "at most 8 decimals"),
        ("10000000000", "less than 10,000,000,000 in size"),
        (Decimal("1e4000"), "less than 10,000,000,000 in size"),
    ],
)
def test_what_is_no_amount_is_refused_with_the_reason(value: object, expected: str):
    with pytest.raises(InvalidRequest) as rejected:
        amount(value, "price")  # type: ignore[arg-type]
    assert rejected.value.expected == expected
    assert rejected.value.remedy


@pytest.mark.parametrize("value", ["0", "-1", "-0.00000001"])
def test_a_price_is_more_than_nothing(value: str):
    assert amount(value, "commission") == Decimal(value)
    with pytest.raises(InvalidRequest, match="more than 0"):
        amount(value, "price", positive=True)


def test_rounding_is_half_to_even():
    assert [round_amount(Decimal(text)) for text in ("0.000000005", "0.000000015", "-0.000000025")] == [
        Decimal("0.00000000"),
        Decimal("0.00000002"),
        Decimal("-0.00000002"),
    ]
    many = Decimal("99999999999999999999.123456789012345678901234")
    assert round_cost(many) == many


def test_the_largest_amount_is_that_of_the_column():
    assert fits_amount(Decimal("9999999999.999999994"))
    assert not fits_amount(Decimal("9999999999.999999995"))
