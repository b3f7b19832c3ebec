"""Reports inactivity of feeds: the circuit breaker ``circuit:feed``, alerts, and system events.

:mod:`trading_platform.domain.quality.feed_watchdog` decides what counts as inactivity. There is one alert when it
begins and one when it is over. An alert that a store cannot take now is retried in order, once a second.

Data are what was accepted: a feed of which everything is rejected is as inactive as one that sends nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol
from uuid import uuid4

from trading_platform.domain.errors import StoreError
from trading_platform.domain.market.live.events import Event, Quote, Trade
from trading_platform.domain.messages import AlertState
from trading_platform.domain.quality.feed_watchdog import FeedWatchdog, Inactivity
from trading_platform.domain.severity import Severity
from trading_platform.domain.time import AsyncSleep, Clock, rfc3339, utc_now
from trading_platform.stores.audit.journal import AuditStore
from trading_platform.streaming.monitoring.incidents import Incidents

log = logging.getLogger(__name__)

COMPONENT = "feed"
EVERY = 1.0
"""Seconds between two checks."""

NOTHING_ACCEPTED = timedelta(seconds=10)
"""How long a feed of which everything is rejected counts as healthy."""

OPEN, CLOSED = "open", "closed"


class CircuitStore(Protocol):
    """The store of circuits and alerts."""

    async def circuit(self, component: str) -> str | None:
        """The state of a circuit."""

    async def set_circuit(self, ts: datetime, component: str, state: str, payload: str, publication: str) -> bool:
        """Stores a circuit's state, and publishes the alert if the state changed."""

    async def publish_alert(self, ts: datetime, payload: str, publication: str) -> int:
        """Publishes an alert; at most once for each publication id."""


@dataclass(slots=True)
class _PendingAlert:
    """An alert about an inactivity that is to be published and logged.

    Attributes:
        ts: time of detection.
        inactivity: the inactivity.
        alert: the alert.
        publication: id by which Redis ignores a second publication.
        logged: whether it is in the system events.
    """

    ts: datetime
    inactivity: Inactivity
    alert: AlertState
    publication: str
    logged: bool = False


