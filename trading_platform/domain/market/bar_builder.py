"""Minute bars from the events of a live feed, on event time.

A minute is final when the feed's own time has passed its end by a grace period. The wall clock is not used, so
the same events make the same bars live, replayed at any speed, or after a restart. Between events, one running
bar is open for each symbol and unfinished minute; it is part of :meth:`BarBuilder.state`.

:func:`trading_platform.domain.market.bars.bars_from_trades` makes bars of many trades at once.
:mod:`trading_platform.domain.market.final_minutes` has what it gives. docs/decisions/0018-bars-on-event-time.md
explains this design.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.market.bar_series import (
    DAWN,
    MINUTE,
    Basis,
    RunningBar,
    Series,
    minute_after,
    minute_of,
    text_of,
    timestamp_of,
)
from trading_platform.domain.market.bars import Quality
from trading_platform.domain.market.clock_agreement import ClockAgreement
from trading_platform.domain.market.event_validation import (
    LAST_TIME,
    Fault,
    fault_of_quote,
    fault_of_time,
    fault_of_trade,
)
from trading_platform.domain.market.events import Event, FeedDown, FeedUp, Quote, Trade
from trading_platform.domain.market.final_minutes import (
    STATE_VERSION,
    Counts,
    FinalMinutes,
    Rejected,
    frame_of,
    of_present_version,
    windows_as_text,
    windows_of_text,
)
from trading_platform.domain.money import EXACT, FINE_BELOW, keeps_price
from trading_platform.domain.rejection_reasons import Reason
from trading_platform.domain.time import Window

GRACE = timedelta(seconds=2)
"""How long after a minute's end its events are still accepted."""

_EARLIEST_DOWN = timedelta(days=1)
"""How long before a feed was first up a loss may have begun, in the process that streamed the symbol before; a time
further back is a mistake."""

