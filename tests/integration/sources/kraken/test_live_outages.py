"""Outages of the live feed over a real socket: their bounds, what counts as inactivity, and a close without leftovers.

Exchange and feed are in one event loop of virtual time: how late something is, is what the exchange makes it.

"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from datetime import datetime, timedelta
from typing import Any

import pytest
import virtual_time
from kraken_stream import START, SYMBOLS, TIMEOUT, Exchange, Heard, account, check_bars, listen, on_exchange
from virtual_time import LoopClock
from websockets.asyncio.server import ServerConnection, serve

from trading_platform.domain.market.live.events import Event, FeedDown, FeedUp, Heartbeat, Quote, Trade
from trading_platform.sources.kraken.live.feed import INACTIVITY_SECONDS, KrakenFeed
from trading_platform.sources.kraken.pairs import KrakenPair
from trading_platform.sources.live import LastEvent

pytestmark = pytest.mark.slow  # a feed is watched for as long as it takes


@pytest.mark.exhaustive
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


@pytest.mark.exhaustive
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
