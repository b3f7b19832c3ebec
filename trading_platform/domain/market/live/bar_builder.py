"""Minute bars from the events of a live feed, on event time.

A minute is final when the feed's own time has passed its end by a grace period. The wall clock is not used, so
the same events make the same bars live, replayed at any speed, or after a restart. Between events, one running
bar is open for each symbol and unfinished minute; it is part of :meth:`BarBuilder.state`. What an event means is
decided here; :mod:`trading_platform.domain.market.live.open_minutes` has the minutes.

:func:`trading_platform.domain.market.bars.bars_from_trades` makes bars of many trades at once.
:mod:`trading_platform.domain.market.live.final_minutes` has what it gives. docs/decisions/0018-bars-on-event-time.md
explains this design.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from trading_platform.domain.market.live.bar_series import (
    MINUTE,
    Basis,
    Series,
    minute_of,
)
from trading_platform.domain.market.live.clock_agreement import ClockAgreement
from trading_platform.domain.market.live.event_validation import (
    Fault,
    fault_of_quote,
    fault_of_time,
    fault_of_trade,
)
from trading_platform.domain.market.live.events import Event, FeedDown, FeedUp, Quote, Trade
from trading_platform.domain.market.live.final_minutes import (
    STATE_VERSION,
    FinalMinutes,
    Rejected,
    of_present_version,
)
from trading_platform.domain.market.live.open_minutes import OpenMinutes
from trading_platform.domain.money import EXACT, FINE_BELOW, keeps_price
from trading_platform.domain.rejection_reasons import Reason

GRACE = timedelta(seconds=2)
"""How long after a minute's end its events are still accepted."""

_EARLIEST_DOWN = timedelta(days=1)
"""How long before a feed was first up a loss may have begun, in the process that streamed the symbol before; a time
further back is a mistake."""

_ZERO = Decimal(0)
_INSTANT = timedelta(microseconds=1)
_TWO = Decimal(2)
_FINE_SUM_BELOW = _TWO * FINE_BELOW


