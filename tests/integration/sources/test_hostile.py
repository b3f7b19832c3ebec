"""Servers that send anything at all: no content makes a part fail, grow or lose what is good.

``TEST_HOSTILE_MESSAGES`` and ``TEST_HOSTILE_RESPONSES`` are the numbers of contents; ``TEST_HOSTILE_SEED`` begins
elsewhere. Each test prints what it counted.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import psutil
import pytest
from hostile_content import hostile, json_contents, mangled
from hostile_server import HostileServer, hostile_server, response
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kraken_messages import HEARTBEAT, PAIRS, SPELLINGS, ack, quote, trade
from waiting import until
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from yahoo_server import Listing

from trading_platform.domain.errors import SourceError
from trading_platform.domain.market.instruments import AssetClass, Instrument, guess_instrument
from trading_platform.domain.market.live.bar_builder import BarBuilder
from trading_platform.domain.market.live.bar_series import Basis
from trading_platform.domain.time import Timeframe, Window
from trading_platform.simulator.account import KEY, SECRET
from trading_platform.simulator.seeded import SeededMarket
from trading_platform.simulator.server import running_exchange
from trading_platform.sources.kraken.account.private import Credentials, KrakenPrivate
from trading_platform.sources.kraken.account.source import KrakenAccount
from trading_platform.sources.kraken.client import connect
from trading_platform.sources.kraken.http import Retries
from trading_platform.sources.kraken.live.feed import KrakenFeed
from trading_platform.sources.kraken.live.quotes import KrakenQuotes
from trading_platform.sources.kraken.source import KrakenSource
from trading_platform.sources.live import Backoff
from trading_platform.sources.rate_limits import LocalRateLimiter
from trading_platform.sources.yahoo.client import YahooClient
from trading_platform.sources.yahoo.source import YahooSource
from trading_platform.stores.market_data.completeness.outages import OutageStore
from trading_platform.stores.market_data.stream.store import StreamStore
from trading_platform.stores.stores import Stores, open_stores
from trading_platform.streaming.feeds import FeedPlan
from trading_platform.streaming.pipeline import Pipeline, PipelineStores

MESSAGES = int(os.environ.get("TEST_HOSTILE_MESSAGES", "600"))
RESPONSES = int(os.environ.get("TEST_HOSTILE_RESPONSES", "300"))
SEED = int(os.environ.get("TEST_HOSTILE_SEED", "20"))
NOW = datetime(2025, 3, 4, 15, 17, 42, tzinfo=UTC)
SYMBOLS = frozenset(SPELLINGS)


class LogLines(logging.Handler):
    """Counts the lines of each cause, which is the place that logs."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.of: Counter[str] = Counter()

    def emit(self, record: logging.LogRecord) -> None:
        self.of[f"{record.name}:{record.lineno}"] += 1


@pytest.fixture
def log_lines() -> Iterator[LogLines]:
    lines = LogLines()
    logging.getLogger().addHandler(lines)
    yield lines
    logging.getLogger().removeHandler(lines)


def megabytes() -> float:
    return psutil.Process().memory_info().rss / 1e6


def say(counted: str, before: float, after: float, lines: LogLines) -> None:
    """Shows what was counted, with ``pytest -s``; a test that gets here has seen no crash."""
    print(f"\n{counted}, 0 crashes; memory {before:.0f} → {after:.0f} MB; log lines {dict(lines.of)}")  # noqa: T201


# --- WebSocket --------------------------------------------------------------------------------------------------------

_live_names = (
    "channel type data symbol bid ask last volume timestamp price qty trade_id method success result error req_id"
).split()
_live_values = [
    "ticker", "trade", "heartbeat", "status", "update", "snapshot", "subscribe", "pong", "BTC/USD", "ETH/USD",
    "2025-03-04T15:17:42Z", "9999-12-31T23:59:59Z", "Already subscribed", 1, 2, 100.5, True, False, None,
]  # fmt: skip
live_contents = json_contents(_live_names, _live_values)


