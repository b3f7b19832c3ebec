"""What the platform asks of a live feed, whoever it is, and how feeds wait before they connect again."""

from __future__ import annotations

import asyncio
import random
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, Self, TypeVar

from trading_platform.domain.market.events import Event
from trading_platform.domain.rejection_reasons import Reason

_Result = TypeVar("_Result")


class LiveFeed(Protocol):
    """Somebody who tells what happens, as it happens: an asynchronous iterator of events.

    It ends only by :meth:`close`; what goes wrong outside is told as ``FeedDown``, never raised.
    """

    @property
    def source(self) -> str:
        """What stands in the ``source`` column of bars made of it."""

    def __aiter__(self) -> Self:
        """The feed itself."""

    async def __anext__(self) -> Event:
        """The next event.

        Raises:
            StopAsyncIteration: once the feed is closed.
        """

    async def close(self) -> None:
        """Ends the feed and all that belongs to it; can be called from another task, and again."""


@dataclass(frozen=True, slots=True)
class RejectedMessage:
    """Something a source sent that cannot be used.

    Attributes:
        source: who sent it.
        time: when it was received, UTC.
        reason: the rule it breaks.
        detail: in words.
        record: the message as it came, its first thousands of characters.
    """

    source: str
    time: datetime
    reason: Reason
    detail: str
    record: str


@dataclass(frozen=True)
class LastEvent:
    """What a feed had told when it was last heard, for one that goes on.

    Attributes:
        until: until when what happened is stored; None if nothing is.
        trades: by symbol, number and time of the last trade before which every one was told, as far as a source
            numbers its trades.
    """

    until: datetime | None = None
    trades: Mapping[str, tuple[int, datetime]] = field(default_factory=dict)


RejectMessage = Callable[[RejectedMessage], None]
"""Told of every message that cannot be used."""


@dataclass(slots=True)
class MessageCounts:
    """What became of messages: ``received = accepted + refused``.

    Attributes:
        received: all that came.
        accepted: those that were understood.
        rejected: those that were not.
        duplicates: trades among the accepted that had been told before.
        lost: trades that by their numbers happened and never came; within outages that were told.
        connections: attempts to connect.
    """

    received: int = 0
    accepted: int = 0
    rejected: int = 0
    duplicates: int = 0
    lost: int = 0
    connections: int = 0


@dataclass(slots=True)
class Backoff:
    """Waits between attempts: doubled from ``first`` to ``longest``, and shortened at random to as little as half.

    They begin anew only after a connection that lasted, so that one which breaks as soon as it stands
    cannot lead to many attempts: about twelve in ten minutes, and never more than 75 however connections end.

    Attributes:
        first: seconds.
        longest: seconds.
        lasting: seconds for which a connection must have stood.
        jitter: a number in [0, 1).
    """

    first: float = 1.0
    longest: float = 60.0
    lasting: float = 30.0
    jitter: Callable[[], float] = random.random
    _attempt: int = field(default=0, init=False)

    def next_wait(self) -> float:
        """Seconds until the next attempt."""
        doubled: float = self.first * 2.0 ** min(self._attempt, 32)
        self._attempt += 1
        return max(self.first, min(doubled, self.longest) * (1 - self.jitter() / 2))

    def ended(self, stood: float) -> None:
        """Says that a connection has ended which stood for so many seconds."""
        if stood >= self.lasting:
            self._attempt = 0


class EventBuffer(ABC):
    """What live feeds have in common: events are taken one by one, and a step is made when there are none.

    A :class:`LiveFeed` but for ``source`` and ``close``; a context manager.
    """

    def __init__(self) -> None:
        self._ready: deque[Event] = deque()
        self._closing = asyncio.Event()

    def __aiter__(self) -> Self:
        """The feed itself."""
        return self

    async def __anext__(self) -> Event:
        """The next event.

        Raises:
            StopAsyncIteration: once the feed is closed.
        """
        while not self._ready:
            if self._closing.is_set():
                raise StopAsyncIteration
            await self._advance()
        return self._ready.popleft()

    def take_ready(self) -> list[Event]:
        """The events that are there already, without waiting: for who handles them by the batch."""
        ready = list(self._ready)
        self._ready.clear()
        return ready

    async def __aenter__(self) -> Self:
        """The feed itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Closes the feed."""
        await self.close()

    @abstractmethod
    async def close(self) -> None:
        """Ends the feed; events not yet taken are still told, then the iteration ends."""

    @abstractmethod
    async def _advance(self) -> None:
        """One step: it may make events, or wait until the feed is closed."""


async def until_closing(work: Awaitable[_Result], closing: asyncio.Event) -> _Result | None:
    """What ``work`` gives, or None as soon as ``closing`` is set; leaves no task behind."""
    task, waiting = asyncio.ensure_future(work), asyncio.ensure_future(closing.wait())
    try:
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        task.cancel()
        waiting.cancel()
        await asyncio.gather(task, waiting, return_exceptions=True)
