"""Detects missing data while a market is open, and their return.

Inactivity is measured by the receiver's clock and only while the symbol's market is open: from the last data
or the opening, whichever is later. While no data arrive at all, single symbols are not reported; when data
return, their time starts again. :mod:`trading_platform.streaming.monitoring.circuit` publishes the result.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

FEED_INACTIVITY = timedelta(minutes=2)
"""Maximum time without data of any symbol; after it the circuit opens."""

SYMBOL_INACTIVITY = timedelta(minutes=5)
"""Maximum time without data of one symbol; after it a warning is published."""


@dataclass(frozen=True)
class Inactivity:
    """An interval without data: its beginning or its end.

    Attributes:
        symbol: the symbol without data; None for all of them.
        since: time of the last data, or of the opening if there were none since, UTC.
        over: when data arrived again, UTC; None while there are none.
    """

    symbol: str | None
    since: datetime
    over: datetime | None = None


class FeedWatchdog:
    """Watches the data of some symbols; all times are arguments.

    Args:
        feed_inactivity: maximum time without any data.
        symbol_inactivity: maximum time without data of one symbol.
    """

    def __init__(
        self, feed_inactivity: timedelta = FEED_INACTIVITY, symbol_inactivity: timedelta = SYMBOL_INACTIVITY
    ) -> None:
        self._feed_inactivity = feed_inactivity
        self._symbol_inactivity = symbol_inactivity
        self._was_open = False
        self._last: dict[str, datetime] = {}
        self._since: dict[str, datetime] = {}  # by symbol with an open market: earliest begin of its inactivity
        self._inactive: dict[str, Inactivity] = {}
        self._feed: Inactivity | None = None

    @property
    def is_open(self) -> bool:
        """Whether the circuit is open, so that the data are not reliable."""
        return self._was_open or self._feed is not None

    def resume(self, *, is_open: bool) -> None:
        """Takes over the state in which the previous watchdog left the circuit."""
        self._was_open = is_open

    def seen(self, symbol: str, now: datetime) -> None:
        """Records that data of a symbol have arrived."""
        self._last[symbol] = now

    def judge(self, now: datetime, trading: Iterable[str]) -> list[Inactivity]:
        """The inactivities that have begun or ended; call it about once a second.

        Args:
            now: by the receiver's clock, UTC.
            trading: the symbols whose market is open now.
        """
        self._since = {symbol: self._since.get(symbol, now) for symbol in trading}
        return [*self._judge_feed(now), *([] if self.is_open else self._judge_symbols(now))]

    def _judge_feed(self, now: datetime) -> list[Inactivity]:
        newest = max(self._last.values(), default=None)
        if self._was_open and newest is not None:  # the previous watchdog's reason and begin are unknown
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
        if now - since > self._feed_inactivity:
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
            if symbol not in self._inactive and now - since > self._symbol_inactivity:
                self._inactive[symbol] = Inactivity(symbol, since)
                found.append(self._inactive[symbol])
        return found
