"""The brokers' accounts that the settings name, opened to be read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

from trading_platform.domain.errors import ConfigurationError
from trading_platform.domain.time import Clock, utc_now
from trading_platform.resources.rate_limiters import SharedRateLimiter
from trading_platform.settings import Settings
from trading_platform.sources.base import BrokerAccount


@contextmanager
def open_accounts(settings: Settings, *, clock: Clock = utc_now) -> Iterator[Mapping[str, BrokerAccount]]:
    """Every account the settings have a key for, by its broker's name; closed on leaving.

    Requests are limited together with all other processes of the installation, and so are nonces.

    Raises:
        ConfigurationError: if a key cannot be used.
    """
    with ExitStack() as opened:
        rate_limiter = SharedRateLimiter(settings, opened)
        accounts: dict[str, BrokerAccount] = {}
        if settings.kraken_api_key is not None or settings.kraken_api_secret is not None:
            accounts["kraken"] = _kraken(settings, rate_limiter, opened, clock)
        if settings.ibkr_host is not None:
            accounts["ibkr"] = _ibkr(settings, rate_limiter, opened, clock)
        yield accounts


def _ibkr(settings: Settings, rate_limiter: SharedRateLimiter, opened: ExitStack, clock: Clock) -> BrokerAccount:
    from trading_platform.resources.ibkr import open_client
    from trading_platform.sources.ibkr.account import IbkrAccount

    client = open_client(settings, rate_limiter, clock)
    opened.callback(client.close)
    return IbkrAccount(client, settings.ibkr_account, clock=clock)


def _kraken(settings: Settings, rate_limiter: SharedRateLimiter, opened: ExitStack, clock: Clock) -> BrokerAccount:
    from trading_platform.sources.kraken.account.nonces import LocalNonces, Nonces
    from trading_platform.sources.kraken.account.private import Credentials, KrakenPrivate
    from trading_platform.sources.kraken.account.source import KrakenAccount
    from trading_platform.sources.kraken.client import connect
    from trading_platform.stores.redis.nonces import RedisNonces

    if settings.kraken_api_key is None or settings.kraken_api_secret is None:
        raise ConfigurationError(
            "Kraken's key has one part only.",
            expected="KRAKEN_API_KEY and KRAKEN_API_SECRET, both or none",
            received="the key" if settings.kraken_api_key else "the secret",
            remedy="set both in the environment or in .env",
        )
    credentials = Credentials(settings.kraken_api_key.get_secret_value(), settings.kraken_api_secret.get_secret_value())
    nonces: Nonces = LocalNonces()
    redis_url = rate_limiter.redis_url()
    if redis_url is not None:
        shared = RedisNonces(redis_url, f"kraken:{credentials.fingerprint}", nonces)
        opened.callback(shared.close)
        nonces = shared
    private = KrakenPrivate(
        settings.kraken_api_url,
        credentials,
        tier=settings.kraken_tier,
        rate_limiter=rate_limiter,
        nonces=nonces,
        clock=clock,
    )
    opened.callback(private.close)
    public = connect(settings.kraken_api_url, settings.kraken_requests_per_second, rate_limiter=rate_limiter)
    opened.callback(public.close)
    return KrakenAccount(private, public, account=settings.kraken_account, clock=clock)
