"""The features' definitions written out row by row in plain Python, to compare the platform's with."""

from __future__ import annotations

import statistics
from datetime import datetime, timedelta
from itertools import pairwise

Values = list[float | None]


def returns(close: list[float], n: int) -> Values:
    return [None if t < n else close[t] / close[t - n] - 1 for t in range(len(close))]


def volatility(close: list[float]) -> Values:
    daily = returns(close, 1)
    return [None if t < 20 else statistics.stdev(daily[t - 19 : t + 1]) for t in range(len(close))]


def mean_of_last(values: list[float], n: int) -> Values:
    return [None if t < n - 1 else statistics.fmean(values[t - n + 1 : t + 1]) for t in range(len(values))]


def volume_ratio(volume: list[float]) -> Values:
    return [m and v / m for v, m in zip(volume, mean_of_last(volume, 20), strict=True)]


def sma_ratio(close: list[float]) -> Values:
    return [m and c / m for c, m in zip(close, mean_of_last(close, 50), strict=True)]


def bb_position(close: list[float]) -> Values:
    found: Values = []
    for t in range(len(close)):
        if t < 19:
            found.append(None)
            continue
        window = close[t - 19 : t + 1]
        middle, deviation = statistics.fmean(window), statistics.pstdev(window)
        found.append((close[t] - (middle - 2 * deviation)) / (4 * deviation))
    return found


def smoothed(values: list[float], weight: float, seed_of: int) -> Values:
    """An exponential mean of that weight, seeded with the plain mean of the first values."""
    found: Values = [None] * (seed_of - 1)
    state = statistics.fmean(values[:seed_of])
    found.append(state)
    for value in values[seed_of:]:
        state += weight * (value - state)
        found.append(state)
    return found


def rsi(close: list[float]) -> Values:
    moves = [later - earlier for earlier, later in pairwise(close)]
    gains = smoothed([max(move, 0.0) for move in moves], 1 / 14, 14)
    losses = smoothed([max(-move, 0.0) for move in moves], 1 / 14, 14)
    return [None] + [
        None if gain is None else 100 - 100 / (1 + gain / loss) for gain, loss in zip(gains, losses, strict=True)
    ]


def macd_hist(close: list[float]) -> Values:
    fast, slow = smoothed(close, 2 / 13, 12), smoothed(close, 2 / 27, 26)
    line = [f - s for f, s in zip(fast[25:], slow[25:], strict=True)]
    signal = smoothed(line, 2 / 10, 9)
    return [None] * 25 + [None if s is None else value - s for value, s in zip(line, signal, strict=True)]


def true_ranges(high: list[float], low: list[float], close: list[float]) -> list[float]:
    return [
        max(high[t] - low[t], abs(high[t] - close[t - 1]), abs(low[t] - close[t - 1])) for t in range(1, len(close))
    ]


def atr(high: list[float], low: list[float], close: list[float]) -> Values:
    return [None, *smoothed(true_ranges(high, low, close), 1 / 14, 14)]


def adx(high: list[float], low: list[float], close: list[float]) -> Values:
    """By Wilder's book: directional indicators from smoothed movements over the smoothed true range."""
    plus, minus = [], []
    for t in range(1, len(close)):
        up, down = high[t] - high[t - 1], low[t - 1] - low[t]
        plus.append(up if up > down and up > 0 else 0.0)
        minus.append(down if down > up and down > 0 else 0.0)
    ranges = smoothed(true_ranges(high, low, close), 1 / 14, 14)
    index = []
    for p, m, r in list(zip(smoothed(plus, 1 / 14, 14), smoothed(minus, 1 / 14, 14), ranges, strict=True))[13:]:
        plus_di, minus_di = 100 * p / r, 100 * m / r
        index.append(100 * abs(plus_di - minus_di) / (plus_di + minus_di))
    return [None] * 14 + smoothed(index, 1 / 14, 14)


def momentum(dates: list[datetime], close: list[float], others: list[dict[datetime, float]]) -> Values:
    """Against peers of the same calendar: the latest return known is of the same date, or up to a week old."""
    found: Values = []
    for date, own in zip(dates, returns(close, 20), strict=True):
        known = []
        for peer in others:
            for back in range(8):
                if date - timedelta(days=back) in peer:
                    known.append(peer[date - timedelta(days=back)])
                    break
        found.append(own - statistics.fmean(known) if known and own is not None else None)
    return found


def beta(dates: list[datetime], close: list[float], market: dict[datetime, float]) -> Values:
    pairs: list[tuple[float, float]] = []
    found: Values = []
    for date, own in zip(dates, returns(close, 1), strict=True):
        if own is not None and date in market:
            pairs.append((own, market[date]))
        if len(pairs) < 60:
            found.append(None)
            continue
        mine, theirs = zip(*pairs[-60:], strict=True)
        found.append(statistics.covariance(mine, theirs) / statistics.variance(theirs))
    return found
