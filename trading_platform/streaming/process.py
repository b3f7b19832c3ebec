"""The live process: what ``trading-platform stream`` runs.

The feeds' pipelines are the main parts. The other parts write quotes to Redis, sync positions to it, publish changes
of orders, detect inactivity, repair outages, watch the servers, keep incidents, tell people what is wrong and update
the session's state. A part that fails is restarted (:mod:`trading_platform.streaming.supervisor`). On the signal to
stop, the feeds are closed, their events are stored, and the other parts end.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from trading_platform.domain.errors import StoreError, StoreFull, TradingPlatformError
from trading_platform.domain.market.calendars import OpeningHours
from trading_platform.domain.market.live.bar_builder import BarBuilder
from trading_platform.domain.market.live.events import Event, Quote
from trading_platform.domain.severity import Severity
from trading_platform.domain.time import Clock, rfc3339
from trading_platform.sources.live import MeasuredFeed
from trading_platform.stores.audit.journal import AuditStore
from trading_platform.stores.market_data.completeness.outages import OutageState
from trading_platform.stores.market_data.stream.store import StreamStore
from trading_platform.stores.stores import Stores
from trading_platform.stores.trading.outbox import OutboxStore
from trading_platform.streaming.alerting import Alerting
from trading_platform.streaming.feeds import FeedPlan
from trading_platform.streaming.log_lines import printable
from trading_platform.streaming.monitoring.circuit import COMPONENT as FEED
from trading_platform.streaming.monitoring.circuit import FeedGuard
from trading_platform.streaming.monitoring.database_watch import DatabaseWatch
from trading_platform.streaming.monitoring.feed_quality import FeedQuality
from trading_platform.streaming.monitoring.incidents import FeedIncidents, Incidents
from trading_platform.streaming.monitoring.pauses import PauseWatch
from trading_platform.streaming.monitoring.servers import Check, Revive, ServerWatch
from trading_platform.streaming.pipeline import (
    OnEvent,
    Pipeline,
    PipelineCallbacks,
    PipelineStores,
    Progress,
    last_events,
)
from trading_platform.streaming.position_sync import PositionSync
from trading_platform.streaming.quote_sink import QuoteSink
from trading_platform.streaming.supervisor import Part, PartState, Supervisor
from trading_platform.workflows.alerts.watch import AlertWatch
from trading_platform.workflows.bars.bar_sources import Sources
from trading_platform.workflows.gaps.repair_outages import Repair, repair_outages
from trading_platform.workflows.trading.publish_outbox import Publisher, publish_outbox

if TYPE_CHECKING:
    from trading_platform.stores.redis.live import AsyncLiveStore

log = logging.getLogger(__name__)

_LONGEST_REASON = 500

OUTBOX_PAUSE = 0.25
REPAIR_PAUSE = 5.0
SESSION_PAUSE = 5.0


@dataclass(frozen=True)
class Surroundings:
    """The stores, sources and callbacks of a stream.

    Attributes:
        stores: the database, in the role ``ingest``.
        sources: sources from which outages are repaired.
        live: Redis.
        orders: publishes the changes of orders.
        clock: the receiver's clock.
        database_url: libpq URL of the database, in the role ``ingest``; for notifications of positions.
        on_event: called with each event and its time of receipt, in order, for example to record it.
        revive: starts embedded servers that have died; None if all servers are external.
        abort: called at the end; aborts requests that wait for a rate limiter.
        alerts: tells people what is wrong; None where somebody else does.
    """

    stores: Stores
    sources: Sources
    live: AsyncLiveStore
    orders: Publisher
    clock: Clock
    database_url: str
    on_event: OnEvent | None = None
    revive: Revive | None = None
    abort: Callable[[], None] = lambda: None
    alerts: AlertWatch | None = None


class StreamProcess:
    """Runs feeds and the parts around them.

    Args:
        plans: the feeds, each of another source.
        around: stores, sources and callbacks.
        part: name of the part of the universe that is followed; empty for the whole of it. Each of several processes
            that share the universe has its own circuit and state.

    Attributes:
        sink: writes the quotes.
        supervisor: runs the parts.
        latest: the newest quote of each symbol.
        progress: progress of each feed, by source.
        incidents: what has gone wrong and is over again.
    """

    def __init__(self, plans: Sequence[FeedPlan], around: Surroundings, *, part: str = "") -> None:
        self.sink = QuoteSink(around.live, clock=around.clock)
        self.supervisor = Supervisor(self._log_failure)
        self.latest: dict[str, Quote] = {}
        self.progress: dict[str, Progress] = {}
        self._plans = plans
        self._around = around
        self._part = part
        audit = AuditStore(around.stores.database)
        self.incidents = Incidents(audit, around.clock, part=part)
        self._feeds = {
            plan.source: FeedIncidents(self.incidents, plan.source, plan.away, around.clock) for plan in plans
        }
        self._quality = {plan.source: FeedQuality(self.incidents, plan.source, around.clock) for plan in plans}
        self._measured: dict[str, MeasuredFeed] = {}
        known = around.stores.instruments.require(sorted(symbol for plan in plans for symbol in plan.symbols))
        self._calendars = {symbol: instrument.calendar for symbol, instrument in known.items()}
        self._hours = {calendar: OpeningHours(calendar) for calendar in set(self._calendars.values())}
        component = f"{FEED}:{part}" if part else FEED
        self._guard = FeedGuard(
            around.live, audit, self._trading, component=component, clock=around.clock, incidents=self.incidents
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Streams until ``stop`` is set; returns when all received events are stored."""
        feeds: dict[str, Part] = {f"feed {plan.source}": partial(self._feed, plan, stop) for plan in self._plans}
        if not feeds:
            feeds["no feed"] = self._without_feed(stop)
        database = DatabaseWatch(self._around.database_url, self.incidents, self._around.clock)
        checks: dict[str, Check] = {"postgresql": database.check, "redis": self._around.live.check}
        around: dict[str, Part] = {
            "quotes": self.sink.run,
            "orders": self._publish_orders,
            "repair": self._repair,
            "session": self._keep_session,
            "positions": PositionSync(self._around.database_url, self._around.live).run,
            "circuit": self._guard.run,
            "servers": ServerWatch(checks, self.incidents, revive=self._around.revive).run,
            "pauses": PauseWatch(self.incidents, self._around.clock).run,
            "incidents": self.incidents.run,
        }
        if self._around.alerts is not None:
            around["alerts"] = Alerting(
                self._around.alerts, self._around.stores.database, self._around.clock, part=self._part
            ).run
        try:
            await self.supervisor.run({**feeds, **around}, stop, main=list(feeds))
        finally:
            await database.close()
            self._around.abort()  # a repair that waits in a thread would hold up the process until its response
            await self._around.live.close()

    async def _feed(self, plan: FeedPlan, stop: asyncio.Event) -> None:
        stores = self._around.stores
        stream = StreamStore(stores.database)
        known = await asyncio.to_thread(last_events, stream, plan)
        if known.until is not None:
            self._feeds[plan.source].resumed(plan.symbols, known.until)
        builder = BarBuilder(plan.source, basis=plan.basis, fill_no_trade=plan.fill_no_trade)
        pipeline = Pipeline(
            plan,
            builder,
            PipelineStores(stream, stores.outages, stores.quarantine),
            callbacks=PipelineCallbacks(
                event=partial(self._on_event, plan.source),
                quote=self._on_quote,
                accepted=self._guard.observe,
                rejected=self._guard.reject,
                waiting=partial(self._on_waiting, plan.source),
            ),
            clock=self._around.clock,
        )
        self.progress[plan.source] = pipeline.progress
        feed = plan.make(known, pipeline.reject)
        if isinstance(feed, MeasuredFeed):
            self._measured[plan.source] = feed

        async def close_on_request() -> None:
            await stop.wait()
            pipeline.stop()
            await feed.close()

        closing = asyncio.create_task(close_on_request())
        try:
            await pipeline.run(feed)
        finally:
            closing.cancel()
            await feed.close()

    @staticmethod
    def _without_feed(stop: asyncio.Event) -> Part:
        async def wait() -> None:
            await stop.wait()

        return wait

    def _on_event(self, source: str, event: Event, received: datetime) -> None:
        """Records an event; a recording that cannot be written does not stop the bars."""
        self._feeds[source].observe(event)
        if self._around.on_event is None:
            return
        try:
            self._around.on_event(event, received)
        except OSError as error:
            message = f"The recording cannot be written, and events are missing in it: {error}."
            self.incidents.begin("recording", "recording_failed", Severity.ERROR, message)
        else:
            self.incidents.end("recording", "The recording can be written again.")

    def _on_waiting(self, source: str, error: StoreError | None) -> None:
        if error is None:
            self.incidents.end(f"writes:{source}", f"What was received from {source} is stored again.")
            return
        kind = "database_full" if isinstance(error, StoreFull) else "writes_waiting"
        message = f"What is received from {source} waits in memory until the database takes it: {error}"
        self.incidents.begin(f"writes:{source}", kind, Severity.ERROR, message, source=source)

    def _on_quote(self, quote: Quote) -> None:
        self.latest[quote.symbol] = quote
        self.sink.offer(quote)

    def _trading(self, now: datetime) -> list[str]:
        """The symbols with an open market and a source that is expected to be available."""
        away = {symbol for plan in self._plans if plan.away(now) for symbol in plan.symbols}
        return [
            symbol
            for symbol, calendar in self._calendars.items()
            if symbol not in away and self._hours[calendar].is_open(now)
        ]

    async def _publish_orders(self) -> None:
        outbox = OutboxStore(self._around.stores.database)
        while True:
            await asyncio.to_thread(publish_outbox, outbox, self._around.orders)
            await asyncio.sleep(OUTBOX_PAUSE)

    async def _repair(self) -> None:
        around = self._around
        while True:
            await asyncio.sleep(REPAIR_PAUSE)
            self._on_repairs(await asyncio.to_thread(repair_outages, around.stores, around.sources, clock=around.clock))

    def _on_repairs(self, repairs: Sequence[Repair]) -> None:
        """Says that a source does not answer for outages, and that it does again."""
        for source in {each.outage.source for each in repairs}:
            failed = [each for each in repairs if each.outage.source == source and each.state is OutageState.CLOSED]
            if failed:
                message = f"{source} gives no answer for an outage and is asked again: {failed[0].note}"
                self.incidents.begin(f"repair:{source}", "repair_failing", Severity.WARNING, message, source=source)
            else:
                self.incidents.end(f"repair:{source}", f"{source} answers for outages again.")

    async def _keep_session(self) -> None:
        began = self._around.clock()
        while True:
            self._compare_clocks()
            for source, feed in self._measured.items():
                self._quality[source].look(feed)
            for incident in self._feeds.values():
                incident.settle()
            await self._around.live.write_session(self._state(began))
            await asyncio.sleep(SESSION_PAUSE)

    def _compare_clocks(self) -> None:
        """Says which feeds are ahead of this machine's clock, and when they agree again."""
        for source, progress in self.progress.items():
            if progress.ahead:
                message = (
                    f"The clock of {source} is {progress.ahead_by:,.1f} s ahead of this machine's: its data are "
                    f"rejected and {len(progress.ahead)} symbols count as down until the clocks agree. "
                    "To do: synchronise this machine's clock (NTP)."
                )
                self.incidents.begin(f"clock:{source}", "clocks_differ", Severity.ERROR, message, source=source)
            else:
                self.incidents.end(f"clock:{source}", f"The clocks of {source} and this machine agree again.")

    def _troubles(self) -> list[str]:
        """Why the stream cannot be relied on; empty if it can."""
        progress = list(self.progress.values())
        found = [f"no bars are stored: {each.failing}" for each in progress if each.failing]
        found += [
            f"times of {source} are {each.ahead_by:,.1f} s ahead of this machine's clock"
            for source, each in self.progress.items()
            if each.ahead
        ]
        if len(progress) < len(self._plans):
            found.append("a feed has not begun")
        return [*found, *([self._guard.trouble] if self._guard.trouble else [])]

    def _state(self, began: datetime) -> Mapping[str, str]:
        """The fields of the session; a process with a part of the universe adds its name to each."""
        troubles = self._troubles()
        until = [each.until for each in self.progress.values() if each.until]
        state = {
            "state": "degraded" if troubles else "streaming",
            "reason": printable("; ".join(troubles))[:_LONGEST_REASON],
            "since": rfc3339(began),
            "symbols": str(len(self._calendars)),
            "stored_until": rfc3339(min(until)) if until else "",
            "updated_at": rfc3339(self._around.clock()),
        }
        return {f"{name}:{self._part}": value for name, value in state.items()} if self._part else state

    def _log_failure(self, part: PartState, error: Exception) -> None:
        """Reports a part's failure; that a server is away or full is reported once, by the watch of the servers."""
        if isinstance(error, StoreFull) or (isinstance(error, TradingPlatformError) and error.retryable):
            log.warning("the part %s is restarted: %s", part.name, part.error, extra={"cause": f"part {part.name}"})
            return
        message = f"The part {part.name} failed and is restarted: {part.error}"
        self.incidents.report(
            "part_failed",
            Severity.ERROR,
            message,
            part=part.name,
            restarts=part.restarts,
            error=type(error).__name__,
        )
