"""The live process of one feed, put together: what ``trading-platform stream`` runs.

The feed's pipeline is the main part; around it quotes go to Redis, positions are mirrored there, orders'
changes are told, silence is noticed, outages are repaired and the session's state is kept. Each of these
is started again when it fails (:mod:`trading_platform.streaming.supervisor`). On the signal to stop the
feed is closed, what it said is stored, and the others leave.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from trading_platform.domain.bar_builder import BarBuilder
from trading_platform.domain.bar_series import Basis
from trading_platform.domain.calendars import OpeningHours
from trading_platform.domain.events import Event, Quote
from trading_platform.domain.time import Clock, rfc3339
from trading_platform.stores.audit import AuditStore, Severity
from trading_platform.stores.bundle import Stores
from trading_platform.stores.outbox import OutboxStore
from trading_platform.stores.stream import StreamStore
from trading_platform.streaming.circuit import FeedGuard
from trading_platform.streaming.mirror import PositionMirror
from trading_platform.streaming.pipeline import OnEvent, Pipeline, PipelineStores
from trading_platform.streaming.quote_sink import QuoteSink
from trading_platform.streaming.supervisor import Part, PartState, Supervisor
from trading_platform.workflows.backfill_bars import Sources
from trading_platform.workflows.publish_outbox import Teller, publish_outbox
from trading_platform.workflows.repair_outages import repair_outages

if TYPE_CHECKING:
    from trading_platform.sources.live import LiveFeed, RefuseMessage
    from trading_platform.stores.live import AsyncLiveStore

MakeFeed = Callable[["datetime | None", "RefuseMessage"], "LiveFeed"]

OUTBOX_PAUSE = 0.25
REPAIR_PAUSE = 5.0
SESSION_PAUSE = 5.0
COMPONENT = "streamer"


@dataclass(frozen=True)
class Surroundings:
    """What a stream works with.

    Attributes:
        stores: the database, as ``ingest``.
        sources: where outages are repaired from.
        live: Redis.
        orders: who tells the changes of orders.
        clock: the receiver's clock.
        database_url: libpq URL of the database, as ``ingest``; positions are listened to there.
        on_event: called with each event and when it came, in order, as to record it.
    """

    stores: Stores
    sources: Sources
    live: AsyncLiveStore
    orders: Teller
    clock: Clock
    database_url: str
    on_event: OnEvent | None = None


class StreamProcess:
    """One feed and what belongs to it.

    Args:
        source: whose feed it is.
        make_feed: opens the feed; called again if its pipeline fails. It is given since when what happened is not
            stored, None at the very first, and what to call with messages that cannot be used.
        symbols: what it tells of.
        around: what to work with.
    """

    def __init__(self, source: str, make_feed: MakeFeed, symbols: frozenset[str], around: Surroundings) -> None:
        self.sink = QuoteSink(around.live, clock=around.clock)
        self.pipeline: Pipeline | None = None
        self.supervisor = Supervisor(self._tell)
        self.latest: dict[str, Quote] = {}
        self._source = source
        self._make_feed = make_feed
        self._symbols = symbols
        self._around = around
        self._audit = AuditStore(around.stores.database)
        known = around.stores.instruments.require(sorted(symbols))
        self._calendars = {symbol: instrument.calendar for symbol, instrument in known.items()}
        self._hours = {calendar: OpeningHours(calendar) for calendar in set(self._calendars.values())}
        self._guard = FeedGuard(around.live, self._audit, self._trading, clock=around.clock)

    async def run(self, stop: asyncio.Event) -> None:
        """Streams until ``stop`` is set; returns when all that was said is stored."""
        parts: dict[str, Part] = {
            "feed": lambda: self._feed(stop),
            "quotes": self.sink.run,
            "orders": self._tell_orders,
            "repair": self._repair,
            "session": self._keep_session,
            "positions": PositionMirror(self._around.database_url, self._around.live).run,
            "circuit": self._guard.run,
        }
        try:
            await self.supervisor.run(parts, stop, main="feed")
        finally:
            await self._around.live.close()

    async def _feed(self, stop: asyncio.Event) -> None:
        stores = self._around.stores
        stream = StreamStore(stores.database)
        kept = await asyncio.to_thread(stream.position, self._source)
        builder = BarBuilder(self._source, basis=dict.fromkeys(self._symbols, Basis.TRADE), fill_silent=True)
        self.pipeline = Pipeline(
            self._source,
            self._symbols,
            builder,
            PipelineStores(stream, stores.outages, stores.quarantine),
            on_event=self._on_event,
            on_quote=self._on_quote,
            clock=self._around.clock,
        )

        feed = self._make_feed(kept.until if kept else None, self.pipeline.refuse)

        async def close_when_told() -> None:
            await stop.wait()
            await feed.close()

        closing = asyncio.create_task(close_when_told())
        try:
            await self.pipeline.run(feed)
        finally:
            closing.cancel()
            await feed.close()

    def _on_event(self, event: Event, received: datetime) -> None:
        self._guard.observe(event)
        if self._around.on_event is not None:
            self._around.on_event(event, received)

    def _on_quote(self, quote: Quote) -> None:
        self.latest[quote.symbol] = quote
        self.sink.offer(quote)

    def _trading(self, now: datetime) -> list[str]:
        """The symbols whose market is open."""
        return [symbol for symbol, calendar in self._calendars.items() if self._hours[calendar].is_open(now)]

    async def _tell_orders(self) -> None:
        outbox = OutboxStore(self._around.stores.database)
        while True:
            await asyncio.to_thread(publish_outbox, outbox, self._around.orders)
            await asyncio.sleep(OUTBOX_PAUSE)

    async def _repair(self) -> None:
        around = self._around
        while True:
            await asyncio.sleep(REPAIR_PAUSE)
            await asyncio.to_thread(repair_outages, around.stores, around.sources, clock=around.clock)

    async def _keep_session(self) -> None:
        began = self._around.clock()
        while True:
            progress = self.pipeline.progress if self.pipeline else None
            state = {
                "state": "degraded" if progress is None or progress.failing else "streaming",
                "since": rfc3339(began),
                "symbols": str(len(self._symbols)),
                "stored_until": rfc3339(progress.until) if progress and progress.until else "",
                "updated_at": rfc3339(self._around.clock()),
            }
            await self._around.live.write_session(state)
            await asyncio.sleep(SESSION_PAUSE)

    def _tell(self, part: PartState, error: Exception) -> None:
        """A part has failed: the log of events says so, unless the database is what failed."""

        def log() -> None:
            self._audit.log(
                event_type="part_failed",
                severity=Severity.ERROR,
                component=COMPONENT,
                message=f"The part {part.name} failed and is started again: {part.error}",
                metadata={"part": part.name, "restarts": part.restarts, "error": type(error).__name__},
            )

        task = asyncio.get_running_loop().run_in_executor(None, log)
        task.add_done_callback(lambda done: done.exception())
