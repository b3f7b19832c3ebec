"""The technical indicators of the platform: their specifications, and their computation from bars.

docs/indicators.md defines conventions, formulas and their sources; the moving means they use are
in :mod:`trading_platform.domain.derived.smoothing`. Features built on them are in
:mod:`trading_platform.domain.features`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from trading_platform.domain.derived.gaps import BRIDGED, NO_GAPS, Counts, Gaps, lacking_before, segments
from trading_platform.domain.derived.smoothing import (
    Floats,
    exponential_mean,
    moving_deviation,
    moving_mean,
    wilder_mean,
)
from trading_platform.domain.derived.splits import NO_SPLITS, Splits, shares_held
from trading_platform.domain.errors import InvalidRequest, QualityError
from trading_platform.domain.market.bars import PRICES, TIME


@dataclass(frozen=True)
class IndicatorSpec:
    """The specification of an indicator.

    Attributes:
        name: its column, and its name in ``market_data.indicators``.
        description: its meaning, one sentence.
        formula: its formula, in the notation of docs/indicators.md.
        range: lowest and highest value it can take for positive prices; None for no bound.
        first_row: index of the first defined value of a fresh series; rows before are NULL.
    """

    name: str
    description: str
    formula: str
    range: tuple[float | None, float | None]
    first_row: int

    @property
    def is_price(self) -> bool:
        """Whether its unit is the price, so that it is split-adjusted as of the bar's date; a percentage is not."""
        return self.range != _PERCENT


_POSITIVE = (0.0, None)
_PERCENT = (0.0, 100.0)
_ANY = (None, None)

INDICATORS: dict[str, IndicatorSpec] = {
    spec.name: spec
    for spec in (
        IndicatorSpec("sma_20", "Simple moving average of 20 closes", "mean(close, 20)", _POSITIVE, 19),
        IndicatorSpec("sma_50", "Simple moving average of 50 closes", "mean(close, 50)", _POSITIVE, 49),
        IndicatorSpec("sma_200", "Simple moving average of 200 closes", "mean(close, 200)", _POSITIVE, 199),
        IndicatorSpec("ema_12", "Exponential moving average of 12 closes", "ema(close, 12)", _POSITIVE, 11),
        IndicatorSpec("ema_26", "Exponential moving average of 26 closes", "ema(close, 26)", _POSITIVE, 25),
        IndicatorSpec(
            "rsi_14",
            "Relative strength index: share of the upward moves in all moves; NULL while the price stands still",
            "100 · wilder(gain, 14) / (wilder(gain, 14) + wilder(loss, 14))",
            _PERCENT,
            14,
        ),
        IndicatorSpec("macd_line", "Distance of the fast from the slow average", "ema_12 - ema_26", _ANY, 25),
        IndicatorSpec("macd_signal", "Smoothed MACD line", "ema(macd_line, 9)", _ANY, 33),
        IndicatorSpec("macd_hist", "Distance of the MACD line from its signal", "macd_line - macd_signal", _ANY, 33),
        IndicatorSpec("atr_14", "Average true range: the usual move of a bar", "wilder(true_range, 14)", _POSITIVE, 14),
        IndicatorSpec("bb_upper", "Upper Bollinger band", "sma_20 + 2 · sd(close, 20)", _POSITIVE, 19),
        IndicatorSpec("bb_middle", "Middle Bollinger band", "sma_20", _POSITIVE, 19),
        IndicatorSpec("bb_lower", "Lower Bollinger band", "sma_20 - 2 · sd(close, 20)", _ANY, 19),
        IndicatorSpec(
            "adx_14",
            "Average directional index: how strong the trend is, whichever way it goes",
            "wilder(100 · |DM⁺ - DM⁻| / (DM⁺ + DM⁻), 14) with DM± = wilder(±dm, 14)",
            _PERCENT,
            27,
        ),
    )
}
"""All indicators by name, in the order of their columns."""

INDICATOR_NAMES: tuple[str, ...] = tuple(INDICATORS)

