"""Prices of another unit, and of another instrument: levels that come and go in one step.

A market moves by such a step once in a long while, and then stays. A step of a power of ten, or one that is taken back
by a second one of the same size, comes from a file.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

import polars as pl

from trading_platform.domain.quality.plausibility.findings import Finding
from trading_platform.domain.suspicions import Suspicion

_TEN = math.log(10)
_SMALLEST_STEP = math.log(1.5)
_TOLERANCE = 0.22
"""By how much a step may miss a power of ten, as a logarithm: a market moves by up to a fifth between two bars."""
_RETURNED = 0.1
"""By which part of its size the second step may miss the first."""
_LARGEST_POWER = 6
_BARS_OF_VOLUME = 20
_VOLUME_TOLERANCE = math.log(3)
_FEWEST_ALTERNATIONS = 4
_SHARE_OF_ALTERNATIONS = 0.05

_UNIT = "Prices of another unit (cents for dollars, points for prices): scale them, or leave these rows out"
_SPLIT = "The volume changes the other way: a split that is not stored (`corporate-actions import`)"
_OTHER = "Rows of another instrument: look where the file was put together"


@dataclass(frozen=True)
class _Step:
    """A step from a close to the next open.

    Attributes:
        at: number of the bar after it.
        size: as a logarithm.
        power: the power of ten that it is; 0 if it is none.
    """

    at: int
    size: float
    power: int


def find_levels(bars: pl.DataFrame, splits: Collection[datetime] = ()) -> list[Finding]:
    """Bars on another level than those before and after them.

    Args:
        bars: frame of ``BAR_SCHEMA``, one symbol, sorted.
        splits: dates of known splits, UTC; a step on one of them is none.
    """
    steps = _steps(bars, splits)
    if _alternates(steps, bars.height):
        times = bars["time"]
        apart = sorted(abs(step.size) for step in steps)[len(steps) // 2]
        words = f"prices change {len(steps):,} times by a factor of about {math.exp(apart):.3g} and back"
        return [Finding(Suspicion.OTHER_INSTRUMENT, times[0], times[-1], bars.height, words, _OTHER)]
    return [*_runs(bars, steps), *_within(bars)]


def _steps(bars: pl.DataFrame, splits: Collection[datetime]) -> list[_Step]:
    before = pl.col("close").cast(pl.Float64).shift(1)
    found = bars.select(
        "time",
        at=pl.int_range(pl.len()),
        opened=(pl.col("open").cast(pl.Float64) / before).log(),
        closed=(pl.col("close").cast(pl.Float64) / before).log(),
    ).filter(pl.max_horizontal(pl.col("opened").abs(), pl.col("closed").abs()) >= _SMALLEST_STEP)
    days = {split.date() for split in splits}
    steps = []
    for time, at, opened, closed in found.iter_rows():
        # Some vendors open each bar at the close before: there the step is within the bar. A market can move so far
        # within a bar, too, so that only a power of ten is one.
        size = opened if abs(opened) >= _SMALLEST_STEP else closed
        if time.date() not in days and (size == opened or _power(size)):
            steps.append(_Step(at, size, _power(size)))
    return steps


def _power(size: float) -> int:
    power = round(size / _TEN)
    return power if power and abs(power) <= _LARGEST_POWER and abs(size - power * _TEN) <= _TOLERANCE else 0


def _alternates(steps: list[_Step], bars: int) -> bool:
    """Whether the level changes and comes back too often for runs of rows: two instruments in one file."""
    returns = sum(_takes_back(first, second) and second.at - first.at <= 1 for first, second in pairwise(steps))
    return returns >= max(_FEWEST_ALTERNATIONS, _SHARE_OF_ALTERNATIONS * bars)


def _takes_back(first: _Step, second: _Step) -> bool:
    return first.size * second.size < 0 and (
        (first.power != 0 and first.power == -second.power)
        or abs(first.size + second.size) <= _RETURNED * max(abs(first.size), abs(second.size))
    )


def _runs(bars: pl.DataFrame, steps: list[_Step]) -> Iterator[Finding]:
    """The runs of bars between two steps that take each other back, and what follows a power of ten."""
    times, number = bars["time"], 0
    while number < len(steps):
        step = steps[number]
        back = next((later for later in steps[number + 1 :] if _takes_back(step, later)), None)
        if back is not None:
            rule = Suspicion.UNIT if step.power else Suspicion.OTHER_INSTRUMENT
            words = f"prices are {_factor(step.size)} those before and after"
            cause = _UNIT if step.power else _OTHER
            yield Finding(rule, times[step.at], times[back.at - 1], back.at - step.at, words, cause)
            number = next(place for place, later in enumerate(steps) if later is back) + 1
            continue
        if step.power:
            before, after = step.at, bars.height - step.at
            first, last = (0, step.at - 1) if before < after else (step.at, bars.height - 1)
            words = f"from {times[step.at]:%Y-%m-%d %H:%M} on prices are {_factor(step.size)} those before"
            cause = _SPLIT if _volume_turns(bars, step) else _UNIT
            yield Finding(Suspicion.UNIT, times[first], times[last], last - first + 1, words, cause)
        number += 1


def _volume_turns(bars: pl.DataFrame, step: _Step) -> bool:
    volume = bars["volume"].cast(pl.Float64)
    before = volume.slice(max(0, step.at - _BARS_OF_VOLUME), min(step.at, _BARS_OF_VOLUME)).median()
    after = volume.slice(step.at, _BARS_OF_VOLUME).median()
    if not isinstance(before, float) or not isinstance(after, float) or before <= 0 or after <= 0:
        return False
    return abs(math.log(after / before) + step.size) <= _VOLUME_TOLERANCE


def _within(bars: pl.DataFrame) -> Iterator[Finding]:
    """Bars of which the high or the low alone is of another unit."""
    prices = {name: pl.col(name).cast(pl.Float64) for name in ("open", "high", "low", "close")}
    apart = bars.select(
        "time",
        high=(prices["high"] / pl.max_horizontal(prices["open"], prices["close"])).log(),
        low=(pl.min_horizontal(prices["open"], prices["close"]) / prices["low"]).log(),
    )
    for name in ("high", "low"):
        power = (pl.col(name) / _TEN).round()
        found = apart.filter((power >= 1) & ((pl.col(name) - power * _TEN).abs() <= _TOLERANCE))
        if found.height:
            size = found[name][0] * (1 if name == "high" else -1)
            words = f"the {name} of {found.height:,} bars is {_factor(size)} their other prices"
            yield Finding(Suspicion.UNIT, found["time"][0], found["time"][-1], found.height, words, _UNIT)


def _factor(size: float) -> str:
    return f"{math.exp(size):.3g} ×" if size > 0 else f"1/{math.exp(-size):.3g} of"
