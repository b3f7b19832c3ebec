"""Calls of ``latest_quotes`` over HTTP on the loopback address, beside the SDK's own server with an echo tool.

Both servers are one process each. The client keeps eight connections open and sends prepared requests, so that it
costs little. Ours checks the token, reads ten quotes from Redis, and writes each call to the audit trail; the baseline
answers with its argument. Both are called in both eras of the protocol: the SDK serves them by different code. Beside
the rates stands the processor time of a call, which other programs on the machine change less.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal

import psutil
from common import Figure, arguments, instrument, own_servers, show, symbols

from trading_platform.domain.market.live.events import Quote
from trading_platform.domain.time import utc_now
from trading_platform.embedded.stack import running_stack
from trading_platform.stores.redis.live import open_live_store
from trading_platform.stores.stores import open_stores

SYMBOLS = symbols(10)
CONNECTIONS = 8
ERAS = ("2026-07-28", "2025-11-25")
"""Versions of the protocol, the newer one first."""

TOKEN = "t" * 32
TARGET = 0.5
"""Calls a second, as a part of those of the echo server."""

ECHO = """
import sys
from mcp.server import MCPServer
server = MCPServer("echo", log_level="WARNING")
@server.tool()
def echo(symbols: list[str]) -> str:
    return " ".join(symbols)
server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]), json_response=True, stateless_http=True)
"""


def main() -> None:
    """Measures in turns and prints the result."""
    given = arguments(__doc__ or "")
    calls, rounds = (200, 1) if given.quick else (1_000, given.rounds or 5)
    with own_servers() as (settings, _), running_stack(settings) as endpoints:
        with open_stores(endpoints.database_url, settings.features_directory, may_upgrade=True) as stores:
            for symbol in SYMBOLS:
                stores.instruments.add(instrument(symbol))
        ours_port, echo_port = _free_port(), _free_port()
        tokens = {"MCP_TOKENS": f"bench:read:{TOKEN}"}
        ours = [sys.executable, "-m", "trading_platform.cli", "mcp", "--http", "--read-only", "--port", str(ours_port)]
        with (
            _server(ours, ours_port, tokens) as ours_process,
            _server([sys.executable, "-c", ECHO, str(echo_port)], echo_port, {}) as echo_process,
            open_live_store(endpoints.redis_url) as live,
        ):
            requests = {
                (port, era): _request(port, tool, era)
                for era in ERAS
                for port, tool in ((ours_port, "latest_quotes"), (echo_port, "echo"))
            }
            measured = {key: Measured() for key in requests}
            processes = {ours_port: ours_process, echo_port: echo_process}
            for number in range(rounds + 1):
                price = Decimal(100 + number)
                for (port, era), request in requests.items():
                    live.write_quotes([Quote(symbol, utc_now(), price, price, price) for symbol in SYMBOLS])
                    before = processes[port].cpu_times()
                    took, each = asyncio.run(_load(port, request, calls))
                    after = processes[port].cpu_times()
                    if number:  # the first round warms up
                        worked = after.user + after.system - before.user - before.system
                        measured[port, era].add(took, statistics.quantiles(each, n=100)[98], worked / calls)
    figures, notes = [], []
    for era in ERAS:
        mine, echo = measured[ours_port, era], measured[echo_port, era]
        figures += [
            Figure(f"{calls:,} calls of latest_quotes, {era}", mine.durations, echo.durations, TARGET),
            Figure(f"p99 of a call, {era}", mine.latencies, echo.latencies, None, lower_is_better=True),
            Figure(f"processor time of a call, {era}", mine.work, echo.work, None, lower_is_better=True),
        ]
        rates = [f"{calls / statistics.median(each.durations):,.0f}" for each in (mine, echo)]
        best = [f"{calls / min(each.durations):,.0f}" for each in (mine, echo)]
        notes.append(
            f"{era}: {rates[0]} calls a second, in the best round {best[0]}; the echo server {rates[1]}, {best[1]}."
        )
    show("MCP over HTTP", figures, [*notes, f"{CONNECTIONS} connections."], quick=given.quick)


@dataclass
class Measured:
    """Of each round: seconds of all calls, the p99 of a call, and processor seconds of a call."""

    durations: list[float] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    work: list[float] = field(default_factory=list)

    def add(self, duration: float, latency: float, work: float) -> None:
        """Adds a round."""
        self.durations.append(duration)
        self.latencies.append(latency)
        self.work.append(work)


async def _load(port: int, request: bytes, calls: int) -> tuple[float, list[float]]:
    """Seconds of all calls together, and of each."""
    each: list[float] = []

    async def caller(count: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(count):
            began = time.perf_counter()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
            body = await reader.readexactly(length)
            each.append(time.perf_counter() - began)
            if not head.startswith(b"HTTP/1.1 200") or b'"isError":true' in body:
                raise RuntimeError(f"{head!r} {body[:500]!r}")
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(caller(calls // CONNECTIONS) for _ in range(CONNECTIONS)))
    return time.perf_counter() - began, each


def _request(port: int, tool: str, era: str) -> bytes:
    params: dict[str, object] = {"name": tool, "arguments": {"symbols": SYMBOLS}}
    named = ""
    if era == ERAS[0]:
        prefix = "io.modelcontextprotocol"
        client = {"name": "benchmark", "version": "1"}
        params["_meta"] = {
            f"{prefix}/protocolVersion": era, f"{prefix}/clientInfo": client, f"{prefix}/clientCapabilities": {},
        }  # fmt: skip
        named = f"Mcp-Method: tools/call\r\nMcp-Name: {tool}\r\n"
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).encode()
    head = (
        f"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {TOKEN}\r\n"
        f"Accept: application/json, text/event-stream\r\nContent-Type: application/json\r\n"
        f"Mcp-Protocol-Version: {era}\r\n{named}Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


@contextmanager
def _server(command: list[str], port: int, variables: dict[str, str]) -> Iterator[psutil.Process]:
    """A server in a process of its own, until the block ends."""
    process = subprocess.Popen(command, env=os.environ | variables, stdout=subprocess.DEVNULL)
    try:
        for _ in range(600):
            if process.poll() is not None:
                raise RuntimeError(f"{command} ended with {process.returncode}")
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5)
            except urllib.error.HTTPError:
                break
            except OSError:
                time.sleep(0.1)
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(timeout=30)


def _free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


if __name__ == "__main__":
    main()
