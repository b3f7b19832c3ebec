"""Interprets Kraken's messages in sequence: events, outages and their end. No network, no waiting.

:mod:`trading_platform.sources.kraken.live.feed` receives the messages. The rules for outages:

* It begins with the last message, as Kraken's clock had it (:mod:`trading_platform.sources.kraken.live.stream_time`),
  less the patience for what is late.
* It ends, symbol by symbol, where the snapshot of trades begins that comes with the new subscription.
  If by their numbers no trade is missing, it ends where it began: ``FeedUp.time == FeedDown.time``, and
  the missed trades follow. Nothing is left to be repaired then.
* Trades that are missing while the connection stands are an outage from the trade before to the one after. They
  are missing once Kraken has sent what is later by more than the patience, however late it is read here.
* A trade whose time is ahead of the receiver's clock is emitted, to be rejected, and changes nothing here: it counts
  as missing.

After connecting, events are held back until all symbols are up, for a few seconds at most, and then emitted in
the order of time. Otherwise those of a busy symbol would make minutes final before events of another one arrive.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from datetime import datetime, timedelta

from trading_platform.domain.market.live.event_validation import AHEAD
from trading_platform.domain.market.live.events import Event, FeedDown, FeedUp, Heartbeat, Trade
from trading_platform.domain.time import Clock
from trading_platform.sources.kraken.live.messages import (
    REQUEST_IDS,
    Acknowledgement,
    MessageReader,
    Quotes,
    SignOfLife,
    Trades,
    UnusableMessageError,
)
from trading_platform.sources.kraken.live.sequence import SequenceGap, TradeSequence
from trading_platform.sources.kraken.live.stream_time import StreamTime
from trading_platform.sources.kraken.pairs import KrakenPair
from trading_platform.sources.live import LastEvent, MessageCounts, RejectedMessage, RejectMessage

log = logging.getLogger(__name__)

PATIENCE = timedelta(seconds=1)
"""How much later than others Kraken may send a message that is not lost; less than the grace of bars."""
SETTLING = timedelta(seconds=5)
"""How long after connecting, by Kraken's time, symbols may take to come up before the others go ahead."""

_INSTANT = timedelta(microseconds=1)
_MOST_HELD = 50_000
_RECORD_LENGTH = 4_000
_ALREADY = "Already subscribed"