_LATE_ALLOWANCE = timedelta(hours=1)
"""How many silent minutes after a late trade, at most, are requested again together with its own."""

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
        self._fill_no_trade = fill_no_trade
        self.counts = Counts()
        self._any_basis = basis if isinstance(basis, Basis) else None
        self._series = {} if isinstance(basis, Basis) else {symbol: Series(basis[symbol]) for symbol in sorted(basis)}
        self._grace = grace
        self._read: int | None = None
        self._watermark: datetime | None = None
        self._since: datetime | None = None
        self._until: datetime | None = None
        self._turn = LAST_TIME
        self._rows: list[tuple[Any, ...]] = []
        self._covered: dict[str, list[Window]] = {}
        self._late: dict[str, list[Window]] = {}
        self._late_events = 0
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
        return self._until

    @property
    def watermark(self) -> datetime | None:
        """How far the feed has come: its latest event time."""
        return self._watermark

    @property
    def pending(self) -> timedelta:
        """The length of the final minutes that were not taken yet."""
        return timedelta(0) if self._until is None or self._since is None else self._until - self._since

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
                held down (:mod:`trading_platform.domain.market.clock_agreement`).
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
            if self._watermark is None or timestamp > self._watermark:
                self._advance(timestamp)

    def take_final(self) -> FinalMinutes | None:
        """The minutes that became final since the last call; None if there are none."""
        if self._until is None or self._since is None or self._until <= self._since:
            return None
        final = FinalMinutes(
            since=self._since,
            until=self._until,
            bars=frame_of(self._rows, self.source),
            covered={symbol: Window.merge(windows) for symbol, windows in self._covered.items()},
            late={symbol: Window.merge(windows) for symbol, windows in self._late.items()},
            late_events=self._late_events,
        )
        self._since = self._until
        self._rows, self._covered, self._late, self._late_events = [], {}, {}, 0
        return final

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
        if self._watermark is not None:
            self._settle(max(self._end_of_running(), minute_after(self._watermark)))

    def state(self) -> dict[str, Any]:
        """The state needed to continue after the last event read, as JSON.

        Raises:
            InvalidRequest: while final minutes have not been taken; they would be lost.
        """
        if self._until != self._since:
            raise InvalidRequest(
                "Final minutes have not been taken.",
                expected="take_final() before state()",
                received=f"minutes from {self._since} to {self._until}",
                remedy="take them and store them together with the state",
            )
        return {
            "version": STATE_VERSION,
            "source": self.source,
            "grace": self._grace.total_seconds(),
            "fill_no_trade": self._fill_no_trade,
            "any_basis": self._any_basis,
            "read": self._read,
            "until": text_of(self._until),
            "watermark": text_of(self._watermark),
            "late": {symbol: windows_as_text(windows) for symbol, windows in self._late.items()},
            "late_events": self._late_events,
            "counts": {name: getattr(self.counts, name) for name in Counts.__slots__},
            "held": self._clocks.as_json(),
            "series": {symbol: series.as_json() for symbol, series in self._series.items()},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continues from a result of :meth:`state`; the state of symbols that are not followed any more is dropped.

        A live feed is not received in between: pass a :class:`FeedDown` at :attr:`watermark` before its
        next event. A recording continues with the event after :attr:`read`.

        Raises:
            InvalidRequest: if the state belongs to another source, basis, grace or version.
        """
        state = of_present_version(state)
        self._check_state(state)
        self._read = state["read"]
        self._since = self._until = timestamp_of(state["until"])
        self._watermark = timestamp_of(state["watermark"])
        self._turn = self._next_turn()
        self._late = {symbol: windows_of_text(texts) for symbol, texts in state["late"].items()}
        self._late_events = state["late_events"]
        self.counts = Counts(**state["counts"])
        self._clocks.restore(state.get("held", {}))
        for symbol, stored in state["series"].items():
            if self._any_basis is not None or symbol in self._series:
                self._series[symbol] = Series.of_json(stored)

    def _check_state(self, state: Mapping[str, Any]) -> None:
        stored_basis = {symbol: series["basis"] for symbol, series in state.get("series", {}).items()}
        differing = [
            symbol for symbol, series in self._series.items() if stored_basis.get(symbol, series.basis) != series.basis
        ]
        expected = (STATE_VERSION, self.source, self._grace.total_seconds(), self._fill_no_trade, self._any_basis)
        received = tuple(state.get(name) for name in ("version", "source", "grace", "fill_no_trade", "any_basis"))
        if expected != received or differing:
            raise InvalidRequest(
                "The stored position belongs to other bars.",
                expected=f"version, source, grace, filling and basis {expected}",
                received=f"{received}" + (f", another basis for {', '.join(differing)}" if differing else ""),
                remedy="continue with the same source, basis and grace, or start a new stream",
            )

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
        self._observe(series, quote, price, _ZERO, None)
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
        if series.basis is Basis.TRADE:
            self._observe(series, trade, trade.price, trade.quantity, trade.trade_id)
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
            timestamp, series = event.time, self._series_named(symbol)
            if series is not None and isinstance(event, FeedUp):
                series.up(timestamp)
            elif series is not None:
                if series.first_up is not None:
                    timestamp = max(timestamp, series.first_up - _EARLIEST_DOWN)
                self._down(symbol, series, timestamp)
            by_time.setdefault(timestamp, set()).add(symbol)
        self._changes += [replace(event, time=time, symbols=frozenset(names)) for time, names in by_time.items()]

    def _add_ahead(self, event: Event, received: datetime, fault: Fault) -> None:
        """Takes an event that is ahead of the receiver's clock: what it would report is missing from now on."""
        if isinstance(event, FeedDown):
            self._add_state(replace(event, time=received))
            return
        if isinstance(event, FeedUp):
            self.counts.accepted += 1
            known = [symbol for symbol in event.symbols if self._series_named(symbol) is not None]
            self._clocks.hold(known, event.time, received)
            return
        self._reject(event, *fault)
        if isinstance(event, Trade | Quote) and self._is_measured(event):
            series = self._series[event.symbol]
            if series.down_since is None and self._watermark is not None:
                reason = f"times of the source are {_seconds(event.time - received)} s ahead of this machine's clock"
                self._change(FeedDown(self._watermark - self._grace, frozenset({event.symbol}), reason))
                self._clocks.hold([event.symbol], event.time, received)
            elif event.symbol in self._clocks.held:
                self._clocks.hold([event.symbol], event.time, received)

    def _release(self, event: Event, received: datetime) -> None:
        """Ends the outage of a symbol with an event that agrees with the receiver's clock again."""
        if not isinstance(event, Trade | Quote) or not self._is_measured(event):
            return
        if self._clocks.agrees(event.symbol, event.time, received):
            down = self._series[event.symbol].down_since
            since = event.time if down is None else max(event.time, down)
            self._change(FeedUp(since + _INSTANT, frozenset({event.symbol})))

    def _is_measured(self, event: Trade | Quote) -> bool:
        """Whether the bars of its symbol are built from such events."""
        series = self._series_named(event.symbol)
        return series is not None and (series.basis is Basis.TRADE) is isinstance(event, Trade)

    def _series_of(self, event: Quote | Trade) -> Series | None:
        series = self._series.get(event.symbol) or self._series_named(event.symbol)
        if series is None:
            self._reject(event, Reason.UNSUPPORTED, f"{event.symbol} is not followed")
        return series

    def _series_named(self, symbol: str) -> Series | None:
        if symbol not in self._series and self._any_basis is not None:
            self._series[symbol] = Series(self._any_basis)
        return self._series.get(symbol)

    def _basis(self, symbol: str) -> Basis:
        return self._series[symbol].basis

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

    def _observe(
        self, series: Series, event: Quote | Trade, price: Decimal, quantity: Decimal, trade_id: int | None
    ) -> None:
        """Adds a price at a time to the running bar of its minute."""
        timestamp, bar = event.time, series.current
        if bar is None or not bar.start <= timestamp < bar.end:
            start = minute_of(timestamp)
            if self._until is not None and start < self._until:
                self._came_late(series, event.symbol, start)
                return
            bar = series.running.get(start)
            if bar is None:
                bar = series.running[start] = RunningBar(start, timestamp, price, quantity, trade_id)
                series.current = bar
                return
            series.current = bar
        if not bar.add(timestamp, price, quantity, trade_id):
            self.counts.accepted -= 1
            self._reject(event, Reason.OUT_OF_RANGE, f"the volume of its minute does not fit its column: {quantity}")

    def _came_late(self, series: Series, symbol: str, start: datetime) -> None:
        """Marks minutes as late. Before the feed was first up no minute counts as received, so none is late."""
        if series.first_up is None or start + MINUTE <= series.first_up:
            self.counts.early += 1
            return
        self.counts.late += 1
        self._late_events += 1
        # The silent minutes after it have a price that was not the last one, and the next has none that is known.
        series.last = None
        end = start + MINUTE
        if self._fill_no_trade and series.basis is Basis.TRADE and self._until is not None:
            end = min(max(end, self._until), start + _LATE_ALLOWANCE)
        self._mark_late(symbol, Window(start, end))

    def _mark_late(self, symbol: str, window: Window) -> None:
        windows = self._late.setdefault(symbol, [])
        if window not in windows:
            self._late[symbol] = Window.merge([*windows, window])

    def _down(self, symbol: str, series: Series, timestamp: datetime) -> None:
        if series.down_since is not None and timestamp >= series.down_since:
            return
        series.down_since = timestamp
        if self._until is not None and minute_of(timestamp) < self._until:
            series.last = None  # it may be missing, and up again at once the minutes before it are not looked at
            self._mark_late(symbol, Window(minute_of(timestamp), self._until))

    def _advance(self, timestamp: datetime) -> None:
        self._watermark = timestamp
        if self._until is None:
            self._since = self._until = minute_of(timestamp)
            self._turn = self._next_turn()
        if timestamp >= self._turn:
            self._settle(minute_of(timestamp - self._grace))

    def _next_turn(self) -> datetime:
        return LAST_TIME if self._until is None else self._until + MINUTE + self._grace

    def _end_of_running(self) -> datetime:
        return max((bar.end for series in self._series.values() for bar in series.running.values()), default=DAWN)

    def _settle(self, until: datetime) -> None:
        """Makes all minutes before ``until`` final."""
        if self._until is None or until <= self._until:
            return
        settled = Window(self._until, until)
        for symbol, series in self._series.items():
            observed = settled.subtract(series.interrupted_minutes())
            bars = {bar.start: bar for bar in series.settle(until)}
            self.counts.cut += sum(not any(start in window for window in observed) for start in bars)
            for window in observed:
                if self._fill_no_trade and series.basis is Basis.TRADE:
                    self._emit_each_minute(symbol, series, window, bars)
                else:
                    self._covered.setdefault(symbol, []).append(window)
                    self._rows += [
                        (*series.row(symbol, bar), Quality.TRADED.value)
                        for start, bar in bars.items()
                        if start in window
                    ]
        self._until = until
        self._turn = self._next_turn()

    def _emit_each_minute(
        self, symbol: str, series: Series, window: Window, bars: Mapping[datetime, RunningBar]
    ) -> None:
        """A bar for each minute, of its trades or at the last price; without a known price it is marked late."""
        if series.emitted_until != window.start:
            series.last = None
        start = window.start
        while start < window.end:
            minute, bar = Window(start, start + MINUTE), bars.get(start)
            if bar is not None:
                self._rows.append((*series.row(symbol, bar), Quality.TRADED.value))
                series.last = bar.close
            elif (no_trade := series.no_trade_row(symbol, start)) is not None:
                self._rows.append((*no_trade, Quality.NO_TRADE.value))
            else:
                self._mark_late(symbol, minute)
            if bar is not None or series.last is not None:
                self._covered.setdefault(symbol, []).append(minute)
            start = minute.end
        series.emitted_until = window.end


def _seconds(difference: timedelta) -> str:
    return f"{difference.total_seconds():,.0f}"
