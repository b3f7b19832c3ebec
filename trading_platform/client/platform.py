"""Reads bars, indicators and features, current or point-in-time, and records orders, fills and decisions.

Agents use this class alone. It needs neither Dagster nor any source. The platform writes market data; agents write
orders, fills, decisions and events through this class. Live data (quotes, signals, messages) is in Redis; the first
use connects to it. The reads of bars, indicators and features are in :mod:`trading_platform.client.market_data`, those
of news in :mod:`trading_platform.client.news`, those of incidents in
:mod:`trading_platform.client.operations.incidents`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING
from uuid import UUID
from weakref import WeakSet

import polars as pl

from trading_platform.client.async_quotes import AsyncQuotes
from trading_platform.client.audit import Decisions, Events
from trading_platform.client.live import Alerts, Circuit, Regime, Signals
from trading_platform.client.market_data import MarketData
from trading_platform.client.names import known_names, listed
from trading_platform.client.news import News
from trading_platform.client.operations.archive import Archive
from trading_platform.client.operations.incidents import Incidents
from trading_platform.client.operations.quarantine import Quarantine
from trading_platform.client.orders import Orders
from trading_platform.client.subscription import Subscription, positions_of
from trading_platform.domain.errors import ConfigurationError
from trading_platform.domain.features.feature_set import KEYS
from trading_platform.domain.features.missing_values import Missing
from trading_platform.domain.market.calendars import keep_sessions
from trading_platform.domain.market.instruments import check_symbol
from trading_platform.domain.market.live.events import Quote
from trading_platform.domain.time import Clock, utc_now
from trading_platform.domain.trading.positions import Position
from trading_platform.settings import Settings, load_settings
from trading_platform.stores.audit.journal import AuditStore
from trading_platform.stores.config.strategies import RiskLimitStore, StrategyStore
from trading_platform.stores.postgres.roles import Role
from trading_platform.stores.session_files import SessionFiles
from trading_platform.stores.stores import Stores, open_stores
from trading_platform.stores.trading.ledger import Ledger

if TYPE_CHECKING:
    from trading_platform.client.explanations import Explanation
    from trading_platform.stores.redis.live import LiveStore

RedisUrl = Callable[[], AbstractContextManager[str]]
"""Runs Redis until the block ends; yields its URL."""


class Platform(MarketData, News, Incidents):
    """The platform's data, and the ledger.

    ::

        with Platform.connect() as platform:
            bars = platform.bars("SPY", "1d", "2020-01-01", "2024-01-01")
    """

    def __init__(
        self, stores: Stores, redis: RedisUrl | None = None, *, clock: Clock = utc_now, missing: Missing = "keep"
    ) -> None:
        super().__init__(stores, clock, missing)
        self._redis = redis
        self._resources = ExitStack()
        self._connecting = threading.Lock()
        self._subscriptions: WeakSet[Subscription] = WeakSet()

    @classmethod
    @contextmanager
    def connect(cls, settings: Settings | None = None) -> Iterator[Platform]:
        """Opens the platform that the environment (or ``settings``) configures; closes it on exit.

        It assumes the role ``agent`` of the database; a DATABASE_URL of that role is all it needs.

        Raises:
            ConfigurationError: if the settings are invalid, or the user of DATABASE_URL is another role.
            StoreUnavailable: if the database does not respond.
        """
        from trading_platform.embedded.stack import running_stack, url_as

        settings = settings or load_settings()
        keep_sessions(SessionFiles(settings.root / "calendars"))
        embedded = settings.database_url is None

        @contextmanager
        def redis() -> Iterator[str]:
            with running_stack(settings, need_redis=True) as endpoints:
                yield endpoints.redis_url

        with (
            running_stack(settings, need_redis=False) as endpoints,
            open_stores(
                url_as(settings, endpoints, Role.AGENT),
                settings.features_directory,
                archive_directory=settings.archive_directory,
                owner_url=endpoints.database_url if embedded else None,
                may_upgrade=embedded,
            ) as stores,
        ):
            platform = cls(stores, redis, missing=settings.feature_missing)
            try:
                yield platform
            finally:
                platform.disconnect_redis()

    @cached_property
    def orders(self) -> Orders:
        """Places orders, changes their status, records their fills."""
        return Orders(self._ledger)

    @cached_property
    def decisions(self) -> Decisions:
        """Records decisions and reads them, archived ones too."""
        return Decisions(self._audit)

    def explain_decision(self, decision_id: UUID | str) -> Explanation:
        """What was recorded when a decision was taken, and what of it is different now (docs/explanations.md).

        Bars, features with their definitions, regime, positions, open orders, limits and news are those that this
        platform had recorded by then; corrections since are beside them.

        Raises:
            InvalidRequest: if there is no decision with this id.
            StoreError: names a file that is needed and cannot be read.
        """
        from trading_platform.client.explanations import Explanations

        return Explanations(self, self._stores, self._audit, self._clock).explain(decision_id)

    @cached_property
    def events(self) -> Events:
        """Logs system events and reads them, archived ones too."""
        return Events(self._audit)

    @cached_property
    def quarantine(self) -> Quarantine:
        """Rejected rows, and what was decided about them."""
        return Quarantine(self._stores.quarantine)

    @cached_property
    def archive(self) -> Archive:
        """Decisions and events older than a year, as frames."""
        return Archive(self._stores.archive)

    @cached_property
    def strategies(self) -> StrategyStore:
        """The strategies that may place orders."""
        return StrategyStore(self._stores.database)

    @cached_property
    def risk_limits(self) -> RiskLimitStore:
        """The limits that orders are checked against."""
        return RiskLimitStore(self._stores.database)

    def positions(self, symbol: str | None = None, *, open_only: bool = False) -> dict[str, Position]:
        """Positions by symbol; with closed ones, for their realised profit, unless ``open_only``."""
        return self._ledger.positions(symbol, open_only=open_only)

    def mark_price(self, symbol: str, price: Decimal | int | str) -> Position | None:
        """Stores the last known price of a symbol with its position.

        Returns:
            The position with the price; None if the symbol never had one.

        Raises:
            InvalidRequest: for an invalid price.
        """
        return self._ledger.mark(symbol, price)

    def quote(self, symbol: str) -> Quote | None:
        """The newest quote of a symbol; None if no quote was received for a minute.

        ``time`` is the time of the quote; the caller decides how old it may be.
        """
        return self.quotes([check_symbol(symbol)]).get(symbol)

    def quotes(self, symbols: Sequence[str] | None = None) -> dict[str, Quote]:
        """Quotes of the last minute by symbol, for these symbols or all; symbols without a quote are left out."""
        return self._live().quotes(None if symbols is None else listed(symbols))

    @cached_property
    def async_quotes(self) -> AsyncQuotes:
        """Reads quotes for callers in an event loop."""
        return AsyncQuotes(self._redis_url)

    def latest_features(
        self, symbols: str | Sequence[str] | None = None, names: Sequence[str] | None = None
    ) -> pl.DataFrame:
        """Today's features from Redis: of each symbol the newest row, the hourly one where there is one.

        They are the numbers of :meth:`features`, written when those were. A row is kept until the next one is due and
        an hour (hourly rows) or a day (daily ones) longer.

        Args:
            symbols: one or several; None means the whole universe.
            names: which features; all by default.

        Returns:
            ``time`` (open of the bar, UTC), ``symbol``, ``timeframe`` (``1h`` or ``1d``), ``available_at`` and the
            features, sorted by symbol. A symbol without a present row has none here. Check ``available_at`` before
            you trust a row.

        Raises:
            InvalidRequest: unknown symbol or feature.
            StoreUnavailable: if Redis does not respond.
        """
        asked = list(self.instruments()) if symbols is None else list(self._instruments(symbols))
        schema = self._stores.hourly_features.schema
        wanted = known_names("feature", names, [name for name in schema if name not in KEYS])
        rows = self._live().latest_features(sorted(asked))
        keys = {"time": KEYS["time"], "symbol": pl.String(), "timeframe": pl.String(), "available_at": KEYS["time"]}
        listed_rows = [
            (row.time, symbol, row.timeframe.value, row.available_at, *(row.values.get(name) for name in wanted))
            for symbol, row in rows.items()
        ]
        return pl.DataFrame(listed_rows, schema={**keys, **{name: schema[name] for name in wanted}}, orient="row")

    @cached_property
    def signals(self) -> Signals:
        """Tells strategies' signals and reads the last ones."""
        return Signals(self._live, self._clock)

    @cached_property
    def regime(self) -> Regime:
        """Notes and reads the regime of the market."""
        return Regime(self._live, self._audit, self._clock)

    @cached_property
    def circuit(self) -> Circuit:
        """Reads circuit breakers."""
        return Circuit(self._live)

    @cached_property
    def alerts(self) -> Alerts:
        """Tells alerts."""
        return Alerts(self._live, self._audit, self._clock)

    @property
    def session(self) -> dict[str, str]:
        """The state of the whole system, written by the streamer; empty if none ever ran."""
        return self._live().session()

    def subscribe(self, *channels: str, after: str | int | Mapping[str, str | int] | None = None) -> Subscription:
        """Subscribes to channels (docs/messages.md); close the subscription, or use it in a ``with`` statement.

        Args:
            *channels: of ``quotes``, ``signals``, ``orders``, ``alerts`` and ``regime``.
            after: position of the last message received (``Subscription.position``, ``message.position``), by channel
                if there are several; 0 for all retained messages; None for messages published from now on. Quotes
                are not retained.

        Raises:
            InvalidRequest: for an unknown channel or an invalid position.
            StoreError: if a stream does not have that message, because Redis was emptied or restored.
            StoreUnavailable: if Redis does not respond.
        """
        from trading_platform.stores.redis.channels import ChannelReader

        streams, quotes = positions_of(channels, after)
        subscription = Subscription(ChannelReader(self._redis_url(), streams, quotes=quotes), time.monotonic)
        self._subscriptions.add(subscription)
        return subscription

    def disconnect_redis(self) -> None:
        """Ends all subscriptions and releases Redis; :meth:`connect` does so on exit."""
        for subscription in list(self._subscriptions):
            subscription.close()
        with self._connecting:
            self._resources.close()
            self.__dict__.pop("_connected", None)

    def _redis_url(self) -> str:
        self._live()
        return self._connected[0]

    def _live(self) -> LiveStore:
        with self._connecting:
            return self._connected[1]

    @cached_property
    def _connected(self) -> tuple[str, LiveStore]:
        from trading_platform.stores.redis.live import open_live_store

        if self._redis is None:
            raise ConfigurationError(
                "This platform was opened without Redis.", remedy="open it with Platform.connect()"
            )
        url = self._resources.enter_context(self._redis())
        return url, self._resources.enter_context(open_live_store(url))

    @cached_property
    def _audit(self) -> AuditStore:
        return AuditStore(self._stores.database, self._stores.archive)

    @cached_property
    def _ledger(self) -> Ledger:
        return Ledger(self._stores.database)