class BarBuilder:
    """Builds final minutes from the events of one feed.

    Args:
        source: value of the bars' column ``source``.
        basis: the price of each symbol's bars; with a single one every symbol that occurs is included.
        grace: how long after a minute's end its events are still accepted.
        fill_no_trade: give a minute without trades, in which the feed was up, a bar of volume 0 at the last
            price, marked ``no_trade``, as exchanges that trade without pause do. If the last price is not
            known, after the feed was down, such a minute must be requested. Bars of quotes have no such minutes.
    """

    def __init__(
        self,
        source: str,
        *,
        basis: Mapping[str, Basis] | Basis,
        grace: timedelta = GRACE,
        fill_no_trade: bool = False,
    ) -> None:
        self.source = source
        self._grace = grace
        self._minutes = OpenMinutes(source, basis=basis, grace=grace, fill_no_trade=fill_no_trade)
        self.counts = self._minutes.counts
        self._read: int | None = None
        self._rejected: list[Rejected] = []
        self._clocks = ClockAgreement()
        self._changes: list[FeedUp | FeedDown] = []

    @property
    def clocks(self) -> ClockAgreement:
        """The symbols that are held down because their times are ahead of the receiver's clock."""
        return self._clocks

    @property
    def until(self) -> datetime | None:
        """All minutes before it are final; None before the first event."""
        return self._minutes.until

    @property
    def watermark(self) -> datetime | None:
        """How far the feed has come: its latest event time."""
        return self._minutes.watermark

    @property
    def pending(self) -> timedelta:
        """The length of the final minutes that were not taken yet."""
        return self._minutes.pending

    @property
    def read(self) -> int | None:
        """The offset of the last event read, if events have offsets."""
        return self._read

    def add(
        self,
        event: Event,
        *,
        offset: int | None = None,
        received: datetime | None = None,
        latest: datetime | None = None,
    ) -> bool:
        """Processes one event; returns whether it was accepted.

        Args:
            event: the feed's event.
            offset: its running number in a file or recording; an offset that was read already is ignored.
            received: the receiver's clock at that time; events from later than that are rejected, and their symbols
                held down (:mod:`trading_platform.domain.market.live.clock_agreement`).
            latest: for an event that was not received live, as one of a file: events from later than that are rejected.
        """
        accepted = self.counts.accepted
        self._process(event, offset, received, latest)
        return self.counts.accepted > accepted

    def _process(self, event: Event, offset: int | None, received: datetime | None, latest: datetime | None) -> None:
        self.counts.received += 1
        if offset is not None:
            if self._read is not None and offset <= self._read:
                self.counts.repeated += 1
                return
            self._read = offset
        fault = fault_of_time(event.time, latest if received is None else received)
        if fault is not None and received is not None and fault[0] is Reason.FUTURE_TIME:
            self._add_ahead(event, received, fault)
            return
        if fault is not None:
            self._reject(event, *fault)
            return
        if received is not None and self._clocks:
            self._release(event, received)
        kind = type(event)
        if kind is Quote:
            used = self._add_quote(event)  # type: ignore[arg-type]
        elif kind is Trade:
            used = self._add_trade(event)  # type: ignore[arg-type]
        else:
            used = self._add_state(event)
        if used:
            timestamp = event.time if received is None or event.time <= received else received
            minutes = self._minutes
            if minutes.watermark is None or timestamp > minutes.watermark:
                minutes.advance(timestamp)

    def take_final(self) -> FinalMinutes | None:
        """The minutes that became final since the last call; None if there are none."""
        return self._minutes.take_final()

    def take_changes(self) -> list[FeedUp | FeedDown]:
        """What became of the feed's state since the last call: which symbols are up and down since when.

        It differs from what the feed reports where a time was ahead of the receiver's clock, or before the feed was
        first up. Outages follow from it, so that they and the bars agree.
        """
        changes, self._changes = self._changes, []
        return changes

    def take_rejected(self) -> list[Rejected]:
        """The events rejected since the last call."""
        rejected, self._rejected = self._rejected, []
        return rejected

    def close(self) -> None:
        """Declares the input complete, as at the end of a complete file.

        Every minute that was begun becomes final.
        """
        self._minutes.close()

    def state(self) -> dict[str, Any]:
        """The state needed to continue after the last event read, as JSON.

        Raises:
            InvalidRequest: while final minutes have not been taken; they would be lost.
        """
        minutes = self._minutes.as_json()
        return {"version": STATE_VERSION, "read": self._read, "held": self._clocks.as_json(), **minutes}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continues from a result of :meth:`state`; the state of symbols that are not followed any more is dropped.

        A live feed is not received in between: pass a :class:`FeedDown` at :attr:`watermark` before its
        next event. A recording continues with the event after :attr:`read`.

        Raises:
            InvalidRequest: if the state belongs to another source, basis, grace or version.
        """
        state = of_present_version(state)
        self._minutes.restore(state)
        self.counts = self._minutes.counts
        self._read = state["read"]
        self._clocks.restore(state.get("held", {}))

    def _add_quote(self, quote: Quote) -> bool:
        series = self._series_of(quote)
        if series is None:
            return False
        fault = fault_of_quote(quote)
        if fault is not None:
            self._reject_price(series, quote, *fault)
            return False
        self.counts.accepted += 1
        bid, ask = quote.bid, quote.ask
        if series.basis is Basis.TRADE or (bid is None and ask is None):
            return True
        if bid is not None:
            series.bid = bid
        if ask is not None:
            series.ask = ask
        price = series.price()
        if price is None:
            return True
        if series.basis is Basis.MID and price < _FINE_SUM_BELOW and not keeps_price(EXACT.divide(price, _TWO)):
            self.counts.accepted -= 1
            middle = EXACT.divide(price, _TWO)
            self._reject_price(series, quote, Reason.TOO_FINE, f"mid is finer than eight decimals: {middle}")
            return True
        self._minutes.observe(series, quote, price, _ZERO, None)
        return True

    def _add_trade(self, trade: Trade) -> bool:
        series = self._series_of(trade)
        if series is None:
            return False
        fault = fault_of_trade(trade)
        if fault is not None:
            self._reject_price(series, trade, *fault)
            return False
        if trade.trade_id is not None and not series.seen.add(trade.trade_id):
            self.counts.duplicates += 1
            return True
        self.counts.accepted += 1
        if trade.gapless and trade.trade_id is not None:
            series.gapless = (trade.trade_id, max(trade.time, series.gapless[1]) if series.gapless else trade.time)
        if series.basis is not Basis.TRADE:
            return True
        if not self._minutes.observe(series, trade, trade.price, trade.quantity, trade.trade_id):
            self.counts.accepted -= 1
            detail = f"the volume of its minute does not fit its column: {trade.quantity}"
            self._reject(trade, Reason.OUT_OF_RANGE, detail)
        return True

    def _add_state(self, event: Event) -> bool:
        self.counts.accepted += 1
        if isinstance(event, FeedUp):
            self._change(event)
        elif isinstance(event, FeedDown):
            self._clocks.drop(event.symbols)
            self._change(event)
        return True

    def _change(self, event: FeedUp | FeedDown) -> None:
        """Applies a change of the feed's state."""
        by_time: dict[datetime, set[str]] = {}
        for symbol in sorted(event.symbols):
            timestamp, series = event.time, self._minutes.series(symbol)
            if series is not None and isinstance(event, FeedUp):
                down, until = series.down_since, self._minutes.until
                if series.first_up is not None and down is not None and until is not None and until > down:
                    timestamp = max(timestamp, until)  # minutes became final without it, whatever it says of them now
                series.up(timestamp)
            elif series is not None:
                if series.first_up is not None:
                    timestamp = max(timestamp, series.first_up - _EARLIEST_DOWN)
                self._minutes.down(symbol, series, timestamp)
            by_time.setdefault(timestamp, set()).add(symbol)
        self._changes += [replace(event, time=time, symbols=frozenset(names)) for time, names in by_time.items()]

    def _add_ahead(self, event: Event, received: datetime, fault: Fault) -> None:
        """Takes an event that is ahead of the receiver's clock: what it would report is missing from now on."""
        if isinstance(event, FeedDown):
            self._add_state(replace(event, time=received))
            return
        if isinstance(event, FeedUp):
            self.counts.accepted += 1
            known = [symbol for symbol in event.symbols if self._minutes.series(symbol) is not None]
            self._clocks.hold(known, event.time, received)
            return
        self._reject(event, *fault)
        if isinstance(event, Trade | Quote) and (series := self._measured_by(event)) is not None:
            if series.down_since is None and self.watermark is not None:
                reason = f"times of the source are {_seconds(event.time - received)} s ahead of this machine's clock"
                self._change(FeedDown(self.watermark - self._grace, frozenset({event.symbol}), reason))
                self._clocks.hold([event.symbol], event.time, received)
            elif event.symbol in self._clocks.held:
                self._clocks.hold([event.symbol], event.time, received)

    def _release(self, event: Event, received: datetime) -> None:
        """Ends the outage of a symbol with an event that agrees with the receiver's clock again."""
        if not isinstance(event, Trade | Quote) or (series := self._measured_by(event)) is None:
            return
        if self._clocks.agrees(event.symbol, event.time, received):
            down = series.down_since
            since = event.time if down is None else max(event.time, down)
            self._change(FeedUp(since + _INSTANT, frozenset({event.symbol})))

    def _measured_by(self, event: Trade | Quote) -> Series | None:
        """The series whose bars are built from such events; None if that of its symbol is not."""
        series = self._minutes.series(event.symbol)
        return series if series is not None and (series.basis is Basis.TRADE) is isinstance(event, Trade) else None

    def _series_of(self, event: Quote | Trade) -> Series | None:
        series = self._minutes.series(event.symbol)
        if series is None:
            self._reject(event, Reason.UNSUPPORTED, f"{event.symbol} is not followed")
        return series

    def _reject(self, event: Event, reason: Reason, detail: str) -> None:
        self.counts.rejected += 1
        self._rejected.append(Rejected(event, reason, detail))

    def _reject_price(self, series: Series, event: Quote | Trade, reason: Reason, detail: str) -> None:
        """Rejects an event by its numbers.

        A price that is too fine to be stored is valid, so the bar of its minute would be wrong without it: the
        minute counts as not received.
        """
        self._reject(event, reason, detail)
        if reason is Reason.TOO_FINE:
            start = minute_of(event.time)
            if (start, start + MINUTE) not in series.downs:
                series.downs.append((start, start + MINUTE))


def _seconds(difference: timedelta) -> str:
    return f"{difference.total_seconds():,.0f}"
