"""Incidents of the live process: each is logged when it begins and when it ends, and kept in the system events.

The database may itself be what is away. So an event is logged at once and waits, in order, until the database takes
it; it keeps the time at which it happened.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from trading_platform.domain.errors import StoreError, StoreFull
from trading_platform.domain.market.live.events import Event, FeedDown, FeedUp
from trading_platform.domain.severity import Severity
from trading_platform.domain.texts import storable
from trading_platform.domain.time import AsyncSleep, Clock, rfc3339
from trading_platform.stores.audit.journal import AuditStore, SystemEvent

log = logging.getLogger(__name__)

COMPONENT = "streamer"
EVERY = 1.0
"""Seconds between two attempts to store what waits."""

MOST_WAITING = 1_000
"""Events that wait for the database at most; then the oldest are dropped, which stays counted."""

AGAIN_AFTER = timedelta(minutes=10)
"""How long the same report without an end is not stored again; each is logged."""

SETTLED = timedelta(seconds=30)
"""How long a feed must have been up before it counts as received again, so that one that flaps is one incident."""

FORMER = timedelta(days=31)
"""How far back incidents are looked for that a killed process could not end."""

LAST_WRITE = 5.0
"""Seconds that storing what waits may take when the process ends."""

_LEVELS = {
    Severity.INFO: logging.INFO,
    Severity.WARNING: logging.WARNING,
    Severity.ERROR: logging.ERROR,
    Severity.CRITICAL: logging.CRITICAL,
}


@dataclass(frozen=True)
class _Event:
    event_type: str
    severity: Severity
    message: str
    metadata: dict[str, Any]
    timestamp: datetime
    ends: Severity | None = None
    """Severity of the incident that ends with it."""


@dataclass(frozen=True)
class _Open:
    """An incident that goes on."""

    event_type: str
    severity: Severity
    since: datetime
    metadata: dict[str, Any] = field(default_factory=dict)


class Incidents:
    """Logs incidents and stores them as system events.

    Args:
        audit: the system events.
        clock: the receiver's clock.
        sleep: waits between two attempts to store events.
        part: name of the part of the universe that the process follows; empty for the whole of it.
    """

    def __init__(self, audit: AuditStore, clock: Clock, sleep: AsyncSleep = asyncio.sleep, *, part: str = "") -> None:
        self._audit = audit
        self._clock = clock
        self._sleep = sleep
        self._part = {"part_of_universe": part} if part else {}
        self._has_ended_former = False
        self._waiting: deque[_Event] = deque()
        self._open: dict[str, _Open] = {}
        self._reported: dict[str, datetime] = {}
        self._dropped = 0

    def begin(
        self,
        name: str,
        event_type: str,
        severity: Severity,
        message: str,
        *,
        at: datetime | None = None,
        **metadata: Any,
    ) -> None:
        """Records that an incident has begun; nothing while it goes on.

        Args:
            name: name of the incident; :meth:`end` ends it.
            event_type: kind of event, at most 50 characters.
            severity: its severity.
            message: what happened, and what the stream does about it.
            at: when it began, by default now.
            **metadata: further data.
        """
        if name in self._open:
            return
        now = self._clock() if at is None else at
        metadata |= self._part
        self._open[name] = _Open(event_type, severity, now, metadata)
        marked = {**metadata, "incident": name, "over": False}
        self._record(_Event(event_type, severity, storable(message), marked, now))

    def end(self, name: str, message: str, at: datetime | None = None, **metadata: Any) -> None:
        """Records that an incident is over, by default now; nothing if there is none of this name.

        Args:
            name: name of the incident.
            message: what is well again.
            at: when it ended, by default now.
            **metadata: further data, known at its end only.
        """
        found = self._open.pop(name, None)
        if found is None:
            return
        found = replace(found, metadata={**found.metadata, **metadata})
        self._record(_end_of(name, found, message, self._clock() if at is None else max(at, found.since)))

    def report(self, event_type: str, severity: Severity, message: str, **metadata: Any) -> None:
        """Records something that has no end; the same message is stored once in ten minutes."""
        now = self._clock()
        since = self._reported.get(message)
        event = _Event(event_type, severity, storable(message), metadata, now)
        if since is not None and since <= now < since + AGAIN_AFTER:
            _log(event)
            return
        self._reported = {text: at for text, at in self._reported.items() if at <= now < at + AGAIN_AFTER}
        self._reported[message] = now
        self._record(event)

    def is_open(self, name: str) -> bool:
        """Whether an incident goes on."""
        return name in self._open

    async def run(self) -> None:
        """Stores events until it is cancelled; then ends all incidents, and stores what waits within five seconds."""
        try:
            while True:
                await self.flush()
                await self._sleep(EVERY)
        except asyncio.CancelledError:
            for name in list(self._open):
                self.end(name, "The stream has ended while it went on.")
            try:
                async with asyncio.timeout(LAST_WRITE):
                    await self.flush()
            except TimeoutError:
                pass
            raise

    async def flush(self) -> None:
        """Stores what waits, in order, as far as the database takes it; first the ends that a killed process owes."""
        if not self._has_ended_former:
            try:
                self._waiting.extendleft(await asyncio.to_thread(self._ends_of_former))
            except StoreError:
                return
            self._has_ended_former = True
        while self._waiting:
            event = self._waiting[0]
            try:
                await asyncio.to_thread(self._store, event)
            except StoreError as error:
                if error.retryable or isinstance(error, StoreFull):
                    return
                log.warning("an event cannot be stored and is dropped: %s", error)
            if self._waiting and self._waiting[0] is event:  # else it was dropped meanwhile, and the next is another
                self._waiting.popleft()

    def _ends_of_former(self) -> list[_Event]:
        """The ends of incidents of the same part of the universe that have none: their process was killed."""
        now = self._clock()
        newest: dict[str, SystemEvent] = {}
        for event in self._audit.events(component=COMPONENT, start=now - FORMER):
            known = event.metadata if isinstance(event.metadata, dict) else {}
            if "incident" in known and known.get("part_of_universe") == self._part.get("part_of_universe"):
                name = str(known["incident"])
                newest[name] = max(event, newest.get(name, event), key=lambda each: each.id)
        message = "The stream that said so was killed; another one has started."
        return [
            _end_of(name, _former(event), message, now)
            for name, event in newest.items()
            if event.metadata.get("over") is False
        ]

    def _record(self, event: _Event) -> None:
        _log(event)
        if len(self._waiting) >= MOST_WAITING:
            self._waiting.popleft()
            self._dropped += 1
        self._waiting.append(event)

    def _store(self, event: _Event) -> None:
        dropped, self._dropped = self._dropped, 0
        metadata = {**event.metadata, **({"dropped_before": dropped} if dropped else {})}
        try:
            self._audit.log(
                event_type=event.event_type,
                severity=event.severity,
                component=COMPONENT,
                message=event.message,
                metadata=metadata,
                timestamp=event.timestamp,
            )
        except StoreError:
            self._dropped += dropped
            raise


def _end_of(name: str, incident: _Open, message: str, now: datetime) -> _Event:
    lasted = (now - incident.since).total_seconds()
    metadata = {**incident.metadata, "incident": name, "over": True, "since": rfc3339(incident.since)}
    text = storable(f"{message} It lasted {lasted:,.0f} s.")
    metadata |= {"seconds": round(lasted, 1)}
    return _Event(incident.event_type, Severity.INFO, text, metadata, now, incident.severity)


def _former(event: SystemEvent) -> _Open:
    return _Open(event.event_type, Severity(event.severity), event.timestamp, _without_state(event.metadata))


def _without_state(metadata: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in metadata.items() if name not in {"incident", "over", "dropped_before"}}


class FeedIncidents:
    """Says of a feed that it is down for some of its symbols, from its own events, and that all are received again.

    Args:
        incidents: where it is said.
        source: source of the feed.
        away: whether the source is expected to be unavailable at a timestamp.
        clock: the receiver's clock.
    """

    def __init__(self, incidents: Incidents, source: str, away: Callable[[datetime], bool], clock: Clock) -> None:
        self._incidents = incidents
        self._name = f"feed:{source}"
        self._source = source
        self._away = away
        self._clock = clock
        self._down: set[str] = set()
        self._up_since: datetime | None = None

    def resumed(self, symbols: Iterable[str], since: datetime) -> None:
        """Records that no stream was running since then: until the symbols come up, they are down."""
        self._begin(symbols, f"no stream was running since {since:%Y-%m-%d %H:%M:%S} UTC")

    def observe(self, event: Event) -> None:
        """Registers an event of the feed."""
        if isinstance(event, FeedDown):
            self._begin(event.symbols, event.reason)
        elif isinstance(event, FeedUp):
            self._down -= event.symbols
            self._up_since = self._clock()

    def settle(self) -> None:
        """Ends the incident once all symbols have been up for :data:`SETTLED`; call it every few seconds."""
        if self._down or self._up_since is None or not self._incidents.is_open(self._name):
            return
        now = self._clock()
        if not timedelta(0) <= now - self._up_since < SETTLED:  # a clock that was set back counts as well
            self._incidents.end(self._name, f"All symbols of {self._source} are received again.", self._up_since)

    def _begin(self, symbols: Iterable[str], reason: str) -> None:
        self._down |= set(symbols)
        severity = Severity.INFO if self._away(self._clock()) else Severity.WARNING
        message = f"{self._source} is down for {len(self._down)} symbols: {reason}. What they miss is requested later."
        self._incidents.begin(self._name, "feed_down", severity, message, source=self._source, symbols=len(self._down))


def _log(event: _Event) -> None:
    cause = f"{event.event_type} {event.metadata.get('incident', '')} {event.metadata.get('part', '')}"
    ended = event.ends is not None and event.ends is not Severity.INFO  # who read of its beginning reads of its end
    level = logging.WARNING if ended else _LEVELS[event.severity]
    log.log(level, "%s", event.message, extra={"cause": cause})
