"""Opens what a run or command works with: stores, sources, the clock and the progress callback.

Everything is opened when a run or command starts and closed when it ends; nothing is read at import.
:mod:`trading_platform.resources.dagster_platform` makes it a Dagster resource.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from trading_platform.domain.errors import ConfigurationError, StoreError
from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.messages import AlertState
from trading_platform.domain.time import Clock, utc_now
from trading_platform.resources.rate_limiters import shared_rate_limiter
from trading_platform.settings import Settings
from trading_platform.sources.base import ActionSource, BarSource
from trading_platform.sources.rate_limits import LocalRateLimiter, RateLimiter
from trading_platform.stores.postgres.roles import Role
from trading_platform.stores.stores import Stores, open_stores
from trading_platform.workflows.corporate_actions.fetch_actions import ActionSources
from trading_platform.workflows.gaps.gap_alerts import PublishAlert, unpublished
from trading_platform.workflows.progress import Progress, silent

if TYPE_CHECKING:
    from trading_platform.sources.yahoo.client import YahooClient

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PlatformContext:
    """The open platform: the stores and sources that workflows take."""

    stores: Stores
    sources: Mapping[str, BarSource]
    clock: Clock = utc_now
    progress: Progress = silent
    force: bool = False
    rate_limiter: RateLimiter = field(default_factory=LocalRateLimiter)
    abort: Callable[[], None] = lambda: None  # ends all waits for the rate limiter when the process is to end
    action_sources: ActionSources = field(default_factory=dict)
    publish: PublishAlert = unpublished

    def instruments(self, symbols: list[str]) -> list[Instrument]:
        """The instruments of these symbols, in their order.

        Raises:
            InvalidRequest: names the symbols that are not in the universe.
        """
        return list(self.stores.instruments.require(symbols).values())


def build_yahoo(settings: Settings, rate_limiter: RateLimiter | None = None) -> YahooClient:
    """The client of Yahoo, as configured."""
    from trading_platform.sources.yahoo.client import YahooClient

    return YahooClient(settings.yahoo_api_url, cache_directory=settings.yahoo_directory, rate_limiter=rate_limiter)


def build_sources(settings: Settings, clock: Clock, rate_limiter: RateLimiter | None = None) -> dict[str, BarSource]:
    """All available sources, by name.

    Args:
        settings: addresses, folders and limits.
        clock: returns the current time.
        rate_limiter: enforces the rate limits; by default each source gets one of its own.
    """
    from trading_platform.sources.files.source import FileSource
    from trading_platform.sources.kraken.client import connect
    from trading_platform.sources.kraken.source import KrakenSource
    from trading_platform.sources.yahoo.source import YahooSource

    kraken = connect(settings.kraken_api_url, settings.kraken_requests_per_second, rate_limiter=rate_limiter)
    history = KrakenSource(
        kraken,
        imports_directory=settings.imports_directory,
        trades_history=timedelta(days=settings.kraken_history_days),
        requests_per_second=settings.kraken_requests_per_second,
        clock=clock,
    )
    sources: list[BarSource] = [
        FileSource(settings.imports_directory),
        history,
        YahooSource(build_yahoo(settings, rate_limiter), clock=clock),
    ]
    if settings.ibkr_host is not None:
        sources.append(_ibkr(settings, clock, rate_limiter or LocalRateLimiter()))
    return {source.name: source for source in sources}


def _ibkr(settings: Settings, clock: Clock, rate_limiter: RateLimiter) -> BarSource:
    from trading_platform.resources.ibkr import open_client
    from trading_platform.sources.ibkr.source import IbkrSource

    return IbkrSource(lambda: open_client(settings, rate_limiter, clock), clock=clock)


def _close(sources: Mapping[str, BarSource]) -> None:
    """Closes the connections of the sources that hold one."""
    for source in sources.values():
        close = getattr(source, "close", None)
        if close is not None:
            close()


def build_action_sources(settings: Settings, sources: Mapping[str, BarSource]) -> dict[str, ActionSource]:
    """The sources of splits and dividends, by the source of an instrument's bars."""
    from trading_platform.sources.yahoo.source import YahooSource

    (yahoo,) = (source for source in sources.values() if isinstance(source, YahooSource))
    return dict.fromkeys(sources, yahoo) if settings.yahoo_actions else {yahoo.name: yahoo}


def alert_publisher(settings: Settings) -> PublishAlert:
    """Returns a function that publishes alerts on the channel ``alerts``.

    Alerts are rare, so each opens a connection of its own. Without Redis an alert is in the system events only.
    """

    def publish(timestamp: datetime, alert: AlertState) -> None:
        from trading_platform.embedded.stack import running_stack
        from trading_platform.stores.redis.live import LiveStore

        try:
            with running_stack(settings) as endpoints, closing(LiveStore(endpoints.redis_url)) as live:
                live.publish_alert(timestamp, alert.model_dump_json())
        except (StoreError, ConfigurationError) as error:
            _log.warning("An alert could not be published on the channel alerts: %s", error)

    return publish


@contextmanager
def open_platform(
    settings: Settings,
    *,
    role: Role = Role.INGEST,
    clock: Clock = utc_now,
    progress: Progress = silent,
    force: bool = False,
) -> Iterator[PlatformContext]:
    """Opens the platform on the configured servers, or on the embedded ones where none are configured.

    Args:
        settings: addresses of servers and folders of files.
        role: role to assume in the database; ``dashboard`` for work that only reads.
        clock: returns the current time.
        progress: receives the progress of the work.
        force: fetch and compute again what is up to date.

    Raises:
        ConfigurationError: if the settings do not allow it, or the user of DATABASE_URL is another role.
        StoreUnavailable: if the database does not respond.
    """
    from trading_platform.embedded.stack import running_stack, url_as

    with (
        running_stack(settings, need_redis=False) as endpoints,
        open_stores(
            url_as(settings, endpoints, role),
            settings.features_directory,
            archive_directory=settings.archive_directory,
            owner_url=endpoints.database_url,
            may_upgrade=settings.database_url is None,
        ) as stores,
        shared_rate_limiter(settings) as rate_limiter,
    ):
        if role is Role.INGEST:
            stores.retention.note_expired(clock())  # TimescaleDB's policies drop rows at any time
        sources = build_sources(settings, clock, rate_limiter)
        actions = build_action_sources(settings, sources)
        try:
            yield PlatformContext(
                stores,
                sources,
                clock,
                progress,
                force,
                rate_limiter,
                rate_limiter.abort,
                actions,
                alert_publisher(settings),
            )
        finally:
            _close(sources)