class FeedGuard:
    """Monitors a feed until it is cancelled.

    Args:
        live: circuits and alerts in Redis.
        audit: the system events.
        trading: returns the symbols with an open market at a timestamp.
        component: component of the circuit.
        clock: the receiver's clock.
        sleep: waits between two checks.
        incidents: where it is said that Redis has lost the circuit.
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
        incidents: Incidents | None = None,
    ) -> None:
        self.error: StoreError | None = None
        """Why the last alert was not published; None if it was."""
        self._live = live
        self._audit = audit
        self._trading = trading
        self._component = component
        self._incidents = incidents
        self._clock = clock
        self._sleep = sleep
        self._watch = FeedWatchdog()
        self._pending: deque[_PendingAlert] = deque()
        self._opened: _PendingAlert | None = None  # the alert that opened the circuit, while it is open
        self._began = False
        self._rejected = 0
        self._rejected_since: datetime | None = None
        self._why_rejected = ""

    @property
    def trouble(self) -> str | None:
        """Why the feed cannot be relied on; None if it can."""
        since = self._rejected_since
        if since is not None and self._clock() - since >= NOTHING_ACCEPTED:
            return self._nothing_accepted()
        return "no data are received while a market is open" if self._watch.is_open else None

    def observe(self, event: Event) -> None:
        """Registers an accepted event of the feed; trades and quotes count as data, heartbeats do not."""
        if isinstance(event, Trade | Quote):
            self._watch.seen(event.symbol, self._clock())
            self._rejected, self._rejected_since = 0, None

    def reject(self, reason: str) -> None:
        """Registers an event or message of the feed that could not be used."""
        self._rejected += 1
        self._why_rejected = reason
        if self._rejected_since is None:
            self._rejected_since = self._clock()

    def _nothing_accepted(self) -> str:
        return f"{self._rejected:,} events and messages were rejected and none accepted, the last: {self._why_rejected}"

    async def run(self) -> None:
        """Checks once a second and publishes the alerts."""
        while True:
            await self.tick()
            await self._sleep(EVERY)

    async def tick(self) -> None:
        """One check; alerts that a store cannot take wait for the next one."""
        try:
            now = self._clock()
            await self._keep_circuit(now)
            for inactivity in self._watch.judge(now, self._trading(now)):
                alert = self._alert(inactivity)
                log.warning("%s", alert.message, extra={"cause": alert.incident})
                self._pending.append(_PendingAlert(now, inactivity, alert, uuid4().hex))
            while self._pending:
                await self._publish(self._pending[0])
                self._pending.popleft()
            self.error = None
        except StoreError as error:
            self.error = error

    async def _keep_circuit(self, now: datetime) -> None:
        """Resumes from the stored state of the circuit; writes it again if Redis has lost it, or has an older one."""
        stored = await self._live.circuit(self._component)
        if not self._began:
            self._watch.resume(is_open=stored == OPEN)
            self._began = True
        elif stored is None and self._incidents is not None:
            message = "Redis has lost what it held. The stream writes circuit, session, positions and quotes again."
            self._incidents.begin("redis:emptied", "redis_emptied", Severity.WARNING, message)
        elif stored == OPEN and not self._watch.is_open and not self._pending:
            self._watch.resume(is_open=True)  # restored from an older file; what is received closes it again
        if stored == OPEN or (stored is not None and self._opened is None):
            return
        if self._opened is None:
            await self._live.set_circuit(now, self._component, CLOSED, "", uuid4().hex)
        else:
            await self._publish(replace(self._opened, publication=uuid4().hex))
        if self._incidents is not None:
            again = "Redis holds the stream's state again; its channels have a new epoch."
            self._incidents.end("redis:emptied", again)

    async def _publish(self, pending: _PendingAlert) -> None:
        payload = pending.alert.model_dump_json()
        if pending.inactivity.symbol is None:
            state = CLOSED if pending.inactivity.over else OPEN
            self._opened = pending if state == OPEN else None
            await self._live.set_circuit(pending.ts, self._component, state, payload, pending.publication)
        else:
            await self._live.publish_alert(pending.ts, payload, pending.publication)
        if not pending.logged:
            await asyncio.to_thread(self._log, pending)
            pending.logged = True

    def _log(self, pending: _PendingAlert) -> None:
        alert = pending.alert
        self._audit.log(
            event_type=alert.event_type,
            severity=alert.severity,
            component=alert.component,
            message=alert.message,
            metadata={**alert.metadata, "incident": alert.incident, "over": alert.over},
            timestamp=pending.ts,
        )

    def _alert(self, inactivity: Inactivity) -> AlertState:
        name = inactivity.symbol or "any symbol"
        kind, severity = ("symbol_silent", Severity.WARNING) if inactivity.symbol else ("feed_inactive", Severity.ERROR)
        message = f"No data of {name} since {inactivity.since:%Y-%m-%d %H:%M:%S} UTC."
        if inactivity.over is not None:
            message = f"Data of {name} is received again since {inactivity.over:%Y-%m-%d %H:%M:%S} UTC."
        elif inactivity.symbol is None and self._rejected:
            message += f" {self._nothing_accepted()[0].upper()}{self._nothing_accepted()[1:]}."
        return AlertState(
            event_type=kind,
            severity=severity if inactivity.over is None else Severity.INFO,
            component=self._component,
            message=message,
            metadata={
                "symbol": inactivity.symbol,
                "since": rfc3339(inactivity.since),
                **({"rejected": self._rejected} if inactivity.symbol is None else {}),
            },
            incident=":".join(filter(None, (kind, self._component, inactivity.symbol))),
            over=inactivity.over is not None,
        )
