"""One budget of requests an account, in Redis: shared by the streamer, Dagster's runs and commands.

Each taking is one script that Redis runs as a whole (:mod:`trading_platform.stores.redis.rate_limiter_script`): it
gives the earliest slot that all limits allow and notes it, so processes that wait have distinct slots and none is
overtaken for ever. What was given is kept as durably as Redis keeps anything.
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
"""Without Redis a process keeps to one part in so many: the streamer, two of Dagster's runs and a command."""
RETRY_SECONDS = 5.0
"""How long Redis, once it did not answer, is left alone."""


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Reserving(Protocol):
    """A budget that says how long to wait instead of waiting."""

    def reserve(self, costs: Sequence[Cost]) -> float:
        """Takes the charges at the first moment at which all fit; how many seconds ahead that is."""


@dataclass(frozen=True)
class Standing:
    """How a limit stands for one key.

    Attributes:
        limit: which.
        key: whose.
        left: how much can be taken at once.
        waiting: how much was promised for later.
        full_at: when all of it can be taken again, UTC; None if it can now.
    """

    limit: Limit
    key: str
    left: float
    waiting: int = 0
    full_at: datetime | None = None


class RedisRateLimiter:
    """Keeps to limits together with all who use the same Redis.

    While Redis does not answer, each process keeps by itself to a quarter of each limit (:data:`PARTS`), and begins
    as if nothing of that was left; a warning says so. What it takes meanwhile is put down in Redis
    afterwards. A process that dies while it waits leaves its slot unused.

    Args:
        url: a Redis URL.
        fallback: keeps the process to its part while Redis is away; nobody else's.
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
        """Gives the connections back."""
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
        """How each limit stands of which something is taken, by name and key.

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
        """Takes the charges of Redis; the seconds to wait, or None if it does not answer."""
        if self._monotonic() < self._away_until:
            return None
        try:
            with self._lock:
                while (debt := self._alone.debt()) is not None:
                    self._ask([debt])
                    self._alone.pay(debt)
            wait = self._ask(costs)
        except StoreError as error:
            self._away_until = self._monotonic() + RETRY_SECONDS
            if self._alone.begin():
                log.warning(
                    "Limits of sources cannot be shared: %s This process keeps to a quarter of each until Redis "
                    "answers.",
                    error.message,
                )
            return None
        if self._alone.end():
            log.warning("Redis answers again: limits of sources are shared as before.")
        return wait

    def _ask(self, costs: Sequence[Cost]) -> float:
        keys = [f"{PREFIX}{cost.limit.name}:{cost.key}" for cost in costs]
        arguments = [argument for cost in costs for argument in _arguments(cost)]
        with redis_errors():
            return int(cast("str", self._script(keys, arguments))) / SECOND


class _Alone:
    """What a process does by itself while Redis is away, and what it owes Redis for it."""

    def __init__(self, fallback: Reserving) -> None:
        self._fallback = fallback
        self._active = False
        self._known: set[tuple[str, str]] = set()
        self._owed: dict[tuple[Limit, str], int] = {}
        self._lock = threading.Lock()

    def begin(self) -> bool:
        """From now on alone; whether that is new."""
        with self._lock:
            is_new, self._active = not self._active, True
            return is_new

    def end(self) -> bool:
        """No more alone; whether that is new."""
        with self._lock:
            is_new, self._active = self._active, False
            self._known.clear()
            return is_new

    def reserve(self, costs: Sequence[Cost]) -> float:
        """Takes the charges of this process's parts; the seconds to wait."""
        parts = [share(cost, PARTS) for cost in costs]
        with self._lock:
            for part in parts:
                if (part.limit.name, part.key) not in self._known:  # as if others had just taken all of it
                    self._known.add((part.limit.name, part.key))
                    self._fallback.reserve([Cost(part.limit, part.key, int(part.limit.most))])
            return self._fallback.reserve(parts)

    def owe(self, costs: Sequence[Cost]) -> None:
        """Notes what was taken."""
        with self._lock:
            for cost in costs:
                weight = self._owed.get((cost.limit, cost.key), 0) + cost.weight
                self._owed[cost.limit, cost.key] = min(weight, int(cost.limit.most))

    def debt(self) -> Cost | None:
        """Something that was taken and that Redis does not know."""
        with self._lock:
            return next((Cost(limit, key, weight) for (limit, key), weight in self._owed.items()), None)

    def pay(self, debt: Cost) -> None:
        """Redis knows it now."""
        with self._lock:
            self._owed.pop((debt.limit, debt.key), None)


def _arguments(cost: Cost) -> tuple[str | float, ...]:
    limit = cost.limit
    kind, first, second = (
        ("rate", limit.per_second, limit.burst) if isinstance(limit, Rate) else ("within", limit.count, limit.seconds)
    )
    whose = {"name": limit.name, "key": cost.key, "kind": kind, "first": first, "second": second}
    return kind, first, second, cost.weight, json.dumps(whose)


def _standing(described: str, written: str, now: int) -> Standing:
    whose = json.loads(described)
    kind = Rate if whose["kind"] == "rate" else Within
    limit = kind(whose["name"], whose["first"], whose["second"])
    _, level, at, *slots = written.split()
    book = Book(float(level), int(at), list(zip(map(int, slots[::2]), map(int, slots[1::2]), strict=True)))
    book.settle(limit, now)
    full_at = book.full_at(limit, now)
    return Standing(
        limit,
        whose["key"],
        book.left(limit, now),
        book.ahead(now),
        _EPOCH + timedelta(microseconds=full_at) if full_at > now else None,
    )
