"""The live feed against the local exchange's WebSocket, through a real socket, with everything that can go wrong.

Both are in one event loop of virtual time: how late something is, is what the exchange makes it, on any machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import random
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

import polars as pl
import pytest
import virtual_time
import websockets
from virtual_time import LoopClock
from waiting import DEADLINE
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.server import ServerConnection, serve

from trading_platform.domain.errors import ConfigurationError, SourceRejected, SourceUnavailable
from trading_platform.domain.market.instruments import guess_instrument
from trading_platform.domain.market.live.bar_builder import BarBuilder, Basis
from trading_platform.domain.market.live.events import Event, FeedDown, FeedUp, Heartbeat, Quote, Trade
from trading_platform.domain.time import Window
from trading_platform.simulator.faults import Fault, Faults
from trading_platform.simulator.market import nanoseconds
from trading_platform.simulator.pairs import DEFAULT_PAIRS
from trading_platform.simulator.seeded import SeededMarket
from trading_platform.simulator.server import running_exchange, serving_exchange, stream_url
from trading_platform.sources.kraken.client import KrakenClient, connect
from trading_platform.sources.kraken.http import Retries
from trading_platform.sources.kraken.live.feed import INACTIVITY_SECONDS, KrakenFeed
from trading_platform.sources.kraken.live.quotes import KrakenQuotes
from trading_platform.sources.kraken.pairs import KrakenPair
from trading_platform.sources.live import Backoff, LastEvent
from trading_platform.sources.polling import PollingFeed

pytestmark = pytest.mark.slow  # a feed is watched for as long as it takes

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


def test_every_trade_is_told_as_rest_has_it_and_makes_its_candles() -> None:
    async def scenario(exchange: Exchange) -> None:
        start = exchange.clock()
        feed = await exchange.feed(known=LastEvent(start))
        heard = await listen(feed, exchange, 3.2)
        assert account(heard, exchange, start) == 0
        assert not heard.of(FeedDown)
        assert check_bars(heard, exchange) >= 2
        assert feed.counts.received == feed.counts.accepted
        client = connect(exchange.url, 1_000)
        for symbol in SYMBOLS:
            emitted = {event.trade_id: event for event in heard.of(Trade) if event.symbol == symbol}
            page = await asyncio.to_thread(rest_trades, client, symbol, start, heard.until)
            common = [row for row in page.iter_rows(named=True) if row["trade_id"] in emitted]
            assert len(common) > 100
            for row in common:
                event = emitted[row["trade_id"]]
                assert (event.price, event.quantity, event.time) == (
                    Decimal(row["price"]), Decimal(row["quantity"]), row["time"]
                )  # fmt: skip

    on_exchange(scenario)


def rest_trades(client: KrakenClient, symbol: str, start: datetime, end: datetime) -> pl.DataFrame:
    pages = list(client.trade_pages(client.pairs().find(symbol), nanoseconds(start) - 1))
    return pl.concat([page.rows for page in pages]).filter(pl.col("time") < end)


def test_quotes_are_around_the_last_trade_and_never_crossed() -> None:
    async def scenario(exchange: Exchange) -> Heard:
        return await listen(await exchange.feed(), exchange, 1.5)

    heard = on_exchange(scenario)
    quotes = heard.of(Quote)
    assert {quote.symbol for quote in quotes} == set(SYMBOLS)
    assert len(quotes) > 60
    for quote in quotes:
        assert quote.bid < quote.last < quote.ask
        assert quote.volume > 0
        assert START <= quote.time <= heard.until


BROKEN: dict[str, dict[str, Any]] = {
    "duplicate": {"probability": {"duplicate": 0.4}},
    "reorder": {"probability": {"reorder": 0.4}, "late_seconds": 0.5},
    "late": {"probability": {"late": 0.2}, "late_seconds": 0.5},
    "too late": {"probability": {"late": 0.05}, "late_seconds": 6},
    "malformed": {"probability": {"malformed": 0.1}},
    "unknown": {"probability": {"unknown": 0.4}},
    "lag": {"probability": {"lag": 0.02}, "slow_seconds": 2},
    "stall": {"probability": {"stall": 0.005}},
    "reset": {"probability": {"reset": 0.01}},
    "all": {
        "probability": {
            "duplicate": 0.1, "reorder": 0.1, "late": 0.05, "malformed": 0.02, "unknown": 0.1, "stall": 0.001,
            "reset": 0.003, "refuse": 0.5,
        },
    },
}  # fmt: skip
IN_SHORT = ("reorder", "lag", "reset")
"""What `make test` tries of them."""


@pytest.mark.parametrize(
    "name", [name if name in IN_SHORT else pytest.param(name, marks=pytest.mark.exhaustive) for name in BROKEN]
)
def test_what_is_not_told_lies_in_a_recorded_outage(name: str) -> None:
    async def scenario(exchange: Exchange) -> None:
        start = exchange.clock()
        feed = await exchange.feed(known=LastEvent(start))
        await exchange.break_by(**BROKEN[name])
        heard = await listen(feed, exchange, 3)
        lost = account(heard, exchange, start)
        check_bars(heard, exchange)
        counts = feed.counts
        assert counts.received == counts.accepted + counts.rejected
        assert len(heard.of(Trade)) > 60
        match name:
            case "duplicate":
                assert counts.duplicates > 20
            case "reorder" | "late":
                assert (counts.lost, lost) == (0, 0)
            case "too late":
                assert counts.lost > 2
            case "lag":
                assert (counts.lost, lost, heard.of(FeedDown)) == (0, 0, [])
            case "malformed":
                assert counts.lost > 2
                assert counts.rejected > 2
            case "unknown":
                assert counts.rejected > 20
                assert lost == 0
            case "stall":
                assert "silent" in heard.of(FeedDown)[0].reason
            case "reset":
                assert any("connection ended" in event.reason for event in heard.of(FeedDown))

    on_exchange(scenario)


@pytest.mark.parametrize("skew", [-45.0, pytest.param(4.0, marks=pytest.mark.exhaustive)])
def test_clocks_that_disagree_lose_nothing(skew: float) -> None:
    """The market's trades carry the exchange's time; what is found missing is judged by it.

    Trades that are ahead by more than five seconds are rejected (tests/unit/sources/kraken/test_clocks.py).
    """

    async def scenario(exchange: Exchange) -> None:
        await exchange.break_by(clock_skew_seconds=skew)
        start = exchange.clock() + timedelta(seconds=skew)
        feed = await exchange.feed(known=LastEvent(start))
        reset = lambda: exchange.break_by(next={"reset": 1}, clock_skew_seconds=skew)  # noqa: E731
        reject = lambda: exchange.break_by(next={"reset": 1, "refuse": 6}, clock_skew_seconds=skew)  # noqa: E731
        heard = await listen(feed, exchange, 4.5, reset, reject)
        heard.until += timedelta(seconds=skew)
        assert account(heard, exchange, start) > 0
        assert len(heard.of(FeedDown)) >= 2
        assert check_bars(heard, exchange) > 0

    on_exchange(scenario)


def test_a_short_outage_is_closed_by_the_snapshot() -> None:
    async def scenario(exchange: Exchange) -> None:
        start = exchange.clock()
        feed = await exchange.feed(known=LastEvent(start))
        reset = lambda: exchange.break_by(next={"reset": 1})  # noqa: E731
        heard = await listen(feed, exchange, 3.2, reset, reset, reset)
        assert account(heard, exchange, start) == 0
        downs = heard.of(FeedDown)
        assert len(downs) == 3
        assert all(down == up for symbol in SYMBOLS for down, up in heard.outages(symbol, start)[1:])
        assert check_bars(heard, exchange) >= 2

    on_exchange(scenario)


@pytest.mark.exhaustive
def test_a_long_outage_is_told_with_its_bounds() -> None:
    async def scenario(exchange: Exchange) -> None:
        start = exchange.clock()
        feed = await exchange.feed(known=LastEvent(start))
        cut = lambda: exchange.break_by(next={"reset": 1, "refuse": 6})  # noqa: E731
        heard = await listen(feed, exchange, 5, cut)
        lost = account(heard, exchange, start)
        assert lost > 0
        for symbol in SYMBOLS:
            (_, (down, up)) = heard.outages(symbol, start)
            assert timedelta(seconds=10) < up - down < timedelta(seconds=100)
        assert feed.counts.connections == 8
        assert len([down for down in heard.of(FeedDown) if "connection ended" in down.reason]) == 1

    on_exchange(scenario)


def test_silence_is_noticed_after_five_seconds() -> None:
    timestamps: list[datetime] = []

    async def scenario(exchange: Exchange) -> Heard:
        async def stall() -> None:
            await exchange.break_by(next={"stall": 1})
            timestamps.append(exchange.clock())

        return await listen(await exchange.feed(), exchange, 2, stall)

    heard = on_exchange(scenario)
    (down,) = heard.of(FeedDown)
    assert "silent for 5 s" in down.reason
    assert abs(down.time - timestamps[0]) < timedelta(seconds=4)
    after = heard.events[heard.events.index(down) :]
    assert {symbol for event in after if isinstance(event, FeedUp) for symbol in event.symbols} == set(SYMBOLS)
    first_quote = next(event for event in after if isinstance(event, Quote))
    assert timedelta(seconds=5) < first_quote.time - timestamps[0] < timedelta(seconds=20)


@pytest.mark.exhaustive
def test_a_process_that_was_stopped_does_not_take_its_own_pause_for_silence() -> None:
    async def scenario(exchange: Exchange) -> None:
        async def stop() -> None:
            loop = asyncio.get_running_loop()
            assert isinstance(loop, virtual_time.VirtualTimeLoop)
            loop.stall(INACTIVITY_SECONDS * 3)

        start = exchange.clock()
        feed = await exchange.feed(known=LastEvent(start))
        heard = await listen(feed, exchange, 3, *[stop] * 10)
        assert not heard.of(FeedDown)
        assert feed.counts.connections == 1
        assert account(heard, exchange, start) == 0

    on_exchange(scenario)


@pytest.mark.exhaustive
def test_a_reader_that_pauses_loses_nothing_of_what_was_only_late() -> None:
    """Trades come up to half a second out of order all the while, and wait for up to four seconds to be read."""

    async def scenario(exchange: Exchange) -> None:
        start = exchange.clock()
        feed = await exchange.feed(known=LastEvent(start))
        await exchange.break_by(probability={"late": 0.2}, late_seconds=0.5)
        heard, chance = Heard(), random.Random(3)

        async def read_slowly() -> None:
            async for event in feed:
                heard.events.append(event)
                if chance.random() < 0.05:
                    await asyncio.sleep(4 * chance.random())

        reading = asyncio.create_task(read_slowly())
        await asyncio.sleep(180)
        heard.until = exchange.clock() - timedelta(seconds=60)  # the rest may be unread
        await feed.close()
        await asyncio.wait_for(reading, TIMEOUT)
        assert (feed.counts.lost, account(heard, exchange, start), heard.of(FeedDown)) == (0, 0, [])
        assert check_bars(heard, exchange) >= 1

    on_exchange(scenario)


def test_the_first_failure_is_told_at_once_and_only_once() -> None:
    async def scenario(exchange: Exchange) -> None:
        start = exchange.clock()
        feed = await exchange.feed(known=LastEvent(start))
        await exchange.break_by(next={"refuse": 3})
        heard = await listen(feed, exchange, 1.5)
        (down,) = heard.of(FeedDown)
        assert heard.events[0] is down
        assert (down.time, down.symbols) == (start, set(SYMBOLS))
        assert "503" in down.reason
        assert account(heard, exchange, start) == 0

    on_exchange(scenario)


@pytest.mark.parametrize(("wait", "reject"), [(0, 0), (0.2, 0), (20, 0), (10, 1000)])
def test_closing_ends_the_iteration_and_leaves_no_task(wait: float, reject: int) -> None:
    async def scenario(exchange: Exchange) -> None:
        await exchange.break_by(next={"refuse": reject})
        before = asyncio.all_tasks()
        feed = await exchange.feed()
        heard = await asyncio.wait_for(listen(feed, exchange, wait / 60), wait + TIMEOUT)
        assert not reject or heard.of(FeedDown)
        with pytest.raises(StopAsyncIteration):
            await anext(feed)
        await feed.close()
        assert own_tasks() <= before

    on_exchange(scenario)


def test_a_cancelled_reader_can_close_and_leaves_no_task() -> None:
    async def scenario(exchange: Exchange) -> None:
        before = asyncio.all_tasks()
        feed = await exchange.feed()

        async def read() -> None:
            async with feed:
                async for _ in feed:
                    pass

        reading = asyncio.create_task(read())
        await asyncio.sleep(10)
        reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reading
        assert own_tasks() <= before

    on_exchange(scenario)


def own_tasks() -> set[asyncio.Task[Any]]:
    """The tasks that are not the exchange's, which serves connections that it has not seen the end of."""
    return {task for task in asyncio.all_tasks() if "uvicorn" not in repr(task.get_coro())}