def messages(number: int) -> list[bytes]:
    """As many messages: some are Hypothesis's, the others good ones, most of them mangled or altered."""
    found: list[bytes] = []

    @settings(
        max_examples=max(number // 80, 1),
        database=None,
        derandomize=True,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(live_contents, min_size=20, max_size=30))
    def draw(contents: list[bytes]) -> None:
        found.extend(contents)

    draw()
    chance, numbers = random.Random(SEED), count(1_000)
    while len(found) < number:
        each, now = next(numbers), NOW + timedelta(seconds=chance.randrange(60))
        good = chance.choice((
            HEARTBEAT, quote("BTCUSD", now), quote("ETHUSD", now), ack("BTCUSD", now), ack("ETHUSD", now, "ticker"),
            {"channel": "trade", "type": "update", "data": [trade("BTCUSD", each, now), trade("ETHUSD", each, now)]},
            {"channel": "trade", "type": "snapshot", "data": [trade("BTCUSD", each + n, now) for n in range(3)]},
            {"channel": "status", "type": "update", "data": [{"system": "maintenance", "version": "2.0.9"}]},
            {"method": "subscribe", "success": False, "error": "no such pair", "symbol": "BTC/USD", "req_id": 1},
        ))  # fmt: skip
        content = json.dumps(good).encode()
        found.append(content if chance.random() < 0.2 else hostile(content, chance))
    chance.shuffle(found)
    return found[:number]


@pytest.fixture
def stores(database_url: str, tmp_path: Path) -> Iterator[Stores]:
    with open_stores(database_url, tmp_path / "features", may_upgrade=True) as opened:
        for symbol in SYMBOLS:
            opened.instruments.add(Instrument(symbol, AssetClass.CRYPTO, "24/7", "kraken"))
        yield opened


async def followed(stores: Stores, contents: list[bytes]) -> KrakenFeed:
    """A real pipeline follows a server that sends these contents; gives the feed at its end."""
    left = iter(contents)
    is_sent = asyncio.Event()

    async def send(connection: ServerConnection) -> None:
        try:
            for content in left:
                await connection.send(content, text=False)
            is_sent.set()
            await connection.wait_closed()
        except ConnectionClosed:
            return

    plan = FeedPlan("kraken", "kraken", dict.fromkeys(SYMBOLS, Basis.TRADE), lambda *_: feed)
    where = PipelineStores(StreamStore(stores.database), OutageStore(stores.database), stores.quarantine)
    pipeline = Pipeline(plan, BarBuilder("kraken", basis=plan.basis), where, clock=lambda: NOW)
    async with serve(send, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        feed = KrakenFeed(
            f"ws://127.0.0.1:{port}/v2",
            PAIRS,
            clock=lambda: NOW,
            rejected=pipeline.reject,
            silence=600.0,
            backoff=Backoff(first=0.01, longest=0.01),
        )
        running = asyncio.create_task(pipeline.run(feed))
        await until(lambda: running.done() or is_sent.is_set(), "the end of the messages", deadline=3_600)
        await until(lambda: running.done() or feed.counts.received >= len(contents), "their receipt", deadline=600)
        await feed.close()
        await running
    return feed


@pytest.mark.exhaustive
def test_hostile_messages(stores: Stores, log_lines: LogLines) -> None:
    asyncio.run(followed(stores, messages(300)))  # libraries are loaded, buffers have grown
    contents = messages(MESSAGES)
    before = megabytes()
    feed = asyncio.run(followed(stores, contents))
    after = megabytes()
    counts = feed.counts
    say(f"{counts.received} messages, {counts.accepted} accepted, {counts.rejected} rejected", before, after, log_lines)
    assert counts.received == len(contents) == counts.accepted + counts.rejected
    assert min(counts.accepted, counts.rejected) > len(contents) / 10
    assert after - before < 150
    kept = stores.database.rows("SELECT sum(row_count)::bigint FROM market_data.quarantine")[0][0]
    assert kept > 0


# --- REST -------------------------------------------------------------------------------------------------------------

_rest_names = (
    "error result last unixtime XXBTZUSD XBTUSD trades count vol price pair type time cost fee a b c v t".split()
)
_rest_values = [[], {}, "1", "EService:Throttled: 9" + "9" * 400, "EAPI:Invalid nonce", "W" * 5_000, 1, 1.5, None]
rest_contents = json_contents(_rest_names, _rest_values)
_statuses = ("200 OK",) * 12 + (
    "201 Created", "204 No Content", "301 Moved", "304 Not Modified", "400 Bad Request", "429 Too Many Requests",
    "500 Internal Server Error", "999 ?", "200 \x00\xff",
)  # fmt: skip
_headers = (
    "Retry-After: \xb2", "Retry-After: " + "9" * 400, "Retry-After: Fri, 31 Dec 9999 23:59:59 -1400", "Retry-After: 5",
    "Location: http://127.0.0.1:1/", "Location: \xff", "Content-Encoding: gzip", "Content-Encoding: br, deflate",
    "Content-Type: application/json; charset=idna", "Content-Type: \xff", "Set-Cookie: a=" + "b" * 3_000,
    "Transfer-Encoding: chunked", "Content-Length: 5", "X-Long: " + "x" * 70_000,
)  # fmt: skip


class Liar:
    """Answers every request with a hostile form of a good answer to it, or with one of Hypothesis's.

    Args:
        good: gives the good answer.
        drawn: contents to send now and then.
        chance: decides.
    """

    def __init__(self, good: Callable[[bytes], bytes], drawn: list[bytes], chance: random.Random) -> None:
        self.answers = 0
        self._good, self._drawn, self._chance = good, drawn, chance
        self._last = b""

    def __call__(self, request: bytes) -> list[bytes]:
        self.answers += 1
        chance = self._chance
        is_preparation = b"/AssetPairs" in request.partition(b"\r\n")[0]  # others follow if it was good
        good = self._good(request)
        if chance.random() < (0.7 if is_preparation else 0.2):
            return response(good)
        body = self._drawn.pop() if self._drawn and chance.random() < 0.5 else hostile(good, chance)
        headers = chance.sample(_headers, chance.choice((0, 0, 0, 0, 1, 2)))
        (whole,) = response(body, *headers, status=chance.choice(_statuses))
        return [mangled(whole, chance)] if chance.random() < 0.05 else [whole]


def drawn_contents(number: int, contents: st.SearchStrategy[bytes]) -> list[bytes]:
    found: list[bytes] = []

    @settings(
        max_examples=max(number // 25, 1),
        database=None,
        derandomize=True,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(contents, min_size=20, max_size=30))
    def draw(each: list[bytes]) -> None:
        found.extend(each)

    draw()
    return found


def tried(operations: list[Callable[[], Any]], liar: Liar, number: int, chance: random.Random) -> Counter[str]:
    """Runs operations until so many answers were given; counts what came of them."""
    outcomes: Counter[str] = Counter()
    while liar.answers < number:
        try:
            chance.choice(operations)()
        except SourceError as error:
            str(error).encode()
            outcomes[type(error).__name__] += 1
        else:
            outcomes["result"] += 1
    return outcomes


@pytest.fixture(scope="module")
def good_answers() -> Iterator[Callable[[bytes], bytes]]:
    """The local exchange's answer to a request, each asked for once."""
    with running_exchange(SeededMarket(7), clock=lambda: NOW) as url:
        known: dict[bytes, bytes] = {}

        def answer(request: bytes) -> bytes:
            head, _, body = request.partition(b"\r\n\r\n")
            line, *fields = head.decode("latin-1").split("\r\n")
            method, path, _ = line.split(" ")
            endpoint = path.partition("?")[0].encode()
            if endpoint not in known:
                headers = {name: value for name, value in (each.split(": ", 1) for each in fields) if name[:3] == "API"}
                wanted = urllib.request.Request(url + path, body or None, headers, method=method)  # noqa: S310
                with urllib.request.urlopen(wanted) as found:  # noqa: S310
                    known[endpoint] = found.read()
                assert json.loads(known[endpoint])["error"] == []
            return known[endpoint]

        yield answer


@pytest.mark.exhaustive
def test_hostile_responses_of_kraken(good_answers: Callable[[bytes], bytes], log_lines: LogLines) -> None:
    chance = random.Random(SEED)
    liar = Liar(good_answers, drawn_contents(RESPONSES // 2, rest_contents), chance)
    with hostile_server(liar) as server:
        operations = kraken_operations(server, chance)
        tried(operations, liar, 100, chance)
        before, number = megabytes(), 100 + RESPONSES * 4 // 5
        outcomes = tried(operations, liar, number, chance)
    say(f"{liar.answers} answers as Kraken's, {dict(outcomes)}", before, megabytes(), log_lines)
    assert {"result", "MalformedPayload", "SourceUnavailable", "SourceRejected", "RateLimited"} <= outcomes.keys()
    assert megabytes() - before < 100


def kraken_operations(server: HostileServer, chance: random.Random) -> list[Callable[[], Any]]:
    """Everything that the platform requests of Kraken, each with a client of its own."""
    once = Retries(attempts=1)
    limiter = LocalRateLimiter(sleep=lambda _: None)
    bitcoin = guess_instrument("BTCUSD", "kraken")
    day = timedelta(days=1)

    def client():
        return connect(server.url, 1e6, rate_limiter=limiter, retries=once, timeout=(1.0, 0.05))

    def account() -> KrakenAccount:
        private = KrakenPrivate(
            server.url, Credentials(KEY, SECRET), rate_limiter=limiter, retries=once, timeout=(1.0, 0.05)
        )
        return KrakenAccount(private, client(), clock=lambda: NOW)

    def source() -> KrakenSource:
        return KrakenSource(client(), clock=lambda: NOW)

    pair = PAIRS[0]
    return [
        lambda: client().server_time(),
        lambda: client().pairs().find(chance.choice(("BTCUSD", "ETHUSD"))),
        lambda: client().ohlc(pair, 1),
        lambda: client().trades_page(pair),
        lambda: list(client().trade_pages(pair, 0)),
        lambda: KrakenQuotes(client(), lambda: NOW).quotes(["BTCUSD"]),
        lambda: source().bars(bitcoin, Timeframe.D1, Window(NOW - 30 * day, NOW - day)),
        lambda: source().bars(bitcoin, Timeframe.M1, Window(NOW - day, NOW - day / 2)),
        lambda: source().effort(bitcoin, Timeframe.M1, Window(NOW - day, NOW)),
        lambda: account().balances(),
        lambda: account().positions(),
        lambda: account().cash(),
        lambda: account().open_orders(),
        lambda: account().fills(NOW - day, NOW),
    ]


@pytest.mark.exhaustive
def test_hostile_responses_of_yahoo(tmp_path: Path, log_lines: LogLines) -> None:
    chance = random.Random(SEED)
    days = [NOW.replace(hour=0, minute=0, second=0) - timedelta(days=number) for number in range(40, 0, -1)]
    listing = Listing({"1d": [(each, 1.0, 2.0, 0.5, 1.5, 10.0) for each in days]}, first=days[0])

    def good(request: bytes) -> bytes:
        if b"/v8/" not in request.partition(b"\r\n")[0]:
            return b'"a-crumb"'
        return json.dumps(listing.chart("AAPL", {"interval": ["1d"]})).encode()

    liar = Liar(good, drawn_contents(RESPONSES // 10, rest_contents), chance)
    clock = count(0, 100)
    with ExitStack() as running:
        server = running.enter_context(hostile_server(liar))
        server.closes = True
        client = YahooClient(server.url, cache_directory=tmp_path, monotonic=lambda: next(clock))
        source = YahooSource(client, clock=lambda: NOW)
        apple = Instrument("AAPL", AssetClass.EQUITY, "XNAS", "yahoo")
        window = Window(days[0], NOW)
        operations: list[Callable[[], Any]] = [
            lambda: source.bars(apple, Timeframe.D1, window),
            lambda: source.actions(apple),
        ]
        tried(operations, liar, 100, chance)
        before = megabytes()
        outcomes = tried(operations, liar, 100 + RESPONSES // 5, chance)
    say(f"{liar.answers} answers as Yahoo's, {dict(outcomes)}", before, megabytes(), log_lines)
    assert {"MalformedPayload", "SourceUnavailable"} <= outcomes.keys()
    assert megabytes() - before < 100
