"""Between the feed and Redis: takes every quote at once, and writes each symbol's newest when Redis is ready.

Under load quotes are conflated: a quote that is not yet written is superseded by the symbol's next one, field by
field. So at most one quote per symbol waits, however long Redis is unavailable. Trades do not pass here, because each
of them counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from trading_platform.domain.errors import InvalidRequest, StoreError
from trading_platform.domain.market.instruments import check_symbol
from trading_platform.domain.market.live.event_validation import Fault, fault_of_quote, fault_of_time
from trading_platform.domain.market.live.events import Quote
from trading_platform.domain.rejection_reasons import Reason
from trading_platform.domain.time import AsyncSleep, Clock, utc_now

PAUSE = 0.02
"""Seconds between two writes: the quotes of that time go in one batch."""

LONGEST_PAUSE = 1.0
"""Maximum number of seconds between two attempts while Redis is unavailable."""

LAST_WRITE = 5.0
"""Seconds that the last write may take when the sink is stopped."""

BATCH = 1_000
"""Number of quotes written at once: some ten milliseconds of Redis's time."""


class QuoteWriter(Protocol):
    """The store of quotes."""

    async def write_quotes(self, quotes: Iterable[Quote]) -> int:
        """Writes quotes; returns how many were not older than the stored ones."""


@dataclass(slots=True)
class SinkCounts:
    """Counts of quotes: ``received = rejected + conflated + outdated + written + waiting``.

    Attributes:
        received: taken from the feed.
        rejected: break a rule of :mod:`trading_platform.domain.market.live.event_validation`, or have no valid symbol.
        conflated: superseded by a newer quote of their symbol before they were written.
        outdated: older than the waiting quote, or than the one in Redis.
        written: written to Redis.
        waiting: still to be written.
        failed: writes that Redis did not confirm; their quotes are still waiting.
    """

    received: int = 0
    rejected: int = 0
    conflated: int = 0
    outdated: int = 0
    written: int = 0
    waiting: int = 0
    failed: int = 0


class QuoteSink:
    """Takes quotes without blocking, and writes them as fast as Redis takes them.

    Args:
        writer: the live store.
        rejected: called with each rejected quote and its fault.
        clock: the receiver's clock.
        sleep: waits between two writes.
    """

    def __init__(
        self,
        writer: QuoteWriter,
        *,
        rejected: Callable[[Quote, Fault], None] = lambda _quote, _fault: None,
        clock: Clock = utc_now,
        sleep: AsyncSleep = asyncio.sleep,
    ) -> None:
        self.counts = SinkCounts()
        self.error: StoreError | None = None
        """Why the last write failed; None if it did not."""
        self._writer = writer
        self._rejected = rejected
        self._clock = clock
        self._sleep = sleep
        self._waiting: dict[str, Quote] = {}
        self._arrived = asyncio.Event()

    def offer(self, quote: Quote) -> None:
        """Takes a quote; never blocks."""
        self.counts.received += 1
        fault = self._fault(quote)
        if fault is not None:
            self.counts.rejected += 1
            self._rejected(quote, fault)
            return
        self._put(quote)
        self._arrived.set()

    async def run(self) -> None:
        """Writes until it is cancelled; then writes the waiting quotes, if Redis takes them within five seconds."""
        pause = PAUSE
        try:
            while True:
                await self._arrived.wait()
                pause = PAUSE if await self.flush() else min(LONGEST_PAUSE, pause * 2)
                await self._sleep(pause)
        except asyncio.CancelledError:
            await self._flush_last()
            raise

    async def flush(self) -> bool:
        """Writes the waiting quotes; returns whether Redis took all of them."""
        while self._waiting:
            symbols = list(self._waiting)[:BATCH]
            batch = [self._waiting.pop(symbol) for symbol in symbols]
            confirmed = False
            try:
                taken = await self._writer.write_quotes(batch)
                confirmed = True
            except StoreError as error:
                self.error = error
                return False
            finally:
                if not confirmed:
                    self._put_back(batch)
            self.error = None
            self.counts.written += taken
            self.counts.outdated += len(batch) - taken
            self.counts.waiting = len(self._waiting)
        self._arrived.clear()
        return True

    def _fault(self, quote: Quote) -> Fault | None:
        if quote.symbol not in self._waiting and not _is_symbol(quote.symbol):
            return Reason.UNSUPPORTED, f"{quote.symbol!r} is not a symbol"
        return fault_of_time(quote.time, self._clock()) or fault_of_quote(quote)

    def _put(self, quote: Quote) -> None:
        waiting = self._waiting.pop(quote.symbol, None)
        if waiting is None:
            self._waiting[quote.symbol] = quote
        elif quote.time < waiting.time:
            self._waiting[quote.symbol] = waiting
            self.counts.outdated += 1
        else:
            self._waiting[quote.symbol] = _over(waiting, quote)
            self.counts.conflated += 1
        self.counts.waiting = len(self._waiting)

    def _put_back(self, batch: Iterable[Quote]) -> None:
        """Puts unconfirmed quotes back, below newer quotes of their symbols."""
        self.counts.failed += 1
        for quote in batch:
            newer = self._waiting.pop(quote.symbol, None)
            self._waiting[quote.symbol] = quote
            if newer is not None:
                self._put(newer)
        self.counts.waiting = len(self._waiting)
        self._arrived.set()

    async def _flush_last(self) -> None:
        try:
            async with asyncio.timeout(LAST_WRITE):
                await self.flush()
        except TimeoutError:
            return


def _over(older: Quote, newer: Quote) -> Quote:
    """The newer quote, with the older one's values in fields that it does not have."""
    return Quote(
        newer.symbol,
        newer.time,
        older.bid if newer.bid is None else newer.bid,
        older.ask if newer.ask is None else newer.ask,
        older.last if newer.last is None else newer.last,
        older.volume if newer.volume is None else newer.volume,
    )


@lru_cache(maxsize=10_000)
def _is_symbol(text: str) -> bool:
    try:
        check_symbol(text)
    except InvalidRequest:
        return False
    return True
