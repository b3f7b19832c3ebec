"""Starts and stops the local exchange, and injects faults into its responses."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
import time
from collections.abc import AsyncIterator, Iterator, MutableMapping
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timedelta
from typing import Any

import uvicorn
from starlette.routing import WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket
from uvicorn.protocols.http.h11_impl import H11Protocol

from trading_platform.domain.errors import ConfigurationError
from trading_platform.domain.time import Clock, utc_now
from trading_platform.simulator.account import Account
from trading_platform.simulator.faults import Fault, FaultInjector, Faults
from trading_platform.simulator.market import Market
from trading_platform.simulator.private import PrivateRest, private_routes
from trading_platform.simulator.rest import application, error_envelope
from trading_platform.simulator.websocket import TICK_SECONDS, StreamSession

ACCOUNT_PAIRS = 6
"""Number of the market's first pairs that the account trades."""

_PATIENCE = 10.0  # seconds for the server to start, and to end
_Connections = MutableMapping[tuple[str, int], asyncio.Transport]


@contextmanager
def running_exchange(
    market: Market,
    faults: Faults | None = None,
    clock: Clock = utc_now,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    private: PrivateRest | None = None,
) -> Iterator[str]:
    """A local exchange, running on a thread for as long as the context lasts.

    Args:
        market: the market.
        faults: faults to inject; can be changed by ``POST /faults`` while it runs.
        clock: the present of the exchange.
        host: address to listen on.
        port: 0 selects any free one.
        private: the account and its access; by default one with some fills and the key of
            :mod:`trading_platform.simulator.account`.

    Yields:
        The base URL, to be used as ``KRAKEN_API_URL``; :func:`stream_url` makes ``KRAKEN_WS_URL`` of it.

    Raises:
        ConfigurationError: if the port is not available.
    """
    listener = _listen(host, port)
    private = private or PrivateRest(Account(market.pairs[:ACCOUNT_PAIRS], clock))
    server = _server(market, faults, clock, private)
    thread = threading.Thread(target=server.run, args=([listener],), name="local-exchange", daemon=True)
    thread.start()
    try:
        deadline = time.monotonic() + _PATIENCE
        while not server.started and thread.is_alive() and time.monotonic() < deadline:
            time.sleep(0.005)
        yield f"http://{host}:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(_PATIENCE)
        listener.close()


@asynccontextmanager
async def serving_exchange(
    market: Market, faults: Faults | None = None, clock: Clock = utc_now, *, tick: float = TICK_SECONDS
) -> AsyncIterator[str]:
    """The same, running in the event loop of who wants it, by whose time it goes.

    Args:
        market: what is traded.
        faults: what shall go wrong; can be changed by ``POST /faults`` while it runs.
        clock: what is present for the exchange.
        tick: seconds between two looks of a live connection for what is new.

    Yields:
        The base URL.
    """
    listener = _listen("127.0.0.1", 0)
    server = _server(market, faults, clock, PrivateRest(Account(market.pairs[:ACCOUNT_PAIRS], clock)), tick)
    serving = asyncio.create_task(server.serve([listener]), name="local-exchange")
    try:
        while not server.started and not serving.done():  # noqa: ASYNC110 - uvicorn says it in no other way
            await asyncio.sleep(tick)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving
        listener.close()


def stream_url(url: str) -> str:
    """The WebSocket's address of an exchange with that base URL."""
    return f"ws{url.removeprefix('http')}/v2"


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        listener.close()
        raise ConfigurationError(
            f"The local exchange cannot listen on {host}:{port}.",
            expected="an address of this machine and a free port",
            received=str(error),
            remedy="choose another port, or 0 for any free one",
        ) from None
    return listener


def _server(
    market: Market, faults: Faults | None, clock: Clock, private: PrivateRest, tick: float = TICK_SECONDS
) -> uvicorn.Server:
    connections: _Connections = {}

    class Protocol(H11Protocol):
        """Records its connections, so that a fault can end one."""

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            connections[transport.get_extra_info("peername")[:2]] = transport

        def connection_lost(self, exc: Exception | None) -> None:
            connections.pop(self.transport.get_extra_info("peername")[:2], None)
            super().connection_lost(exc)

    injector = FaultInjector(faults)

    def skewed() -> datetime:
        return clock() + timedelta(seconds=injector.faults.clock_skew_seconds)

    async def live(websocket: WebSocket) -> None:
        peer = tuple(websocket.scope["client"])
        try:
            await StreamSession(websocket, market, skewed, injector, lambda: _reset(connections[peer]), tick).run()
        finally:
            connections.pop(peer, None)  # the HTTP protocol, which recorded it, has handed the connection over

    routes = [WebSocketRoute("/v2", live), *private_routes(private)]
    exchange = _Breaking(application(market, skewed, injector, routes), injector, connections)
    config = uvicorn.Config(
        exchange,
        http=Protocol,
        ws="websockets-sansio",
        ws_ping_interval=None,  # Kraken's heartbeats are messages
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        log_level="critical",  # a broken response is an error to the server, and intended here
        timeout_graceful_shutdown=1,
    )
    return uvicorn.Server(config)


def _reset(transport: asyncio.Transport) -> None:
    """Ends a connection with TCP's RST: unsent data are lost, and the other side sees no close."""
    connection = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


class _Breaking:
    """An ASGI application with the injector's faults in its responses, except in those of ``/faults``."""

    def __init__(self, exchange: ASGIApp, injector: FaultInjector, connections: _Connections) -> None:
        self._exchange = exchange
        self._injector = injector
        self._connections = connections

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        fault = self._injector.draw() if scope["type"] == "http" and scope["path"].startswith("/0/") else None
        match fault:
            case Fault.RATE_LIMIT:
                await _respond(send, 200, error_envelope("EAPI:Rate limit exceeded"), "application/json")
            case Fault.UNAVAILABLE:
                await _respond(send, 200, error_envelope("EService:Unavailable"), "application/json")
            case Fault.SERVER_ERROR:
                await _respond(send, 503, "<html><body>Service Temporarily Unavailable</body></html>", "text/html")
            case Fault.DROP:
                self._connections[tuple(scope["client"])].abort()
            case Fault.TRUNCATE:
                await self._exchange(scope, receive, self._half(scope, send))
            case _:
                if fault is Fault.SLOW:
                    await asyncio.sleep(self._injector.faults.slow_seconds)
                await self._exchange(scope, receive, send)

    def _half(self, scope: Scope, send: Send) -> Send:
        async def halved(message: Message) -> None:
            if message["type"] == "http.response.body":
                body: bytes = message["body"]
                await send({**message, "body": body[: len(body) // 2], "more_body": True})
                self._connections[tuple(scope["client"])].close()
            else:
                await send(message)

        return halved


async def _respond(send: Send, status: int, body: str, media_type: str) -> None:
    content = body.encode()
    headers: list[tuple[bytes, Any]] = [
        (b"content-type", media_type.encode()),
        (b"content-length", str(len(content)).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
