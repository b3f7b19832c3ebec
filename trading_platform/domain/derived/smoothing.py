"""Moving means and deviations over numpy arrays; indicators and features are built on them.

Every value depends only on its own window (moving means, deviations) or forgets its past geometrically
(exponential means). So a series computed from the middle agrees with one computed from the beginning.
No running sum is used, because it would accumulate the rounding errors of all earlier values. Indicators
are in :mod:`trading_platform.domain.derived.indicators`.

All functions take one-dimensional float64 arrays without gaps and return an array of the same
length, NaN where the value is not defined yet.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_BLOCK = 8192  # windows computed at once: the arrays of one block stay in the processor's cache


def returns(values: Floats, period: int) -> Floats:
    """The simple return over ``period`` rows: value / value before - 1."""
    result = np.full(len(values), np.nan)
    result[period:] = values[period:] / values[:-period] - 1.0
    return result


def moving_mean(values: Floats, period: int) -> Floats:
    """The mean of the last ``period`` values.

    The sums are built by doubling (2, 4, 8 … neighbours), in the same order for each window: equal
    windows give bit-identical results at any position in a series.
    """
    mean = np.full(len(values), np.nan)
    if len(values) < period:
        return mean
    windows = len(values) - period + 1
    sums = np.zeros(windows)
    part, length, covered = values, 1, 0
    while length <= period:
        if period & length:
            sums += part[covered : covered + windows]
            covered += length
        if 2 * length <= period:
            part = part[:-length] + part[length:]
        length *= 2
    mean[period - 1 :] = sums / period
    return mean


def moving_deviation(values: Floats, period: int, ddof: int = 0) -> Floats:
    """The standard deviation of the last ``period`` values.

    Values are taken relative to the first one of their window. As that value is itself part of
    the window, at most a factor ``period`` is lost to cancellation at any price level, and a flat
    window gives exactly 0.

    Args:
        values: the series.
        period: length of the window.
        ddof: 0 for the deviation of a population, 1 for that of a sample.
    """
    deviation = np.full(len(values), np.nan)
    for start in range(0, len(values) - period + 1, _BLOCK):
        stop = min(start + _BLOCK, len(values) - period + 1)
        first = values[start:stop]
        total, squares = np.zeros(stop - start), np.zeros(stop - start)
        for step in range(1, period):
            difference = values[start + step : stop + step] - first
            total += difference
            squares += difference * difference
        spread = np.maximum(squares - total * total / period, 0.0)
        deviation[start + period - 1 : stop + period - 1] = np.sqrt(spread / (period - ddof))
    return deviation


def exponential_mean(values: Floats, period: int) -> Floats:
    """The exponential mean with weight 2 / (period + 1), seeded with the mean of the first ``period`` values."""
    import talib

    if len(values) < period:
        return np.full(len(values), np.nan)
    mean: Floats = talib.EMA(values, period)
    return mean


def wilder_mean(values: Floats, period: int) -> Floats:
    """Wilder's smoothing (weight 1 / period), seeded with the mean of the first ``period`` values.

    It equals the exponential mean of period 2 * period - 1 except for its seed. The seed is therefore
    prepended as often as that mean needs to start from it.
    """
    mean = np.full(len(values), np.nan)
    if len(values) < period:
        return mean
    span = 2 * period - 1
    seeded = np.concatenate([np.full(span, values[:period].mean()), values[period:]])
    mean[period - 1 :] = exponential_mean(seeded, span)[span - 1 :]
    return mean
