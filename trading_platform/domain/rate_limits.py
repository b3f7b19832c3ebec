"""How often somebody may be asked: limits as their owners state them, and the arithmetic of keeping to them.

A limit is declared beside the source that has it (``sources/<vendor>/limits.py``). Who keeps to them is a
:class:`RateLimiter`: :class:`~trading_platform.sources.rate_limits.LocalRateLimiter` in one process,
:class:`~trading_platform.stores.redis.rate_limiters.RedisRateLimiter` over all processes that share an account. Both
give a request the earliest slot at which all that was promised before still holds; here is what that means, and the
script of the latter says the same in Lua. Moments are whole microseconds of any one clock.
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

_EPSILON = 1e-9  # of a token: what rounding may be


@dataclass(frozen=True)
class Rate:
    """A token bucket: ``per_second`` on average, up to ``burst`` at once.

    Attributes:
        name: which limit, such as ``kraken:public``.
        per_second: tokens that come back each second.
        burst: tokens at most.
    """

    name: str
    per_second: float
    burst: float

    def __post_init__(self) -> None:
        _check(self.name, self.per_second, self.burst)

    @property
    def most(self) -> float:
        """What a single request can take."""
        return self.burst

    def __str__(self) -> str:
        return f"{self.burst:g} at once, {self.per_second:g} a second"


@dataclass(frozen=True)
class Within:
    """At most ``count`` in any stretch of ``seconds``.

    Attributes:
        name: which limit, such as ``ibkr:history``.
        count: how many.
        seconds: how long a stretch is.
    """

    name: str
    count: int
    seconds: float

    def __post_init__(self) -> None:
        _check(self.name, self.count, self.seconds)

    @property
    def most(self) -> float:
        """What a single request can take."""
        return self.count

    def __str__(self) -> str:
        return f"{self.count} in {self.seconds:g} s"


Limit = Rate | Within


@dataclass(frozen=True)
class Cost:
    """What a request takes from one limit.

    Attributes:
        limit: which.
        key: whose: the account, the contract, the request itself.
        weight: how much.
    """

    limit: Limit
    key: str
    weight: int = 1


class RateLimiter(Protocol):
    """Keeps to limits, together with all who share it."""

    def take(self, costs: Sequence[Cost]) -> float:
        """Waits until all charges fit at once and takes them, all or none; gives the seconds waited.

        Raises:
            ValueError: for a charge that its limit can never allow.
        """


class WaitAborted(Exception):
    """The process ends, so a request does not wait for its slot any longer. Nobody should try it again."""


@dataclass
class Book:
    """What was given of one limit to one key.

    Attributes:
        level: of a bucket, tokens out of it at ``at``.
        at: when ``level`` was reckoned.
        slots: moment and weight of what was given and is not in ``level``, by moment: of a bucket what lies
            ahead, of a stretch all that may still count.
    """

    level: float = 0.0
    at: int = 0
    slots: list[tuple[int, int]] = field(default_factory=list)

    def settle(self, limit: Limit, now: int) -> None:
        """Forgets what has no more effect at ``now`` or later."""
        if isinstance(limit, Within):
            del self.slots[: bisect_right(self.slots, (now - _length(limit), math.inf))]
            return
        past = bisect_right(self.slots, (now, math.inf))
        level, at = self._run(limit, self.slots[:past])
        self.level, self.at = _drain(limit, level, now - at), max(now, at)
        del self.slots[:past]

    def earliest(self, limit: Limit, timestamp: int, weight: int) -> int:
        """The first moment, not before ``timestamp``, at which ``weight`` more keeps the limit.

        Call it after :meth:`settle`, with a moment that is not before that one and a weight that the limit allows.
        """
        if isinstance(limit, Rate):
            return self._in_bucket(limit, timestamp, weight)
        return self._in_interval(limit, timestamp, weight)

    def give(self, timestamp: int, weight: int) -> None:
        """Notes that ``weight`` was given at ``timestamp``."""
        insort(self.slots, (timestamp, weight))

    def left(self, limit: Limit, now: int) -> float:
        """How much of it was not given at ``now``. Call it after :meth:`settle`."""
        if isinstance(limit, Rate):
            return max(0.0, limit.burst - self.level)
        return max(0.0, limit.count - sum(weight for timestamp, weight in self.slots if timestamp <= now))

    def ahead(self, now: int) -> int:
        """How much was promised for later than ``now``."""
        return sum(weight for timestamp, weight in self.slots if timestamp > now)

    def full_at(self, limit: Limit, now: int) -> int:
        """When nothing of what was given has an effect any more."""
        if isinstance(limit, Within):
            return self.slots[-1][0] + _length(limit) if self.slots else now
        level, at = self._run(limit, self.slots)
        return max(now, at + math.ceil(max(0.0, level - _EPSILON) / limit.per_second * SECOND))

    def _run(self, rate: Rate, slots: Iterable[tuple[int, int]]) -> tuple[float, int]:
        """The level after some slots, and when that is."""
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
                    timestamp = slot  # what was promised for then would not hold; any slot before it is no better
                    break
            else:
                return timestamp

    def _in_interval(self, within: Within, timestamp: int, weight: int) -> int:
        length, timestamps = _length(within), [slot for slot, _ in self.slots]
        sums = list(accumulate((taken for _, taken in self.slots), initial=0))
        while True:
            begun = bisect_right(timestamps, timestamp - length)
            here = bisect_left(timestamps, timestamp)
            for start in (*timestamps[begun:here], timestamp):  # any other stretch with the slot has no more in it
                first = bisect_left(timestamps, start)
                if sums[bisect_left(timestamps, start + length)] - sums[first] + weight > within.count:
                    timestamp = timestamps[first] + length  # no earlier slot is outside of this stretch
                    break
            else:
                return timestamp


def earliest(books: Sequence[tuple[Book, Limit, int]], now: int) -> int:
    """The first moment from ``now`` on at which each book has room for its weight."""
    timestamp, found = -1, now
    while timestamp != found:
        timestamp = found
        for book, limit, weight in books:
            found = book.earliest(limit, found, weight)
    return timestamp


def together(costs: Iterable[Cost]) -> list[Cost]:
    """The charges, those of the same limit and key in one.

    Raises:
        ValueError: for a charge that its limit can never allow.
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
    """The charge, on a limit such that ``parts`` who keep to theirs without knowing of each other keep it together.

    Where a part would be less than a single request, it is that request, as much more seldom.
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
