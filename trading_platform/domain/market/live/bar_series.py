"""The state of one symbol while its minutes are being built: current quote, running bars, outages.

:class:`trading_platform.domain.market.live.open_minutes.OpenMinutes` keeps one :class:`Series` for each symbol.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from trading_platform.domain.market.live.event_validation import LAST_TIME, VOLUME_LIMIT
from trading_platform.domain.market.live.trade_ids import SeenTradeIds
from trading_platform.domain.money import EXACT, round_amount
from trading_platform.domain.time import Window

MINUTE = timedelta(minutes=1)
DAWN = datetime(1, 1, 1, tzinfo=UTC)
"""Before every event: a feed that never reported to be up has been down since then."""

_TWO = Decimal(2)


class Basis(StrEnum):
    """The price that a symbol's bars are built from."""

    TRADE = "trade"
    MID = "mid"
    BID = "bid"
    ASK = "ask"


def minute_of(timestamp: datetime) -> datetime:
    """The minute, in UTC, that holds ``timestamp``."""
    return timestamp.astimezone(UTC).replace(second=0, microsecond=0)


def minute_after(timestamp: datetime) -> datetime:
    """The first whole minute that does not begin before ``timestamp``."""
    start = minute_of(timestamp)
    return start if start == timestamp else start + MINUTE


class RunningBar:
    """A bar of a minute that has not ended. Prices arrive in any order and are ordered by their time.

    At equal times the trades' ids decide, or the order of arrival if there are none.
    """

    __slots__ = (
        "close",
        "close_id",
        "close_time",
        "end",
        "high",
        "low",
        "open",
        "open_id",
        "open_time",
        "start",
        "volume",
    )  # fmt: skip

    def __init__(
        self, start: datetime, timestamp: datetime, price: Decimal, quantity: Decimal, trade_id: int | None
    ) -> None:
        self.start, self.end = start, start + MINUTE
        self.open = self.high = self.low = self.close = price
        self.volume = quantity
        self.open_time = self.close_time = timestamp
        self.open_id = self.close_id = trade_id

    def add(self, timestamp: datetime, price: Decimal, quantity: Decimal, trade_id: int | None) -> bool:
        """Adds a price; returns False and changes nothing if the volume would not fit its column."""
        if quantity:
            volume = EXACT.add(self.volume, quantity)
            if volume >= VOLUME_LIMIT:
                return False
            self.volume = volume
        if price > self.high:
            self.high = price
        elif price < self.low:
            self.low = price
        if timestamp > self.close_time or (timestamp == self.close_time and not _before(trade_id, self.close_id)):
            self.close, self.close_time, self.close_id = price, timestamp, trade_id
        if timestamp < self.open_time or (timestamp == self.open_time and _before(trade_id, self.open_id)):
            self.open, self.open_time, self.open_id = price, timestamp, trade_id
        return True

    def as_json(self) -> list[Any]:
        """The whole bar, numbers as text."""
        prices = [str(value) for value in (self.open, self.high, self.low, self.close, self.volume)]
        times = [self.start.isoformat(), self.open_time.isoformat(), self.close_time.isoformat()]
        return [*times, *prices, self.open_id, self.close_id]

    @classmethod
    def of_json(cls, stored: list[Any]) -> RunningBar:
        """The bar from a result of :meth:`as_json`."""
        start, open_time, close_time = (datetime.fromisoformat(text) for text in stored[:3])
        numbers = [Decimal(text) for text in stored[3:8]]
        bar = cls(start, open_time, numbers[0], numbers[4], stored[8])
        bar.high, bar.low, bar.close = numbers[1:4]
        bar.close_time, bar.close_id = close_time, stored[9]
        return bar


def _before(trade_id: int | None, other: int | None) -> bool:
    return trade_id is not None and other is not None and trade_id < other


