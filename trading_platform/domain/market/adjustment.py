"""Point-in-time adjustment of prices for splits and dividends, applied when bars are read.

Stored bars are raw: as traded. An adjusted price is in the shares of the ``as_of`` time and depends on no later action.
The actions are those of :mod:`trading_platform.domain.market.corporate_actions`;
:mod:`trading_platform.workflows.corporate_actions.adjust` reads the inputs from the stores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

import polars as pl

from trading_platform.domain.errors import InvalidRequest, QualityError
from trading_platform.domain.market.bars import PRICE, PRICES, TIME, VOLUME
from trading_platform.domain.market.corporate_actions import CorporateAction
from trading_platform.domain.texts import shown

STALE_CLOSE = timedelta(days=14)
"""A close older than this is not the close of the session before an ex-date; longer than any exchange's holidays."""

_FINEST = 10**12
"""Largest denominator of a factor: a price times it, or a volume times a numerator like it, fits 128 bits."""

_LARGEST_ERROR = Fraction(1, 10**9)
"""Relative error of a factor of 12 digits that is far below that of a price of ten."""


class Adjustment(StrEnum):
    """Which prices are read."""

    RAW = "raw"
    SPLIT = "split"
    TOTAL_RETURN = "total_return"


def parse_adjustment(text: str) -> Adjustment:
    """The adjustment of that name.

    Raises:
        InvalidRequest: if there is none.
    """
    try:
        return Adjustment(text)
    except ValueError:
        raise InvalidRequest(
            f"Bars cannot be adjusted by {shown(text)}.",
            expected=", ".join(Adjustment),
            received=shown(text),
            remedy="use raw for prices as traded, split for today's shares, total_return to reinvest dividends, too",
        ) from None


Closes = Mapping[tuple[str, datetime], tuple[datetime, Decimal]]
"""By symbol and ex-date, date and raw close of the last session before it: of a stored bar, or from the source."""

_FACTORS = ["price_up", "price_down", "volume_up", "volume_down"]

ExMoment = Callable[[CorporateAction], datetime]
"""The time from which bars are ex: midnight UTC of the date for daily bars, the beginning of that day at the exchange
for intraday ones (:func:`trading_platform.domain.market.calendars.day_begins`)."""


def adjust_bars(
    bars: pl.DataFrame,
    actions: Sequence[CorporateAction],
    closes: Closes,
    adjust: Adjustment,
    as_of: datetime,
    ex_timestamp: ExMoment,
) -> pl.DataFrame:
    """The bars, point-in-time as of ``as_of``, in the shares of that time.

    A split of ``r`` new shares per old one divides earlier prices by ``r`` and multiplies earlier volumes
    by it. A dividend of ``D`` multiplies earlier prices by ``1 - D / C``, where ``C`` is the raw close of the
    session before the ex-date: the convention of CRSP's returns and of Yahoo's "Adj Close". Where a split has
    the same ex-date, ``C`` is taken in the new shares, as ``D`` is. The factors of several actions are multiplied
    exactly; prices and volumes are rounded once, to 8 decimals, half up.

    Args:
        bars: raw, frame of ``BAR_SCHEMA``, sorted by (symbol, time), of one timeframe.
        actions: of these symbols; no two of one symbol, date and kind.
        closes: for total return, the raw close before each dividend's ex-date.
        adjust: what to adjust for.
        as_of: actions that were not known or not in force by then do not count.
        ex_timestamp: gives the time from which bars are ex.

    Returns:
        Frame of ``BAR_SCHEMA``; bars that no action affects are unchanged.

    Raises:
        QualityError: if the close before a dividend is unknown or not above the dividend, or a result is too large.
    """
    firsts = dict(bars.group_by("symbol").agg(pl.col("time").min()).iter_rows()) if actions else {}
    counted = [
        action
        for action in actions
        if action.symbol in firsts
        and firsts[action.symbol] < ex_timestamp(action) <= as_of
        and action.known_at <= as_of
    ]
    if adjust is Adjustment.RAW or not counted:
        return bars
    steps = _steps(counted, closes if adjust is Adjustment.TOTAL_RETURN else None, ex_timestamp)
    return _apply(bars, steps)


