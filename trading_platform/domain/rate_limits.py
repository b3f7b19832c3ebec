"""Rate limits as their owners state them, and the arithmetic of keeping to them.

A limit is declared beside its source (``sources/<vendor>/limits.py``). A :class:`RateLimiter` enforces it:
:class:`~trading_platform.sources.rate_limits.LocalRateLimiter` in one process,
:class:`~trading_platform.stores.redis.rate_limiters.RedisRateLimiter` over all processes that share an account. Both
give a request the earliest slot at which all slots reserved before remain valid. This module defines the arithmetic;
the Lua script of the latter implements the same. Times are whole microseconds of any one clock.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, islice
from typing import Protocol

SECOND = 1_000_000
"""Microseconds."""

_EPSILON = 1e-9  # of a token: tolerance for rounding


@dataclass(frozen=True)
class Rate:
    """A token bucket: ``per_second`` on average, up to ``burst`` at once.

    Attributes:
        name: name of the limit, such as ``kraken:public``.
        per_second: tokens refilled per second.
        burst: maximum number of tokens.
    """

    name: str
    per_second: float
    burst: float

    def __post_init__(self) -> None:
        _check(self.name, self.per_second, self.burst)

    @property
    def most(self) -> float:
        """The largest weight of a single request."""
        return self.burst

    def __str__(self) -> str:
        return f"{self.burst:g} at once, {self.per_second:g} a second"


@dataclass(frozen=True)
class Within:
    """At most ``count`` in any interval of ``seconds``.

    Attributes:
        name: name of the limit, such as ``ibkr:history``.
        count: maximum number.
        seconds: length of the interval.
    """

    name: str
    count: int
    seconds: float

    def __post_init__(self) -> None:
        _check(self.name, self.count, self.seconds)

    @property
    def most(self) -> float:
        """The largest weight of a single request."""
        return self.count

    def __str__(self) -> str:
        return f"{self.count} in {self.seconds:g} s"


Limit = Rate | Within


@dataclass(frozen=True)
class Cost:
    """The cost of a request under one limit.

    Attributes:
        limit: the limit.
        key: who shares the limit: the account, the contract, the request itself.
        weight: how much the request takes.
    """

    limit: Limit
    key: str
    weight: int = 1


class RateLimiter(Protocol):
    """Enforces limits, together with all processes that share them."""

    def take(self, costs: Sequence[Cost]) -> float:
        """Waits until all costs fit at once and takes them, all or none; returns the seconds waited.

        Raises:
            ValueError: for a cost that its limit can never allow.
        """


class WaitAborted(Exception):
    """The process ends, so a request does not wait for its slot any longer. Do not retry it."""


@dataclass
class Book:
    """The grants of one limit to one key.

    Attributes:
        level: of a bucket, tokens taken out of it at ``at``.
        at: time of ``level``.
        slots: time and weight of the grants that are not in ``level``, by time: of a bucket the future ones,
            of an interval limit all that may still count.
    """

    level: float = 0.0
    at: int = 0
    slots: list[tuple[int, int]] = field(default_factory=list)

    def settle(self, limit: Limit, now: int) -> None:
        """Drops the grants that have no effect at ``now`` or later."""
        if isinstance(limit, Within):
            del self.slots[: bisect_right(self.slots, (now - _length(limit), math.inf))]
            return
        past = bisect_right(self.slots, (now, math.inf))
        level, at = self._run(limit, self.slots[:past])
        self.level, self.at = _drain(limit, level, now - at), max(now, at)
        del self.slots[:past]

    def earliest(self, limit: Limit, timestamp: int, weight: int) -> int:
        """The first time, not before ``timestamp``, at which ``weight`` more keeps to the limit.

        Call it after :meth:`settle`, with a time not before that one and a weight that the limit allows.
        """
        if isinstance(limit, Rate):
            return self._in_bucket(limit, timestamp, weight)
        return self._in_interval(limit, timestamp, weight)

    def give(self, timestamp: int, weight: int) -> None:
        """Records that ``weight`` was granted at ``timestamp``."""
        insort(self.slots, (timestamp, weight))

    def left(self, limit: Limit, now: int) -> float:
        """How much is available at ``now``. Call it after :meth:`settle`."""
        if isinstance(limit, Rate):
            return max(0.0, limit.burst - self.level)
        return max(0.0, limit.count - sum(weight for timestamp, weight in self.slots if timestamp <= now))

    def ahead(self, now: int) -> int:
        """How much is reserved for later than ``now``."""
        return sum(weight for timestamp, weight in self.slots if timestamp > now)

    def full_at(self, limit: Limit, now: int) -> int:
        """When the limit is fully available again."""
        if isinstance(limit, Within):
            return self.slots[-1][0] + _length(limit) if self.slots else now
        level, at = self._run(limit, self.slots)
        return max(now, at + math.ceil(max(0.0, level - _EPSILON) / limit.per_second * SECOND))

    def _run(self, rate: Rate, slots: Iterable[tuple[int, int]]) -> tuple[float, int]:
        """The level after some slots, and its time."""
        level, at = self.level, self.at
        for timestamp, weight in slots:
            level, at = _drain(rate, level, timestamp - at) + weight, timestamp
        return level, at

    def _in_bucket(self, rate: Rate, timestamp: int, weight: int) -> int:
        level, at, passed = self.level, self.at, 0
        while True:
            while passed < len(self.slots) and self.slots[passed][0] <= timestamp:
                slot, taken = self.slots[passed]
                level, at, passed = _drain(rate, level, slot - at) + taken, slot, passed + 1
            then = _drain(rate, level, timestamp - at) + weight
            if then > rate.burst + _EPSILON:
                timestamp += math.ceil((then - rate.burst) / rate.per_second * SECOND)
                continue
            before = timestamp
            for slot, taken in islice(self.slots, passed, None):
                then, before = _drain(rate, then, slot - before) + taken, slot
                if then > rate.burst + _EPSILON:
                    timestamp = slot  # the slot reserved there would break the limit; no slot before it is better
                    break
            else:
                return timestamp

    def _in_interval(self, within: Within, timestamp: int, weight: int) -> int:
        length, timestamps = _length(within), [slot for slot, _ in self.slots]
        sums = list(accumulate((taken for _, taken in self.slots), initial=0))
        while True:
            begun = bisect_right(timestamps, timestamp - length)
            here = bisect_left(timestamps, timestamp)
            for start in (*timestamps[begun:here], timestamp):  # no other interval with the slot contains more
                first = bisect_left(timestamps, start)
                if sums[bisect_left(timestamps, start + length)] - sums[first] + weight > within.count:
                    timestamp = timestamps[first] + length  # every earlier slot is within this interval
                    break
            else:
                return timestamp


def earliest(books: Sequence[tuple[Book, Limit, int]], now: int) -> int:
    """The first time from ``now`` on at which each book has room for its weight."""
    timestamp, found = -1, now
    while timestamp != found:
        timestamp = found
        for book, limit, weight in books:
            found = book.earliest(limit, found, weight)
    return timestamp


def together(costs: Iterable[Cost]) -> list[Cost]:
    """Merges the costs of the same limit and key into one.

    Raises:
        ValueError: for a cost that its limit can never allow.
    """
    weights: dict[tuple[Limit, str], int] = {}
    for cost in costs:
        if cost.weight < 1:
            raise ValueError(f"a request takes at least 1 of {cost.limit.name}, not {cost.weight}")
        weights[cost.limit, cost.key] = weights.get((cost.limit, cost.key), 0) + cost.weight
    for (limit, _), weight in weights.items():
        if weight > limit.most:
            raise ValueError(f"a request that takes {weight} of {limit.name} never fits: it allows {limit}")
    return [Cost(limit, key, weight) for (limit, key), weight in weights.items()]


def share(cost: Cost, parts: int) -> Cost:
    """The cost under a reduced limit: ``parts`` independent processes that each keep to it keep to the original.

    If a part would be smaller than the request, the request stays whole and is allowed less often.
    """
    limit, weight = cost.limit, cost.weight
    if isinstance(limit, Rate):
        limit = Rate(limit.name, limit.per_second / parts, max(limit.burst / parts, weight))
    else:
        count = max(limit.count // parts, weight)
        limit = Within(limit.name, count, limit.seconds * max(1.0, count * parts / limit.count))
    return Cost(limit, cost.key, weight)


def _drain(rate: Rate, level: float, elapsed: int) -> float:
    return max(0.0, level - max(0, elapsed) * rate.per_second / SECOND)


def _length(within: Within) -> int:
    return math.ceil(within.seconds * SECOND)


def _check(name: str, *numbers: float) -> None:
    if min(numbers) <= 0:
        raise ValueError(f"the limit {name} allows nothing: {', '.join(map(str, numbers))}")
