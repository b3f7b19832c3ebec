"""The budget of requests that a command or run shares with all others of the same installation.

Which limits there are is declared beside the sources; :mod:`trading_platform.stores.redis.rate_limiters` keeps to them.
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
    """The budget in the configured Redis or the embedded one, opened by the first request to a vendor.

    A command that asks no vendor starts no Redis for it. Where there can be none, because no server
    program is installed, the process keeps to the limits by itself, and says so.

    Args:
        settings: which Redis.
        opened: keeps what was opened, and ends it.
    """

    def __init__(self, settings: Settings, opened: ExitStack) -> None:
        self._settings = settings
        self._opened = opened
        self._rate_limiter: RateLimiter | None = None
        self._url: str | None = None
        self._ending = threading.Event()
        self._lock = threading.Lock()

    def take(self, costs: Sequence[Cost]) -> float:
        """As :meth:`RateLimiter.take`.

        Raises:
            WaitAborted: after :meth:`give_up`, where it would wait.
        """
        return self._ready().take(costs)

    def abort(self) -> None:
        """Ends all waits, in whatever thread, so that the process can end; there are none any more."""
        self._ending.set()

    def redis_url(self) -> str | None:
        """The Redis that is shared, for what else those who ask a vendor share; None if there is none."""
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
            log.warning("Limits of sources are kept by this process alone, without others: %s", error.message)
            return LocalRateLimiter(sleep=self._sleep)
        rate_limiter = RedisRateLimiter(self._url, LocalRateLimiter(), sleep=self._sleep)
        self._opened.callback(rate_limiter.close)
        return rate_limiter

    def _sleep(self, seconds: float) -> None:
        if self._ending.wait(seconds):
            raise WaitAborted


@contextmanager
def shared_rate_limiter(settings: Settings) -> Iterator[SharedRateLimiter]:
    """The budget of an installation; what it opened is closed on leaving."""
    with ExitStack() as opened:
        yield SharedRateLimiter(settings, opened)


def declared_limits(settings: Settings) -> list[Cost]:
    """A request of each kind that the settings allow, for its limit and whose it is."""
    from trading_platform.sources.kraken.limits import fingerprint_of, private_costs, public_cost
    from trading_platform.sources.yahoo.limits import costs as yahoo_costs

    costs = [public_cost(settings.kraken_api_url, settings.kraken_requests_per_second)]
    if settings.kraken_api_key is not None:
        fingerprint = fingerprint_of(settings.kraken_api_key.get_secret_value())
        costs.extend(private_costs(settings.kraken_tier, fingerprint, "Balance"))
    costs.extend(yahoo_costs())
    return costs


def standings(settings: Settings) -> list[Standing]:
    """How every limit stands: those that something is taken of, and those that are declared.

    Raises:
        ConfigurationError: if there can be no Redis here.
        StoreUnavailable: if it does not answer.
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
