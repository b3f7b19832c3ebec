"""Detects missing and repeated trades of one symbol by their ids, and the gaps that a snapshot closes.

Kraken numbers a pair's trades without gaps. So a missing id is a lost trade, and a snapshot that begins no
later than the next expected id contains everything an outage missed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from trading_platform.domain.market.live.events import Trade
from trading_platform.domain.market.live.trade_ids import SeenTradeIds

_INSTANT = timedelta(microseconds=1)  # trades at exactly the time of the oldest known one may be missing
_MOST_GAPS = 100


@dataclass(slots=True)
class SequenceGap:
    """Trades that have not arrived.

    Attributes:
        first: lowest id.
        last: highest id.
        before: time of the trade before them.
        after: time of the trade after them.
        deadline: when they count as lost, by the exchange's clock.
    """

    first: int
    last: int
    before: datetime
    after: datetime
    deadline: datetime


@dataclass(frozen=True, slots=True)
class Resumed:
    """How a symbol's trades continue after an outage.

    Attributes:
        since: since when all trades are known; the beginning of the outage itself if nothing is missing.
        fresh: the new trades.
        suspect: if trades are missing, the time of the last one before: a message that was lost without a
            trace before the outage would be among them, so data are uncertain from then on.
    """

    since: datetime
    fresh: list[Trade]
    suspect: datetime | None


class TradeSequence:
    """The trades of one symbol.

    Args:
        patience: how long after one with a higher number the exchange may send a trade.
        known: number and time of the last trade up to which all were emitted before a restart.
    """

    __slots__ = ("_newest", "_newest_time", "_patience", "_seen", "gaps")

    def __init__(self, patience: timedelta, known: tuple[int, datetime] | None = None) -> None:
        self._patience = patience
        self._newest: int | None = None
        self._newest_time: datetime | None = None
        if known is not None:
            self._newest, self._newest_time = known
        self._seen = SeenTradeIds([[0, self._newest]] if self._newest is not None else [])
        self.gaps: list[SequenceGap] = []

    def take(self, trade: Trade, reached: datetime) -> bool:
        """Notes a trade that came as it happened; False if it had come before.

        Args:
            trade: with its number.
            reached: how far the exchange's time has come with it.
        """
        number = _number(trade)
        if not self._seen.add(number):
            return False
        if self._newest is None or self._newest_time is None:
            self._newest, self._newest_time = number, trade.time
        elif number < self._newest:
            self._fill(number)
        else:
            # Later numbers have later times: one far in the past is a mistake of who wrote it.
            timestamp = max(trade.time, self._newest_time)
            if number > self._newest + 1:
                gap = SequenceGap(self._newest + 1, number - 1, self._newest_time, timestamp, reached + self._patience)
                self.gaps.append(gap)
            self._newest, self._newest_time = number, timestamp
        return True

    def overdue(self, reached: datetime) -> list[SequenceGap]:
        """The holes that will not be filled any more, which are forgotten with this.

        Args:
            reached: how far the exchange's time has come.
        """
        excess = len(self.gaps) - _MOST_GAPS
        lost = [gap for index, gap in enumerate(self.gaps) if gap.deadline <= reached or index < excess]
        self.gaps = [gap for gap in self.gaps if gap not in lost]
        return lost

    def broken(self, down: datetime) -> datetime:
        """Records that the feed is down; returns since when trades may be missing.

        Args:
            down: time until which all trades had arrived, except for gaps.
        """
        if not self.gaps:
            return down
        first = min(self.gaps, key=lambda gap: gap.first)
        self._newest, self._newest_time = first.first - 1, first.before
        self.gaps = []
        return min(down, first.before)

    def complete(self, trade: Trade) -> Trade:
        """A received trade, marked if every trade before it was received, too."""
        return trade if self.gaps else replace(trade, gapless=True)

    def resume(self, snapshot: Iterable[Trade], down: datetime) -> Resumed:
        """Continues with the last trades before a subscription.

        Args:
            snapshot: those trades, at least one.
            down: since when trades may be missing.
        """
        run = _last_run(snapshot)
        first, last = _number(run[0]), _number(run[-1])
        if self._newest is not None and last < self._newest:
            self._seen = SeenTradeIds()  # the ids start again: it is another exchange, or another count
        suspect = None
        if self._newest is None:
            since = down if run[0].time < down else run[0].time + _INSTANT
        elif first <= self._newest + 1 and last >= self._newest:
            since = down
        else:
            since, suspect = max(run[0].time, down) + _INSTANT, self._newest_time
        fresh = [trade for trade in run if self._seen.add(_number(trade))]
        if self._newest is None:  # the last one in any case: ids continue from it
            fresh = [trade for trade in fresh if trade.time >= down] or fresh[-1:]
        self._newest, self._newest_time = last, run[-1].time
        return Resumed(since, [replace(trade, gapless=True) for trade in fresh], suspect)

    def restart(self) -> datetime | None:
        """Continues without a snapshot: the next trade starts a new count. Returns the time of the last trade."""
        suspect, self._newest, self._newest_time = self._newest_time, None, None
        self.gaps = []
        return suspect

    def _fill(self, number: int) -> None:
        for index, gap in enumerate(self.gaps):
            if gap.first <= number <= gap.last:
                parts = ((gap.first, number - 1), (number + 1, gap.last))
                rest = [SequenceGap(a, b, gap.before, gap.after, gap.deadline) for a, b in parts if a <= b]
                self.gaps[index : index + 1] = rest
                return


def _last_run(trades: Iterable[Trade]) -> list[Trade]:
    """The trades, by id, back to the first gap in the ids."""
    ordered = sorted({_number(trade): trade for trade in trades}.items())
    start = len(ordered) - 1
    while start and ordered[start - 1][0] == ordered[start][0] - 1:
        start -= 1
    return [trade for _, trade in ordered[start:]]


def _number(trade: Trade) -> int:
    if trade.trade_id is None:
        raise AssertionError("Kraken's trades have ids; the reader rejects others")
    return trade.trade_id
