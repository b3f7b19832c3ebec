"""Opens what a run or command works with: stores, sources, the clock and the progress callback.

Everything is opened when a run or command starts and closed when it ends; nothing is read at import.
:mod:`trading_platform.resources.dagster_platform` makes it a Dagster resource.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from trading_platform.domain.errors import ConfigurationError, StoreError
from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.time import Clock, utc_now
from trading_platform.resources.demonstration import RefusedSource, is_demonstration, refuses
from trading_platform.resources.rate_limiters import shared_rate_limiter
from trading_platform.settings import Settings
from trading_platform.sources.base import ActionSource, BarSource
from trading_platform.sources.rate_limits import LocalRateLimiter, RateLimiter
from trading_platform.stores.features.definitions import Definitions, load_definitions
from trading_platform.stores.postgres.roles import Role
from trading_platform.stores.redis.latest_features import RedisLatestFeatures
from trading_platform.stores.stores import Stores, open_stores
from trading_platform.workflows.corporate_actions.fetch_actions import ActionSources
from trading_platform.workflows.gaps.gap_alerts import PublishAlert, unpublished
from trading_platform.workflows.progress import Progress, silent

if TYPE_CHECKING:
    from trading_platform.domain.messages import AlertState
    from trading_platform.embedded.stack import Endpoints
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
    redis_url: Callable[[], str | None] = lambda: None  # None where there is no Redis
    data_docs: Path = field(default_factory=lambda: Path("data/data_docs"))  # folder of Great Expectations

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


class Sources(Mapping[str, BarSource]):
    """The available sources by name, each made when it is first used, because their libraries take long to load.

    Args:
        makers: a function for each source.
    """

    def __init__(self, makers: Mapping[str, Callable[[], BarSource]]) -> None:
        self._makers = makers
        self._made: dict[str, BarSource] = {}

    def __getitem__(self, name: str) -> BarSource:
        if name not in self._made:
            self._made[name] = self._makers[name]()
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)

    def __contains__(self, name: object) -> bool:
        return name in self._makers

    def close(self) -> None:
        """Closes the connections of the sources that hold one."""
        for source in self._made.values():
            close = getattr(source, "close", None)
            if close is not None:
                close()


def build_sources(settings: Settings, clock: Clock, rate_limiter: RateLimiter | None = None) -> Sources:
    """All available sources, by name.

    Args:
        settings: addresses, folders and limits.
        clock: returns the current time.
        rate_limiter: enforces the rate limits; by default each source gets one of its own.
    """

    def files() -> BarSource:
        from trading_platform.sources.files.source import FileSource

        return FileSource(settings.imports_directory)

    def kraken() -> BarSource:
        from trading_platform.sources.kraken.client import connect
        from trading_platform.sources.kraken.source import KrakenSource

        return KrakenSource(
            connect(settings.kraken_api_url, settings.kraken_requests_per_second, rate_limiter=rate_limiter),
            imports_directory=settings.imports_directory,
            trades_history=timedelta(days=settings.kraken_history_days),
            requests_per_second=settings.kraken_requests_per_second,
            clock=clock,
        )

    def yahoo() -> BarSource:
        from trading_platform.sources.yahoo.source import YahooSource

        return YahooSource(build_yahoo(settings, rate_limiter), clock=clock)

    makers: dict[str, Callable[[], BarSource]] = {"file": files, "kraken": kraken, "yahoo": yahoo}
    if is_demonstration(settings):
        makers["yahoo"] = lambda: RefusedSource(yahoo(), settings.yahoo_api_url)
        if refuses(settings, settings.kraken_api_url):
            makers["kraken"] = lambda: RefusedSource(kraken(), settings.kraken_api_url)
    if settings.ibkr_host is not None:

        def ibkr() -> BarSource:
            return _ibkr(settings, clock, rate_limiter or LocalRateLimiter())

        makers["ibkr"] = (lambda: RefusedSource(ibkr(), settings.ibkr_host)) if is_demonstration(settings) else ibkr
    return Sources(makers)


def _ibkr(settings: Settings, clock: Clock, rate_limiter: RateLimiter) -> BarSource:
    from trading_platform.resources.ibkr import open_client
    from trading_platform.sources.ibkr.source import IbkrSource

    return IbkrSource(lambda: open_client(settings, rate_limiter, clock), clock=clock)


def build_action_sources(settings: Settings, sources: Mapping[str, BarSource]) -> ActionSources:
    """The sources of splits and dividends, by the source of an instrument's bars."""
    names = list(sources) if settings.yahoo_actions else ["yahoo"]
    return YahooActions(sources, names)


class YahooActions(Mapping[str, ActionSource]):
    """Yahoo as the source of splits and dividends of the instruments with bars from some sources.

    Args:
        sources: the sources of bars, Yahoo among them.
        names: the sources whose instruments' actions it gives.
    """

    def __init__(self, sources: Mapping[str, BarSource], names: Sequence[str]) -> None:
        self._sources = sources
        self._names = names

    def __getitem__(self, name: str) -> ActionSource:
        from trading_platform.sources.yahoo.source import YahooSource

        if name not in self._names:
            raise KeyError(name)
        yahoo = self._sources["yahoo"]
        if not isinstance(yahoo, YahooSource | RefusedSource):
            raise TypeError(f"the source 'yahoo' is a {type(yahoo).__name__}")
        return yahoo

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


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


def _definitions(settings: Settings) -> Definitions:
    """The definitions of features; what of a user's files cannot be used is logged."""
    definitions = load_definitions(settings.definitions_directory)
    for error in definitions.errors:
        _log.warning("A definition of features is left out. %s", error)
    return definitions


@contextmanager
def open_platform(
    settings: Settings,
    *,
    endpoints: Endpoints | None = None,
    role: Role = Role.INGEST,
    clock: Clock = utc_now,
    progress: Progress = silent,
    force: bool = False,
) -> Iterator[PlatformContext]:
    """Opens the platform on the configured servers, or on the embedded ones where none are configured.

    Args:
        settings: addresses of servers and folders of files.
        endpoints: the servers, where the caller holds them already; None to start or find them.
        role: role to assume in the database; ``dashboard`` for work that only reads.
        clock: returns the current time.
        progress: receives the progress of the work.
        force: fetch and compute again what is up to date.

    Raises:
        ConfigurationError: if the settings do not allow it, or the user of DATABASE_URL is another role.
        StoreUnavailable: if the database does not respond.
    """
    from trading_platform.domain.market.calendars import keep_sessions
    from trading_platform.embedded.stack import running_stack, url_as
    from trading_platform.stores.session_files import SessionFiles

    keep_sessions(SessionFiles(settings.root / "calendars"))
    with (
        nullcontext(endpoints) if endpoints else running_stack(settings, need_redis=False) as servers,
        shared_rate_limiter(settings) as rate_limiter,
        open_stores(
            url_as(settings, servers, role),
            settings.features_directory,
            archive_directory=settings.archive_directory,
            owner_url=servers.database_url,
            may_upgrade=settings.database_url is None,
            definitions=_definitions(settings),
            latest_features=RedisLatestFeatures(rate_limiter.redis_url),
            quality_rules=settings.quality_rules_file,
        ) as stores,
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
                rate_limiter.redis_url,
                settings.root / "data_docs",
            )
        finally:
            sources.close()
