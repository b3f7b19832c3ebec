"""The local exchange's WebSocket and a feed of it in one event loop of virtual time, and what the feed has emitted."""

from __future__ import annotations

import asyncio
import urllib.request
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import polars as pl
import virtual_time
from virtual_time import LoopClock

from trading_platform.domain.market.live.bar_builder import BarBuilder, Basis
from trading_platform.domain.market.live.events import Event, FeedDown, FeedUp, Trade
from trading_platform.domain.time import Window
from trading_platform.simulator.faults import Faults
from trading_platform.simulator.market import nanoseconds
from trading_platform.simulator.pairs import DEFAULT_PAIRS
from trading_platform.simulator.seeded import SeededMarket
from trading_platform.simulator.server import serving_exchange, stream_url
from trading_platform.sources.kraken.client import connect
from trading_platform.sources.kraken.live.feed import KrakenFeed
from trading_platform.sources.kraken.pairs import KrakenPair
from trading_platform.sources.live import Backoff

START = datetime(2025, 3, 4, 15, 17, 42, tzinfo=UTC)
SYMBOLS = ("BTCUSD", "ETHUSD")
NAMES = {"BTCUSD": "BTC/USD", "ETHUSD": "ETH/USD"}
MINUTE = timedelta(minutes=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TIMEOUT = 20.0

_Result = TypeVar("_Result")


@dataclass
class Exchange:
    """A running exchange with a busy market, and the clock of its loop."""

    url: str
    market: SeededMarket
    clock: LoopClock

    @property
    def stream(self) -> str:
        return stream_url(self.url)

    async def break_by(self, **faults: Any) -> None:
        await asyncio.to_thread(set_faults, self.url, Faults.model_validate(faults))

    async def feed(self, stream: str | None = None, **options: Any) -> KrakenFeed:
        pairs = await asyncio.to_thread(self._pairs)
        backoff = Backoff(jitter=lambda: 0.0)
        return KrakenFeed(stream or self.stream, pairs, clock=self.clock, backoff=backoff, **options)

    def _pairs(self) -> list[KrakenPair]:
        client = connect(self.url, 1_000)
        pairs = [client.pairs().find(symbol) for symbol in SYMBOLS]
        client.close()
        return pairs

    def trades(self, symbol: str, start: datetime, end: datetime) -> dict[int, tuple[datetime, int, int]]:
        """What was traded: time, price and quantity in the market's units, by trade id."""
        pair = next(pair for pair in DEFAULT_PAIRS if pair.symbol == symbol)
        rows = self.market.trades_after(pair, nanoseconds(start), nanoseconds(end), 10**9)
        timestamps = [EPOCH + timedelta(microseconds=nano // 1_000) for nano in rows.time.tolist()]
        values = zip(timestamps, rows.price.tolist(), rows.quantity.tolist(), strict=True)
        return dict(zip(rows.trade_id.tolist(), values, strict=True))


def set_faults(url: str, faults: Faults) -> None:
    body = faults.model_dump_json().encode()
    with urllib.request.urlopen(urllib.request.Request(f"{url}/faults", data=body)) as response:  # noqa: S310
        assert response.status == 200


def on_exchange(scenario: Callable[[Exchange], Awaitable[_Result]]) -> _Result:
    """What a scenario gives that is played on an exchange in a loop of virtual time, from START on."""

    async def play() -> _Result:
        clock = LoopClock(START)
        market = SeededMarket(7, SYMBOLS, trades_per_minute=60.0)
        async with serving_exchange(market, clock=clock, tick=0.1) as url:
            return await scenario(Exchange(url, market, clock))

    return virtual_time.run(play())


@dataclass
class Heard:
    """What a feed said, and when one stopped listening."""

    events: list[Event] = field(default_factory=list)
    until: datetime = START

    def of(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def outages(self, symbol: str, start: datetime) -> list[tuple[datetime, datetime]]:
        found: list[tuple[datetime, datetime]] = []
        down: datetime | None = start
        for event in self.events:
            if isinstance(event, FeedDown) and symbol in event.symbols:
                down = event.time if down is None else min(down, event.time)
            elif isinstance(event, FeedUp) and symbol in event.symbols and down is not None:
                found.append((down, event.time))
                down = None
        return found if down is None else [*found, (down, self.until)]


async def listen(feed: KrakenFeed, exchange: Exchange, minutes: float, *steps: Callable[[], Awaitable[Any]]) -> Heard:
    """Listens for so long by the exchange's clock; in equal parts of it, takes one step after the other."""
    heard = Heard()

    async def collect() -> None:
        async for event in feed:
            heard.events.append(event)

    collecting = asyncio.create_task(collect())
    for step in [*steps, None]:
        await asyncio.sleep(minutes * 60 / (len(steps) + 1))
        if step is not None:
            await step()
    heard.until = exchange.clock()
    await feed.close()
    await asyncio.wait_for(collecting, TIMEOUT)
    return heard


def account(heard: Heard, exchange: Exchange, start: datetime, slack: timedelta = timedelta(seconds=8)) -> int:
    """Checks that every trade was emitted as it happened or lies in a recorded outage; how many were lost."""
    lost = 0
    for symbol in SYMBOLS:
        happened = exchange.trades(symbol, start, heard.until - slack)
        emitted = {event.trade_id: event for event in heard.of(Trade) if event.symbol == symbol}
        outages = heard.outages(symbol, start)
        scale = 10 ** next(pair.price_decimals for pair in DEFAULT_PAIRS if pair.symbol == symbol)
        assert happened
        for number, (timestamp, price, quantity) in happened.items():
            if number in emitted:
                event = emitted[number]
                assert (event.time, event.price * scale, event.quantity * 10**8) == (timestamp, price, quantity)
            else:
                lost += 1
                inside = any(down <= timestamp < up for down, up in outages)
                assert inside, f"{symbol} {number} at {timestamp} was lost outside of {outages}"
    return lost


def check_bars(heard: Heard, exchange: Exchange) -> int:
    """Checks every minute that the builder answers for against the market; how many there were."""
    builder = BarBuilder("kraken", basis=Basis.TRADE)
    for event in heard.events:
        builder.add(event)
    final = builder.take_final()
    if final is None:
        return 0
    checked = 0
    for symbol in SYMBOLS:
        bars = {row["time"]: row for row in final.bars.filter(pl.col("symbol") == symbol).iter_rows(named=True)}
        scale = 10 ** next(pair.price_decimals for pair in DEFAULT_PAIRS if pair.symbol == symbol)
        for window in final.covered.get(symbol, []):
            for part in window.subtract(final.late.get(symbol, [])):
                for minute in minutes_of(part):
                    rows = exchange.trades(symbol, minute - timedelta(microseconds=1), minute + MINUTE)
                    inside = [row for row in rows.values() if minute <= row[0] < minute + MINUTE]
                    checked += 1
                    assert (minute in bars) == bool(inside)
                    if inside:
                        prices = [row[1] for row in inside]
                        bar = bars[minute]
                        expected = (prices[0], max(prices), min(prices), prices[-1])
                        assert tuple(bar[name] * scale for name in ("open", "high", "low", "close")) == expected
                        assert bar["volume"] * 10**8 == sum(row[2] for row in inside)
    return checked


def minutes_of(window: Window) -> list[datetime]:
    return [window.start + MINUTE * number for number in range(int((window.end - window.start) / MINUTE))]
