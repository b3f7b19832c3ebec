"""Between the feed and Redis: takes every quote at once, and writes of each symbol what is newest when Redis is ready.

Under pressure quotes are conflated: what was not written when the next one of the symbol comes is
superseded by it, side by side. So what waits is never more than a quote a symbol, however long Redis is
away. Trades do not come here: each of them counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from trading_platform.domain.errors import InvalidRequest, StoreError
from trading_platform.domain.market.event_validation import Fault, fault_of_quote, fault_of_time
from trading_platform.domain.market.events import Quote
from trading_platform.domain.market.instruments import check_symbol
from trading_platform.domain.rejection_reasons import Reason
from trading_platform.domain.time import AsyncSleep, Clock, utc_now

PAUSE = 0.02
"""Seconds between two writes: what comes meanwhile goes in one batch."""

LONGEST_PAUSE = 1.0
"""Seconds between two attempts at a Redis that is away."""

LAST_WRITE = 5.0
"""Seconds that the last write may take when the sink is told to stop."""

BATCH = 1_000
"""Quotes written at once: some ten milliseconds of Redis's time."""


class QuoteWriter(Protocol):
    """Where quotes go."""

    async def write_quotes(self, quotes: Iterable[Quote]) -> int:
        """Writes quotes; how many were not older than those there."""


@dataclass(slots=True)
class SinkCounts:
    """What became of the quotes: ``received = refused + conflated + outdated + written + waiting``.

    Attributes:
        received: taken from the feed.
        rejected: break a rule of :mod:`trading_platform.domain.market.event_validation`, or are of no symbol.
        conflated: superseded by a newer one of their symbol before they were written.
        outdated: older than what waited, or than what Redis had.
        written: arrived.
        waiting: to be written.
        failed: attempts to write that Redis did not confirm; their quotes wait on.
    """

    received: int = 0
    rejected: int = 0
    conflated: int = 0
    outdated: int = 0
    written: int = 0
    waiting: int = 0
    failed: int = 0


class QuoteSink:
    """Takes quotes without waiting, writes them as fast as Redis takes them.

    Args:
        writer: the live store.
        rejected: called with each quote that cannot be used, and why.
        clock: the receiver's.
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
        """Takes a quote; never waits."""
        self.counts.received += 1
        fault = self._fault(quote)
        if fault is not None:
            self.counts.rejected += 1
            self._rejected(quote, fault)
            return
        self._put(quote)
        self._arrived.set()

    async def run(self) -> None:
        """Writes until it is cancelled; then what still waits, if Redis takes it within five seconds."""
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
        """Writes what waits; whether all of it was taken."""
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
        """What was not confirmed waits on, under what came meanwhile."""
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
    """The newer one; what it does not say is as it was."""
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
