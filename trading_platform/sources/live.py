"""The interface of live feeds, independent of the vendor, and the backoff between their connections."""

from __future__ import annotations

import asyncio
import random
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, Self, TypeVar, runtime_checkable

from trading_platform.domain.market.live.events import Event
from trading_platform.domain.rejection_reasons import Reason
from trading_platform.domain.time import AsyncSleep

_Result = TypeVar("_Result")

LOOKS = 10
"""So often it is looked whether something has come before that counts as silence."""


class LiveFeed(Protocol):
    """A live feed: an asynchronous iterator of events, emitted as they happen.

    It ends only by :meth:`close`; external failures are emitted as ``FeedDown``, never raised.
    """

    @property
    def source(self) -> str:
        """The value of the ``source`` column of bars made of it."""

    def __aiter__(self) -> Self:
        """The feed itself."""

    async def __anext__(self) -> Event:
        """The next event.

        Raises:
            StopAsyncIteration: once the feed is closed.
        """

    async def close(self) -> None:
        """Ends the feed and releases its resources; can be called from another task, and repeatedly."""


@dataclass(frozen=True, slots=True)
class RejectedMessage:
    """A message of a source that cannot be used.

    Attributes:
        source: source of the message.
        time: when it was received, UTC.
        reason: the rule it breaks.
        detail: a description.
        record: the message as received, its first thousands of characters.
    """

    source: str
    time: datetime
    reason: Reason
    detail: str
    record: str


@dataclass(frozen=True)
class LastEvent:
    """The last events of a feed before a restart, for one that continues.

    Attributes:
        until: events until then are stored; None if there are none.
        trades: by symbol, id and time of the last trade before which every trade was received, if the source
            numbers its trades.
    """

    until: datetime | None = None
    trades: Mapping[str, tuple[int, datetime]] = field(default_factory=dict)


RejectMessage = Callable[[RejectedMessage], None]
"""Called for every message that cannot be used."""


@dataclass(slots=True)
class MessageCounts:
    """Counts of messages: ``received = accepted + rejected``.

    Attributes:
        received: all messages.
        accepted: the usable ones.
        rejected: the unusable ones.
        duplicates: trades among the accepted that were emitted before.
        lost: trades that by their ids happened and never arrived; within reported outages.
        late: messages of an earlier time than one before them, by more than the patience for it.
        connections: attempts to connect.
    """

    received: int = 0
    accepted: int = 0
    rejected: int = 0
    duplicates: int = 0
    lost: int = 0
    late: int = 0
    connections: int = 0


@runtime_checkable
class MeasuredFeed(Protocol):
    """A live feed that counts its messages and measures how late they are."""

    @property
    def counts(self) -> MessageCounts:
        """Counts of the messages so far."""

    def take_delay(self) -> float | None:
        """How many seconds the times of messages were behind the receiver's clock since the last call, at least."""


@dataclass(slots=True)
class Backoff:
    """Waits between attempts: doubled from ``first`` to ``longest``, and shortened at random to as little as half.

    They start again only after a connection that lasted, so that connections which break at once
    do not lead to many attempts: about twelve in ten minutes, and never more than 75 in any pattern of breaks.

    Attributes:
        first: seconds.
        longest: seconds.
        lasting: seconds a connection must have lasted.
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
        """Records that a connection has ended after so many seconds."""
        if stood >= self.lasting:
            self._attempt = 0


class EventBuffer(ABC):
    """Base class of live feeds: events are taken one by one, and a step is made when there are none.

    It is a :class:`LiveFeed` except for ``source`` and ``close``, and a context manager.
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
        """The events that are available without waiting, for consumers that process batches."""
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
        """Ends the feed; events not yet taken are still emitted, then the iteration ends."""

    @abstractmethod
    async def _advance(self) -> None:
        """One step: it may make events, or wait until the feed is closed."""


async def until_closing(work: Awaitable[_Result], closing: asyncio.Event) -> _Result | None:
    """The result of ``work``, or None as soon as ``closing`` is set; leaves no task behind."""
    task, waiting = asyncio.ensure_future(work), asyncio.ensure_future(closing.wait())
    try:
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        task.cancel()
        waiting.cancel()
        await asyncio.gather(task, waiting, return_exceptions=True)


async def answer_of(work: Awaitable[_Result], seconds: float, sleep: AsyncSleep) -> _Result:
    """What ``work`` gives, which is waited for so many seconds; leaves no task behind.

    The seconds are counted in :data:`LOOKS` parts. By a clock, a process that was stopped or busy for so long would
    take its own pause for the other side's silence.

    Raises:
        TimeoutError: if it gave nothing.
    """
    task = asyncio.ensure_future(work)
    try:
        for _ in range(LOOKS):
            part = asyncio.ensure_future(sleep(seconds / LOOKS))
            try:
                await asyncio.wait({task, part}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                part.cancel()
            if task.done():
                return task.result()
        raise TimeoutError
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
