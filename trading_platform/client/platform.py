"""Reads bars, indicators and features, current or point-in-time, and records orders, fills and decisions.

Agents use this class alone. It needs neither Dagster nor any source. The platform writes market data; agents write
orders, fills, decisions and events through this class. Live data (quotes, signals, messages) is in Redis; the first
use connects to it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Literal
from weakref import WeakSet

import polars as pl

from trading_platform.client.archive import Archive
from trading_platform.client.audit import Decisions, Events
from trading_platform.client.live import Alerts, Circuit, Regime, Signals
from trading_platform.client.orders import Orders
from trading_platform.client.subscription import Subscription, positions_of
from trading_platform.client.timestamps import Timestamp, as_timestamp, as_window
from trading_platform.domain.derived.features import FEATURE_NAMES
from trading_platform.domain.derived.indicators import INDICATOR_NAMES
from trading_platform.domain.errors import ConfigurationError, InvalidRequest
from trading_platform.domain.market.adjustment import Adjustment, parse_adjustment
from trading_platform.domain.market.bars import BAR_SCHEMA
from trading_platform.domain.market.calendars import availability, keep_sessions
from trading_platform.domain.market.corporate_actions import actions_frame
from trading_platform.domain.market.instruments import Instrument, check_symbol
from trading_platform.domain.market.live.events import Quote
from trading_platform.domain.texts import shown
from trading_platform.domain.time import Clock, Timeframe, utc_now
from trading_platform.domain.trading.positions import Position
from trading_platform.settings import Settings, load_settings
from trading_platform.stores.audit.journal import AuditStore
from trading_platform.stores.config.strategies import RiskLimitStore, StrategyStore
from trading_platform.stores.postgres.records import texts_of
from trading_platform.stores.postgres.roles import Role
from trading_platform.stores.session_files import SessionFiles
from trading_platform.stores.stores import Stores, open_stores
from trading_platform.stores.trading.ledger import Ledger
from trading_platform.workflows.corporate_actions.adjust import adjusted_bars

if TYPE_CHECKING:
    from trading_platform.stores.redis.live import LiveStore

Adjust = Literal["raw", "split", "total_return"]
"""The adjustment of bars."""

RedisUrl = Callable[[], AbstractContextManager[str]]
"""Runs Redis until the block ends; yields its URL."""

_MOST_BARS = 10_000_000  # per symbol; twenty years of minutes


class Platform:
    """The platform's data, and the ledger.

    ::

        with Platform.connect() as platform:
            bars = platform.bars("SPY", "1d", "2020-01-01", "2024-01-01")
    """

    def __init__(self, stores: Stores, redis: RedisUrl | None = None, *, clock: Clock = utc_now) -> None:
        self._stores = stores
        self._redis = redis
        self._clock = clock
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
            platform = cls(stores, redis)
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

    @cached_property
    def events(self) -> Events:
        """Logs system events and reads them, archived ones too."""
        return Events(self._audit)

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
        return self._live().quotes(None if symbols is None else _listed(symbols))

    @cached_property
    def signals(self) -> Signals:
        """Tells strategies' signals and reads the last ones."""
        return Signals(self._live, self._clock)

    @cached_property
    def regime(self) -> Regime:
        """Notes and reads the regime of the market."""
        return Regime(self._live, self._clock)

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

    def instruments(self) -> dict[str, Instrument]:
        """The universe, by symbol."""
        return self._stores.instruments.all()

    def bars(
        self,
        symbols: str | Sequence[str],
        timeframe: str,
        start: Timestamp,
        end: Timestamp,
        adjust: Adjust = "raw",
        as_of: Timestamp | None = None,
    ) -> pl.DataFrame:
        """Final OHLCV bars of a half-open window, as traded or adjusted (docs/corporate-actions.md).

        Args:
            symbols: one or several.
            timeframe: ``1m``, ``5m``, ``1h`` or ``1d``.
            start: start of the window, included.
            end: end of the window, not included.
            adjust: ``raw``, prices as traded; ``split``, prices and volumes split-adjusted as of ``as_of``;
                ``total_return``, prices adjusted for dividends as well.
            as_of: point in time of the read: leaves out bars that had not closed by then, and ignores corporate
                actions that were not known or not in force by then; None means now.

        Returns:
            Columns ``time`` (open, UTC), ``symbol``, ``timeframe``, ``open``, ``high``, ``low``,
            ``close`` (decimals), ``volume``, ``source``, ``quality``; sorted by (symbol, time).

        Raises:
            InvalidRequest: unknown symbol, timeframe or adjustment, or an end before the start.
            QualityError: if bars cannot be adjusted for a dividend, for example because the close before it is
                missing.
        """
        how = parse_adjustment(adjust)
        length = Timeframe.parse(timeframe)
        instruments = self._instruments(symbols)
        bars = self._stores.bars.read(list(instruments), length, as_window(start, end))
        timestamp = self._clock() if as_of is None else as_timestamp(as_of)
        closed = bars if as_of is None else _closed_by(bars, instruments, length, timestamp)
        return adjusted_bars(self._stores, closed, instruments, length, how, timestamp)

    def last_bars(
        self, symbols: str | Sequence[str], timeframe: str, count: int, adjust: Adjust = "raw"
    ) -> pl.DataFrame:
        """The last final bars of each symbol, as traded or adjusted.

        Args:
            symbols: one or several.
            timeframe: ``1m``, ``5m``, ``1h`` or ``1d``.
            count: number of bars of each symbol; a symbol with fewer bars returns all of them, however old.
            adjust: as for :meth:`bars`, as of now.

        Returns:
            The columns of :meth:`bars`, sorted by (symbol, time).

        Raises:
            InvalidRequest: unknown symbol, timeframe or adjustment, or a count below 1.
            QualityError: as raised by :meth:`bars`.
        """
        how = parse_adjustment(adjust)
        length = Timeframe.parse(timeframe)
        if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= _MOST_BARS:
            raise InvalidRequest(
                "This number of bars cannot be read.",
                expected=f"a whole number from 1 to {_MOST_BARS:,}",
                received=shown(count),
                remedy="give the number of bars of each symbol, or read a window with bars()",
            )
        names = _names(symbols)
        now = self._clock()
        bars = self._stores.bars.last(names, length, count, now)
        if bars["symbol"].n_unique() < len(names):
            self._instruments(names)
        if how is Adjustment.RAW:
            return bars
        return adjusted_bars(self._stores, bars, self._instruments(names), length, how, now)

    def corporate_actions(self, symbols: str | Sequence[str] | None = None) -> pl.DataFrame:
        """The splits and dividends of some symbols; None means all.

        Returns:
            ``symbol``, ``ex_date`` (midnight UTC), ``kind``, ``new_shares`` and ``old_shares`` (of a split), ``amount``
            (of a dividend, per share of the ex-date), ``currency``, ``source``, ``known_at``; sorted by (symbol,
            ex_date).
        """
        return actions_frame(self._stores.corporate_actions.read(None if symbols is None else _names(symbols)))

    def latest_prices(self, symbols: str | Sequence[str] | None = None) -> pl.DataFrame:
        """The newest price of each symbol in the stored bars.

        It is the close of the newest minute that opened within the last hour, if there is one; else the close of the
        newest bar of any timeframe, and among bars with the same open that of the shortest timeframe.

        Args:
            symbols: one or several; None means the whole universe.

        Returns:
            ``symbol``, ``time`` (the bar's open, UTC), ``timeframe``, ``price`` (decimal), sorted by
            symbol. A symbol without any bar has no row. Check ``time`` before you trust a price.

        Raises:
            InvalidRequest: unknown symbol.
        """
        names = list(self.instruments()) if symbols is None else _names(symbols)
        prices = self._stores.bars.latest_prices(names, self._clock())
        if prices.height < len(names) and symbols is not None:
            self._instruments(names)
        return prices

    def indicators(
        self,
        symbols: str | Sequence[str],
        timeframe: str,
        start: Timestamp,
        end: Timestamp,
        names: Sequence[str] | None = None,
    ) -> pl.DataFrame:
        """Indicators of a half-open window, one column each; NULL while warming up.

        Returns:
            ``time``, ``symbol``, ``timeframe`` and the named indicators (all by default) as floats.

        Raises:
            InvalidRequest: unknown symbol, timeframe or indicator, or an end before the start.
        """
        wanted = _known_names("indicator", names, INDICATOR_NAMES)
        length = Timeframe.parse(timeframe)
        return self._stores.indicators.read(list(self._instruments(symbols)), length, as_window(start, end), wanted)

    def features(
        self,
        symbols: str | Sequence[str],
        start: Timestamp,
        end: Timestamp,
        names: Sequence[str] | None = None,
        as_of: Timestamp | None = None,
    ) -> pl.DataFrame:
        """Features of a half-open window of days, one column each.

        Args:
            symbols: one or several.
            start: first day, included.
            end: last day, not included.
            names: which features; all by default.
            as_of: point in time of the read: leaves out rows that could not be known by then.

        Returns:
            ``time``, ``symbol``, ``available_at`` and the features as floats.

        Raises:
            InvalidRequest: unknown symbol or feature, or an end before the start.
        """
        wanted = _known_names("feature", names, FEATURE_NAMES)
        rows = self._stores.features.read(list(self._instruments(symbols)), as_window(start, end), wanted)
        return rows if as_of is None else rows.filter(pl.col("available_at") <= as_timestamp(as_of))

    def feature_catalog(self) -> pl.DataFrame:
        """The definition of each feature: one row for each, sorted by name.

        Returns:
            ``feature_name``, ``description``, ``data_type``, ``category``, ``computation``, ``dependencies`` (a
            list), ``lookback_days`` (trading days), ``updated_at`` (UTC, when the entry last changed).
        """
        return self._stores.catalog.read()

    def _instruments(self, symbols: str | Sequence[str]) -> dict[str, Instrument]:
        return self._stores.instruments.require(_names(symbols))


