"""Rate limiters in Redis, one per account, shared by the streamer, Dagster's runs and commands.

Each reservation is one script that Redis runs atomically (:mod:`trading_platform.stores.redis.rate_limiter_script`): it
reserves the earliest slot that all limits allow, so waiting processes have distinct slots and none is starved.
Reservations are as durable as Redis's own data.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol, cast

from trading_platform.domain.errors import StoreError
from trading_platform.domain.rate_limits import SECOND, Book, Cost, Limit, Rate, Within, share, together
from trading_platform.domain.time import Sleep
from trading_platform.stores.redis.live import redis_errors
from trading_platform.stores.redis.rate_limiter_script import GIVE

if TYPE_CHECKING:
    from redis import Redis

log = logging.getLogger(__name__)

PREFIX = "limit:"
PARTS = 4
"""Without Redis a process uses one of this many parts of a limit: the streamer, two of Dagster's runs, a command."""
RETRY_SECONDS = 5.0
"""How long Redis is not called after it did not answer."""


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Reserving(Protocol):
    """A rate limiter that returns the time to wait instead of waiting."""

    def reserve(self, costs: Sequence[Cost]) -> float:
        """Reserves the costs at the earliest time at which all fit; returns how many seconds ahead that is."""


@dataclass(frozen=True)
class Standing:
    """Current state of a limit for one key.

    Attributes:
        limit: the limit.
        key: the key.
        left: weight that is available now.
        waiting: weight that is reserved for later.
        full_at: when the whole limit is available again, UTC; None if it is now.
    """

    limit: Limit
    key: str
    left: float
    waiting: int = 0
    full_at: datetime | None = None


class RedisRateLimiter:
    """Enforces limits together with all processes that use the same Redis.

    While Redis does not answer, each process uses a quarter of each limit by itself (:data:`PARTS`), and begins as if
    that quarter were used up; it logs a warning. What it uses in the meantime is recorded in Redis afterwards. A
    process that dies while it waits leaves its slot unused.

    Args:
        url: a Redis URL.
        fallback: enforces the process's part while Redis is unavailable; not shared with other processes.
        monotonic: a clock in seconds that never goes back.
        sleep: waits.
    """

    def __init__(
        self,
        url: str,
        fallback: Reserving,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Sleep = time.sleep,
    ) -> None:
        from redis import Redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        self._redis: Redis = Redis.from_url(
            url, decode_responses=True, socket_timeout=2, socket_connect_timeout=2, retry=Retry(NoBackoff(), 0)
        )
        self._script = self._redis.register_script(GIVE)
        self._alone = _Alone(fallback)
        self._monotonic = monotonic
        self._sleep = sleep
        self._away_until = 0.0
        self._lock = threading.Lock()

    def close(self) -> None:
        """Closes the connections."""
        self._redis.close()

    def take(self, costs: Sequence[Cost]) -> float:
        """As :meth:`RateLimiter.take`."""
        merged = together(costs)
        if not merged:
            return 0.0
        began = self._monotonic()
        wait = self._shared(merged)
        if wait is not None:
            if wait > 0:
                self._sleep(wait)
            return wait
        return self._take_alone(merged, began)

    def _take_alone(self, costs: Sequence[Cost], began: float) -> float:
        until = self._monotonic() + self._alone.reserve(costs)
        while (left := until - self._monotonic()) > 0:
            self._sleep(min(left, RETRY_SECONDS))
            if left > RETRY_SECONDS and (wait := self._shared(costs)) is not None:
                self._sleep(wait)
                break
        else:
            self._alone.owe(costs)
        return self._monotonic() - began

    def standings(self) -> list[Standing]:
        """The state of each limit with reservations, by name and key.

        Raises:
            StoreUnavailable: if Redis does not answer.
        """
        with redis_errors():
            seconds, micros = self._redis.time()
            now = seconds * SECOND + micros
            keys = sorted(self._redis.scan_iter(f"{PREFIX}*", count=1000))
            hashes = [cast("list[str | None]", self._redis.hmget(key, "limit", "book")) for key in keys]
        return [_standing(limit, book, now) for limit, book in hashes if limit and book]

    def _shared(self, costs: Sequence[Cost]) -> float | None:
        """Reserves the costs in Redis; returns the seconds to wait, or None if it does not answer."""
        if self._monotonic() < self._away_until:
            return None
        try:
            with self._lock:
                while (debt := self._alone.debt()) is not None:
                    self._reserve([debt])
                    self._alone.pay(debt)
            wait = self._reserve(costs)
        except StoreError as error:
            self._away_until = self._monotonic() + RETRY_SECONDS
            if self._alone.begin():
                log.warning(
                    "Limits of sources cannot be shared: %s This process uses a quarter of each until Redis answers.",
                    error.message,
                )
            return None
        if self._alone.end():
            log.warning("Redis answers again: limits of sources are shared again.")
        return wait

    def _reserve(self, costs: Sequence[Cost]) -> float:
        keys = [f"{PREFIX}{cost.limit.name}:{cost.key}" for cost in costs]
        arguments = [argument for cost in costs for argument in _arguments(cost)]
        with redis_errors():
            return int(cast("str", self._script(keys, arguments))) / SECOND