def test_an_address_that_is_none_is_told() -> None:
    with pytest.raises(ConfigurationError, match="KRAKEN_WS_URL"):
        KrakenFeed("https://ws.kraken.com/v2", [])


@contextlib.asynccontextmanager
async def connected(exchange: Exchange) -> AsyncIterator[ClientConnection]:
    async with websockets.connect(exchange.stream, proxy=None) as connection:
        assert json.loads(await connection.recv())["channel"] == "status"
        yield connection


async def ask(connection: ClientConnection, *requests: Any) -> None:
    for request in requests:
        await connection.send(request if isinstance(request, str) else json.dumps(request))


async def answers(connection: ClientConnection, count: int) -> list[dict[str, Any]]:
    """The next answers to requests."""
    found: list[dict[str, Any]] = []
    while len(found) < count:
        message = json.loads(await asyncio.wait_for(connection.recv(), TIMEOUT))
        if "channel" not in message:
            found.append(message)
    return found


def subscription(channel: str, *symbols: str, **more: Any) -> dict[str, Any]:
    return {"method": "subscribe", "params": {"channel": channel, "symbol": list(symbols), **more}, "req_id": 5}


def test_the_exchange_acknowledges_each_symbol_and_refuses_what_it_has_not() -> None:
    async def scenario(exchange: Exchange) -> list[dict[str, Any]]:
        async with connected(exchange) as connection:
            await ask(
                connection,
                subscription("trade", "BTC/USD", "XBT/USD", "ETH/USD"),
                subscription("trade", "BTC/USD"),
                subscription("weather", "BTC/USD"),
                {"method": "ping", "req_id": 9},
                "nonsense",
                {"method": "unsubscribe", "params": {"channel": "trade", "symbol": ["BTC/USD"]}},
                {"method": "buy"},
            )
            return await answers(connection, 9)

    said = on_exchange(scenario)
    assert [response.get("success") for response in said] == [True, False, True, False, False, None, False, True, False]
    assert [response["result"]["symbol"] for response in said if response.get("success")] == [
        "BTC/USD",
        "ETH/USD",
        "BTC/USD",
    ]
    assert said[1]["error"] == "Currency pair not supported XBT/USD"
    assert said[1]["symbol"] == "XBT/USD"
    assert said[3]["error"] == "Already subscribed"
    assert (said[5]["method"], said[5]["req_id"]) == ("pong", 9)
    assert all({"time_in", "time_out"} <= response.keys() for response in said)