INDICATOR_SCHEMA: dict[str, pl.DataType] = {
    "time": TIME,
    "symbol": pl.String(),
    "timeframe": pl.String(),
    **dict.fromkeys(INDICATOR_NAMES, pl.Float64()),
}
"""One row per bar, NULL where an indicator is not defined."""

STANDSTILL = 1e-9
"""An average move of at most this share of the price counts as none. Far below one tick a bar
(0.01 on 100,000 is 1e-7), far above the rounding of a difference of prices (1e-16)."""

_OF_CHANGES = frozenset({"rsi_14", "atr_14", "adx_14"})

WARM_UP = 700
"""Bars a partition must load before its first one so that its values equal those of the full
history to 1e-9. ADX has the slowest decay: Wilder's (13/14)^n applied twice, measured against moves as
small as :data:`STANDSTILL`; (13/14)^700 is 3e-23. docs/indicators.md has the calculation."""


def compute_indicators(bars: pl.DataFrame, splits: Splits = NO_SPLITS, gaps: Gaps = NO_GAPS) -> pl.DataFrame:
    """All indicators of each bar, from it and the earlier bars of its symbol, split-adjusted as of the bar's date.

    Indicators of changes from bar to bar begin again after each gap, averages after one of more than
    :data:`~trading_platform.domain.derived.gaps.BRIDGED` bars.

    Args:
        bars: raw, frame of ``BAR_SCHEMA``, any number of symbols, one timeframe, sorted by (symbol, time).
        splits: of these symbols, with the time from which bars are in new shares.
        gaps: of these symbols, between the bars.

    Returns:
        Frame of :data:`INDICATOR_SCHEMA`, one row per bar in the same order; NULL, never NaN, where
        an indicator is not defined.

    Raises:
        InvalidRequest: if the bars are of several timeframes or not sorted.
        QualityError: if a price is missing.
    """
    check_bars(bars)
    prices = {name: bars[name].cast(pl.Float64).to_numpy() for name in ("high", "low", "close")}
    results = {name: np.full(bars.height, np.nan) for name in INDICATOR_NAMES}
    for symbol, rows in runs(bars["symbol"]):
        held = shares_held(bars["time"][rows], splits[symbol]) if symbol in splits else None
        high, low, close = (prices[name][rows] if held is None else prices[name][rows] * held for name in prices)
        values = indicator_values(high, low, close, lacking_before(bars["time"][rows], gaps.get(symbol, ())))
        for name, spec in INDICATORS.items():
            results[name][rows] = values[name] if held is None or not spec.is_price else values[name] / held
    return bars.select(
        "time", "symbol", "timeframe", *(pl.Series(name, results[name], nan_to_null=True) for name in INDICATOR_NAMES)
    )


def check_bars(bars: pl.DataFrame) -> None:
    """Rejects bars that nothing can be computed from.

    Raises:
        InvalidRequest: if they are of several timeframes or not sorted by (symbol, time).
        QualityError: if a price is missing.
    """
    if bars["timeframe"].n_unique() > 1:
        raise InvalidRequest(
            "Indicators are computed for one timeframe at a time.",
            expected="bars of one timeframe",
            received=", ".join(bars["timeframe"].unique().sort().to_list()),
            remedy="filter the bars by timeframe first",
        )
    advances = (pl.col("symbol") > pl.col("symbol").shift()) | (
        (pl.col("symbol") == pl.col("symbol").shift()) & (pl.col("time") > pl.col("time").shift())
    )
    if not bars.select(advances.all()).item():
        raise InvalidRequest(
            "Indicators need their bars in order.",
            expected="bars sorted by symbol and time, each once",
            received="bars out of order or repeated",
            remedy="sort them by (symbol, time) and drop repeated ones first",
        )
    missing = bars.select(pl.col(PRICES).null_count()).row(0, named=True)
    if any(missing.values()):
        raise QualityError(
            "Indicators cannot be computed from bars without a price.",
            expected="every price present",
            received=", ".join(f"{count} missing {name}" for name, count in missing.items() if count),
            remedy="read the bars from the store again, or quarantine these rows",
        )


def runs(symbols: pl.Series) -> Iterator[tuple[str, slice]]:
    """The symbols of a sorted column and their rows, in order."""
    start = 0
    for length, symbol in symbols.rle().struct.unnest().iter_rows():
        yield symbol, slice(start, start + length)
        start += length


