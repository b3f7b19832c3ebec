"""Decimal ratios of splits are the ratios that they were rounded from."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from trading_platform.sources.files.actions.action_rows import RowRejected
from trading_platform.sources.files.actions.split_ratios import read_ratio


@pytest.mark.parametrize(
    ("text", "ratio"),
    [
        ("0.033333", Fraction(1, 30)),
        ("0.0333", Fraction(1, 30)),
        ("0.03333333333333333", Fraction(1, 30)),
        ("3.3333e-2", Fraction(1, 30)),
        ("1:30", Fraction(1, 30)),
        ("1/30", Fraction(1, 30)),
        ("0.667", Fraction(2, 3)),
        ("1.3333", Fraction(4, 3)),
        ("0.142857", Fraction(1, 7)),
        ("0.028571", Fraction(1, 35)),
        ("0.066667", Fraction(1, 15)),
        ("1.5", Fraction(3, 2)),
        ("0.1", Fraction(1, 10)),
        ("0.100000", Fraction(1, 10)),
        ("0.05", Fraction(1, 20)),
        ("0.0625", Fraction(1, 16)),
        ("1.05", Fraction(21, 20)),
        ("1.03", Fraction(103, 100)),
        ("7", Fraction(7)),
        ("7.0", Fraction(7)),
        ("4:1", Fraction(4)),
    ],
)
def test_a_ratio(text: str, ratio: Fraction) -> None:
    assert read_ratio(text) == ratio


@pytest.mark.parametrize("text", ["0.3", "1.3", "0.03", "0.07", "0.7"])
def test_a_decimal_of_two_meanings_is_refused(text: str) -> None:
    with pytest.raises(RowRejected, match="write the ratio with a colon"):
        read_ratio(text)


@pytest.mark.parametrize("text", ["", "0", "1", "1.0", "-2", "nan", "x", "1:0", "1e12"])
def test_no_ratio(text: str) -> None:
    with pytest.raises(RowRejected):
        read_ratio(text)


@given(shares=st.integers(2, 400), digits=st.integers(6, 12), forward=st.booleans())
def test_every_rounded_reverse_split_is_recovered(shares: int, digits: int, *, forward: bool) -> None:
    ratio = Fraction(shares) if forward else Fraction(1, shares)
    assume(ratio * 2 * 10**digits % 2 != 1)  # in the middle of two decimals, which rules of rounding tell apart
    assert read_ratio(f"{float(ratio):.{digits}f}") == ratio


@given(st.integers(1, 10), st.integers(2, 10), st.integers(4, 10))
def test_every_rounded_ratio_of_small_numbers_is_recovered(new: int, old: int, digits: int) -> None:
    if new != old:
        assert read_ratio(f"{new / old:.{digits}f}") == Fraction(new, old)