class KrakenStream:
    """The state of all subscriptions, from message to message.

    Args:
        pairs: pairs to follow.
        clock: the receiver's clock.
        known: the last events emitted before a restart, if known: trades in the first snapshot before them are
            not emitted again.
        rejected: called for messages that cannot be used.
        patience: see :data:`PATIENCE`.
        settling: see :data:`SETTLING`.
    """

    def __init__(
        self,
        pairs: Iterable[KrakenPair],
        *,
        clock: Clock,
        known: LastEvent,
        rejected: RejectMessage,
        patience: timedelta = PATIENCE,
        settling: timedelta = SETTLING,
    ) -> None:
        self._spellings = {pair.symbol: pair.live_name for pair in pairs}
        self._reader = MessageReader({spelling: symbol for symbol, spelling in self._spellings.items()})
        self._sequences = {symbol: TradeSequence(patience, known.trades.get(symbol)) for symbol in self._spellings}
        self._clock = clock
        self._on_rejected = rejected
        self._patience = patience
        self._settling = settling
        since = known.until or clock()
        self._down = {
            symbol: known.trades[symbol][1] if symbol in known.trades else since for symbol in self._spellings
        }
        self._told: dict[str, str] = {}
        self._acknowledged: dict[str, datetime] = {}
        self._rejected: set[str] = set()
        self._with_gaps: set[str] = set()
        self._held: list[Event] | None = None
        self._time = StreamTime()
        self._deadline: datetime | None = None
        self._is_answered = False
        self._note: str | None = None
        self._has_compared = False
        self.last_message: datetime | None = None
        """When the last message was received, by the receiver's clock."""
        self.counts = MessageCounts()

    @property
    def symbols_down(self) -> frozenset[str]:
        """The symbols that are not fully received at present."""
        return frozenset(self._down)

    def take_delay(self) -> float | None:
        """How many seconds Kraken's times were behind the receiver's clock since the last call, at least."""
        return self._time.take_delay()

    def connected(self) -> list[str]:
        """Records a new connection; returns the requests to send on it."""
        self._acknowledged, self._rejected = {}, set()
        self._time.connected()
        self._held = []
        self._deadline, self._is_answered = None, False
        self._has_compared = False
        return self._requests(self._spellings)

    def unanswered(self) -> list[str]:
        """What is to be sent again because there was no answer in time; nothing as long as there is time."""
        if self._is_answered or not self._is_settled():
            return []
        open_ = [symbol for symbol in self._down if symbol not in self._rejected]
        self._deadline, self._is_answered = None, not open_
        return self._requests(open_)

    def idle(self, timestamp: datetime) -> None:
        """Notes that all that had come by a moment of the receiver's clock has been received here."""
        self._time.idle(timestamp)

    def receive(self, data: bytes) -> list[Event]:
        """The events of a message. It does not fail on any content.

        Args:
            data: the message, UTF-8.
        """
        now = self._clock()
        self.last_message = now
        self.counts.received += 1
        try:
            message = self._reader.read(data, self._time.corrected(now))
        except UnusableMessageError as error:
            self.counts.rejected += 1
            record = data[:_RECORD_LENGTH].decode("utf-8", "replace")
            self._on_rejected(RejectedMessage("kraken", now, error.reason, error.detail, record))
            return self._emittable(now, [])
        self.counts.accepted += 1
        if isinstance(message, Quotes):
            if message.sent is not None:
                self._stamp(message.sent, now)
            events: list[Event] = list(message.quotes)
        elif isinstance(message, Trades):
            ahead = [trade for trade in message.trades if trade.time - now > AHEAD]
            trades = [trade for trade in message.trades if trade.time - now <= AHEAD] if ahead else message.trades
            events = self._snapshot(trades) if message.is_snapshot else self._trades(trades, now)
            events += ahead
        elif isinstance(message, Acknowledgement):
            events = self._acknowledged_events(message, now)
        else:
            events = self._sign_of_life(message, now)
        return self._emittable(now, events)

    def broken(self, reason: str) -> list[Event]:
        """Records that the connection ended, or could not be opened.

        Args:
            reason: description of the cause.
        """
        events = self._release()
        self._is_answered = True
        downs: dict[datetime, set[str]] = {}
        for symbol, sequence in self._sequences.items():
            if symbol not in self._down:
                self._down[symbol] = sequence.broken(self._all_told())
            elif symbol in self._told:
                continue
            self._told[symbol] = reason
            downs.setdefault(self._down[symbol], set()).add(symbol)
        self._with_gaps.clear()
        events.extend(FeedDown(time, frozenset(symbols), reason) for time, symbols in sorted(downs.items()))
        return events

    def _requests(self, symbols: Iterable[str]) -> list[str]:
        spellings = [self._spellings[symbol] for symbol in symbols]
        if not spellings:
            return []
        ticker = {"channel": "ticker", "symbol": spellings, "event_trigger": "bbo", "snapshot": True}
        trade = {"channel": "trade", "symbol": spellings, "snapshot": True}
        return [
            json.dumps({"method": "subscribe", "params": params, "req_id": REQUEST_IDS[str(params["channel"])]})
            for params in (trade, ticker)
        ]

    def _trades(self, trades: list[Trade], now: datetime) -> list[Event]:
        events: list[Event] = []
        for trade in trades:
            self._stamp(trade.time, now)
            sequence = self._sequences[trade.symbol]
            if trade.symbol in self._down:
                events.extend(self._up_without_snapshot(trade.symbol, trade.time))
            if sequence.take(trade, self._time.reached or trade.time):
                events.append(sequence.complete(trade))
            else:
                self.counts.duplicates += 1
            if sequence.gaps:
                self._with_gaps.add(trade.symbol)
        return events

    def _stamp(self, timestamp: datetime, now: datetime) -> None:
        """Notes the time of a message that Kraken sends as something happens, and thus in the order of time."""
        reached = self._time.reached
        if reached is not None and reached - timestamp > self._patience:
            self.counts.late += 1
        self._time.stamped(timestamp, now)

    def _snapshot(self, trades: list[Trade]) -> list[Event]:
        events: list[Event] = []
        by_symbol: dict[str, list[Trade]] = {}
        for trade in trades:
            by_symbol.setdefault(trade.symbol, []).append(trade)
        for symbol, rows in by_symbol.items():
            down = self._down.get(symbol)
            if down is None:
                self.counts.duplicates += len(rows)
                continue
            resumed = self._sequences[symbol].resume(rows, down)
            since = resumed.since
            if self._held is None:  # others proceeded: minutes of the outage are final
                since = max(since, self._acknowledged.get(symbol, since))
            events += [*_earlier_outage(symbol, resumed.suspect), self._up(symbol, since), *resumed.fresh]
        return events

    def _acknowledged_events(self, response: Acknowledgement, now: datetime) -> list[Event]:
        if response.time is not None:
            self._compare_clocks(response.time, now)
            self._time.acknowledged(response.time, now)
        repeated = response.error is not None and response.error.startswith(_ALREADY)
        if response.error is not None and not repeated:
            log.warning(
                "Kraken rejects a subscription of %s: %s", response.symbol or "an unknown symbol", response.error
            )
        if response.symbol is None or response.channel == "ticker":
            return []
        if response.error is not None and not repeated:
            return self._reject(response.symbol, response.error)
        self._acknowledged.setdefault(response.symbol, response.time or now)
        if repeated and response.symbol in self._down:  # its snapshot was lost, and no other will come
            return self._up_without_snapshot(response.symbol, now)
        return []

    def _compare_clocks(self, sent: datetime, now: datetime) -> None:
        """Says once a connection that the clocks differ."""
        if self._has_compared:
            return
        self._has_compared = True
        ahead, behind = (sent - now).total_seconds(), (now - sent).total_seconds()
        if ahead > AHEAD.total_seconds():
            log.warning("Kraken's clock is %.1f s ahead of this machine's: trades are rejected until they agree", ahead)
        elif behind > AHEAD.total_seconds():
            log.warning("Kraken's clock is %.1f s behind this machine's, or its messages are read that late", behind)

    def _reject(self, symbol: str, error: str) -> list[Event]:
        self._rejected.add(symbol)
        if symbol not in self._down:
            self._down[symbol] = self._sequences[symbol].broken(self._all_told())
        if symbol in self._told:
            return []
        self._told[symbol] = error
        return [FeedDown(self._down[symbol], frozenset({symbol}), f"Kraken rejects the subscription: {error}")]

    def _sign_of_life(self, message: SignOfLife, now: datetime) -> list[Event]:
        if message.note and message.note != self._note:
            log.warning("Kraken reports: %s", message.note)
            self._note = message.note
        if not message.is_heartbeat:
            return []
        self._time.heartbeat(now)
        return [] if self._held is not None else [Heartbeat(self._time.not_after(now))]

    def _all_told(self) -> datetime:
        """The time up to which all data of symbols that are up has been received."""
        return self._time.not_after(self.last_message or self._clock()) - self._patience

    def _is_settled(self) -> bool:
        """Whether symbols have had their time to come up since it was asked for them."""
        reached = self._time.reached
        if reached is None:
            return False
        if self._deadline is None:
            self._deadline = reached + self._settling
        return reached >= self._deadline

    def _up(self, symbol: str, since: datetime) -> FeedUp:
        del self._down[symbol]
        self._told.pop(symbol, None)
        self._rejected.discard(symbol)
        return FeedUp(since, frozenset({symbol}))

    def _up_without_snapshot(self, symbol: str, known: datetime) -> list[Event]:
        """Events from the subscription on are received, but none of those before."""
        suspect = self._sequences[symbol].restart()
        since = max(self._acknowledged.get(symbol, known + _INSTANT), self._down[symbol] + _INSTANT)
        return [*_earlier_outage(symbol, suspect), self._up(symbol, since)]

    def _emittable(self, now: datetime, events: list[Event]) -> list[Event]:
        """The events to emit now, including those held back and those of lost trades."""
        if self._held is not None:
            self._held.extend(events)
            all_up = self._down.keys() <= self._rejected
            if not all_up and not self._is_settled() and len(self._held) < _MOST_HELD:
                return []
            if not all_up:
                for symbol in [symbol for symbol in self._acknowledged if symbol in self._down]:
                    self._held.extend(self._up_without_snapshot(symbol, now))
            events = self._release()
        if self._with_gaps and self._time.reached is not None:
            events.extend(self._losses(self._time.reached))
        return events

    def _release(self) -> list[Event]:
        held, self._held = self._held or [], None
        held.sort(key=lambda event: (event.time, not isinstance(event, FeedDown | FeedUp)))
        return held

    def _losses(self, reached: datetime) -> list[Event]:
        events: list[Event] = []
        for symbol in sorted(self._with_gaps):
            sequence = self._sequences[symbol]
            for gap in sequence.overdue(reached):
                events.extend(self._loss(symbol, gap))
            if not sequence.gaps:
                self._with_gaps.discard(symbol)
        return events

    def _loss(self, symbol: str, gap: SequenceGap) -> tuple[Event, Event]:
        missing = gap.last - gap.first + 1
        self.counts.lost += missing
        reason = f"{missing} trades from id {gap.first} on are missing"
        one = frozenset({symbol})
        return (
            FeedDown(gap.before, one, reason),
            FeedUp(max(gap.after, gap.before) + _INSTANT, one),
        )


def _earlier_outage(symbol: str, suspect: datetime | None) -> list[Event]:
    """A ``FeedDown`` if the symbol's outage may have begun earlier than reported."""
    return [] if suspect is None else [FeedDown(suspect, frozenset({symbol}), "trades were missed")]
