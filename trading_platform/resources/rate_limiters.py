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
from trading_platform.domain.rate_limits import WaitGivenUp
from trading_platform.settings import Settings
from trading_platform.sources.rate_limits import Budget, Charge, LocalBudget

if TYPE_CHECKING:
    from trading_platform.stores.redis.rate_limiters import Standing

log = logging.getLogger(__name__)


class SharedBudget:
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
        self._budget: Budget | None = None
        self._url: str | None = None
        self._ending = threading.Event()
        self._lock = threading.Lock()

    def take(self, charges: Sequence[Charge]) -> float:
        """As :meth:`Budget.take`.

        Raises:
            WaitGivenUp: after :meth:`give_up`, where it would wait.
        """
        return self._ready().take(charges)

    def give_up(self) -> None:
        """Ends all waits, in whatever thread, so that the process can end; there are none any more."""
        self._ending.set()

    def redis_url(self) -> str | None:
        """The Redis that is shared, for what else those who ask a vendor share; None if there is none."""
        self._ready()
        return self._url

    def _ready(self) -> Budget:
        with self._lock:
            if self._budget is None:
                self._budget = self._open()
            return self._budget

    def _open(self) -> Budget:
        from trading_platform.embedded.stack import running_redis
        from trading_platform.stores.redis.rate_limiters import RedisBudget

        try:
            self._url = self._opened.enter_context(running_redis(self._settings))
        except TradingPlatformError as error:
            log.warning("Limits of sources are kept by this process alone, without others: %s", error.message)
            return LocalBudget(sleep=self._sleep)
        budget = RedisBudget(self._url, LocalBudget(), sleep=self._sleep)
        self._opened.callback(budget.close)
        return budget

    def _sleep(self, seconds: float) -> None:
        if self._ending.wait(seconds):
            raise WaitGivenUp


@contextmanager
def shared_budget(settings: Settings) -> Iterator[SharedBudget]:
    """The budget of an installation; what it opened is closed on leaving."""
    with ExitStack() as opened:
        yield SharedBudget(settings, opened)


def declared_limits(settings: Settings) -> list[Charge]:
    """A request of each kind that the settings allow, for its limit and whose it is."""
    from trading_platform.sources.kraken.limits import fingerprint_of, private_charges, public_charge
    from trading_platform.sources.yahoo.limits import charges as yahoo_charges

    charges = [public_charge(settings.kraken_api_url, settings.kraken_requests_per_second)]
    if settings.kraken_api_key is not None:
        fingerprint = fingerprint_of(settings.kraken_api_key.get_secret_value())
        charges.extend(private_charges(settings.kraken_tier, fingerprint, "Balance"))
    charges.extend(yahoo_charges())
    return charges


def standings(settings: Settings) -> list[Standing]:
    """How every limit stands: those that something is taken of, and those that are declared.

    Raises:
        ConfigurationError: if there can be no Redis here.
        StoreUnavailable: if it does not answer.
    """
    from trading_platform.embedded.stack import running_redis
    from trading_platform.stores.redis.rate_limiters import RedisBudget, Standing

    with running_redis(settings) as url:
        budget = RedisBudget(url, LocalBudget())
        try:
            found = {(each.limit.name, each.key): each for each in budget.standings()}
        finally:
            budget.close()
    for charge in declared_limits(settings):
        found.setdefault((charge.limit.name, charge.key), Standing(charge.limit, charge.key, charge.limit.most))
    return [found[name] for name in sorted(found)]
