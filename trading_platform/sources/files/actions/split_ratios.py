"""Ratios of splits as files write them: ``7:1``, ``1/30``, ``1.5``, and decimals that a vendor rounded."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from trading_platform.domain.market.corporate_actions import simplest_ratio
from trading_platform.domain.rejection_reasons import Reason
from trading_platform.sources.files.actions.action_rows import RowRejected, read_number

_MOST_SHARES = 10**9
_USUAL = 21
"""The terms of splits and stock dividends are whole numbers up to here; 21:20 is a stock dividend of 5 %."""

_PERCENT = 10
_COARSE = Fraction(1, 1000)


def read_ratio(text: str) -> Fraction:
    """New shares per old one.

    A decimal stands for the simplest ratio that gives it within its digits, if its digits are enough to know it:
    0.033333 and 0.0333 are 1:30, 0.667 is 2:3; 1.5 and 0.1 are what they are.

    Raises:
        RowRejected: if it is not a ratio, or a decimal that two ratios give.
    """
    new, _, old = text.replace("/", ":").partition(":")
    ratio = _term(new) / _term(old or "1")
    if max(ratio.numerator, ratio.denominator) > _MOST_SHARES or ratio == 1:
        raise RowRejected(Reason.OUT_OF_RANGE, f"{text} is not the ratio of a split")
    return ratio


def _term(text: str) -> Fraction:
    value = read_number(text, "ratio")
    exact = Fraction(value)
    digits = -int(value.as_tuple().exponent)
    if digits <= 0:
        return exact
    half = Fraction(1, 2 * 10**digits)
    # A little less than half a digit, because a number at the edge may be rounded either way.
    simple = simplest_ratio(exact, half / exact * Fraction(999, 1000)) if half < exact else exact
    is_known = simple.denominator**2 <= 10**digits
    if simple == exact:
        return exact
    if is_known and not _is_usual(exact):
        return simple
    if not is_known and (_is_usual(exact) or half / exact <= _COARSE):
        return exact
    raise RowRejected(
        Reason.UNSUPPORTED,
        f"{_shown(value)} can be {_words(exact)} or about {_words(simple)}; write the ratio with a colon",
    )


def _is_usual(ratio: Fraction) -> bool:
    if ratio.numerator == 1 or ratio.denominator == 1 or max(ratio.numerator, ratio.denominator) <= _USUAL:
        return True
    percent = (ratio - 1) * 100
    return percent.denominator == 1 and 0 < percent <= _PERCENT


def _words(ratio: Fraction) -> str:
    return f"{ratio.numerator}:{ratio.denominator}"


def _shown(value: Decimal) -> str:
    return f"{value:f}"
