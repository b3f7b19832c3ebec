"""Corporate actions: splits and cash dividends.

:mod:`trading_platform.domain.market.adjustment` adjusts prices for them, :mod:`trading_platform.domain.derived.splits`
keeps features and indicators continuous across a split, and
:mod:`trading_platform.stores.market_data.corporate_actions` stores them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

import polars as pl

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.market.bars import PRICE, TIME


class ActionKind(StrEnum):
    """The kinds of corporate actions."""

    SPLIT = "split"
    DIVIDEND = "dividend"


@dataclass(frozen=True)
class CorporateAction:
    """A split or a cash dividend.

    Attributes:
        symbol: the platform's spelling.
        ex_date: midnight UTC of the date of the first session that trades ex, with prices after the action.
        kind: split or dividend.
        ratio: of a split, new shares per old one: 7 for 7:1, 1/10 for a reverse split of ten.
        amount: of a dividend, cash per share, in shares as of the ex-date.
        currency: of the amount; None if the source does not state it.
        close_before: of a dividend, raw close of the session before the ex-date; None if the source does not state it.
        source: source of the action.
        known_at: from when on it may be used, UTC: when it was announced, if the source states that; else
            when trading ex began.
    """

    symbol: str
    ex_date: datetime
    kind: ActionKind
    known_at: datetime
    source: str
    ratio: Fraction | None = None
    amount: Decimal | None = None
    currency: str | None = None
    close_before: Decimal | None = None

    def __post_init__(self) -> None:
        is_split = self.kind is ActionKind.SPLIT
        terms = self.ratio if is_split else self.amount
        if terms is None or terms <= 0 or (self.amount if is_split else self.ratio) is not None:
            raise InvalidRequest(
                f"The {self.kind} of {self.symbol} on {self.ex_date:%Y-%m-%d} has invalid terms.",
                expected="a ratio above 0 for a split, an amount above 0 for a dividend, and not the other",
                received=f"ratio {self.ratio}, amount {self.amount}",
                remedy="correct the action",
            )

    @property
    def terms(self) -> str:
        """Ratio or amount as a person writes it: ``7:1``, ``0.82 USD``."""
        if self.ratio is not None:
            return f"{self.ratio.numerator}:{self.ratio.denominator}"
        return f"{(self.amount or Decimal(0)).normalize():f} {self.currency or ''}".strip()


def simplest_ratio(value: Fraction, tolerance: Fraction) -> Fraction:
    """The ratio of the smallest numbers that deviates from ``value`` by at most the share ``tolerance`` of it.

    It recovers terms that a vendor rounded: 6.9999934 is 7, 0.66666667 is 2:3.
    """
    return _simplest_between(value * (1 - tolerance), value * (1 + tolerance))


def _simplest_between(low: Fraction, high: Fraction) -> Fraction:
    whole = low.numerator // low.denominator
    if whole == low:
        return low
    if whole + 1 <= high:
        return Fraction(whole + 1)
    return whole + 1 / _simplest_between(1 / (high - whole), 1 / (low - whole))


ACTION_SCHEMA: dict[str, pl.DataType] = {
    "symbol": pl.String(),
    "ex_date": TIME,
    "kind": pl.String(),
    "new_shares": pl.Int64(),
    "old_shares": pl.Int64(),
    "amount": PRICE,
    "currency": pl.String(),
    "source": pl.String(),
    "known_at": TIME,
}
"""One row per action; ``new_shares`` and ``old_shares`` are the terms of a split, NULL for a dividend."""


def actions_frame(actions: Iterable[CorporateAction]) -> pl.DataFrame:
    """Actions as a frame of :data:`ACTION_SCHEMA`, in the given order."""
    rows = [
        (
            action.symbol,
            action.ex_date,
            action.kind.value,
            action.ratio.numerator if action.ratio else None,
            action.ratio.denominator if action.ratio else None,
            action.amount,
            action.currency,
            action.source,
            action.known_at,
        )
        for action in actions
    ]
    return pl.DataFrame(rows, schema=ACTION_SCHEMA, orient="row")
