"""LEAN's factor files: the cumulative factors of all later splits and dividends, one row per step.

Recognised by :mod:`trading_platform.sources.files.actions.read_actions`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from itertools import pairwise

from trading_platform.domain.market.calendars import day_begins, next_session
from trading_platform.domain.market.corporate_actions import ActionKind, CorporateAction, simplest_ratio
from trading_platform.domain.rejection_reasons import Reason
from trading_platform.sources.files.actions.action_rows import (
    ActionsReading,
    Collected,
    FileRow,
    RowRejected,
    read_date,
    read_number,
)
from trading_platform.sources.files.reading import SOURCE

FACTOR_COLUMNS = 4
"""Date, price factor, split factor, reference price."""

_FACTOR_STEP = Decimal("0.00000005")
"""LEAN rounds its factors to seven decimals: each is known to half of the last."""
_SPLIT_TOLERANCE = Fraction(1, 100_000)
_MOST_DIGITS = 8


def read_factors(lines: Sequence[FileRow], symbol: str, calendar: str) -> ActionsReading:
    """The splits and dividends in the steps of a factor file.

    Args:
        lines: its rows.
        symbol: symbol of the file.
        calendar: calendar of the exchange, which gives the session after a row's date.
    """
    found = Collected()
    parsed: list[tuple[FileRow, datetime, tuple[Decimal, ...]]] = []
    for row in lines:
        try:
            date = read_date(row[1][0], "%Y%m%d", after=parsed[-1][1] if parsed else None)
            factors = tuple(read_number(cell, name) for cell, name in zip(row[1][1:3], ("price", "split"), strict=True))
            reference = read_number(row[1][3], "reference price", least=Decimal(0))
        except RowRejected as rejection:
            found.reject(row, rejection)
        else:
            parsed.append((row, date, (*factors, reference)))
    for (row, date, before), (_, _, after) in pairwise(parsed):
        ex_date = next_session(calendar, date)
        try:
            for action in _steps(symbol, ex_date, day_begins(calendar, ex_date), before, after):
                found.add(action)
        except RowRejected as rejection:
            found.reject(row, rejection, date)
    return found.reading("LEAN factor file", len(lines))


def _steps(
    symbol: str, ex_date: datetime, known_at: datetime, before: tuple[Decimal, ...], after: tuple[Decimal, ...]
) -> Iterator[CorporateAction]:
    """The split and the dividend in the step from one row's factors to the next row's."""
    ratio = Fraction(1)
    if before[1] != after[1]:
        ratio = simplest_ratio(Fraction(after[1]) / Fraction(before[1]), _SPLIT_TOLERANCE)
        if ratio != 1:
            yield CorporateAction(symbol, ex_date, ActionKind.SPLIT, known_at, SOURCE, ratio=ratio)
    if before[0] == after[0]:
        return
    amount = before[2] * (1 - before[0] / after[0])
    uncertainty = before[2] * 2 * _FACTOR_STEP / after[0]
    if amount <= 0:
        raise RowRejected(Reason.OUT_OF_RANGE, f"a dividend of {amount:.4f}: a price factor or reference is wrong")
    amount /= Decimal(ratio.numerator) / Decimal(ratio.denominator)
    yield CorporateAction(
        symbol,
        ex_date,
        ActionKind.DIVIDEND,
        known_at,
        SOURCE,
        amount=_shortest(amount, uncertainty),
        close_before=before[2].quantize(Decimal(1).scaleb(-_MOST_DIGITS), ROUND_HALF_EVEN),
    )


def _shortest(value: Decimal, uncertainty: Decimal) -> Decimal:
    """The number of the fewest digits within the uncertainty of ``value``."""
    for digits in range(1, _MOST_DIGITS):
        rounded = value.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_EVEN)
        if rounded > 0 and abs(rounded - value) <= uncertainty:
            return rounded
    return value.quantize(Decimal(1).scaleb(-_MOST_DIGITS), ROUND_HALF_EVEN)
