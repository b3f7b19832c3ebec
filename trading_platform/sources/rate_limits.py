"""How often a source may be asked: what it declares, and a budget that keeps to it within one process.

Limits are declared beside the source they belong to (``sources/<vendor>/limits.py``) in the terms of
:mod:`trading_platform.domain.rate_limits`. Keeping to them together, over streamer, Dagster's runs and commands, is
the business of :class:`trading_platform.stores.redis.rate_limiters.RedisRateLimiter`.
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
"""After so many takings, what has no more effect is forgotten."""


class LocalRateLimiter:
    """Keeps to limits within this process, whatever the number of threads.

    Who asks first has the first slot; a request that another limit holds back does not hold up others.

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
        """Takes the charges at the first moment at which all fit; how many seconds ahead that is.

        Raises:
            ValueError: for a charge that its limit can never allow.
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
