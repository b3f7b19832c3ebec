"""Processes a live feed's events: quotes to their sink, final minutes and outages to the database.

The feed is read without waiting for the database: writes wait in a queue, in order, and are retried for as long as
the database is unavailable. When the queue is full, the feed is not read, so that memory is bounded; if the source
then disconnects, there is an outage, which is repaired. :mod:`trading_platform.streaming.supervisor` runs the
pipeline.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from trading_platform.domain.errors import InvalidRequest, StoreError
from trading_platform.domain.market.bar_builder import BarBuilder, FinalMinutes, Rejected
from trading_platform.domain.market.bar_series import gapless_of, timestamp_of
from trading_platform.domain.market.bars import empty_bars
from trading_platform.domain.market.events import Event, FeedDown, FeedUp, Quote
from trading_platform.domain.quality.rules import REJECTED_SCHEMA
from trading_platform.domain.time import AsyncSleep, Clock, Timeframe, utc_now
from trading_platform.sources.live import LastEvent, RejectedMessage
from trading_platform.stores.market_data.outages import OutageStore
from trading_platform.stores.market_data.quarantine import QuarantineStore
from trading_platform.stores.market_data.stream.store import StreamPosition, StreamStore
from trading_platform.streaming.feeds import FeedPlan

QUEUE_LENGTH = 2_000
"""Maximum number of writes that wait for the database: more than a day of minutes."""

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 15.0
"""Seconds between attempts while the database is unavailable; each pause is twice the one before."""

LAST_ATTEMPTS = 10.0
"""Seconds for which a database that is away is waited for once the feed is to end."""

NOT_RUNNING = "the stream was not running"

OnEvent = Callable[[Event, datetime], None]


@dataclass(frozen=True)
class PipelineStores:
    """The stores that a pipeline writes to."""

    stream: StreamStore
    outages: OutageStore
    quarantine: QuarantineStore


@dataclass(slots=True)
class Progress:
    """The progress of a pipeline, for display.

    Attributes:
        events: number of events received.
        quotes: number of quotes among them.
        minutes: number of minute bars stored.
        until: all minutes before it are stored.
        waiting: number of writes that wait for the database.
        failing: why the last write failed; None if it succeeded.
        last_event: time of the last event, by the receiver's clock.
    """

    events: int = 0
    quotes: int = 0
    minutes: int = 0
    until: datetime | None = None
    waiting: int = 0
    failing: str | None = None
    last_event: datetime | None = None


def last_events(stream: StreamStore, plan: FeedPlan) -> LastEvent:
    """The last stored events of a feed's symbols, written by this process or another."""
    positions = stream.positions_of(plan.source)
    own = positions.get(plan.stream)
    trades: dict[str, tuple[int, datetime]] = {}
    for stored in positions.values():
        for symbol in plan.symbols & stored.position["series"].keys():
            trade = gapless_of(stored.position["series"][symbol])
            if trade is not None and (symbol not in trades or trade[1] > trades[symbol][1]):
                trades[symbol] = trade
    return LastEvent(own.until if own else None, trades)


def last_event(positions: Iterable[StreamPosition], symbols: frozenset[str]) -> dict[datetime, frozenset[str]]:
    """The time until which events of each symbol were received, from the positions of live streams.

    A symbol may have moved from one process's shard to another's: the latest position counts.
    """
    latest: dict[str, datetime] = {}
    for stored in positions:
        timestamp = timestamp_of(stored.position["watermark"])
        for symbol in symbols & stored.position["series"].keys():
            if timestamp is not None:
                latest[symbol] = max(timestamp, latest.get(symbol, timestamp))
    return {since: frozenset(one for one in latest if latest[one] == since) for since in sorted(set(latest.values()))}


