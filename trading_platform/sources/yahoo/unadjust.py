"""Raw prices and amounts from Yahoo's, which are always adjusted for every split Yahoo knows.

Its column "Close" is adjusted for splits even with ``auto_adjust=False``. So are dividends, and volumes
inversely. "Adj Close" is adjusted for dividends, too, and is not used. Each split after a row is therefore undone,
including splits after the requested window.
"""

from __future__ import annotations

from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction

import polars as pl

from trading_platform.domain.market.corporate_actions import simplest_ratio
from trading_platform.domain.time import Window

_PRICES = ("open", "high", "low", "close")
_MOST_DECIMALS = 8

SINGLE = 6e-8
"""Yahoo's numbers have gone through single precision (24 bits): this is their relative uncertainty."""

SIXTH = 5e-7
"""And, if Yahoo divided them by a split's ratio, an uncertainty of half of their sixth decimal."""

_RATIO_TOLERANCE = Fraction(1, 10**6)


def splits_in(history: pl.DataFrame) -> list[tuple[datetime, Fraction]]:
    """The splits of a history (frame of ``HISTORY_SCHEMA``), by date: new shares per old one."""
    split_rows = history.filter(pl.col("split") > 0).select("date", "split")
    found = [(day, simplest_ratio(Fraction(ratio), _RATIO_TOLERANCE)) for day, ratio in split_rows.iter_rows()]
    return [(day, ratio) for day, ratio in found if ratio != 1]


def later_splits(dates: pl.Series, splits: list[tuple[datetime, Fraction]]) -> pl.Series:
    """For each date the product of the ratios of all splits after it."""
    product = Fraction(1)
    steps = []
    for day, ratio in sorted(splits, reverse=True):
        product *= ratio
        steps.append((day, float(product)))
    factors = pl.DataFrame(sorted(steps), schema={"until": dates.dtype, "ratio": pl.Float64()}, orient="row")
    found = pl.DataFrame({"date": dates}).join_asof(
        factors, left_on="date", right_on="until", strategy="forward", allow_exact_matches=False
    )
    return found["ratio"].fill_null(1.0)


def restore(history: pl.DataFrame, splits: list[tuple[datetime, Fraction]], window: Window) -> pl.DataFrame:
    """The rows of a window with the prices and volumes as traded.

    Yahoo's numbers contain the rounding of their adjustment. The price is the number of the fewest decimals
    within their uncertainty. Volumes are whole shares if a split had to be undone.

    Args:
        history: frame of ``HISTORY_SCHEMA``, sorted by time.
        splits: all since the window's start, by date.
        window: window of the rows.

    Returns:
        ``time``, ``open`` … ``close`` and ``volume`` as text; NULL if Yahoo has none.
    """
    rows = history.filter(pl.col("time").is_between(window.start, window.end, closed="left"))
    rows = rows.with_columns(ratio=later_splits(rows["date"], splits))
    whole = pl.when(pl.col("ratio") != 1).then((pl.col("volume") / pl.col("ratio")).round()).otherwise("volume")
    return rows.select(
        "time",
        *(
            _shortest(pl.col(name) * pl.col("ratio"), _uncertainty(pl.col(name), pl.col("ratio"))).alias(name)
            for name in _PRICES
        ),
        volume=_text(whole, _MOST_DECIMALS),
    )


def restored_amount(amount: float, ratio: float) -> Decimal:
    """A dividend in shares as of its date, from Yahoo's amount and the splits since."""
    row = pl.DataFrame({"amount": [amount], "ratio": [ratio]})
    text = row.select(
        _shortest(pl.col("amount") * pl.col("ratio"), _uncertainty(pl.col("amount"), pl.col("ratio")) + SIXTH)
    ).item()
    return Decimal(text).quantize(Decimal("1e-8"), ROUND_HALF_EVEN)


def _uncertainty(value: pl.Expr, ratio: pl.Expr) -> pl.Expr:
    divided = pl.when(ratio != 1).then(SIXTH * ratio).otherwise(0.0)
    return value.abs() * ratio * SINGLE + divided


def _shortest(value: pl.Expr, uncertainty: pl.Expr) -> pl.Expr:
    """The number of the fewest decimals within ``uncertainty`` of ``value``, as text.

    One that needs more than eight keeps all its digits; the rules reject it.
    """
    tries = [
        pl.when((value.round(decimals) - value).abs() <= uncertainty).then(_text(value, decimals))
        for decimals in range(_MOST_DECIMALS)
    ]
    rounded = (value.round(_MOST_DECIMALS) - value).abs() <= uncertainty
    whole = pl.when(value.is_finite()).then(value.cast(pl.String))
    return pl.coalesce(*tries, pl.when(rounded).then(_text(value, _MOST_DECIMALS)), whole)


def _text(value: pl.Expr, decimals: int) -> pl.Expr:
    return value.round(decimals).cast(pl.Decimal(38, decimals), strict=False).cast(pl.String)