def indicator_values(high: Floats, low: Floats, close: Floats, lacking: Counts) -> dict[str, Floats]:
    """All indicators of one symbol, NaN where they are not defined.

    Args:
        high: highest prices; no price jumps at a split.
        low: lowest prices.
        close: last prices.
        lacking: number of expected bars lacking before each bar.
    """
    averages = [_averages(close[rows]) for rows in segments(lacking, BRIDGED)]
    changes = [_changes(high[rows], low[rows], close[rows]) for rows in segments(lacking, 0)]
    return {name: np.concatenate([part[name] for part in parts]) for parts in (averages, changes) for name in parts[0]}


def computation_of(name: str) -> Callable[..., dict[str, Floats]]:
    """The function that computes an indicator, whose code is the indicator's definition."""
    return _changes if name in _OF_CHANGES else _averages


def _averages(close: Floats) -> dict[str, Floats]:
    """The indicators made of averages of closes."""
    mean = moving_mean(close, 20)
    width = 2.0 * moving_deviation(close, 20)
    fast, slow = exponential_mean(close, 12), exponential_mean(close, 26)
    line = fast - slow
    signal = _after(line, 25, exponential_mean(line[25:], 9))
    return {
        "sma_20": mean,
        "sma_50": moving_mean(close, 50),
        "sma_200": moving_mean(close, 200),
        "ema_12": fast,
        "ema_26": slow,
        "macd_line": line,
        "macd_signal": signal,
        "macd_hist": line - signal,
        "bb_upper": mean + width,
        "bb_middle": mean,
        "bb_lower": mean - width,
    }


def _changes(high: Floats, low: Floats, close: Floats) -> dict[str, Floats]:
    """The indicators made of changes from one bar to the next."""
    return {
        "rsi_14": relative_strength(close, 14),
        "atr_14": average_true_range(high, low, close, 14),
        "adx_14": directional_index(high, low, close, 14),
    }


def _after(like: Floats, offset: int, values: Floats) -> Floats:
    """``values`` from row ``offset`` on, in an array as long as ``like``; NaN before."""
    laid = np.full(len(like), np.nan)
    laid[offset:] = values
    return laid


def relative_strength(close: Floats, period: int) -> Floats:
    """Wilder's relative strength index; NaN where the average move is a :data:`STANDSTILL`.

    TA-Lib treats any average below 1e-14 as zero, at any price level, and returns 0 there.
    """
    if len(close) <= period:
        return np.full(len(close), np.nan)
    change = np.diff(close)
    gain = wilder_mean(np.maximum(change, 0.0), period)
    moved = gain + wilder_mean(np.maximum(-change, 0.0), period)
    defined = moved > STANDSTILL * close[1:]
    strength = np.full(len(change), np.nan)
    np.divide(100.0 * gain, moved, out=strength, where=defined)
    return _after(close, 1, strength)


def average_true_range(high: Floats, low: Floats, close: Floats, period: int) -> Floats:
    """Wilder's average true range; the first true range is that of the second bar."""
    import talib

    if len(close) <= period:
        return np.full(len(close), np.nan)
    average: Floats = talib.ATR(high, low, close, period)
    return average


def directional_index(high: Floats, low: Floats, close: Floats, period: int) -> Floats:
    """Wilder's average directional index; a bar without any directional movement counts as 0.

    The true range is in both the numerator and the denominator of the index and cancels, so it is left out.
    """
    if len(close) < 2 * period:
        return np.full(len(close), np.nan)
    up, down = np.diff(high), -np.diff(low)
    plus = wilder_mean(np.where((up > down) & (up > 0.0), up, 0.0), period)[period - 1 :]
    minus = wilder_mean(np.where((down > up) & (down > 0.0), down, 0.0), period)[period - 1 :]
    moved = plus + minus
    index = np.zeros(len(moved))
    np.divide(100.0 * np.abs(plus - minus), moved, out=index, where=moved > STANDSTILL * close[period:])
    return _after(close, period, wilder_mean(index, period))
