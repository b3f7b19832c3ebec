"""A rate limiter that enforces the limits of sources within one process.

Limits are declared beside their source (``sources/<vendor>/limits.py``) in the terms of
:mod:`trading_platform.domain.rate_limits`. :class:`trading_platform.stores.redis.rate_limiters.RedisRateLimiter`
enforces them across the stream, Dagster's runs and commands.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from trading_platform.domain.rate_limits import (
    SECOND,
    Book,
    Cost,
    Limit,
    Rate,
    RateLimiter,
    Within,
    earliest,
    together,
)
from trading_platform.domain.time import Sleep

__all__ = ["Cost", "Limit", "LocalRateLimiter", "Rate", "RateLimiter", "Within"]

_SWEEP = 1_000
"""After this number of grants, those without an effect are dropped."""


class LocalRateLimiter:
    """Enforces limits within this process, for any number of threads.

    The first request has the first slot; a request delayed by another limit does not delay others.

    Args:
        monotonic: a clock in seconds that never goes back.
        sleep: waits.
    """

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic, sleep: Sleep = time.sleep) -> None:
        self._monotonic = monotonic
        self._sleep = sleep
        self._books: dict[tuple[str, str], tuple[Limit, Book]] = {}
        self._taken = 0
        self._lock = threading.Lock()

    def take(self, costs: Sequence[Cost]) -> float:
        """As :meth:`RateLimiter.take`."""
        wait = self.reserve(costs)
        if wait > 0:
            self._sleep(wait)
        return wait

    def reserve(self, costs: Sequence[Cost]) -> float:
        """Reserves the costs at the first time at which all fit; returns how many seconds ahead that is.

        Raises:
            ValueError: for a cost that its limit can never allow.
        """
        merged = together(costs)
        with self._lock:
            now = round(self._monotonic() * SECOND)
            self._sweep(now)
            books = [(self._book(cost, now), cost.limit, cost.weight) for cost in merged]
            timestamp = earliest(books, now)
            for book, _, weight in books:
                book.give(timestamp, weight)
        return (timestamp - now) / SECOND

    def _book(self, cost: Cost, now: int) -> Book:
        name = cost.limit.name, cost.key
        book = self._books[name][1] if name in self._books else Book(at=now)
        self._books[name] = cost.limit, book
        book.settle(cost.limit, now)
        return book

    def _sweep(self, now: int) -> None:
        self._taken += 1
        if self._taken % _SWEEP == 0:
            self._books = {
                name: (limit, book) for name, (limit, book) in self._books.items() if book.full_at(limit, now) > now
            }
