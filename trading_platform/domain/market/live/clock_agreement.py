"""Symbols that are held down because the times of their events are ahead of the receiver's clock.

An event from the future cannot be used (:mod:`trading_platform.domain.market.live.event_validation`), and what it
reports is missing from the bars. So its symbol counts as down until its events agree with the clock again, and a feed
that reports itself up from the future is not up before that.
:class:`trading_platform.domain.market.live.bar_builder.BarBuilder` decides this once for bars and outages alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from trading_platform.domain.market.live.event_validation import AHEAD

AGREED = AHEAD / 2
"""How far the events of a symbol that is held down may be ahead at most to agree with the clock again; less than what
is rejected, so that a clock near the limit does not change the state with each event."""

HELD_FOR = timedelta(minutes=1)
"""How long a symbol is held down at least after the last rejected event: a minute of bars is lost in any case, and
events that are rejected now and then make no more than one outage a minute."""


class ClockAgreement:
    """The symbols of one feed that are held down."""

    def __init__(self) -> None:
        self._held: dict[str, datetime] = {}
        self._ahead_by = timedelta(0)
        self._rejected_at: datetime | None = None

    def __len__(self) -> int:
        """The number of symbols that are held down."""
        return len(self._held)

    @property
    def held(self) -> frozenset[str]:
        """The symbols that are held down."""
        return frozenset(self._held)

    @property
    def ahead_by(self) -> timedelta:
        """How far the last rejected event was ahead of the receiver's clock."""
        return self._ahead_by

    def differ(self, now: datetime) -> bool:
        """Whether the clocks differ, as far as is known: an event was rejected in the last two minutes.

        A symbol can be held down for longer, because nothing has come of it since.
        """
        return self._rejected_at is not None and self._rejected_at <= now < self._rejected_at + 2 * HELD_FOR

    def hold(self, symbols: Iterable[str], timestamp: datetime, received: datetime) -> None:
        """Holds symbols down.

        Args:
            symbols: symbols of an event that is ahead of the clock.
            timestamp: time of the event.
            received: the receiver's clock when it arrived.
        """
        self._held |= dict.fromkeys(symbols, received)
        self._ahead_by, self._rejected_at = timestamp - received, received

    def drop(self, symbols: Iterable[str]) -> None:
        """Holds symbols down no longer, because the feed itself reported them down and will report them up."""
        for symbol in symbols:
            self._held.pop(symbol, None)

    def agrees(self, symbol: str, timestamp: datetime, received: datetime) -> bool:
        """Whether an event of a symbol that is held down shows that its times agree with the clock again.

        Args:
            symbol: the symbol; it is held down no longer if they do.
            timestamp: time of the event.
            received: the receiver's clock when it arrived; a clock that was set back counts as one that was set right.
        """
        since = self._held.get(symbol)
        if since is None or timestamp - received > AGREED or since <= received < since + HELD_FOR:
            return False
        del self._held[symbol]
        return True

    def as_json(self) -> dict[str, str]:
        """The whole state."""
        return {symbol: since.isoformat() for symbol, since in self._held.items()}

    def restore(self, stored: Mapping[str, str]) -> None:
        """Continues from a result of :meth:`as_json`."""
        self._held = {symbol: datetime.fromisoformat(since) for symbol, since in stored.items()}