def test_heartbeats_come_each_second_when_nothing_else_does() -> None:
    """The exchange's clock stands still, so nothing is traded."""

    async def scenario() -> list[float]:
        loop = asyncio.get_running_loop()
        market = SeededMarket(7)
        async with (
            serving_exchange(market, clock=lambda: START) as url,
            connected(Exchange(url, market, LoopClock(START))) as connection,
        ):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(connection.recv(), 1.5)
            await ask(connection, subscription("trade", "BTC/USD"))
            timestamps: list[float] = []
            while len(timestamps) < 3:
                if json.loads(await asyncio.wait_for(connection.recv(), TIMEOUT)) == {"channel": "heartbeat"}:
                    timestamps.append(loop.time())
            return timestamps

    timestamps = virtual_time.run(scenario())
    assert all(0.95 < after - before < 1.05 for before, after in itertools.pairwise(timestamps))


def test_snapshot_and_updates_of_trades_follow_each_other() -> None:
    async def scenario(exchange: Exchange) -> list[dict[str, Any]]:
        async with connected(exchange) as connection:
            await ask(connection, subscription("trade", "BTC/USD"), subscription("ticker", "ETH/USD"))
            rows: list[dict[str, Any]] = []
            kinds: set[tuple[str, str]] = set()
            while len(rows) < 100:
                message = json.loads(await asyncio.wait_for(connection.recv(), TIMEOUT))
                kinds.add((message.get("channel", ""), message.get("type", "")))
                if message.get("channel") == "trade":
                    rows += message["data"]
            assert {("trade", "snapshot"), ("trade", "update"), ("ticker", "snapshot"), ("ticker", "update")} <= kinds
            return rows

    rows = on_exchange(scenario)
    numbers = [row["trade_id"] for row in rows]
    assert numbers == list(range(numbers[0], numbers[0] + len(rows)))
    assert [row["timestamp"] for row in rows] == sorted(row["timestamp"] for row in rows)