class _Alone:
    """Rate limiting by the process alone while Redis is unavailable, and the costs to record in Redis afterwards."""

    def __init__(self, fallback: Reserving) -> None:
        self._fallback = fallback
        self._active = False
        self._prefilled: set[tuple[str, str]] = set()
        self._owed: dict[tuple[Limit, str], int] = {}
        self._lock = threading.Lock()

    def begin(self) -> bool:
        """Starts to work alone; returns whether that is new."""
        with self._lock:
            is_new, self._active = not self._active, True
            return is_new

    def end(self) -> bool:
        """Stops working alone; returns whether that is new."""
        with self._lock:
            is_new, self._active = self._active, False
            self._prefilled.clear()
            return is_new

    def reserve(self, costs: Sequence[Cost]) -> float:
        """Reserves the costs in this process's parts; returns the seconds to wait."""
        parts = [share(cost, PARTS) for cost in costs]
        with self._lock:
            for part in parts:
                if (part.limit.name, part.key) not in self._prefilled:  # as if others had just used all of it
                    self._prefilled.add((part.limit.name, part.key))
                    self._fallback.reserve([Cost(part.limit, part.key, int(part.limit.most))])
            return self._fallback.reserve(parts)

    def owe(self, costs: Sequence[Cost]) -> None:
        """Records used costs that Redis does not have yet."""
        with self._lock:
            for cost in costs:
                weight = self._owed.get((cost.limit, cost.key), 0) + cost.weight
                self._owed[cost.limit, cost.key] = min(weight, int(cost.limit.most))

    def debt(self) -> Cost | None:
        """A used cost that Redis does not have yet; None if there is none."""
        with self._lock:
            return next((Cost(limit, key, weight) for (limit, key), weight in self._owed.items()), None)

    def pay(self, debt: Cost) -> None:
        """Removes a cost that was recorded in Redis."""
        with self._lock:
            self._owed.pop((debt.limit, debt.key), None)


def _arguments(cost: Cost) -> tuple[str | float, ...]:
    limit = cost.limit
    kind, first, second = (
        ("rate", limit.per_second, limit.burst) if isinstance(limit, Rate) else ("within", limit.count, limit.seconds)
    )
    description = {"name": limit.name, "key": cost.key, "kind": kind, "first": first, "second": second}
    return kind, first, second, cost.weight, json.dumps(description)


def _standing(description: str, reservations: str, now: int) -> Standing:
    fields = json.loads(description)
    kind = Rate if fields["kind"] == "rate" else Within
    limit = kind(fields["name"], fields["first"], fields["second"])
    _, level, at, *slots = reservations.split()
    book = Book(float(level), int(at), list(zip(map(int, slots[::2]), map(int, slots[1::2]), strict=True)))
    book.settle(limit, now)
    full_at = book.full_at(limit, now)
    return Standing(
        limit,
        fields["key"],
        book.left(limit, now),
        book.ahead(now),
        _EPOCH + timedelta(microseconds=full_at) if full_at > now else None,
    )
