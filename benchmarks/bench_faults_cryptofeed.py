"""Minute bars lost under kills and cuts, by the platform's stream and by a recorder that is made with cryptofeed.

Both follow the same three markets of one local exchange at the same time, over wires that are cut at the same moments,
and are killed and started again together. A minute with trades is lost where its open, high, low, close or volume is
not what the trades of the market make. cryptofeed's client for Kraken speaks version 1 of Kraken's WebSocket, the
platform's version 2; the exchange serves version 1 here as Kraken documents it, by channels without trade ids and
without a snapshot of trades. The recorder writes each trade that cryptofeed gives to a file at once, so that a kill
costs it nothing that had come. Only addresses are changed in cryptofeed, which is installed from the package index
into a virtual environment of its own; it connects over TLS only, so its wire has a certificate made by ``openssl``.

The market runs ten times as fast as the clock; the programs and their timers do not.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
from common import arguments, own_servers
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.domain.time import Clock, Timeframe, Window
from trading_platform.embedded.stack import running_stack
from trading_platform.resources.platform import open_platform
from trading_platform.settings import Settings
from trading_platform.simulator.market import nanoseconds
from trading_platform.simulator.pairs import LOT_DECIMALS, Pair, units_text
from trading_platform.simulator.seeded import SeededMarket
from trading_platform.simulator.server import running_exchange

SYMBOLS = ("BTCUSD", "ETHUSD", "SOLUSD")
SPEED = 10.0
START = datetime(2026, 11, 2, 10, 0, tzinfo=UTC)
BETWEEN = 15.0
"""Seconds between two faults."""

DOWN = 2.0
"""Seconds after which who was killed is started again."""

SETTLE = 90.0
"""Seconds at most in which what is missing may be repaired after the last fault."""

VALUES = ("open", "high", "low", "close", "volume")

OURS = """
import asyncio, sys
from datetime import datetime, timedelta
from trading_platform.cli.live.stream import open_stream, run_until_stopped
from trading_platform.cli.live.stream_feeds import Wanted
from trading_platform.domain.time import utc_now
from trading_platform.settings import load_settings
real, start, speed = datetime.fromisoformat(sys.argv[1]), datetime.fromisoformat(sys.argv[2]), float(sys.argv[3])
with open_stream(load_settings(), Wanted(), clock=lambda: start + (utc_now() - real) * speed) as process:
    asyncio.run(run_until_stopped(process))
"""

THEIRS = """
import sys
from cryptofeed import FeedHandler
from cryptofeed.connection import RestEndpoint, Routes, WebsocketEndpoint
from cryptofeed.defines import TRADES
from cryptofeed.exchanges import Kraken
rest, live, path, symbols = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4].split(",")
class Local(Kraken):
    websocket_endpoints = [WebsocketEndpoint(live, limit=20)]
    rest_endpoints = [RestEndpoint(rest, routes=Routes("/0/public/AssetPairs"))]
file = open(path, "a", buffering=1)
async def trade(trade, receipt):
    file.write(f"{trade.symbol},{trade.raw[0]},{trade.raw[1]},{trade.raw[2]}\\n")
handler = FeedHandler(config={"log": {"filename": path + ".log", "level": "WARNING"}})
handler.add_feed(Local(symbols=symbols, channels=[TRADES], callbacks={TRADES: trade}))
handler.run()
"""


def main() -> None:
    """Measures and prints the result."""
    given = arguments(__doc__)
    faults = 2 if given.quick else 16
    with tempfile.TemporaryDirectory(prefix="tp-bench-") as folder:
        python, program = _install(Path(folder)), shutil.which("openssl")
        if python is None or program is None:
            print("cryptofeed cannot be installed here, or there is no openssl: it was not measured.")
            return
        _certify(program, Path(folder))
        with own_servers() as (settings, _), running_stack(settings, need_redis=True):
            print(_measure(settings, python, Path(folder), faults))


def _install(folder: Path) -> Path | None:
    """The path of a Python with cryptofeed; None if it cannot be installed."""
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "cryptofeed"]
    return python if subprocess.run(command, check=False, capture_output=True).returncode == 0 else None


def _certify(program: str, folder: Path) -> None:
    """Makes a certificate of this machine's address, as ``certificate.pem`` and ``key.pem``."""
    options = [
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=local",
    ]
    options += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "certificate.pem"]
    subprocess.run([program, "req", "-x509", *options], cwd=folder, check=True, capture_output=True)


