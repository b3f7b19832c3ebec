"""Tells of silence: the circuit breaker ``circuit:feed``, alerts, and the system events (data architecture §8).

What is silence is judged by :mod:`trading_platform.domain.quality.feed_watchdog`. One alert when it begins, one when
it is over; what a store does not take now waits, in order, for the next second.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import uuid4

from trading_platform.domain.errors import StoreError
from trading_platform.domain.market.events import Event, Quote, Trade
from trading_platform.domain.messages import AlertState
from trading_platform.domain.quality.feed_watchdog import FeedWatchdog, Inactivity
from trading_platform.domain.severity import Severity
from trading_platform.domain.time import AsyncSleep, Clock, rfc3339, utc_now
from trading_platform.stores.audit.journal import AuditStore

COMPONENT = "feed"
EVERY = 1.0
"""Seconds between two judgements."""

OPEN, CLOSED = "open", "closed"


class CircuitStore(Protocol):
    """Where circuits and alerts are."""

    async def circuit(self, component: str) -> str | None:
        """State of a circuit."""

    async def set_circuit(self, ts: datetime, component: str, state: str, payload: str, publication: str) -> bool:
        """Notes a circuit's state and tells the alert if it changed."""

    async def publish_alert(self, ts: datetime, payload: str, publication: str) -> int:
        """Tells an alert; the same telling once."""


@dataclass(slots=True)
class _Word:
    """What is to be told of a silence.

    Attributes:
        ts: when it was noticed.
        inactivity: of what.
        alert: the alert.
        publication: the id under which Redis takes it once.
        logged: whether the system events have it.
    """

    ts: datetime
    inactivity: Inactivity
    alert: AlertState
    publication: str
    logged: bool = False


class FeedGuard:
    """Watches a feed until it is cancelled.

    Args:
        live: circuits and alerts in Redis.
        audit: the system events.
        trading: gives the symbols whose market is open at a moment.
        component: whose circuit it is.
        clock: the receiver's.
        sleep: waits between two judgements.
    """

    def __init__(
        self,
        live: CircuitStore,
        audit: AuditStore,
        trading: Callable[[datetime], Iterable[str]],
        *,
        component: str = COMPONENT,
        clock: Clock = utc_now,
        sleep: AsyncSleep = asyncio.sleep,
    ) -> None:
        self.error: StoreError | None = None
        """Why the last word was not told; None if it was."""
        self._live = live
        self._audit = audit
        self._trading = trading
        self._component = component
        self._clock = clock
        self._sleep = sleep
        self._watch = FeedWatchdog()
        self._words: deque[_Word] = deque()
        self._opened: _Word | None = None  # that the circuit is open, once it is
        self._began = False

    def observe(self, event: Event) -> None:
        """Takes notice of an event of the feed; trades and quotes are data, heartbeats are not."""
        if isinstance(event, Trade | Quote):
            self._watch.seen(event.symbol, self._clock())

    async def run(self) -> None:
        """Judges once a second and tells what is to be told."""
        while True:
            await self.tick()
            await self._sleep(EVERY)

    async def tick(self) -> None:
        """One judgement; what stores do not take waits for the next one."""
        try:
            now = self._clock()
            await self._keep_circuit(now)
            for inactivity in self._watch.judge(now, self._trading(now)):
                self._words.append(_Word(now, inactivity, self._alert(inactivity), uuid4().hex))
            while self._words:
                await self._tell(self._words[0])
                self._words.popleft()
            self.error = None
        except StoreError as error:
            self.error = error

    async def _keep_circuit(self, now: datetime) -> None:
        """Goes on from the circuit as the last watcher left it; writes it anew where Redis has lost it."""
        there = await self._live.circuit(self._component)
        if not self._began:
            self._watch.resume(is_open=there == OPEN)
            self._began = True
        if there is not None:
            return
        if self._opened is None:
            await self._live.set_circuit(now, self._component, CLOSED, "", uuid4().hex)
        else:
            await self._tell(self._opened)

    async def _tell(self, word: _Word) -> None:
        payload = word.alert.model_dump_json()
        if word.inactivity.symbol is None:
            state = CLOSED if word.inactivity.over else OPEN
            self._opened = word if state == OPEN else None
            await self._live.set_circuit(word.ts, self._component, state, payload, word.publication)
        else:
            await self._live.publish_alert(word.ts, payload, word.publication)
        if not word.logged:
            await asyncio.to_thread(self._log, word)
            word.logged = True

    def _log(self, word: _Word) -> None:
        alert = word.alert
        self._audit.log(
            event_type=alert.event_type,
            severity=alert.severity,
            component=alert.component,
            message=alert.message,
            metadata={**alert.metadata, "incident": alert.incident, "over": alert.over},
            timestamp=word.ts,
        )

    def _alert(self, inactivity: Inactivity) -> AlertState:
        name = inactivity.symbol or "any symbol"
        kind, severity = ("symbol_silent", Severity.WARNING) if inactivity.symbol else ("feed_inactive", Severity.ERROR)
        message = f"No data of {name} since {inactivity.since:%Y-%m-%d %H:%M:%S} UTC."
        if inactivity.over is not None:
            message = f"Data of {name} come again since {inactivity.over:%Y-%m-%d %H:%M:%S} UTC."
        return AlertState(
            event_type=kind,
            severity=severity if inactivity.over is None else Severity.INFO,
            component=self._component,
            message=message,
            metadata={"symbol": inactivity.symbol, "since": rfc3339(inactivity.since)},
            incident=":".join(filter(None, (kind, self._component, inactivity.symbol))),
            over=inactivity.over is not None,
        )
