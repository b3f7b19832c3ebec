"""The formulas of features of a single symbol, over numpy arrays.

docs/features.md defines the conventions. Features that depend on other symbols are in
:mod:`trading_platform.domain.features.cross_section`.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from trading_platform.domain.derived.indicators import STANDSTILL
from trading_platform.domain.derived.smoothing import Floats, moving_deviation, moving_mean, returns
from trading_platform.domain.features.inputs import FeatureInputs

_HOUR = 3_600_000_000
_DAY = 24 * _HOUR
_HALF_LIFE = 6 * _HOUR
"""The age, in microseconds, at which an article weighs half."""


def returns_1d(inputs: FeatureInputs) -> Floats:
    """The simple return over one bar."""
    return _returns(inputs, 1)


def returns_5d(inputs: FeatureInputs) -> Floats:
    """The simple return over five bars."""
    return _returns(inputs, 5)


def returns_20d(inputs: FeatureInputs) -> Floats:
    """The simple return over twenty bars."""
    return _returns(inputs, 20)


def _returns(inputs: FeatureInputs, bars: int) -> Floats:
    return returns(inputs.frame["close"].to_numpy(), bars)


def volatility_20d(inputs: FeatureInputs) -> Floats:
    """The sample standard deviation of the last 20 daily returns."""
    daily = inputs.frame["returns_1d"].to_numpy()
    volatility = np.full(len(daily), np.nan)
    volatility[1:] = moving_deviation(daily[1:], 20, ddof=1)
    return volatility


def volume_ratio_20d(inputs: FeatureInputs) -> Floats:
    """The volume over its mean of 20 bars; NaN where one of them is unknown or all are 0."""
    volume = inputs.frame["volume"].to_numpy()
    mean = moving_mean(volume, 20)
    ratio = np.full(len(volume), np.nan)
    np.divide(volume, mean, out=ratio, where=mean > 0.0)
    return ratio


def bb_position(inputs: FeatureInputs) -> Floats:
    """Where the close stands between the Bollinger bands; NaN where they coincide.

    They do if their distance is a :data:`~trading_platform.domain.derived.indicators.STANDSTILL`.
    """
    columns = inputs.frame.select("close", "bb_lower", "bb_middle", "bb_upper").cast(pl.Float64)
    close, lower, middle, upper = (column.to_numpy() for column in columns)
    width = upper - lower
    position = np.full(len(close), np.nan)
    np.divide(close - lower, width, out=position, where=width > STANDSTILL * middle)
    return position


def news_sentiment_24h(inputs: FeatureInputs) -> Floats:
    """The mean sentiment of the day before a row was available, by confidence and age.

    An article counts from when it was seen until a day later, with the version of it that is the newest then.
    """
    rows = inputs.frame["available_at"].to_physical().to_numpy()
    news = inputs.news
    seen, known = (news[name].to_physical().to_numpy() for name in ("seen_at", "known_at"))
    until = news["until"].to_physical().fill_null(np.iinfo(np.int64).max).to_numpy()
    first = np.searchsorted(rows, np.maximum(seen, known))
    count = np.maximum(np.searchsorted(rows, np.minimum(until, seen + _DAY)) - first, 0)
    article = np.repeat(np.arange(len(seen)), count)
    row = np.repeat(first - np.cumsum(count) + count, count) + np.arange(int(count.sum()))
    weight = news["confidence"].to_numpy()[article] * np.exp2((seen[article] - rows[row]) / _HALF_LIFE)
    weights = np.bincount(row, weight, len(rows))
    sums = np.bincount(row, weight * news["sentiment"].to_numpy()[article], len(rows))
    mean: Floats = np.divide(sums, weights, out=np.full(len(rows), np.nan), where=weights > 0)
    return mean