class Pipeline:
    """Takes the events of one feed into the platform.

    Args:
        plan: the feed, its symbols and the basis of their bars.
        builder: builds the bars; resumes from the stored position.
        stores: the stores to write to.
        on_event: called with each event and its time of receipt, in order, before anything else: for a recording or
            a circuit breaker.
        on_quote: called with each quote; must not block.
        clock: the receiver's clock.
        sleep: waits between attempts while the database is unavailable.
    """

    def __init__(
        self,
        plan: FeedPlan,
        builder: BarBuilder,
        stores: PipelineStores,
        *,
        on_event: OnEvent | None = None,
        on_quote: Callable[[Quote], None] | None = None,
        clock: Clock = utc_now,
        sleep: AsyncSleep = asyncio.sleep,
    ) -> None:
        self.progress = Progress()
        self._plan = plan
        self._symbols = frozenset(plan.basis)
        self._builder = builder
        self._stores = stores
        self._on_event = on_event
        self._on_quote = on_quote
        self._clock = clock
        self._sleep = sleep
        self._writes: asyncio.Queue[Callable[[], None] | None] = asyncio.Queue(QUEUE_LENGTH)
        self._writer: asyncio.Task[None] | None = None
        self._unusable: list[RejectedMessage] = []
        self._patience: float | None = None

    def stop(self) -> None:
        """Says that the feed is about to end: a database that is away is waited for a little longer and no more."""
        self._patience = LAST_ATTEMPTS

    def reject(self, message: RejectedMessage) -> None:
        """Quarantines a message that cannot be used; the feed calls it."""
        self._unusable.append(message)

    async def run(self, feed: AsyncIterator[Event]) -> None:
        """Processes a feed until it ends; returns when all of it is stored.

        Raises:
            StoreError: if the database rejects a write, so that a retry cannot help, or stays unavailable for too long
                after the feed has ended. What was not stored becomes an outage at the next start.
        """
        await self._persist(self._resume)
        self._writer = asyncio.create_task(self._write_all())
        try:
            async for event in feed:
                await self._take(event)
                if self._writer.done():
                    break
            self.stop()
            await self._store_state()
        finally:
            await self._put(None)
            await self._writer

    def _resume(self) -> None:
        """Resumes from the stored position; opens an outage for each symbol from its last stored event."""
        positions = self._stores.stream.positions_of(self._plan.source)
        own = positions.get(self._plan.stream)
        if own is not None:
            with suppress(InvalidRequest):  # with another basis or grace the bars start from nothing
                self._builder.restore(own.position)
                self.progress.until = own.until
        if self._builder.watermark is not None:
            self._builder.add(FeedDown(self._builder.watermark, self._symbols, NOT_RUNNING))
        for since, symbols in last_event(positions.values(), self._symbols).items():
            self._stores.outages.opened(self._plan.source, symbols, since, NOT_RUNNING)

    async def _take(self, event: Event) -> None:
        received = self._clock()
        self.progress.events += 1
        self.progress.last_event = received
        if self._on_event is not None:
            self._on_event(event, received)
        if type(event) is Quote:
            self.progress.quotes += 1
            if self._on_quote is not None:
                self._on_quote(event)
            if event.symbol in self._plan.quoted:
                return
        self._builder.add(event, received=received)
        if isinstance(event, (FeedUp, FeedDown)):
            await self._put(lambda: self._note(event))
        if self._unusable:
            unusable, self._unusable = self._unusable, []
            await self._put(lambda: self._keep_unusable(unusable))
        rejected = self._builder.take_rejected()
        if rejected:
            await self._put(lambda: self._keep_rejected(rejected, received))
        final = self._builder.take_final()
        if final is not None:
            state = self._builder.state()
            await self._put(lambda: self._commit(final, state))

    async def _store_state(self) -> None:
        """Stores the unfinished minutes, so that the next start has less to request again."""
        until = self._builder.until
        if until is None:
            return
        empty = FinalMinutes(until, until, empty_bars(), {}, {}, 0)
        state = self._builder.state()
        await self._put(lambda: self._commit(empty, state))

    async def _put(self, write: Callable[[], None] | None) -> None:
        """Queues a write and waits for room, unless the writer has ended; awaiting the writer raises its error."""
        if self._writes.full() and self._writer is not None:
            placed = asyncio.ensure_future(self._writes.put(write))
            await asyncio.wait({placed, self._writer}, return_when=asyncio.FIRST_COMPLETED)
            placed.cancel()
        else:
            self._writes.put_nowait(write)
        self.progress.waiting = self._writes.qsize()

    async def _write_all(self) -> None:
        while (write := await self._writes.get()) is not None:
            await self._persist(write)
            self.progress.waiting = self._writes.qsize()

    async def _persist(self, write: Callable[[], None]) -> None:
        """Retries a write for as long as the database is unavailable; each write is idempotent."""
        pause = FIRST_PAUSE
        while True:
            try:
                await asyncio.to_thread(write)
            except StoreError as error:
                if not error.retryable:
                    raise
                self.progress.failing = str(error)
                if self._patience is not None:
                    self._patience -= pause
                    if self._patience < 0:
                        raise
                await self._sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                self.progress.failing = None
                return

    def _note(self, event: FeedUp | FeedDown) -> None:
        symbols = event.symbols & self._symbols
        if isinstance(event, FeedDown):
            self._stores.outages.opened(self._builder.source, symbols, event.time, event.reason)
        else:
            self._stores.outages.closed(self._builder.source, symbols, event.time)

    def _commit(self, final: FinalMinutes, state: Mapping[str, Any]) -> None:
        self._stores.stream.commit(
            self._plan.stream,
            self._builder.source,
            bars=final.bars,
            answered=final.covered,
            until=final.until,
            position=state,
            now=self._clock(),
            late=final.late_minutes(),
        )
        self.progress.minutes += final.bars.height
        self.progress.until = final.until

    def _keep_unusable(self, unusable: list[RejectedMessage]) -> None:
        rows = [
            {
                "line": None,
                "time": each.time,
                "reason": each.reason.value,
                "detail": each.detail,
                "record": each.record,
                "row_count": 1,
            }
            for each in unusable
        ]
        frame = pl.DataFrame(rows, schema=REJECTED_SCHEMA)
        source = self._builder.source
        origin = f"live, received {unusable[0].time.isoformat()}"
        self._stores.quarantine.record(frame, source=source, symbol=None, timeframe=None, origin=origin)

    def _keep_rejected(self, rejected: list[Rejected], received: datetime) -> None:
        by_symbol: dict[str | None, list[Rejected]] = {}
        for each in rejected:
            by_symbol.setdefault(getattr(each.event, "symbol", None), []).append(each)
        for symbol, found in by_symbol.items():
            rows = [
                {
                    "line": None,
                    "time": each.event.time,
                    "reason": each.reason.value,
                    "detail": each.detail,
                    "record": repr(each.event),
                    "row_count": 1,
                }
                for each in found
            ]
            frame = pl.DataFrame(rows, schema=REJECTED_SCHEMA)
            origin = f"live, received {received.isoformat()}"
            self._stores.quarantine.record(
                frame, source=self._builder.source, symbol=symbol, timeframe=Timeframe.M1.value, origin=origin
            )