def _measure(settings: Settings, python: Path, folder: Path, faults: int) -> str:
    real, market = datetime.now(UTC), SeededMarket(1, SYMBOLS, trades_per_minute=20)

    def clock() -> datetime:
        return START + (datetime.now(UTC) - real) * SPEED

    with running_exchange(market, clock=clock) as url, wires(market, clock, url, folder) as (v2, v1):
        with open_platform(settings) as platform:
            for symbol in SYMBOLS:
                platform.stores.instruments.add(Instrument(symbol, AssetClass.CRYPTO, "24/7", "kraken"))
        variables = {"KRAKEN_API_URL": url, "KRAKEN_WS_URL": f"ws://127.0.0.1:{v2.port}/v2"}
        names = ",".join(pair.display_name.replace("/", "-") for pair in market.pairs)
        recorded = folder / "trades.csv"
        both = (
            Program(
                [sys.executable, "-c", OURS, real.isoformat(), START.isoformat(), str(SPEED)],
                folder / "ours.log",
                variables,
            ),
            Program(
                [str(python), "-c", THEIRS, url, f"wss://127.0.0.1:{v1.port}", str(recorded), names],
                folder / "theirs.log",
                {"SSL_CERT_FILE": str(folder / "certificate.pem")},
            ),
        )
        for program in both:
            program.start()
        time.sleep(BETWEEN)  # both are connected: what is lost before counts for neither
        if not recorded.exists() or not recorded.stat().st_size:
            sys.exit(f"cryptofeed records nothing: {(folder / 'theirs.log').read_text()[-2000:]}")
        first = _minute_after(clock())
        for number in range(faults):
            if number % 2:
                for program in both:
                    program.kill()
                time.sleep(DOWN)
                for program in both:
                    program.start()
            else:
                v2.cut()
                v1.cut()
            time.sleep(BETWEEN - DOWN)
        window = Window(first, _minute_after(clock()) - timedelta(minutes=1))
        expected = pl.concat([_bars_of_market(market, pair, window) for pair in market.pairs])
        ours = _stored(settings, window, market, expected)
        for program in both:
            program.kill()
        theirs = _bars(_recorded(recorded, market), window)
    lost = {name: _lost(expected, found) for name, found in (("this platform", ours), ("cryptofeed", theirs))}
    lines = [f"{faults - faults // 2} cuts and {faults // 2} kills; {expected.height} bars of {len(SYMBOLS)} markets"]
    return "\n".join([*lines, *(f"{name:<14} {count:>4} bars lost or wrong" for name, count in lost.items())])


@dataclass
class Program:
    """A program that is killed and started again.

    Attributes:
        command: its command line.
        log: what it says.
        variables: added to its environment.
    """

    command: list[str]
    log: Path
    variables: dict[str, str] = field(default_factory=dict)
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it."""
        environment = os.environ | self.variables
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def kill(self) -> None:
        """Kills it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


