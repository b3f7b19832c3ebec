"""Size, total time and redirects of every client, against servers that know no measure."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import count, repeat
from pathlib import Path
from typing import Any

import pytest
from hostile_server import HostileServer, endless, hostile_server, redirect, response
from kraken_messages import PAIRS
from websockets.asyncio.server import ServerConnection, serve

from trading_platform.domain.errors import MalformedPayload, SourceError, SourceRejected, SourceUnavailable
from trading_platform.domain.market.live.events import FeedDown
from trading_platform.domain.time import utc_now
from trading_platform.sources.http_limits import LARGEST_BODY
from trading_platform.sources.ibkr.connection import ConnectionMachine
from trading_platform.sources.ibkr.maintenance import Maintenance
from trading_platform.sources.ibkr.session import LARGEST_MESSAGE, Gateway, IbkrSession
from trading_platform.sources.kraken.account.private import Credentials, KrakenPrivate
from trading_platform.sources.kraken.client import connect
from trading_platform.sources.kraken.http import KrakenHttp, Retries
from trading_platform.sources.kraken.limits import public_cost
from trading_platform.sources.kraken.live.feed import KrakenFeed
from trading_platform.sources.kraken.session import KrakenSession
from trading_platform.sources.live import Backoff
from trading_platform.sources.rate_limits import LocalRateLimiter
from trading_platform.sources.yahoo.client import YahooClient
from trading_platform.sources.yahoo.session import YahooSession

NOW = datetime(2025, 3, 4, tzinfo=UTC)
ONCE = Retries(attempts=1)
CREDENTIALS = Credentials("the-key", base64.b64encode(b"the secret").decode())
BOMB = gzip.compress(b"[" * 4 * LARGEST_BODY)


def ask_kraken(url: str) -> object:
    return connect(url, 1e6, retries=ONCE).server_time()


def ask_kraken_privately(url: str) -> object:
    return KrakenPrivate(url, CREDENTIALS, retries=ONCE).ask("Balance", {}, dict)


def ask_yahoo(url: str) -> object:
    return YahooSession(url).get("https://query2.finance.yahoo.com/v8/finance/chart/AAPL").content


CLIENTS = pytest.mark.parametrize("ask", [ask_kraken, ask_kraken_privately, ask_yahoo])


@CLIENTS
@pytest.mark.parametrize(
    ("part", "headers"),
    [
        (b"[" * 65_536, []),
        (b"10000\r\n" + b"[" * 65_536 + b"\r\n", ["Transfer-Encoding: chunked"]),
        (BOMB, ["Content-Encoding: gzip"]),
    ],
)
def test_a_body_without_an_end_is_given_up(ask: Callable[[str], object], part: bytes, headers: list[str]) -> None:
    with hostile_server(lambda _: endless(part, *headers)) as server:
        with pytest.raises(MalformedPayload, match="too large") as caught:
            ask(server.url)
        assert not caught.value.retryable
        assert server.sent < 8 * LARGEST_BODY


@CLIENTS
def test_headers_without_an_end_are_given_up(ask: Callable[[str], object]) -> None:
    def headers(_: bytes) -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\n"
        yield from repeat(b"X-More: " + b"x" * 1_000 + b"\r\n")

    with hostile_server(headers) as server, pytest.raises((SourceError, OSError)):
        ask(server.url)


def dripping(_: bytes) -> Iterator[bytes]:
    """Bytes that come for ever, one by one, in time for any timeout of a pause."""
    yield b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"
    yield from repeat(b" ")


def dripping_headers(_: bytes) -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nX-Slow: "
    yield from repeat(b"x")


def continuing(_: bytes) -> Iterator[bytes]:
    yield from repeat(b"HTTP/1.1 100 Continue\r\n\r\n")


@pytest.mark.parametrize("answer", [dripping, dripping_headers, continuing])
def test_a_response_that_only_drips_ends_at_its_total_time(answer: Callable[[bytes], Iterator[bytes]]) -> None:
    """By a clock of the test, which every look advances by a second."""
    with hostile_server(answer) as server:
        seconds = count()
        http = KrakenHttp(
            server.url,
            rate_limiter=LocalRateLimiter(),
            cost=public_cost(server.url, 1e6),
            retries=ONCE,
        )
        http._api.session = KrakenSession(seconds=60, monotonic=lambda: float(next(seconds)))
        with pytest.raises(SourceUnavailable) as caught:
            http.public("Time", {}, dict)
        assert caught.value.retryable
        assert next(seconds) < 70


def test_yahoos_total_time_counts_redirects_too() -> None:
    with hostile_server(lambda _: redirect("/again")) as server:
        seconds = count(0, 10)
        session = YahooSession(server.url, seconds=35, monotonic=lambda: float(next(seconds)))
        with pytest.raises(SourceUnavailable, match="did not end in time"):
            session.get("https://query2.finance.yahoo.com/")
        assert 0 < len(server.requests) < 6


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
@CLIENTS
def test_nothing_travels_to_another_host(ask: Callable[[str], object], status: str) -> None:
    with hostile_server(lambda _: response(b'{"error": [], "result": {}}')) as thief:
        targets = (f"{thief.url}/0/private/Balance", f"//127.0.0.1:{thief.port}/", f"http://a:b@localhost:{thief.port}")
        for target in targets:
            with hostile_server(lambda _, target=target: redirect(target, status)) as server:
                with pytest.raises(SourceRejected, match="redirects to another") as caught:
                    ask(server.url)
                assert str(thief.port) in str(caught.value)
                assert CREDENTIALS.key not in str(caught.value)
        assert thief.requests == []


def test_a_signed_request_is_not_sent_twice_within_a_host_either() -> None:
    with hostile_server(lambda _: redirect("/0/private/Balance")) as server:
        with pytest.raises(SourceRejected):
            ask_kraken_privately(server.url)
        assert len(server.requests) == 1


def test_yahoo_redirects_within_yahoo_are_followed_without_a_body() -> None:
    def answer(request: bytes) -> list[bytes]:
        line = request.partition(b"\r\n")[0]
        return response(b"there") if b"/there" in line else redirect("https://consent.yahoo.com/there", "302 Found")

    with hostile_server(answer) as server:
        found = YahooSession(server.url).post("https://guce.yahoo.com/consent", data={"agree": "agree"})
        assert found.content == b"there"
        assert [each.partition(b" HTTP")[0] for each in server.requests] == [b"POST /consent", b"GET /there"]
        assert b"agree" not in server.requests[1]


@pytest.mark.parametrize(
    "target", ["http://yahoo.com.evil.example/", "http://query2.finance.yahoo.com.evil/", "ftp://x/"]
)
def test_what_only_looks_like_yahoo_is_not_followed(target: str) -> None:
    with hostile_server(lambda _: redirect(target)) as server, pytest.raises(SourceRejected):
        ask_yahoo(server.url)


def test_no_way_leads_from_tls_to_plain_text() -> None:
    session = YahooSession()
    with pytest.raises(SourceRejected):
        session._followed("https://finance.yahoo.com/", "http://query2.finance.yahoo.com/")
    assert session._followed("https://finance.yahoo.com/a", "//fc.yahoo.com/b") == "https://fc.yahoo.com/b"


def test_yahoos_errors_come_through_the_library(tmp_path: Path) -> None:
    with hostile_server(lambda _: endless(b"[" * 65_536)) as server:
        client = YahooClient(server.url, cache_directory=tmp_path)
        with pytest.raises(MalformedPayload, match="too large"):
            client.history("AAPL", "1d", None)


def test_cookies_of_a_server_are_not_kept() -> None:
    body = json.dumps({"error": [], "result": {"unixtime": 1}}).encode()
    numbers = count()
    with hostile_server(lambda _: response(body, f"Set-Cookie: a{next(numbers)}=b")) as server:
        client = connect(server.url, 1e6, retries=ONCE)
        for _ in range(3):
            client.server_time()
        assert b"Cookie" not in server.requests[-1]


# --- live feeds -------------------------------------------------------------------------------------------------------


def first_down(url: str) -> FeedDown:
    """The first outage that a feed reports."""

    async def follow() -> FeedDown:
        async with KrakenFeed(url, PAIRS, clock=lambda: NOW, backoff=Backoff(first=0.01, longest=0.01)) as feed:
            async for event in feed:
                if isinstance(event, FeedDown):
                    return event
        raise AssertionError("the feed ended")

    return asyncio.run(follow())


def test_a_websocket_does_not_follow_a_redirect() -> None:
    with (
        hostile_server(lambda _: response()) as thief,
        hostile_server(lambda _: redirect(f"ws://127.0.0.1:{thief.port}/v2")) as server,
    ):
        assert "HTTP 307" in first_down(f"ws://127.0.0.1:{server.port}/v2").reason
        assert thief.requests == []


@pytest.mark.parametrize("compression", [None, "deflate"])
@pytest.mark.parametrize("parts", [1, 300])
def test_a_message_without_an_end_ends_the_connection(compression: Any, parts: int) -> None:
    async def send(connection: ServerConnection) -> None:
        await connection.send(b"[" * 10_000 for _ in range(300)) if parts > 1 else await connection.send(
            b"[" * 3_000_000
        )
        await connection.wait_closed()

    async def follow() -> FeedDown:
        async with serve(send, "127.0.0.1", 0, compression=compression) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            return await asyncio.to_thread(first_down, f"ws://127.0.0.1:{port}/v2")

    assert "1009" in asyncio.run(follow()).reason


def test_the_reason_of_an_outage_can_be_stored() -> None:
    """A close frame may hold a NUL, which the database cannot."""

    async def send(connection: ServerConnection) -> None:
        await connection.close(4000, "by\0e")

    async def follow() -> FeedDown:
        async with serve(send, "127.0.0.1", 0) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            return await asyncio.to_thread(first_down, f"ws://127.0.0.1:{port}/v2")

    assert "by\\x00e" in asyncio.run(follow()).reason


def test_a_gateways_message_without_an_end_ends_the_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        sent = 0

        def serve_once() -> None:
            nonlocal sent
            connection, _ = listening.accept()
            with connection:
                connection.recv(100)
                connection.sendall(struct.pack(">I", LARGEST_MESSAGE + 1))
                try:
                    while True:
                        sent += connection.send(b"x" * 65_536)
                except OSError:
                    return

        serving = threading.Thread(target=serve_once)
        serving.start()
        session = IbkrSession(
            Gateway("127.0.0.1", listening.getsockname()[1]), ConnectionMachine(Maintenance(), clock=utc_now)
        )
        with pytest.raises(SourceUnavailable, match="a message of more than 16777216 bytes"):
            asyncio.run(session.open())
        serving.join()
        assert sent < LARGEST_MESSAGE


def test_a_server_keeps_serving_after_it_was_refused() -> None:
    """The connection of an endless answer is not used again; the next request gets its own."""
    good = json.dumps({"error": [], "result": {"unixtime": 1_700_000_000}}).encode()
    with hostile_server(lambda _: endless(b"[" * 65_536)) as server:
        client = connect(server.url, 1e6, retries=ONCE)
        with pytest.raises(MalformedPayload):
            client.server_time()
        server.answer = lambda _: response(good)
        assert client.server_time() == datetime.fromtimestamp(1_700_000_000, UTC)
        assert isinstance(server, HostileServer)
