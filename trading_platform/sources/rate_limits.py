"""How often a source may be asked: what it declares, and a budget that keeps to it within one process.

Limits are declared beside the source they belong to (``sources/<vendor>/limits.py``) in the terms of
:mod:`trading_platform.domain.rate_limits`. Keeping to them together, over streamer, Dagster's runs and commands, is
the business of :class:`trading_platform.stores.redis.rate_limiters.RedisBudget`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from trading_platform.domain.rate_limits import (
    SECOND,
    Book,
    Budget,
    Charge,
    Limit,
    Rate,
    Within,
    earliest,
    together,
)
from trading_platform.domain.time import Sleep

__all__ = ["Budget", "Charge", "Limit", "LocalBudget", "Rate", "Within"]

_SWEEP = 1_000
"""After so many takings, what has no more effect is forgotten."""


class LocalBudget:
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

    def take(self, charges: Sequence[Charge]) -> float:
        """As :meth:`Budget.take`."""
        wait = self.reserve(charges)
        if wait > 0:
            self._sleep(wait)
        return wait

    def reserve(self, charges: Sequence[Charge]) -> float:
        """Takes the charges at the first moment at which all fit; how many seconds ahead that is.

        Raises:
            ValueError: for a charge that its limit can never allow.
        """
        merged = together(charges)
        with self._lock:
            now = round(self._monotonic() * SECOND)
            self._sweep(now)
            books = [(self._book(charge, now), charge.limit, charge.weight) for charge in merged]
            moment = earliest(books, now)
            for book, _, weight in books:
                book.give(moment, weight)
        return (moment - now) / SECOND

    def _book(self, charge: Charge, now: int) -> Book:
        name = charge.limit.name, charge.key
        book = self._books[name][1] if name in self._books else Book(at=now)
        self._books[name] = charge.limit, book
        book.settle(charge.limit, now)
        return book

    def _sweep(self, now: int) -> None:
        self._taken += 1
        if self._taken % _SWEEP == 0:
            self._books = {
                name: (limit, book) for name, (limit, book) in self._books.items() if book.full_at(limit, now) > now
            }
