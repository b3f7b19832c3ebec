"""The local exchange's WebSocket, as Kraken documents its own: subscriptions, heartbeats, snapshots and updates."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import virtual_time
import websockets
from kraken_stream import START, TIMEOUT, Exchange, on_exchange
from virtual_time import LoopClock
from websockets.asyncio.client import ClientConnection

from trading_platform.simulator.seeded import SeededMarket
from trading_platform.simulator.server import serving_exchange

pytestmark = pytest.mark.slow  # a feed is watched for as long as it takes


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
