"""Calls with any arguments: an answer, or a refusal in words, and never an unexpected error."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcp.server.mcpserver.exceptions import ToolError, UnexpectedToolError
from properties import examples

from trading_platform.client import Platform
from trading_platform.mcp.server import AgentServer, Offer

CALLS = int(os.environ.get("TEST_MCP_CALLS", "400"))
"""Calls in the whole suite; fewer in the usual one."""

NOW = datetime(2025, 1, 1, 1, tzinfo=UTC)
TIMES = st.sampled_from(
    ["2024-06-03", "2024-06-03T14:30:00Z", "2024-06-03T14:30", "0001-01-01", "9999-12-31", "infinity", "now", "", "0"]
)
TEXTS = st.text(max_size=30) | st.sampled_from(
    ["'; DROP TABLE config.instruments; --", "../../etc/passwd", "\x00", "%s"]
)
SYMBOLS = st.sampled_from(["AAPL", "BTC/USD", "brk-b", "NOSUCH", "A" * 500]) | TEXTS
ODD = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.lists(TEXTS, max_size=3)
JSON = st.recursive(ODD, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3))
LIKELY: Mapping[str, st.SearchStrategy[object]] = {
    "symbols": st.lists(SYMBOLS, max_size=4) | SYMBOLS,
    "symbol": SYMBOLS,
    "names": st.lists(st.sampled_from(["rsi_14", "volatility_20d", "rsi", "time", "symbol"]), max_size=3),
    "timeframe": st.sampled_from(["1m", "5m", "1h", "1d", "1w"]),
    "adjust": st.sampled_from(["raw", "split", "total_return", "none"]),
    "limit": st.integers(-1, 1_100),
    "start": TIMES,
    "end": TIMES,
    "as_of": TIMES,
    "direction": st.sampled_from(["long", "short", "flat", "up"]),
    "signals": st.dictionaries(TEXTS, JSON, max_size=3),
    "risk_check": st.dictionaries(TEXTS, JSON, max_size=3),
}


@pytest.fixture(scope="module")
def server(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentServer]:
    made = AgentServer(platform, Offer(False, True, tmp_path_factory.mktemp("sets")), clock=lambda: NOW)
    with closing(made.calls):
        yield made


@pytest.fixture(scope="module")
def loop(platform: Platform) -> Iterator[asyncio.Runner]:
    """The event loop of all calls, as in a server."""
    with asyncio.Runner() as runner:
        yield runner
        runner.run(platform.async_quotes.close())


@given(data=st.data())
@settings(max_examples=examples(CALLS))
def test_no_call_ends_in_an_unexpected_error(server: AgentServer, loop: asyncio.Runner, data: st.DataObject) -> None:
    tool, names = data.draw(st.sampled_from(sorted(server.arguments.items())), "tool")
    chosen = data.draw(st.lists(st.sampled_from(names), unique=True), "which") if names else []
    arguments = {name: data.draw(LIKELY.get(name, ODD) | JSON, name) for name in chosen}
    try:
        loop.run(server.call_tool(tool, arguments))
    except UnexpectedToolError as error:
        raise AssertionError(f"{tool} of {arguments!r}: {error.__cause__!r}") from error
    except ToolError:
        return