def _listed(symbols: str | Sequence[str]) -> list[str]:
    return [symbols] if isinstance(symbols, str) else list(dict.fromkeys(texts_of(symbols, "symbols")))


def _names(symbols: str | Sequence[str]) -> list[str]:
    names = _listed(symbols)
    if not names:
        raise InvalidRequest("No symbol was given.", expected="at least one symbol", remedy="name the symbols you want")
    return names


def _known_names(kind: str, names: Sequence[str] | None, known: Sequence[str]) -> list[str]:
    wanted = list(known) if names is None else texts_of(names, f"{kind}s")
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise InvalidRequest(
            f"There is no {kind} {', '.join(map(repr, unknown))}.",
            expected=f"some of {', '.join(known)}",
            received=", ".join(unknown),
            remedy="choose from the listed names",
        )
    return wanted


def _closed_by(
    bars: pl.DataFrame, instruments: dict[str, Instrument], timeframe: Timeframe, timestamp: datetime
) -> pl.DataFrame:
    """The bars that had closed by a timestamp, each by its own market's calendar."""
    parts = [
        part.filter(availability(instruments[symbol].calendar, timeframe, part) <= timestamp)
        for (symbol,), part in bars.partition_by("symbol", as_dict=True).items()
    ]
    return pl.concat(parts) if parts else pl.DataFrame(schema=BAR_SCHEMA)
