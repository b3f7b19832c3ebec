"""Opens the configured brokers' accounts, read-only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

from trading_platform.domain.errors import ConfigurationError
from trading_platform.domain.time import Clock, utc_now
from trading_platform.resources.demonstration import check_not_refused
from trading_platform.resources.rate_limiters import SharedRateLimiter
from trading_platform.settings import Settings
from trading_platform.sources.base import BrokerAccount


@contextmanager
def open_accounts(settings: Settings, *, clock: Clock = utc_now) -> Iterator[Mapping[str, BrokerAccount]]:
    """Opens every account with configured access, by its broker's name; closes them on exit.

    All processes of the installation share the rate limits and the nonces.

    Raises:
        ConfigurationError: if the configuration of an account is incomplete or invalid.
        SourceRejected: in the demonstration's data directory, for an account that is not on this machine.
    """
    with ExitStack() as opened:
        rate_limiter = SharedRateLimiter(settings, opened)
        accounts: dict[str, BrokerAccount] = {}
        if settings.kraken_api_key is not None or settings.kraken_api_secret is not None:
            check_not_refused(settings, "kraken", settings.kraken_api_url)
            accounts["kraken"] = _kraken(settings, rate_limiter, opened, clock)
        if settings.ibkr_host is not None:
            check_not_refused(settings, "ibkr")
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
            "Kraken's API key is incomplete.",
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
