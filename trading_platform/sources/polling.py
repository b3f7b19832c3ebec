"""A live feed of a source without push: polled each second while a market of its symbols is open.

It polls a :class:`QuoteSource`; Kraken's is :class:`trading_platform.sources.kraken.live.quotes.KrakenQuotes`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Protocol

from trading_platform.domain.errors import SourceError
from trading_platform.domain.market.calendars import OpeningHours
from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.market.live.events import FeedDown, FeedUp, Heartbeat, Quote
from trading_platform.domain.time import AsyncSleep, Clock, utc_now
from trading_platform.sources.live import Backoff, EventBuffer, until_closing

log = logging.getLogger(__name__)


class QuoteSource(Protocol):
    """A source of the current bid and ask."""

    @property
    def name(self) -> str:
        """The value of the ``source`` column of bars made of it."""

    def quotes(self, symbols: Sequence[str]) -> list[Quote]:
        """The quotes of those symbols, in the platform's spelling, without those that the source has no usable one of.

        It may wait for the network.

        Raises:
            SourceError: if they are not available.
        """


class PollingFeed(EventBuffer):
    """Quotes of a source without push; see :class:`trading_platform.sources.live.LiveFeed`.

    Only symbols with an open market are requested. A failed round is an outage from the last
    successful one, and is tried again after growing waits; a symbol without a quote has an outage of its own.
    Heartbeats come with every round, and while
    all markets are closed, so that event time advances.

    Args:
        quotes: source to poll.
        instruments: instruments to follow.
        clock: the receiver's clock.
        sleep: waits.
        interval: seconds from the beginning of a round to that of the next.
        backoff: the waits after failed rounds.
    """

    def __init__(
        self,
        quotes: QuoteSource,
        instruments: Iterable[Instrument],
        *,
        clock: Clock = utc_now,
        sleep: AsyncSleep = asyncio.sleep,
        interval: float = 1.0,
        backoff: Backoff | None = None,
    ) -> None:
        super().__init__()
        self._quotes = quotes
        self._calendars = {instrument.symbol: instrument.calendar for instrument in instruments}
        self._hours = {calendar: OpeningHours(calendar) for calendar in set(self._calendars.values())}
        self._clock = clock
        self._sleep = sleep
        self._interval = interval
        self._backoff = backoff or Backoff(lasting=0.0)
        self._is_up: bool | None = None
        self._without_quote: frozenset[str] = frozenset()
        self._received = clock()
        self._wait = 0.0

    @property
    def source(self) -> str:
        """The value of the ``source`` column of bars made of it."""
        return self._quotes.name

    async def close(self) -> None:
        """Ends the feed. A running request is left to its own timeout."""
        self._closing.set()

    async def _advance(self) -> None:
        if self._wait:
            await until_closing(self._sleep(self._wait), self._closing)
        if not self._closing.is_set():
            await self._round()

    async def _round(self) -> None:
        began = self._clock()
        symbols = [symbol for symbol, calendar in self._calendars.items() if self._hours[calendar].is_open(began)]
        try:
            quotes = await self._ask(symbols) if symbols else []
        except SourceError as error:
            self._failed(error)
            return
        if quotes is None:
            return
        self._backoff.ended(self._interval)
        before, self._received = self._received, self._clock()
        self._note_missing(frozenset(symbols) - {quote.symbol for quote in quotes}, frozenset(symbols), before)
        self._ready.extend(quotes)
        self._ready.append(Heartbeat(self._received))
        self._wait = max(self._interval - (self._received - began).total_seconds(), 0.01)

    async def _ask(self, symbols: Sequence[str]) -> list[Quote] | None:
        return await until_closing(asyncio.to_thread(self._quotes.quotes, symbols), self._closing)

    def _note_missing(self, missing: frozenset[str], asked: frozenset[str], before: datetime) -> None:
        """Ends the feed's outage, and begins and ends those of symbols that alone have no quote.

        Args:
            missing: the symbols of this round without a quote.
            asked: all symbols of this round.
            before: when the last round succeeded.
        """
        if not self._is_up:
            self._is_up, back, new = True, frozenset(self._calendars) - missing, frozenset[str]()
            self._without_quote = missing
        else:
            back, new = self._without_quote & asked - missing, missing - self._without_quote
            self._without_quote = self._without_quote - asked | missing
        if back:
            self._ready.append(FeedUp(self._received, back))
        if new:
            log.warning("no usable quote of %s from %s", ", ".join(sorted(new)), self.source)
            self._ready.append(FeedDown(before, new, "no usable quote"))

    def _failed(self, error: SourceError) -> None:
        self._wait = self._backoff.next_wait()
        log.warning("no quotes from %s, next attempt in %.1f s: %s", self.source, self._wait, error.message)
        if self._is_up is not False:
            self._is_up = False
            self._ready.append(FeedDown(self._received, frozenset(self._calendars), error.message))
