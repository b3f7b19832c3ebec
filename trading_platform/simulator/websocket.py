"""Kraken's public WebSocket v2 over a market: the channels ``ticker`` and ``trade``, status, heartbeats, ping.

The trade channel sends the same trades as REST, with the same trade ids; the ticker is that of REST. Time is the
exchange's clock, which may run faster than others. The forms were taken from recorded messages;
:mod:`trading_platform.simulator.fault_injection` injects faults.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

from starlette.responses import PlainTextResponse
from starlette.websockets import WebSocket, WebSocketDisconnect

from trading_platform.domain.time import Clock
from trading_platform.simulator.fault_injection import Delivery
from trading_platform.simulator.faults import Fault, FaultInjector
from trading_platform.simulator.market import SECOND, Market, Trades, nanoseconds
from trading_platform.simulator.pairs import LOT_DECIMALS, Pair, units_text
from trading_platform.simulator.ticker import BestQuote, best_quote, last_day, summary

SNAPSHOT_TRADES = 50
"""Maximum number of trades in the snapshot of the trade channel."""

TICK_SECONDS = 0.02
"""How often a connection looks for what is new."""

_CHANNELS = ("ticker", "trade")
_TRIGGERS = ("bbo", "trades")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HEARTBEAT = '{"channel":"heartbeat"}'


@dataclass
class _Subscription:
    """The subscription of a connection to a pair on a channel.

    Attributes:
        channel: ``ticker`` or ``trade``.
        pair: the pair.
        trigger: of the ticker, the event that triggers a message: ``bbo`` or ``trades``.
        sent_until: nanoseconds up to which trades have been sent.
        quote: the last quote sent.
    """

    channel: str
    pair: Pair
    trigger: str
    sent_until: int
    quote: BestQuote | None = None


class StreamSession:
    """One connection, from its handshake to its end.

    Args:
        socket: the connection.
        market: the market.
        clock: the present.
        injector: chooses the faults.
        reset: ends the connection without a close.
        tick: seconds between two looks for what is new.
    """

    def __init__(
        self,
        socket: WebSocket,
        market: Market,
        clock: Clock,
        injector: FaultInjector,
        reset: Callable[[], None],
        tick: float = TICK_SECONDS,
    ) -> None:
        self._socket = socket
        self._market = market
        self._clock = clock
        self._injector = injector
        self._tick = tick
        self._delivery = Delivery(self._send, reset, injector)
        self._subscriptions: dict[tuple[str, str], _Subscription] = {}
        self._turn = asyncio.Lock()
        self._spoke = (0, 0.0)
        self._days: dict[str, tuple[int, dict[str, int]]] = {}

    async def run(self) -> None:
        """Serves the connection until the other side or a fault ends it."""
        if self._injector.draw(frozenset({Fault.REJECT})):
            await self._socket.send_denial_response(PlainTextResponse("Service Unavailable", status_code=503))
            return
        await self._socket.accept()
        pump = asyncio.create_task(self._pump())
        try:
            await self._delivery.send(self._status())
            while (message := await self._socket.receive())["type"] == "websocket.receive":
                async with self._turn:
                    for response in self._responses(message.get("text") or message.get("bytes") or ""):
                        await self._delivery.send(response)
        except WebSocketDisconnect:
            pass
        finally:
            pump.cancel()
            with suppress(asyncio.CancelledError, WebSocketDisconnect):
                await pump

    def _now(self) -> int:
        return nanoseconds(self._clock())

    async def _send(self, text: str) -> None:
        self._spoke = (self._now(), _loop_time())
        await self._socket.send_text(text)

    async def _pump(self) -> None:
        while not self._delivery.is_silent:
            async with self._turn:
                now = self._now()
                for _, text in sorted(self._new_messages(now)):
                    await self._delivery.send_event(text, now)
                await self._delivery.release(now)
                exchange_time, loop_time = self._spoke
                if self._subscriptions and (now - exchange_time >= SECOND or _loop_time() - loop_time >= 1):
                    await self._delivery.heartbeat(_HEARTBEAT)
            await asyncio.sleep(self._tick)

    def _new_messages(self, now: int) -> Iterator[tuple[int, str]]:
        """The messages to send, each with the time of its event."""
        for subscription in self._subscriptions.values():
            if subscription.channel == "ticker":
                quote = best_quote(self._market, subscription.pair, now)
                if _is_triggered(subscription, quote):
                    subscription.quote = quote
                    yield now, self._ticker(subscription.pair, quote, now, "update")
                continue
            trades = self._market.trades_after(subscription.pair, subscription.sent_until, now, 10**9)
            subscription.sent_until = max(subscription.sent_until, now)
            for timestamp, rows in groupby(_trade_rows(trades, subscription.pair), key=lambda row: row[0]):
                yield timestamp, _message("trade", "update", [text for _, text in rows])

    def _responses(self, text: str | bytes) -> Iterator[str]:
        arrived = self._now()
        try:
            request = json.loads(text)
            method, number = request["method"], request.get("req_id")
        except (ValueError, RecursionError, TypeError, KeyError, AttributeError):
            yield self._reply(arrived, {"error": "Malformed request", "success": False})
            return
        more = {} if number is None else {"req_id": number}
        if method == "ping":
            yield self._reply(arrived, {"method": "pong", **more})
        elif method in {"subscribe", "unsubscribe"} and isinstance(request.get("params"), dict):
            yield from self._subscribe(arrived, method, request["params"], more)
        else:
            yield self._reply(arrived, {"method": str(method), "error": "Malformed request", "success": False, **more})

    def _subscribe(self, arrived: int, method: str, parameters: dict[str, Any], more: dict[str, Any]) -> Iterator[str]:
        channel, symbols = parameters.get("channel"), parameters.get("symbol")
        trigger = parameters.get("event_trigger", "trades")
        if channel not in _CHANNELS or not isinstance(symbols, list) or trigger not in _TRIGGERS:
            error = "Malformed request" if channel in _CHANNELS else f"Channel not supported {channel}"
            yield self._reply(arrived, {"method": method, "error": error, "success": False, **more})
            return
        for symbol in symbols:
            pair = next((pair for pair in self._market.pairs if pair.display_name == symbol), None)
            key = (channel, str(symbol))
            if pair is None or (key in self._subscriptions) == (method == "subscribe"):
                error = _rejection(pair, symbol, method)
                rejected = {"error": error, "method": method, "success": False, "symbol": symbol}
                yield self._reply(arrived, {**rejected, **more})
                continue
            result = {"channel": channel, "symbol": symbol, "snapshot": parameters.get("snapshot", True)}
            if channel == "ticker":
                result["event_trigger"] = trigger
            yield self._reply(arrived, {"method": method, "result": result, "success": True, **more})
            if method == "unsubscribe":
                del self._subscriptions[key]
                continue
            self._subscriptions[key] = _Subscription(channel, pair, trigger, arrived)
            if result["snapshot"]:
                yield self._snapshot(self._subscriptions[key], arrived)

    def _snapshot(self, subscription: _Subscription, now: int) -> str:
        pair = subscription.pair
        if subscription.channel == "ticker":
            subscription.quote = best_quote(self._market, pair, now)
            return self._ticker(pair, subscription.quote, now, "snapshot")
        rows = _trade_rows(self._market.latest_trades(pair, now, SNAPSHOT_TRADES), pair)
        return _message("trade", "snapshot", [text for _, text in rows])

    def _ticker(self, pair: Pair, quote: BestQuote, now: int, kind: str) -> str:
        day = self._day(pair, quote, now)

        def price(value: int) -> str:
            return units_text(max(value, 0), pair.price_decimals)

        change = quote.last - day["open"]
        fields = (
            f'"symbol":"{pair.display_name}","bid":{price(quote.bid)},"bid_qty":1.0,"ask":{price(quote.ask)},'
            f'"ask_qty":1.0,"last":{price(quote.last)},"volume":{units_text(day["volume"], LOT_DECIMALS)},'
            f'"vwap":{price(day["vwap"])},"low":{price(day["low"])},"high":{price(day["high"])},'
            f'"change":{"-" if change < 0 else ""}{price(abs(change))},'
            f'"change_pct":{100 * change / max(day["open"], 1):.2f},"timestamp":"{_timestamp(now)}"'
        )
        return _message("ticker", kind, [f"{{{fields}}}"])

    def _day(self, pair: Pair, quote: BestQuote, now: int) -> dict[str, int]:
        """Sums over the last 24 hours, recomputed after a trade or a minute."""
        key = hash((quote.trade_id, now // (60 * SECOND)))
        if self._days.get(pair.symbol, (None,))[0] != key:
            self._days[pair.symbol] = (key, summary(last_day(self._market, pair, now), quote.last))
        return self._days[pair.symbol][1]

    def _status(self) -> str:
        state = {"version": "2.0.0", "system": "online", "api_version": "v2", "connection_id": id(self)}
        return json.dumps({"channel": "status", "type": "update", "data": [state]})

    def _reply(self, arrived: int, response: dict[str, Any]) -> str:
        return json.dumps({**response, "time_in": _timestamp(arrived), "time_out": _timestamp(self._now())})


def _loop_time() -> float:
    return asyncio.get_running_loop().time()


def _rejection(pair: Pair | None, symbol: object, method: str) -> str:
    if pair is None:
        return f"Currency pair not supported {symbol}"
    return "Already subscribed" if method == "subscribe" else "Subscription not found"


def _is_triggered(subscription: _Subscription, quote: BestQuote) -> bool:
    last = subscription.quote
    if last is None:
        return True
    if subscription.trigger == "bbo":
        return (quote.bid, quote.ask) != (last.bid, last.ask)
    return quote.trade_id != last.trade_id


def _message(channel: str, kind: str, rows: list[str]) -> str:
    return f'{{"channel":"{channel}","type":"{kind}","data":[{",".join(rows)}]}}'


def _trade_rows(trades: Trades, pair: Pair) -> Iterator[tuple[int, str]]:
    columns = (trades.time, trades.price, trades.quantity, trades.buyer, trades.market, trades.trade_id)
    for timestamp, price, quantity, buyer, market, number in zip(*(column.tolist() for column in columns), strict=True):
        text = (
            f'{{"symbol":"{pair.display_name}","side":"{"buy" if buyer else "sell"}",'
            f'"price":{units_text(price, pair.price_decimals)},"qty":{units_text(quantity, LOT_DECIMALS)},'
            f'"ord_type":"{"market" if market else "limit"}","trade_id":{number},'
            f'"timestamp":"{_timestamp(timestamp)}"}}'
        )
        yield timestamp, text


def _timestamp(nanoseconds_since_1970: int) -> str:
    return f"{_EPOCH + timedelta(microseconds=nanoseconds_since_1970 // 1_000):%Y-%m-%dT%H:%M:%S.%f}Z"
