"""Processes a live feed's events: quotes to their sink, final minutes and outages to the database.

The feed is read without waiting for the database: writes wait in a queue, in order, and are retried for as long as
the database is unavailable. When the queue is full, the feed is not read, so that memory is bounded; if the source
then disconnects, there is an outage, which is repaired. :mod:`trading_platform.streaming.supervisor` runs the
pipeline.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from trading_platform.domain.errors import InvalidRequest, StoreBusy, StoreError, StoreFull
from trading_platform.domain.market.bars import empty_bars
from trading_platform.domain.market.live.bar_builder import BarBuilder
from trading_platform.domain.market.live.bar_series import gapless_of, timestamp_of
from trading_platform.domain.market.live.event_validation import fault_of_quote, fault_of_time
from trading_platform.domain.market.live.events import Event, FeedDown, FeedUp, Quote, Trade
from trading_platform.domain.market.live.final_minutes import FinalMinutes, Rejected
from trading_platform.domain.time import AsyncSleep, Clock, utc_now
from trading_platform.sources.live import LastEvent, RejectedMessage
from trading_platform.stores.market_data.completeness.outages import OutageStore
from trading_platform.stores.market_data.quarantine import QuarantineStore
from trading_platform.stores.market_data.stream.store import StreamPosition, StreamStore
from trading_platform.streaming.feeds import FeedPlan
from trading_platform.streaming.rejections import QuarantineRows, Rejections

log = logging.getLogger(__name__)

QUEUE_LENGTH = 2_000
"""Maximum number of writes that wait for the database: more than a day of minutes."""

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 15.0
"""Seconds between attempts while the database is unavailable; each pause is twice the one before."""

SLOW_WRITE = 10.0
"""Seconds after which a write that has not been answered counts as one that waits."""

LAST_ATTEMPTS = 10.0
"""Seconds for which a database that is away is waited for once the feed is to end."""

NOT_RUNNING = "the stream was not running"

OnEvent = Callable[[Event, datetime], None]


def _ignore(*_: object) -> None:
    return


@dataclass(frozen=True)
class PipelineCallbacks:
    """Who receives what a pipeline receives; none of them may block.

    Attributes:
        event: called with each event and its time of receipt, in order, before anything else: for a recording.
        quote: called with each quote.
        accepted: called with each trade and quote that was accepted.
        rejected: called with the description of each event and message that was not.
        waiting: called when a write fails that is tried again, and with None when writes succeed again.
    """

    event: OnEvent = _ignore
    quote: Callable[[Quote], None] = _ignore
    accepted: Callable[[Event], None] = _ignore
    rejected: Callable[[str], None] = _ignore
    waiting: Callable[[StoreError | None], None] = _ignore


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
        rejected: number of rejected events and messages, by reason.
        ahead: the symbols that are held down because their times are ahead of the receiver's clock.
        ahead_by: by how many seconds they are.
    """

    events: int = 0
    quotes: int = 0
    minutes: int = 0
    until: datetime | None = None
    waiting: int = 0
    failing: str | None = None
    last_event: datetime | None = None
    rejected: Mapping[str, int] = field(default_factory=dict)
    ahead: frozenset[str] = frozenset()
    ahead_by: float = 0.0


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
        callbacks: who receives each event.
        clock: the receiver's clock.
        sleep: waits between attempts while the database is unavailable.
        slow_write: seconds after which a write that was not answered counts as one that waits.
    """

    def __init__(
        self,
        plan: FeedPlan,
        builder: BarBuilder,
        stores: PipelineStores,
        *,
        callbacks: PipelineCallbacks | None = None,
        clock: Clock = utc_now,
        sleep: AsyncSleep = asyncio.sleep,
        slow_write: float = SLOW_WRITE,
    ) -> None:
        self.progress = Progress()
        self._plan = plan
        self._symbols = frozenset(plan.basis)
        self._builder = builder
        self._stores = stores
        self._tell = callbacks or PipelineCallbacks()
        self._clock = clock
        self._sleep = sleep
        self._slow_write = slow_write
        self._writes: asyncio.Queue[Callable[[], None] | None] = asyncio.Queue(QUEUE_LENGTH)
        self._writer: asyncio.Task[None] | None = None
        self._rejections = Rejections()
        self.progress.rejected = self._rejections.counts
        self._patience: float | None = None

    def stop(self) -> None:
        """Says that the feed is about to end: a database that is away is waited for a little longer and no more."""
        self._patience = LAST_ATTEMPTS

    def reject(self, message: RejectedMessage) -> None:
        """Quarantines a message that cannot be used; the feed calls it."""
        self._rejections.add_message(message)
        self._tell.rejected(f"{message.reason}: {message.detail}")
        if self._writes.qsize() < QUEUE_LENGTH // 2:  # a feed of which nothing is usable makes no events
            for rows in self._rejections.take(message.time):
                self._writes.put_nowait(partial(self._store_rejected, rows))

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
            self._builder.take_changes()  # the outages below say it for each symbol
        for since, symbols in last_event(positions.values(), self._symbols).items():
            self._stores.outages.opened(self._plan.source, symbols, since, NOT_RUNNING)

    async def _take(self, event: Event) -> None:
        received = self._clock()
        self.progress.events += 1
        self.progress.last_event = received
        self._tell.event(event, received)
        if type(event) is Quote:
            self.progress.quotes += 1
            self._tell.quote(event)
        if self._is_accepted(event, received) and isinstance(event, Quote | Trade):
            self._tell.accepted(event)
        for change in self._builder.take_changes():
            await self._put(partial(self._note, change))
        clocks = self._builder.clocks
        if clocks or self.progress.ahead:
            self.progress.ahead = clocks.held if clocks.differ(received) else frozenset()
            self.progress.ahead_by = clocks.ahead_by.total_seconds()
        if self._rejections:
            await self._quarantine(received)
        final = self._builder.take_final()
        if final is not None:
            state = self._builder.state()
            await self._put(lambda: self._commit(final, state))

    def _is_accepted(self, event: Event, received: datetime) -> bool:
        """Processes an event; returns whether it can be used."""
        if isinstance(event, Quote) and event.symbol in self._plan.quoted:
            fault = fault_of_time(event.time, received) or fault_of_quote(event)
            rejected = [] if fault is None else [Rejected(event, *fault)]
            accepted = fault is None
        else:
            accepted = self._builder.add(event, received=received)
            rejected = self._builder.take_rejected()
        if rejected:
            self._rejections.add_events(rejected, received)
            self._tell.rejected(f"{rejected[-1].reason}: {rejected[-1].detail}")
        return accepted

    async def _quarantine(self, now: datetime, *, everything: bool = False) -> None:
        for rows in self._rejections.take(now, everything=everything):
            await self._put(partial(self._store_rejected, rows))

    async def _store_state(self) -> None:
        """Stores the unfinished minutes, so that the next start has less to request again."""
        await self._quarantine(self._clock(), everything=True)
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
        """Retries a write for as long as the database is unavailable or full; each write is idempotent."""
        pause = FIRST_PAUSE
        while True:
            try:
                await self._write(write)
            except StoreError as error:
                if not error.retryable and not isinstance(error, StoreFull):
                    raise
                self._note_waiting(error)
                if self._patience is not None:
                    self._patience -= pause
                    if self._patience < 0:
                        raise
                await self._sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                if self.progress.failing is not None:
                    self._tell.waiting(None)
                self.progress.failing = None
                return

    async def _write(self, write: Callable[[], None]) -> None:
        """One attempt; one that takes long is said to wait, as for a lock of another."""
        attempt = asyncio.ensure_future(asyncio.to_thread(write))
        try:
            if not (await asyncio.wait({attempt}, timeout=self._slow_write))[0]:
                received = f"no answer to a write within {self._slow_write:g} s"
                remedy = "see which session of the database holds a lock (pg_locks)"
                self._note_waiting(StoreBusy("The database is slow.", received=received, remedy=remedy))
            await attempt
        finally:
            attempt.cancel()

    def _note_waiting(self, error: StoreError) -> None:
        self.progress.failing = str(error)
        self._tell.waiting(error)

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

    def _store_rejected(self, rows: QuarantineRows) -> None:
        self._stores.quarantine.record(
            rows.rows, source=self._builder.source, symbol=rows.symbol, timeframe=rows.timeframe, origin=rows.origin
        )