def test_a_server_that_sends_anything_is_survived() -> None:
    """Frames no exchange would send, and every kind of end."""
    garbage = ["", "[[[[", b"\x00\xff", '{"channel":"trade","type":"update","data":[{}]}', "9" * 10_000, "[" * 50_000]

    async def serve_garbage(connection: ServerConnection) -> None:
        for message in garbage:
            await connection.send(message)
        await connection.send(b"\xff\xfe", text=True)  # a text frame that is no text
        await connection.send('{"channel":"heartbeat"}')
        if len(handled) % 2:
            connection.transport.abort()
        handled.append(1)

    handled: list[int] = []

    async def scenario(exchange: Exchange) -> tuple[KrakenFeed, Heard]:
        async with serve(serve_garbage, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            rejected: list[Any] = []
            feed = await exchange.feed(f"ws://127.0.0.1:{port}/v2", rejected=rejected.append)
            heard = await listen(feed, exchange, 2)
            assert len(rejected) == feed.counts.rejected
            return feed, heard

    feed, heard = on_exchange(scenario)
    assert len(handled) >= 3
    counts = feed.counts
    assert counts.received == counts.accepted + counts.rejected
    assert counts.rejected >= 3 * len(garbage)
    assert len(heard.of(FeedDown)) == 1
    assert not heard.of(Trade)
    assert not heard.of(Heartbeat)


@pytest.mark.exhaustive
def test_a_slow_reader_slows_the_sender_and_is_not_taken_for_silence() -> None:
    sent = 0
    snapshot = {"symbol": "BTC/USD", "side": "buy", "price": 1.5, "qty": 1.0, "ord_type": "limit", "trade_id": 1}
    first = {"channel": "trade", "type": "snapshot", "data": [{**snapshot, "timestamp": "2025-03-04T15:17:00Z"}]}
    row = {"symbol": "BTC/USD", "bid": 1.5, "ask": 1.6, "last": 1.5, "note": "x" * 5_000}
    total = 20_000

    async def flood(connection: ServerConnection) -> None:
        nonlocal sent
        await connection.send(json.dumps(first))
        message = json.dumps({"channel": "ticker", "type": "update", "data": [row]})
        for sent in range(1, total + 1):  # noqa: B007
            await connection.send(message)
        await connection.wait_closed()

    async def scenario() -> list[Event]:
        async with serve(flood, "127.0.0.1", 0, compression=None) as server:
            url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/v2"
            pair = KrakenPair("BTCUSD", "XXBTZUSD", "XBTUSD", "XBT/USD", None)
            async with KrakenFeed(url, [pair], clock=LoopClock(START)) as feed:
                events = [await anext(feed)]
                await asyncio.sleep(30)
                assert sent < total / 2
                while len(events) <= total:
                    events.append(await anext(feed))
                return events

    events = virtual_time.run(scenario())
    assert [type(event) for event in events[:3]] == [Trade, FeedUp, Quote]
    assert not any(isinstance(event, FeedDown) for event in events)


def test_faults_of_the_stream_leave_answers_of_rest_alone() -> None:
    everything = dict.fromkeys((Fault.RESET, Fault.STALL, Fault.MALFORMED, Fault.REJECT), 1.0)
    with running_exchange(SeededMarket(7, SYMBOLS), Faults(probability=everything)) as url:
        assert connect(url, 1_000).pairs().find("BTCUSD").live_name == "BTC/USD"


def test_polling_the_ticker_says_what_the_stream_says() -> None:
    """The clock stands still, so that both speak of one moment."""
    with running_exchange(SeededMarket(7, SYMBOLS), clock=lambda: START) as url:
        client = connect(url, 1_000, retries=Retries(attempts=1))
        instruments = [guess_instrument(symbol, "kraken") for symbol in SYMBOLS]

        async def run() -> list[dict[str, Quote]]:
            pairs = [client.pairs().find(symbol) for symbol in SYMBOLS]
            polling = PollingFeed(KrakenQuotes(client, lambda: START), instruments, clock=lambda: START)
            found: list[dict[str, Quote]] = []
            for feed in (polling, KrakenFeed(stream_url(url), pairs, clock=lambda: START)):
                async with feed:
                    quotes: dict[str, Quote] = {}
                    while len(quotes) < len(SYMBOLS):
                        event = await asyncio.wait_for(anext(feed), DEADLINE)
                        if isinstance(event, Quote):
                            quotes[event.symbol] = event
                    found.append(quotes)
            return found

        polled, streamed = asyncio.run(run())
        assert polled == streamed
        set_faults(url, Faults(next={Fault.SERVER_ERROR: 1}))
        with pytest.raises(SourceUnavailable):
            KrakenQuotes(client).quotes(SYMBOLS)
        with pytest.raises(SourceRejected, match="NOSUCH"):
            KrakenQuotes(client).quotes(["NOSUCH"])
