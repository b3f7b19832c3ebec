"""Events of a feed as tests write them, and what a bar builder makes of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl

from trading_platform.domain.market.bars import BAR_SCHEMA
from trading_platform.domain.market.live.bar_builder import BarBuilder
from trading_platform.domain.market.live.bar_series import Basis
from trading_platform.domain.market.live.events import Event, FeedUp, Quote, Trade
from trading_platform.domain.market.live.final_minutes import FinalMinutes
from trading_platform.domain.time import Window

NOON = datetime(2024, 5, 6, 12, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
GRACE = 5 * SECOND
BASIS = {"BTCUSD": Basis.TRADE, "EURUSD": Basis.MID, "GBPUSD": Basis.BID}
ALL = frozenset(BASIS)
UP = FeedUp(NOON, ALL)

Row = tuple[datetime, str, Decimal, Decimal, Decimal, Decimal, Decimal | None]


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def trade(seconds: float, price: str, quantity: str = "1", trade_id: int | None = None) -> Trade:
    return Trade("BTCUSD", at(seconds), Decimal(price), Decimal(quantity), trade_id)


def quote(seconds: float, bid: str | None, ask: str | None, symbol: str = "EURUSD") -> Quote:
    return Quote(symbol, at(seconds), None if bid is None else Decimal(bid), None if ask is None else Decimal(ask))


def builder(*, fill: bool = False) -> BarBuilder:
    return BarBuilder("kraken", basis=BASIS, grace=GRACE, fill_no_trade=fill)


@dataclass
class Emitted:
    """All that came of a stream, in a form that does not depend on how it was cut."""

    rows: list[Row] = field(default_factory=list)
    covered: dict[str, list[Window]] = field(default_factory=dict)
    late: dict[str, list[Window]] = field(default_factory=dict)
    late_events: int = 0
    ends: list[datetime] = field(default_factory=list)

    def take(self, made: FinalMinutes | None) -> None:
        if made is None:
            return
        assert made.since < made.until
        assert not self.ends or made.since == self.ends[-1]
        assert made.bars.schema == pl.Schema(BAR_SCHEMA)
        found = rows_of(made.bars)
        assert found == sorted(found, key=lambda row: (row[1], row[0]))
        self.rows += found
        for kept, new in ((self.covered, made.covered), (self.late, made.late)):
            for symbol, windows in new.items():
                kept[symbol] = Window.merge([*kept.get(symbol, []), *windows])
        self.late_events += made.late_events
        self.ends.append(made.until)

    def final(self) -> tuple[Any, ...]:
        assert len({row[:2] for row in self.rows}) == len(self.rows), "a bar came twice"
        return sorted(self.rows, key=lambda row: row[:2]), self.covered, self.late, self.late_events, self.ends[-1:]


def rows_of(bars: pl.DataFrame) -> list[Row]:
    return bars.select("time", "symbol", "open", "high", "low", "close", "volume").rows()


def run(events: Iterable[Event], *, fill: bool = False) -> Emitted:
    emitted, made = Emitted(), builder(fill=fill)
    for event in events:
        made.add(event)
        emitted.take(made.take_final())
    return emitted


def minutes_in(windows: dict[str, list[Window]]) -> dict[str, set[datetime]]:
    found: dict[str, set[datetime]] = {symbol: set() for symbol in BASIS}
    for symbol, several in windows.items():
        for window in several:
            count = (window.end - window.start) // MINUTE
            found[symbol] |= {window.start + index * MINUTE for index in range(count)}
    return found
