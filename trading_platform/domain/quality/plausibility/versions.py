"""Two sources of the same bars: whether they agree within a tolerance, and what would explain it if not."""

from __future__ import annotations

import math
from datetime import timedelta

import polars as pl

from trading_platform.domain.quality.plausibility.findings import Finding
from trading_platform.domain.suspicions import Suspicion
from trading_platform.domain.time import Timeframe

TOLERANCE = 0.01
"""By which part closes of two sources may differ at most."""

_FINEST = 0.0005  # bid and ask of a liquid pair are nearer
_BARS = 10

_FEWEST = 10
_SHARE = 0.05
_SAME = 0.02
_TEN = math.log(10)
_SHIFTS = 28
_BETTER = 5


def find_disagreement(
    bars: pl.DataFrame, other: pl.DataFrame, timeframe: Timeframe, tolerance: float | None = None
) -> list[Finding]:
    """What a second source says otherwise, with the likely cause: a unit, an adjustment, a shift in time, or errors.

    Args:
        bars: frame of ``BAR_SCHEMA``, one symbol, sorted.
        other: likewise, of the same symbol and timeframe, from another source.
        timeframe: length of the bars.
        tolerance: by which part closes may differ; None: as far as ten bars usually move, at most :data:`TOLERANCE`.
    """
    apart = _apart(bars, other, timedelta(0))
    tolerance = _usual(other) if tolerance is None else tolerance
    wrong = apart.filter(pl.col("size").abs() > tolerance)
    if apart.height < _FEWEST or wrong.is_empty():
        return []
    rule, cause = Suspicion.SOURCES_DIFFER, "One of both is wrong there: request these bars again from both"
    if wrong.height > _SHARE * apart.height:
        rule, cause = _cause(bars, other, wrong, timeframe)
    middle = math.exp(_median(wrong["size"]))
    words = (
        f"{wrong.height:,} of {apart.height:,} closes differ by more than {tolerance:.2%}, by a factor of {middle:.4g}"
    )
    return [Finding(rule, wrong["time"][0], wrong["time"][-1], wrong.height, words, cause)]


def _usual(bars: pl.DataFrame) -> float:
    closes = bars.sort("time")["close"].cast(pl.Float64)
    moves = (closes / closes.shift(1)).log().abs()
    return min(TOLERANCE, max(_FINEST, _BARS * _median(moves.drop_nulls())))


def _median(values: pl.Series) -> float:
    found = values.median()
    return found if isinstance(found, float) else 0.0


def _cause(bars: pl.DataFrame, other: pl.DataFrame, wrong: pl.DataFrame, timeframe: Timeframe) -> tuple[Suspicion, str]:
    size = _median(wrong["size"])
    spread = _median((wrong["size"] - size).abs())
    power = round(size / _TEN)
    if power and abs(size - power * _TEN) <= _SAME + spread:
        return Suspicion.UNIT, "One source has another unit: scale it"
    shift = _shift(bars, other, timeframe)
    if shift is not None:
        unit, length = ("days", timedelta(days=1)) if timeframe is Timeframe.D1 else ("hours", timedelta(hours=1))
        return Suspicion.TIME_ZONE, f"They agree if these bars move by {shift / length:+g} {unit}: another zone"
    if abs(size) > _SAME and spread <= _SAME:
        return Suspicion.SOURCES_DIFFER, "The factor is the same throughout: one of both is adjusted for splits"
    return Suspicion.SOURCES_DIFFER, "They are not of the same instrument, or one of both is adjusted for dividends"


def _shift(bars: pl.DataFrame, other: pl.DataFrame, timeframe: Timeframe) -> timedelta | None:
    """The shift in time with which both agree; None if there is none."""
    unit, most = (timedelta(days=1), 3) if timeframe is Timeframe.D1 else (timedelta(minutes=30), _SHIFTS)
    best: tuple[float, timedelta] | None = None
    for shift in (unit * number for number in sorted(range(-most, most + 1), key=abs) if number):
        apart = _apart(bars, other, shift)
        if apart.height >= _FEWEST:
            off = _median(apart["size"].abs())
            if best is None or off < best[0]:
                best = off, shift
    now = _median(_apart(bars, other, timedelta(0))["size"].abs())
    return best[1] if best is not None and best[0] < now / _BETTER else None


def _apart(bars: pl.DataFrame, other: pl.DataFrame, shift: timedelta) -> pl.DataFrame:
    return (
        bars.select(time=pl.col("time") + shift, close=pl.col("close").cast(pl.Float64))
        .join(other.select("time", other=pl.col("close").cast(pl.Float64)), on="time")
        .sort("time")
        .select("time", size=(pl.col("close") / pl.col("other")).log())
    )