_STEP_SCHEMA: dict[str, pl.DataType] = {
    "symbol": pl.String(),
    "until": TIME,
    "price_up": pl.Int64(),
    "price_down": pl.Int64(),
    "volume_up": pl.Int64(),
    "volume_down": pl.Int64(),
}
"""Applies to bars before ``until`` and not before the previous ``until``: prices are multiplied by ``price_up /
price_down``, volumes by ``volume_up / volume_down``."""


def _steps(actions: Sequence[CorporateAction], closes: Closes | None, ex_timestamp: ExMoment) -> pl.DataFrame:
    of_symbol: dict[str, dict[datetime, list[CorporateAction]]] = {}
    for action in actions:
        of_symbol.setdefault(action.symbol, {}).setdefault(ex_timestamp(action), []).append(action)
    rows = []
    for symbol, timestamps in of_symbol.items():
        price = volume = Fraction(1)
        for timestamp in sorted(timestamps, reverse=True):
            split = next((action.ratio for action in timestamps[timestamp] if action.ratio is not None), Fraction(1))
            price, volume = price / split, volume * split
            if closes is not None:
                price *= _dividend_factor(timestamps[timestamp], split, closes)
            rows.append((symbol, timestamp, *_pair(price), *_pair(volume)))
    return pl.DataFrame(rows, schema=_STEP_SCHEMA, orient="row").sort("symbol", "until")


def _dividend_factor(actions: Iterable[CorporateAction], split: Fraction, closes: Closes) -> Fraction:
    factor = Fraction(1)
    for action in actions:
        if action.amount is None:
            continue
        date, close = closes.get((action.symbol, action.ex_date), (None, Decimal(0)))
        paid, worth = Fraction(action.amount), Fraction(close) / split
        if date is None or action.ex_date - date > STALE_CLOSE or paid >= worth:
            raise QualityError(
                f"{action.symbol} cannot be adjusted for its dividend of {action.terms} on {action.ex_date:%Y-%m-%d}.",
                expected="a daily bar of the session before it, with a close above it",
                received=f"a close of {close.normalize():f} on {date:%Y-%m-%d}" if date else "no daily bar before it",
                remedy="backfill the daily bars before that date, import a factor file, which has that close, or "
                "correct the dividend; "
                "adjust='split' needs neither",
            )
        factor *= 1 - paid / worth
    return factor


def _pair(factor: Fraction) -> tuple[int, int]:
    """Numerator and denominator, limited to 12 digits if the exact ones are too long to compute with.

    Raises:
        QualityError: if the factor is so large or so small that 12 digits are another factor.
    """
    if max(factor.numerator, factor.denominator) <= _FINEST:
        return factor.numerator, factor.denominator
    whole = int(factor)
    limited = factor.limit_denominator(_FINEST // max(1, whole)) if whole <= _FINEST else Fraction(0)
    if abs(limited - factor) > factor * _LARGEST_ERROR:
        raise _beyond_all_prices()
    return limited.numerator, limited.denominator


def _beyond_all_prices() -> QualityError:
    return QualityError(
        "An adjusted price or volume is too large to be stored.",
        expected=f"prices below {10**10:,}, volumes below {10**16:,}",
        received="splits that scale it beyond them",
        remedy="find the wrong split with `trading-platform corporate-actions list` and remove it",
    )


def _apply(bars: pl.DataFrame, steps: pl.DataFrame) -> pl.DataFrame:
    found = bars.select("symbol", "time").join_asof(
        steps,
        left_on="time",
        right_on="until",
        by="symbol",
        strategy="forward",
        allow_exact_matches=False,
        check_sortedness=False,
    )
    factors = found.select(pl.col(name).fill_null(1).cast(pl.Int128) for name in _FACTORS)
    products = [_times(name, "price_up", "price_down", PRICE) for name in PRICES]
    products.append(_times("volume", "volume_up", "volume_down", VOLUME))
    try:
        return bars.hstack(factors).with_columns(products).drop(_FACTORS)
    except pl.exceptions.InvalidOperationError:
        raise _beyond_all_prices() from None


def _times(name: str, up: str, down: str, dtype: pl.DataType) -> pl.Expr:
    units, twice = pl.col(name).to_physical().cast(pl.Int128), pl.lit(2, dtype=pl.Int128)
    rounded = (units * pl.col(up) * twice + pl.col(down)) // (pl.col(down) * twice)
    return (
        (rounded.cast(pl.Decimal(38, 0)) * pl.lit(Decimal("0.00000001"), dtype=pl.Decimal(9, 8)))
        .cast(dtype)
        .alias(name)
    )
