"""An IB gateway on loopback, as ib_async meets one: the wire protocol of server version 176, in a thread of its own.

It answers from contracts and bars it is given, sends codes and ticks when asked to, drops connections, and counts every
breach of the vendor's pacing rules by a clock that tests can own. It shares no code with the platform.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from waiting import DEADLINE

SERVER_VERSION = 176
ACCOUNT = "DU123456"
NO_DATA = (162, "Historical Market Data Service error message:HMDS query returned no data: {}")
PACING = (162, "Historical Market Data Service error message:Historical data request pacing violation")
NO_PERMISSION = (162, "Historical Market Data Service error message:No market data permissions for NYSE STK")
CANCELLED = (162, "Historical Market Data Service error message:API historical data query cancelled")

_REQ_MKT_DATA, _CANCEL_MKT_DATA, _REQ_EXECUTIONS, _REQ_CONTRACT, _REQ_HISTORY, _CANCEL_HISTORY = 1, 2, 7, 9, 20, 25
_REQ_OPEN_ORDERS, _REQ_TIME, _REQ_POSITIONS, _REQ_SUMMARY, _CANCEL_SUMMARY, _START = 16, 49, 61, 62, 63, 71
_DURATIONS = {"S": 1, "D": 86_400, "W": 7 * 86_400, "M": 30 * 86_400, "Y": 365 * 86_400}

Bar = tuple[datetime, str, str, str, str, str, int]
"""Open time in UTC, open, high, low, close, volume, number of trades; numbers as they go over the wire."""


@dataclass(frozen=True)
class Listing:
    """A contract the gateway knows."""

    number: int
    symbol: str
    kind: str = "STK"
    exchange: str = "SMART"
    primary: str = "NYSE"
    currency: str = "USD"
    min_tick: str = "0.01"


@dataclass(frozen=True)
class OpenOrder:
    """An order that the gateway reports as open; numbers as they go over the wire."""

    number: int
    symbol: str
    action: str
    quantity: str
    kind: str = "LMT"
    limit: str = "0.0"
    filled: str = "0"
    account: str = ACCOUNT


@dataclass
class Pacing:
    """The rules of historical data, counted as the documentation words them."""

    clock: Callable[[], float] = time.monotonic
    breaches: list[str] = field(default_factory=list)
    requests: int = 0
    longest_open: int = 0
    _asked: deque[tuple[float, tuple[str, ...], tuple[str, ...], int]] = field(default_factory=deque)
    _messages: deque[float] = field(default_factory=deque)

    def message(self) -> None:
        """Any message has come: 50 a second are allowed."""
        now = time.monotonic()
        self._messages.append(now)
        while self._messages and self._messages[0] <= now - 1:
            self._messages.popleft()
        if len(self._messages) > 50:
            self.breaches.append("more than 50 messages in a second")

    def request(self, identity: tuple[str, ...], kind: tuple[str, ...], what: str, waiting: int) -> bool:
        """A request for bars has come; whether it keeps to the rules."""
        now, weight, before = self.clock(), 2 if what == "BID_ASK" else 1, len(self.breaches)
        self.requests += 1
        self.longest_open = max(self.longest_open, waiting)
        while self._asked and self._asked[0][0] <= now - 600:
            self._asked.popleft()
        self._asked.append((now, identity, kind, weight))
        since = [(now - timestamp, *rest) for timestamp, *rest in self._asked]
        if sum(1 for age, same, _, _ in since if same == identity and age < 15) > 1:
            self.breaches.append("identical request within 15 s")
        if sum(count for age, _, same, count in since if same == kind and age < 2) >= 6:
            self.breaches.append("six requests for a contract within 2 s")
        if sum(count for _, _, _, count in since) > 60:
            self.breaches.append("more than 60 requests in 10 min")
        if waiting > 50:
            self.breaches.append("more than 50 open requests")
        return len(self.breaches) == before


class _Connection:
    """One client's connection."""

    def __init__(self, gateway: FakeGateway, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.gateway, self.reader, self.writer = gateway, reader, writer
        self.client = -1
        self.quotes: dict[str, Listing] = {}
        self.waiting: set[str] = set()

    def send(self, *fields: object) -> None:
        payload = "".join(f"{value}\0" for value in fields).encode()
        self.writer.write(struct.pack(">I", len(payload)) + payload)

    def error(self, request: object, code: int, text: str) -> None:
        self.send(4, 2, request, code, text, "")

    async def read(self) -> list[str]:
        (length,) = struct.unpack(">I", await self.reader.readexactly(4))
        return (await self.reader.readexactly(length)).decode().split("\0")[:-1]

    async def serve(self) -> None:
        await self.reader.readexactly(4)  # API\0
        (length,) = struct.unpack(">I", await self.reader.readexactly(4))
        await self.reader.readexactly(length)
        self.send(SERVER_VERSION, f"{datetime.now(UTC):%Y%m%d %H:%M:%S} UTC")
        while True:
            fields = await self.read()
            self.gateway.pacing.message()
            self.response(int(fields[0]), fields)
            await self.writer.drain()

    def response(self, kind: int, fields: list[str]) -> None:
        if kind == _REQ_TIME and self.gateway.is_deaf:
            return
        self.gateway.times += kind == _REQ_TIME
        answers: dict[int, Callable[[], None]] = {
            _START: lambda: self.start(int(fields[2])),
            _REQ_TIME: lambda: self.send(49, 1, int(self.gateway.time().timestamp())),
            _REQ_POSITIONS: self.positions,
            _REQ_EXECUTIONS: lambda: self.executions(fields[2]),
            _REQ_OPEN_ORDERS: self.open_orders,
            _REQ_CONTRACT: lambda: self.contract(fields[2], fields[3:]),
            _REQ_HISTORY: lambda: self.history(fields[1], fields[2:]),
            _CANCEL_HISTORY: lambda: self.cancel_history(fields[2]),
            _REQ_MKT_DATA: lambda: self.quote(fields[2], fields[3:]),
            _CANCEL_MKT_DATA: lambda: self.cancel_quote(fields[2]),
            _REQ_SUMMARY: lambda: self.summary(fields[2]),
            _CANCEL_SUMMARY: lambda: None,
        }
        answers.get(kind, lambda: self.gateway.unexpected.append(fields))()

    def summary(self, request: str) -> None:
        for row in self.gateway.ledger:
            self.send(63, 1, request, *row)
        self.send(64, 1, request)

    def open_orders(self) -> None:
        if self.gateway.hides_orders:
            cause = "The API interface is currently in Read-Only mode."
            self.error(-1, 321, f"Error validating request.-'bW' : cause - {cause}")
            return
        for number, order in enumerate(self.gateway.orders, 1):
            contract = (101, order.symbol, "STK", "", "0", "?", "", "SMART", "USD", order.symbol, order.symbol)
            terms = (order.action, order.quantity, order.kind, order.limit, "0.0", "DAY", "", order.account, "", 0, "")
            self.send(
                *(5, number, *contract, *terms, 7, order.number, *_blanks(9)),  # to faProfile
                *_blanks(29 + 7),  # to the description of combination legs
                *(0, 0, 0, *_blanks(3), ""),  # legs, scale, hedge
                *(*_blanks(4), 0, ""),  # clearing, algorithm
                *(0, 0, "Submitted", *_blanks(16)),  # state, randomizing
                *(0, *_blanks(16 + 8)),  # conditions, adjustments, and fields of later versions
            )
            left = float(order.quantity) - float(order.filled)
            self.send(3, number, "Submitted", order.filled, left, 0, order.number, 0, 0, 7, "", 0)
        self.send(53, 1)

    def positions(self) -> None:
        for row in self.gateway.positions:
            self.send(61, 3, *row)
        self.send(62, 1)

    def cancel_history(self, request: str) -> None:
        self.waiting.discard(request)
        self.error(request, *CANCELLED)

    def cancel_quote(self, request: str) -> None:
        if self.quotes.pop(request, None) is None:
            self.error(request, 300, f"Can't find EId with tickerId:{request}")

    def start(self, client: int) -> None:
        if client in self.gateway.clients:
            self.error(-1, 326, f"Unable to connect as the client id is already in use: {client}")
            self.writer.close()
            return
        self.client = client
        self.gateway.clients[client] = self
        if not self.gateway.is_logged_in:
            return
        self.send(15, 1, ACCOUNT)
        self.send(9, 1, 1)
        for code, text in self.gateway.notices:
            self.error(-1, code, text)

    def contract(self, request: str, contract: list[str]) -> None:
        number, symbol, kind, exchange, currency = contract[0], contract[1], contract[2], contract[7], contract[9]
        found = [
            listing
            for listing in self.gateway.listings
            if (number not in ("", "0") and str(listing.number) == number)
            or (
                (listing.symbol, listing.kind, listing.currency) == (symbol, kind, currency)
                and exchange in (listing.exchange, listing.primary, "")
            )
        ]
        if not found:
            self.error(request, 200, "No security definition has been found for the request")
            return
        for listing in found:
            head = (listing.symbol, listing.kind, "", "0", "", listing.exchange, listing.currency, listing.symbol)
            self.send(
                *(10, request, *head, listing.symbol, listing.symbol, listing.number, listing.min_tick),
                *("", "LMT,MKT", "SMART", 1, 0, listing.symbol, listing.primary, "", "", "", "", "US/Eastern"),
                *("", "", "", 0, 0),  # hours, rules, identifiers
                *(1, "", "", "26", "", "COMMON", "0.0001", "0.0001", "100"),
            )
        self.send(52, 1, request)

    def history(self, request: str, fields: list[str]) -> None:
        contract, (_expired, end_text, bar, duration, _rth, what, form) = fields[:12], fields[12:19]
        self.waiting.add(request)
        identity = (contract[0], contract[7], end_text, bar, duration, what)
        waiting = sum(len(client.waiting) for client in self.gateway.clients.values())
        keeps = self.gateway.pacing.request(identity, (contract[0], contract[7], what), what, waiting)
        self.gateway.asked.append(identity)
        script = self.gateway.script.popleft() if self.gateway.script else None
        if script == "silent":
            return
        if script == "drop":
            self.writer.transport.abort()
            return
        self.waiting.discard(request)
        if not keeps and self.gateway.enforces:
            script = PACING
        if isinstance(script, tuple):
            self.error(request, *script)
            return
        assert form == "2"
        end = datetime.strptime(end_text, "%Y%m%d-%H:%M:%S").replace(tzinfo=UTC)
        bars = list(self.gateway.bars_of(int(contract[0]), bar, end, duration, what))
        if not bars:
            self.error(request, NO_DATA[0], NO_DATA[1].format(contract[1]))
            return
        rows = [value for each in bars for value in (_stamp(each[0], bar), *each[1:6], each[4], each[6])]
        self.send(17, request, "start", "end", len(bars), *rows)

    def quote(self, request: str, contract: list[str]) -> None:
        listing = next(known for known in self.gateway.listings if str(known.number) == contract[0])
        rejection = self.gateway.no_quotes.get(listing.symbol)
        if rejection is not None:
            self.error(request, *rejection)
            return
        if sum(len(client.quotes) for client in self.gateway.clients.values()) >= self.gateway.lines:
            self.error(request, 101, "Max number of tickers has been reached")
            return
        self.quotes[request] = listing
        self.gateway.subscriptions += 1

    def executions(self, request: str) -> None:
        for execution, _ in self.gateway.executions:
            self.send(11, request, *execution)
        self.send(55, 1, request)
        for _, commission in self.gateway.executions:
            if commission is not None:
                self.send(59, 1, *commission)


def _blanks(count: int) -> tuple[str, ...]:
    return ("",) * count


def _stamp(timestamp: datetime, bar: str) -> object:
    return f"{timestamp:%Y%m%d}" if bar == "1 day" else int(timestamp.timestamp())


class FakeGateway:
    """The far side. What is set on it holds from then on; methods can be called from any thread.

    Attributes:
        listings: the contracts it knows.
        bars: of each contract and length of bars, all bars, in order.
        orders: the open orders.
        hides_orders: whether it is in its read-only mode, in which it does not show orders.
        script: what becomes of the next requests for bars: ``silent``, ``drop``, or a code and text.
        no_quotes: symbols whose quotes are refused, with code and text.
        asked: the requests for bars that came: contract, exchange, end, length, duration, kind.
        unexpected: messages that nobody who only reads would send, orders among them.
        is_logged_in: whether connections are greeted.
        times: how often it has sent its time.
        is_deaf: whether it does not tell its time any more, as when it hangs.
        one_day_is_a_session: whether "1 D" goes back to the beginning of the session, instead of 24 hours.
        enforces: whether a breach of pacing is answered as one.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.listings: list[Listing] = []
        self.bars: dict[tuple[int, str], list[Bar]] = {}
        self.positions: list[tuple[object, ...]] = []
        self.ledger: list[tuple[str, str, str, str]] = []
        self.executions: list[tuple[tuple[object, ...], tuple[object, ...] | None]] = []
        self.orders: list[OpenOrder] = []
        self.hides_orders = False
        self.script: deque[object] = deque()
        self.no_quotes: dict[str, tuple[int, str]] = {}
        self.notices: list[tuple[int, str]] = [(2104, "Market data farm connection is OK:usfarm")]
        self.asked: list[tuple[str, ...]] = []
        self.unexpected: list[list[str]] = []
        self.pacing = Pacing(clock)
        self.lines = 100
        self.subscriptions = 0
        self.connections = 0
        self.times = 0
        self.is_logged_in = True
        self.is_deaf = False
        self.enforces = True
        self.one_day_is_a_session = True
        self.clients: dict[int, _Connection] = {}
        self.time: Callable[[], datetime] = lambda: datetime.now(UTC)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def bars_of(self, number: int, bar: str, end: datetime, duration: str, what: str) -> Iterable[Bar]:
        """The bars of a request."""
        del what
        count, unit = duration.split()
        start = end - timedelta(seconds=int(count) * _DURATIONS[unit])
        known = self.bars.get((number, bar), [])
        last = bisect_left(known, end, key=lambda each: each[0])
        if self.one_day_is_a_session and unit == "D" and bar != "1 day":
            recent = known[max(0, last - 3000 * int(count)) : last]
            days = sorted({each[0].date() for each in recent})[-int(count) :]
            return [each for each in recent if each[0].date() in days]
        return known[bisect_left(known, start, key=lambda each: each[0]) : last]

    def start(self) -> None:
        """Listens."""
        threading.Thread(target=self._run, name="fake-ib-gateway", daemon=True).start()
        self.listen()

    def listen(self) -> None:
        """Takes connections, again."""
        self._do(self._listen())

    def shut(self) -> None:
        """Ends all connections and takes none."""
        self._do(self._shut())

    def stop(self) -> None:
        """Ends all."""
        self.shut()
        self._loop.call_soon_threadsafe(self._loop.stop)

    def drop(self) -> None:
        """Ends all connections, without a word."""
        self._do(self._drop())

    def tell(self, code: int, text: str) -> None:
        """Tells all clients a code that belongs to no request; 1101 also loses their subscriptions."""
        self._do(self._tell(code, text))

    def tick(self, symbol: str, kind: int, price: str, size: str) -> None:
        """A price with its size, of kind 1, 2, 4 …, or a size alone, of kind 0, 3, 5, 8 …, where price is empty."""
        self.ticks([(symbol, kind, price, size)])

    def ticks(self, ticks: Iterable[tuple[str, int, str, str]]) -> None:
        """Several of them."""
        self._do(self._ticks(list(ticks)))

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def _shut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._drop()

    async def _drop(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _tell(self, code: int, text: str) -> None:
        for client in self.clients.values():
            if code == 1101:
                client.quotes.clear()
            client.error(-1, code, text)

    async def _ticks(self, ticks: list[tuple[str, int, str, str]]) -> None:
        for client in self.clients.values():
            by_symbol = {listing.symbol: request for request, listing in client.quotes.items()}
            for symbol, kind, price, size in ticks:
                request = by_symbol.get(symbol)
                if request is not None and price:
                    client.send(1, 6, request, kind, price, size, 0)
                elif request is not None:
                    client.send(2, 6, request, kind, size)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        connection = _Connection(self, reader, writer)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await connection.serve()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            if self.clients.get(connection.client) is connection:
                del self.clients[connection.client]
            writer.transport.abort()

    def _do(self, work: object) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(DEADLINE)  # type: ignore[arg-type]

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.close()


@contextmanager
def fake_gateway(clock: Callable[[], float] = time.monotonic) -> Iterator[FakeGateway]:
    """A gateway that listens, and is stopped at the end."""
    gateway = FakeGateway(clock=clock)
    gateway.start()
    try:
        yield gateway
    finally:
        gateway.stop()