@dataclass(slots=True)
class Series:
    """One symbol.

    Attributes:
        basis: the price its bars are built from.
        bid, ask: the current quote.
        running: its bars of minutes that are not final, by start.
        current: the bar that was added to last.
        seen: the ids of its trades.
        gapless: id and time of the last trade before which every trade was received, if the source numbers them.
        first_up: when the feed was first up for it.
        down_since: since when the feed has been down for it; None while it is up.
        downs: intervals in which the feed was down, as far as a minute that is not final needs them.
        last: close of the last final minute, as long as no minute after it was left out.
        emitted_until: all minutes before it, back to the last one left out, are final and were emitted.
    """

    basis: Basis
    bid: Decimal | None = None
    ask: Decimal | None = None
    running: dict[datetime, RunningBar] = field(default_factory=dict)
    current: RunningBar | None = None
    seen: SeenTradeIds = field(default_factory=SeenTradeIds)
    gapless: tuple[int, datetime] | None = None
    first_up: datetime | None = None
    down_since: datetime | None = DAWN
    downs: list[tuple[datetime, datetime]] = field(default_factory=list)
    last: Decimal | None = None
    emitted_until: datetime | None = None

    def price(self) -> Decimal | None:
        """The price by the current quote; None if it is unknown. For MID the sum of both sides, which is exact."""
        if self.basis is Basis.BID:
            return self.bid
        if self.basis is Basis.ASK:
            return self.ask
        if self.bid is None or self.ask is None:
            return None
        return EXACT.add(self.bid, self.ask)

    def up(self, timestamp: datetime) -> None:
        """The feed is up since ``timestamp``."""
        if self.first_up is None:
            self.first_up = timestamp
        if self.down_since is not None:
            if timestamp > self.down_since:
                self.downs.append((self.down_since, timestamp))
            self.down_since = None

    def interrupted_minutes(self) -> list[Window]:
        """The whole minutes in which the feed was down for some time."""
        downs = self.downs if self.down_since is None else [*self.downs, (self.down_since, LAST_TIME)]
        return [Window(minute_of(start), minute_after(end)) for start, end in downs]

    def settle(self, until: datetime) -> list[RunningBar]:
        """Removes and returns the bars of minutes before ``until``, in order, with the state they needed."""
        settled = [self.running.pop(start) for start in sorted(start for start in self.running if start < until)]
        if self.current is not None and self.current.start < until:
            self.current = None
        self.downs = [(start, end) for start, end in self.downs if end > until]
        return settled

    def row(self, symbol: str, bar: RunningBar) -> tuple[Any, ...]:
        """Time, symbol, prices and volume as stored; quotes have no traded volume."""
        volume = round_amount(bar.volume) if self.basis is Basis.TRADE else None
        prices = (bar.open, bar.high, bar.low, bar.close)
        if self.basis is Basis.MID:
            prices = (*(EXACT.divide(total, _TWO) for total in prices),)  # type: ignore[assignment]
        return (bar.start, symbol, *(round_amount(price) for price in prices), volume)

    def no_trade_row(self, symbol: str, start: datetime) -> tuple[Any, ...] | None:
        """A minute without a trade, at the last price; None if that is not known."""
        if self.last is None:
            return None
        return (start, symbol, *(round_amount(self.last),) * 4, round_amount(Decimal(0)))

    def as_json(self) -> dict[str, Any]:
        """The whole state, numbers as text."""
        return {
            "last": None if self.last is None else str(self.last),
            "emitted_until": text_of(self.emitted_until),
            "basis": self.basis.value,
            "bid": None if self.bid is None else str(self.bid),
            "ask": None if self.ask is None else str(self.ask),
            "running": [bar.as_json() for bar in self.running.values()],
            "seen": self.seen.runs(),
            "gapless": None if self.gapless is None else [self.gapless[0], text_of(self.gapless[1])],
            "first_up": text_of(self.first_up),
            "down_since": text_of(self.down_since),
            "downs": [[text_of(start), text_of(end)] for start, end in self.downs],
        }

    @classmethod
    def of_json(cls, stored: dict[str, Any]) -> Series:
        """The state from a result of :meth:`as_json`."""
        bars = [RunningBar.of_json(bar) for bar in stored["running"]]
        return cls(
            basis=Basis(stored["basis"]),
            bid=None if stored["bid"] is None else Decimal(stored["bid"]),
            ask=None if stored["ask"] is None else Decimal(stored["ask"]),
            running={bar.start: bar for bar in bars},
            seen=SeenTradeIds(stored["seen"]),
            gapless=gapless_of(stored),
            first_up=timestamp_of(stored["first_up"]),
            down_since=timestamp_of(stored["down_since"]),
            downs=[(datetime.fromisoformat(start), datetime.fromisoformat(end)) for start, end in stored["downs"]],
            last=None if stored["last"] is None else Decimal(stored["last"]),
            emitted_until=timestamp_of(stored["emitted_until"]),
        )


def gapless_of(stored: Mapping[str, Any]) -> tuple[int, datetime] | None:
    """The last trade, of a result of :meth:`Series.as_json`, before which every trade was received."""
    number, time = stored.get("gapless") or (None, None)
    return None if number is None or time is None else (number, datetime.fromisoformat(time))


def text_of(timestamp: datetime | None) -> str | None:
    """A timestamp as stored in JSON."""
    return None if timestamp is None else timestamp.astimezone(UTC).isoformat()


def timestamp_of(text: str | None) -> datetime | None:
    """The timestamp from a result of :func:`text_of`."""
    return None if text is None else datetime.fromisoformat(text)
