"""The minutes of a feed from their first price until they are final, for all symbols.

:class:`trading_platform.domain.market.live.bar_builder.BarBuilder` decides which events count and what they mean;
here prices become bars, and time makes them final. The state of one symbol is
:class:`trading_platform.domain.market.live.bar_series.Series`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.market.bars import Quality
from trading_platform.domain.market.live.bar_series import (
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
from trading_platform.domain.market.live.event_validation import LAST_TIME
from trading_platform.domain.market.live.events import Quote, Trade
from trading_platform.domain.market.live.final_minutes import (
    STATE_VERSION,
    Counts,
    FinalMinutes,
    frame_of,
    windows_as_text,
    windows_of_text,
)
from trading_platform.domain.time import Window

_LATE_ALLOWANCE = timedelta(hours=1)
"""How many silent minutes after a late trade, at most, are requested again together with its own."""


class OpenMinutes:
    """Minutes that are not final, and those that became final and were not taken yet.

    Args:
        source: value of the bars' column ``source``.
        basis: the price of each symbol's bars, or of those of every symbol.
        grace: how long after a minute's end its events are still accepted.
        fill_no_trade: whether a minute without trades, in which the feed was up, gets a bar at the last price.

    Attributes:
        counts: counts of the events; here ``late``, ``early`` and ``cut`` are counted.
        watermark: how far the feed has come: its latest event time.
        until: all minutes before it are final; None before the first event.
    """

    def __init__(
        self, source: str, *, basis: Mapping[str, Basis] | Basis, grace: timedelta, fill_no_trade: bool
    ) -> None:
        self._source = source
        self._grace = grace
        self._fill_no_trade = fill_no_trade
        self._any_basis = basis if isinstance(basis, Basis) else None
        self._series = {} if isinstance(basis, Basis) else {symbol: Series(basis[symbol]) for symbol in sorted(basis)}
        self.counts = Counts()
        self.watermark: datetime | None = None
        self.until: datetime | None = None
        self._since: datetime | None = None
        self._turn = LAST_TIME
        self._rows: list[tuple[Any, ...]] = []
        self._covered: dict[str, list[Window]] = {}
        self._late: dict[str, list[Window]] = {}
        self._late_events = 0

    @property
    def pending(self) -> timedelta:
        """The length of the final minutes that were not taken yet."""
        return timedelta(0) if self.until is None or self._since is None else self.until - self._since

    def series(self, symbol: str) -> Series | None:
        """The state of a symbol; None if it is not followed."""
        series = self._series.get(symbol)
        if series is None and self._any_basis is not None:
            series = self._series[symbol] = Series(self._any_basis)
        return series

    def observe(
        self, series: Series, event: Quote | Trade, price: Decimal, quantity: Decimal, trade_id: int | None
    ) -> bool:
        """Adds a price at a time to the running bar of its minute.

        Returns:
            False, with nothing changed, if the volume of the minute would not fit its column.
        """
        timestamp, bar = event.time, series.current
        if bar is None or not bar.start <= timestamp < bar.end:
            start = minute_of(timestamp)
            if self.until is not None and start < self.until:
                self._came_late(series, event.symbol, start)
                return True
            bar = series.running.get(start)
            if bar is None:
                bar = series.running[start] = RunningBar(start, timestamp, price, quantity, trade_id)
                series.current = bar
                return True
            series.current = bar
        return bar.add(timestamp, price, quantity, trade_id)

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
        if self._fill_no_trade and series.basis is Basis.TRADE and self.until is not None:
            end = min(max(end, self.until), start + _LATE_ALLOWANCE)
        self._mark_late(symbol, Window(start, end))

    def _mark_late(self, symbol: str, window: Window) -> None:
        windows = self._late.setdefault(symbol, [])
        if window not in windows:
            self._late[symbol] = Window.merge([*windows, window])

    def down(self, symbol: str, series: Series, timestamp: datetime) -> None:
        """The feed is down since ``timestamp``; minutes after it that were final already are late."""
        if series.down_since is not None and timestamp >= series.down_since:
            return
        series.down_since = timestamp
        if self.until is not None and minute_of(timestamp) < self.until:
            series.last = None  # it may be missing, and up again at once the minutes before it are not looked at
            self._mark_late(symbol, Window(minute_of(timestamp), self.until))

    def advance(self, timestamp: datetime) -> None:
        """The feed has come to ``timestamp``: minutes that ended a grace period before it are final."""
        self.watermark = timestamp
        if self.until is None:
            self._since = self.until = minute_of(timestamp)
            self._turn = self._next_turn()
        if timestamp >= self._turn:
            self._settle(minute_of(timestamp - self._grace))

    def close(self) -> None:
        """Makes every minute that was begun final."""
        if self.watermark is not None:
            self._settle(max(self._end_of_running(), minute_after(self.watermark)))

    def take_final(self) -> FinalMinutes | None:
        """The minutes that became final since the last call; None if there are none."""
        if self.until is None or self._since is None or self.until <= self._since:
            return None
        final = FinalMinutes(
            since=self._since,
            until=self.until,
            bars=frame_of(self._rows, self._source),
            covered={symbol: Window.merge(windows) for symbol, windows in self._covered.items()},
            late={symbol: Window.merge(windows) for symbol, windows in self._late.items()},
            late_events=self._late_events,
        )
        self._since = self.until
        self._rows, self._covered, self._late, self._late_events = [], {}, {}, 0
        return final

    def as_json(self) -> dict[str, Any]:
        """The whole state, numbers as text.

        Raises:
            InvalidRequest: while final minutes have not been taken; they would be lost.
        """
        if self.until != self._since:
            raise InvalidRequest(
                "Final minutes have not been taken.",
                expected="take_final() before state()",
                received=f"minutes from {self._since} to {self.until}",
                remedy="take them and store them together with the state",
            )
        return {
            "source": self._source,
            "grace": self._grace.total_seconds(),
            "fill_no_trade": self._fill_no_trade,
            "any_basis": self._any_basis,
            "until": text_of(self.until),
            "watermark": text_of(self.watermark),
            "late": {symbol: windows_as_text(windows) for symbol, windows in self._late.items()},
            "late_events": self._late_events,
            "counts": {name: getattr(self.counts, name) for name in Counts.__slots__},
            "series": {symbol: series.as_json() for symbol, series in self._series.items()},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continues from a state of the present version; symbols that are not followed any more are left out.

        Raises:
            InvalidRequest: if it belongs to another source, basis, grace or version.
        """
        self._check(state)
        self._since = self.until = timestamp_of(state["until"])
        self.watermark = timestamp_of(state["watermark"])
        self._turn = self._next_turn()
        self._late = {symbol: windows_of_text(texts) for symbol, texts in state["late"].items()}
        self._late_events = state["late_events"]
        self.counts = Counts(**state["counts"])
        for symbol, stored in state["series"].items():
            if self._any_basis is not None or symbol in self._series:
                self._series[symbol] = Series.of_json(stored)

    def _check(self, state: Mapping[str, Any]) -> None:
        stored_basis = {symbol: series["basis"] for symbol, series in state.get("series", {}).items()}
        differing = [
            symbol for symbol, series in self._series.items() if stored_basis.get(symbol, series.basis) != series.basis
        ]
        expected = (STATE_VERSION, self._source, self._grace.total_seconds(), self._fill_no_trade, self._any_basis)
        received = tuple(state.get(name) for name in ("version", "source", "grace", "fill_no_trade", "any_basis"))
        if expected != received or differing:
            raise InvalidRequest(
                "The stored position belongs to other bars.",
                expected=f"version, source, grace, filling and basis {expected}",
                received=f"{received}" + (f", another basis for {', '.join(differing)}" if differing else ""),
                remedy="continue with the same source, basis and grace, or start a new stream",
            )

    def _next_turn(self) -> datetime:
        return LAST_TIME if self.until is None else self.until + MINUTE + self._grace

    def _end_of_running(self) -> datetime:
        return max((bar.end for series in self._series.values() for bar in series.running.values()), default=DAWN)

    def _settle(self, until: datetime) -> None:
        """Makes all minutes before ``until`` final."""
        if self.until is None or until <= self.until:
            return
        settled = Window(self.until, until)
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
        self.until = until
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
