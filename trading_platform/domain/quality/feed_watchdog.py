"""Notices when data stop coming while a market is open (data architecture §8): one word when, one when it is over.

Silence is counted by the receiver's clock and only while the symbol's market is open: from the last data
or the opening, whichever is later. While nothing at all comes, single symbols are not complained about;
they are given their time again when data are back. Who tells whom: :mod:`trading_platform.streaming.circuit`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

FEED_INACTIVITY = timedelta(minutes=2)
"""Without data of any symbol: the circuit opens."""

SYMBOL_INACTIVITY = timedelta(minutes=5)
"""Without data of one symbol: a warning."""


@dataclass(frozen=True)
class Inactivity:
    """That no data come, or that they come again.

    Attributes:
        symbol: whose data; None for all of them.
        since: of the last data, or of the opening if there were none since, UTC.
        over: when data came again, UTC; None while they do not.
    """

    symbol: str | None
    since: datetime
    over: datetime | None = None


class FeedWatchdog:
    """Watches the data of some symbols; time is what it is told.

    Args:
        feed_inactivity: how long nothing at all may come.
        symbol_inactivity: how long nothing of one symbol may come.
    """

    def __init__(
        self, feed_inactivity: timedelta = FEED_INACTIVITY, symbol_inactivity: timedelta = SYMBOL_INACTIVITY
    ) -> None:
        self._feed_silence = feed_inactivity
        self._symbol_silence = symbol_inactivity
        self._was_open = False
        self._last: dict[str, datetime] = {}
        self._since: dict[str, datetime] = {}  # of the symbols whose market is open: when silence began at the earliest
        self._inactive: dict[str, Inactivity] = {}
        self._feed: Inactivity | None = None

    @property
    def is_open(self) -> bool:
        """Whether the circuit is open: the data are not to be relied on."""
        return self._was_open or self._feed is not None

    def resume(self, *, is_open: bool) -> None:
        """Who watched before left the circuit like this."""
        self._was_open = is_open

    def seen(self, symbol: str, now: datetime) -> None:
        """Data of a symbol have come."""
        self._last[symbol] = now

    def judge(self, now: datetime, trading: Iterable[str]) -> list[Inactivity]:
        """What has begun and what is over; call it about once a second.

        Args:
            now: by the receiver's clock, UTC.
            trading: the symbols whose market is open now.
        """
        self._since = {symbol: self._since.get(symbol, now) for symbol in trading}
        return [*self._judge_feed(now), *([] if self.is_open else self._judge_symbols(now))]

    def _judge_feed(self, now: datetime) -> list[Inactivity]:
        newest = max(self._last.values(), default=None)
        if self._was_open and newest is not None:  # by whom it was left open is not known, nor since when
            self._was_open = False
            return [Inactivity(None, newest, over=newest)]
        if self._feed is not None:
            if newest is None or newest <= self._feed.since:
                return []
            over, self._feed = Inactivity(None, self._feed.since, over=newest), None
            self._since = dict.fromkeys(self._since, newest)
            return [over]
        if self._was_open or not self._since:
            return []
        since = min(self._since.values())
        since = since if newest is None else max(since, newest)
        if now - since > self._feed_silence:
            self._feed = Inactivity(None, since)
            return [self._feed]
        return []

    def _judge_symbols(self, now: datetime) -> list[Inactivity]:
        found = []
        for symbol, inactivity in list(self._inactive.items()):
            last = self._last.get(symbol)
            if last is not None and last > inactivity.since:
                del self._inactive[symbol]
                found.append(Inactivity(symbol, inactivity.since, over=last))
        for symbol, opened in self._since.items():
            since = max(opened, self._last.get(symbol, opened))
            if symbol not in self._inactive and now - since > self._symbol_silence:
                self._inactive[symbol] = Inactivity(symbol, since)
                found.append(self._inactive[symbol])
        return found
