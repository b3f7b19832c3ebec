"""Kraken's own time, as far as the messages of a connection show it.

The receiver's clock says when a message was read. On a busy machine that is later than it came, by any amount, while
others wait behind it. So what is judged by time (is a trade late or lost, is a minute over) is judged by what
Kraken's messages say of it, in the order in which they came.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from trading_platform.domain.market.live.event_validation import AHEAD

HEARTBEAT = timedelta(seconds=1)
"""A heartbeat comes when nothing was sent for so long."""

BELIEVED = timedelta(minutes=1)
"""A time that is further ahead of the receiver's clock, corrected, is a mistake of who wrote it."""

LARGEST_OFFSET = timedelta(days=1)
"""A time that is further behind the receiver's clock says nothing of the difference between the clocks."""


class StreamTime:
    """How far Kraken's time has come on a connection; no reading of a clock alone moves it."""

    __slots__ = ("_delay", "_idle", "_offset", "_reached")

    def __init__(self) -> None:
        self._delay: timedelta | None = None
        self._offset: timedelta | None = None
        self._reached: datetime | None = None
        self._idle: datetime | None = None

    @property
    def reached(self) -> datetime | None:
        """The time reached by Kraken's clock; None until a message with a time was received."""
        return self._reached

    def connected(self) -> None:
        """Resets the state for a new connection, on which nothing was received yet."""
        self._offset = self._reached = self._idle = None

    def acknowledged(self, sent: datetime, read: datetime) -> None:
        """An answer to a request was read, which tells when it was sent.

        Args:
            sent: by Kraken's clock.
            read: by the receiver's clock; the earliest of several tells best how far the two are apart.
        """
        offset = read - sent
        if not -AHEAD <= offset <= LARGEST_OFFSET:
            return
        self._offset = offset if self._offset is None else min(offset, self._offset)
        self.stamped(sent, read)

    def stamped(self, timestamp: datetime, read: datetime) -> None:
        """A message was read that cannot have been sent before ``timestamp``, by Kraken's clock.

        A time ahead of the receiver's clock is not used: no event of then is
        (:mod:`trading_platform.domain.market.live.event_validation`).
        """
        delay = read - timestamp
        if self._delay is None or delay < self._delay:
            self._delay = delay
        if -delay > AHEAD or (self._reached is not None and timestamp <= self._reached):
            return
        if self._offset is None or timestamp - self._of(read) <= BELIEVED:
            self._reached = timestamp

    def take_delay(self) -> float | None:
        """By how many seconds what was read since the last call was behind the receiver's clock, at least."""
        delay, self._delay = self._delay, None
        return None if delay is None else delay.total_seconds()

    def idle(self, timestamp: datetime) -> None:
        """All that had come by ``timestamp``, by the receiver's clock, has been read."""
        self._idle = timestamp

    def heartbeat(self, read: datetime) -> None:
        """A heartbeat was read, which has no time: it gets the receiver's, but for what it may have waited."""
        now = self._of(read)
        if self._reached is not None:
            earliest = self._reached + HEARTBEAT
            if self._idle is not None:
                earliest = max(earliest, self._of(self._idle))
            now = max(min(now, earliest), self._reached)
        self._reached = now

    def corrected(self, read: datetime) -> datetime:
        """A reading of the receiver's clock, set back by what that is known to be ahead of Kraken's."""
        return min(read, self._of(read))

    def not_after(self, read: datetime) -> datetime:
        """A moment that Kraken's time has reached and that is not ahead of a reading of the receiver's clock.

        Args:
            read: when the last message was read.
        """
        corrected = self.corrected(read)
        return corrected if self._reached is None else min(corrected, self._reached)

    def _of(self, read: datetime) -> datetime:
        """Kraken's time at a reading of the receiver's clock."""
        return read if self._offset is None else read - self._offset
