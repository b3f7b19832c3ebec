"""The rate limiter that all commands and runs of an installation share.

The sources declare the limits; :mod:`trading_platform.stores.redis.rate_limiters` enforces them.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from trading_platform.domain.errors import TradingPlatformError
from trading_platform.domain.rate_limits import WaitAborted
from trading_platform.settings import Settings
from trading_platform.sources.rate_limits import Cost, LocalRateLimiter, RateLimiter

if TYPE_CHECKING:
    from trading_platform.stores.redis.rate_limiters import Standing

log = logging.getLogger(__name__)


class SharedRateLimiter:
    """The rate limiter in the configured Redis or the embedded one, opened by the first request to a source.

    A command without such a request starts no Redis for it. If no Redis is available, because no server program is
    installed, the process enforces the limits for itself alone and logs a warning.

    Args:
        settings: address of Redis.
        opened: closes what the rate limiter opened.
    """

    def __init__(self, settings: Settings, opened: ExitStack) -> None:
        self._settings = settings
        self._opened = opened
        self._rate_limiter: RateLimiter | None = None
        self._url: str | None = None
        self._ending = threading.Event()
        self._lock = threading.Lock()

    def take(self, costs: Sequence[Cost]) -> float:
        """Does the same as :meth:`RateLimiter.take`.

        Raises:
            WaitAborted: after :meth:`give_up`.
        """
        if self._ending.is_set():
            raise WaitAborted
        return self._ready().take(costs)

    def abort(self) -> None:
        """Ends all waits, in whatever thread, so that the process can end; nothing is given any more."""
        self._ending.set()

    def redis_url(self) -> str | None:
        """The address of the shared Redis, for other state that requests to a source share; None without Redis."""
        self._ready()
        return self._url

    def _ready(self) -> RateLimiter:
        with self._lock:
            if self._rate_limiter is None:
                self._rate_limiter = self._open()
            return self._rate_limiter

    def _open(self) -> RateLimiter:
        from trading_platform.embedded.stack import running_redis
        from trading_platform.stores.redis.rate_limiters import RedisRateLimiter

        try:
            self._url = self._opened.enter_context(running_redis(self._settings))
        except TradingPlatformError as error:
            log.warning(
                "This process enforces the rate limits by itself, not together with others: %s",
                error.message,
            )
            return LocalRateLimiter(sleep=self._sleep)
        rate_limiter = RedisRateLimiter(self._url, LocalRateLimiter(), sleep=self._sleep)
        self._opened.callback(rate_limiter.close)
        return rate_limiter

    def _sleep(self, seconds: float) -> None:
        if self._ending.wait(seconds):
            raise WaitAborted


@contextmanager
def shared_rate_limiter(settings: Settings) -> Iterator[SharedRateLimiter]:
    """The rate limiter of an installation; closes on exit what it opened."""
    with ExitStack() as opened:
        yield SharedRateLimiter(settings, opened)


def declared_limits(settings: Settings) -> list[Cost]:
    """One cost for each kind of request that the settings allow, with its limit and key."""
    from trading_platform.sources.kraken.limits import fingerprint_of, private_costs, public_cost
    from trading_platform.sources.yahoo.limits import costs as yahoo_costs

    costs = [public_cost(settings.kraken_api_url, settings.kraken_requests_per_second)]
    if settings.kraken_api_key is not None:
        fingerprint = fingerprint_of(settings.kraken_api_key.get_secret_value())
        costs.extend(private_costs(settings.kraken_tier, fingerprint, "Balance"))
    costs.extend(yahoo_costs())
    return costs


def standings(settings: Settings) -> list[Standing]:
    """The state of every rate limit: of those in use, and of those that are declared.

    Raises:
        ConfigurationError: if no Redis is available on this machine.
        StoreUnavailable: if Redis does not respond.
    """
    from trading_platform.embedded.stack import running_redis
    from trading_platform.stores.redis.rate_limiters import RedisRateLimiter, Standing

    with running_redis(settings) as url:
        rate_limiter = RedisRateLimiter(url, LocalRateLimiter())
        try:
            found = {(each.limit.name, each.key): each for each in rate_limiter.standings()}
        finally:
            rate_limiter.close()
    for cost in declared_limits(settings):
        found.setdefault((cost.limit.name, cost.key), Standing(cost.limit, cost.key, cost.limit.most))
    return [found[name] for name in sorted(found)]