class Wire:
    """A wire to a port of this machine that can be cut."""

    def __init__(self, loop: asyncio.AbstractEventLoop, target: int) -> None:
        self._loop = loop
        self._target = target
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0

    async def listen(self) -> None:
        """Begins."""
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        """Ends all connections."""

        def work() -> None:
            for writer in list(self._writers):
                writer.transport.abort()

        self._loop.call_soon_threadsafe(work)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far = await asyncio.open_connection("127.0.0.1", self._target)
        ends = {writer, far}
        self._writers |= ends
        await asyncio.gather(_pump(reader, far), _pump(far_reader, writer))
        self._writers -= ends


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@contextmanager
def wires(market: SeededMarket, clock: Clock, exchange: str, folder: Path) -> Iterator[tuple[Wire, Wire]]:
    """A wire to the exchange, and one to the version 1 of its feed, on a thread of their own."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()

    def run(work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result(30)

    async def open_first() -> Any:
        return await serve(lambda connection: _serve_version_1(connection, market, clock), "127.0.0.1", 0, ssl=context)

    first = run(open_first())
    made = Wire(loop, int(exchange.rpartition(":")[2])), Wire(loop, first.sockets[0].getsockname()[1])
    for wire in made:
        run(wire.listen())
    yield made
    loop.call_soon_threadsafe(loop.stop)


async def _serve_version_1(connection: ServerConnection, market: SeededMarket, clock: Clock) -> None:
    """The channel ``trade`` of version 1: from the subscription on, without a snapshot."""
    sent: dict[str, tuple[Pair, int]] = {}
    with suppress(ConnectionClosed):
        await connection.send(json.dumps({"event": "systemStatus", "status": "online", "version": "1.9.6"}))
        spoke = 0.0
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(0.02):
                    request = json.loads(await connection.recv())
                    for name in request["pair"]:
                        pair = next(each for each in market.pairs if name in _spellings(each))
                        sent[name] = (pair, nanoseconds(clock()))
                        status = {"event": "subscriptionStatus", "status": "subscribed", "channelName": "trade"}
                        await connection.send(json.dumps(status | {"pair": name}))
            for name, (pair, until) in list(sent.items()):
                now = nanoseconds(clock())
                trades = market.trades_after(pair, until, now, 10**9)
                sent[name] = (pair, now)
                if len(trades.time):
                    await connection.send(json.dumps([1, _rows(pair, trades), "trade", name]))
            if time.monotonic() - spoke >= 1:
                spoke = time.monotonic()
                await connection.send('{"event":"heartbeat"}')


def _spellings(pair: Pair) -> tuple[str, str]:
    return pair.display_name, pair.wsname


def _rows(pair: Pair, trades: Any) -> list[list[str]]:
    columns = (trades.price, trades.quantity, trades.time, trades.buyer, trades.market)
    return [
        [
            units_text(price, pair.price_decimals), units_text(quantity, LOT_DECIMALS), f"{at / 1e9:.6f}",
            "b" if buyer else "s", "m" if market else "l", "",
        ]
        for price, quantity, at, buyer, market in zip(*(column.tolist() for column in columns), strict=True)
    ]  # fmt: skip


def _bars_of_market(market: SeededMarket, pair: Pair, window: Window) -> pl.DataFrame:
    trades = market.trades_after(pair, nanoseconds(window.start) - 1, nanoseconds(window.end) - 1, 10**9)
    frame = pl.DataFrame({"at": trades.time, "price": trades.price, "quantity": trades.quantity})
    return _bars(frame.with_columns(symbol=pl.lit(pair.symbol)), window)


def _bars(trades: pl.DataFrame, window: Window) -> pl.DataFrame:
    """Minutes of trades (symbol, at in nanoseconds, price in ticks, quantity in lots) within a window."""
    minute = pl.col("at") // (60 * 10**9)
    first, end = (nanoseconds(each) // (60 * 10**9) for each in (window.start, window.end))
    return (
        trades.group_by("symbol", minute=minute, maintain_order=True)
        .agg(
            open=pl.col("price").first(),
            high=pl.col("price").max(),
            low=pl.col("price").min(),
            close=pl.col("price").last(),
            volume=pl.col("quantity").sum(),
        )
        .filter(pl.col("minute").is_between(first, end, closed="left"))
    )


def _recorded(path: Path, market: SeededMarket) -> pl.DataFrame:
    pairs = {pair.display_name.replace("/", "-"): pair for pair in market.pairs}
    rows = []
    for line in path.read_text().splitlines() if path.exists() else ():
        name, price, quantity, at = line.split(",")
        pair = pairs[name]
        units = int(Decimal(price).scaleb(pair.price_decimals)), int(Decimal(quantity).scaleb(LOT_DECIMALS))
        rows.append((pair.symbol, int(Decimal(at).scaleb(9)), *units))
    schema = {"symbol": pl.String, "at": pl.Int64, "price": pl.Int64, "quantity": pl.Int64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _stored(settings: Settings, window: Window, market: SeededMarket, expected: pl.DataFrame) -> pl.DataFrame:
    """The platform's bars of the window, once they are complete or the time for it has passed."""
    deadline = time.monotonic() + SETTLE
    with open_platform(settings) as platform:
        while True:
            bars = platform.stores.bars.read(list(SYMBOLS), Timeframe.M1, window)
            found = pl.concat([_in_units(bars.filter(pl.col("symbol") == pair.symbol), pair) for pair in market.pairs])
            if not _lost(expected, found) or time.monotonic() > deadline:
                return found
            time.sleep(1)


def _in_units(bars: pl.DataFrame, pair: Pair) -> pl.DataFrame:
    scale = dict.fromkeys(VALUES[:4], pair.price_decimals) | {"volume": LOT_DECIMALS}
    units = [
        pl.Series(name, [int(value.scaleb(places)) for value in bars[name].to_list()], pl.Int64)
        for name, places in scale.items()
    ]
    return bars.select("symbol", pl.col("time").dt.epoch("s").floordiv(60).alias("minute")).with_columns(units)


def _lost(expected: pl.DataFrame, found: pl.DataFrame) -> int:
    """How many bars are not there as they should be."""
    return expected.join(found, on=["symbol", "minute", *VALUES], how="anti").height


def _minute_after(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0) + timedelta(minutes=1)


if __name__ == "__main__":
    main()
