"""The server over its two transports, as a process of its own: tokens, scopes, hosts, and standard input and output."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import httpx2
import pytest
from commands import Installation, kill, rows
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from processes import environment, free_port
from waiting import LONG, wait_until

from trading_platform.domain.errors import ConfigurationError
from trading_platform.mcp.access import holders

READER, BOT, TRADER, WRITER = "r" * 32, "b" * 32, "t" * 32, "w" * 32
ORDER = {"symbol": "BTCUSD", "side": "buy", "order_type": "market", "quantity": "1", "broker": "kraken"}
LISTING = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
HEADERS = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}


@dataclass(frozen=True)
class Serving:
    """A server in a process of its own."""

    made: Installation
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mcp"

    def post(self, token: str | None = None, **headers: str) -> httpx2.Response:
        given = {} if token is None else {"Authorization": f"Bearer {token}"}
        return httpx2.post(self.url, json=LISTING, headers=HEADERS | given | headers, timeout=LONG)

    def call(self, token: str, tool: str, **arguments: object) -> tuple[bool, str]:
        async def called() -> tuple[bool, str]:
            async with (
                httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=LONG) as http,
                Client(streamable_http_client(self.url, http_client=http)) as client,
            ):
                result = await client.call_tool(tool, arguments)
                return bool(result.is_error), result.content[0].text

        return asyncio.run(called())


@pytest.fixture(scope="module")
def serving(ours: Installation) -> Iterator[Serving]:
    port = free_port()
    ours.variables["MCP_TOKENS"] = (
        f"reader:read:{READER};bot:read+decide:{BOT};trader:read+decide+order:{TRADER};writer:decide:{WRITER}"
    )
    ours.variables["MCP_ALLOW_ORDERS"] = "true"
    process = ours.start("mcp", "--http", "--port", str(port))

    def answers() -> bool:
        try:
            return Serving(ours, port).post(READER).status_code == 200
        except httpx2.TransportError:
            return False

    try:
        wait_until(answers, "the server", deadline=LONG, running=process)
        yield Serving(ours, port)
    finally:
        kill(process)


@pytest.mark.slow
def test_only_who_has_a_token_is_served_and_only_by_its_own_name(serving: Serving) -> None:
    assert serving.post().status_code == 401
    assert serving.post("x" * 32).status_code == 401
    assert serving.post(READER, Host="evil.example").status_code == 421
    assert serving.post(READER, Origin="http://evil.example").status_code == 403
    without_read = serving.post(WRITER)
    assert (without_read.status_code, without_read.json()["error"]) == (403, "insufficient_scope")
    assert serving.post(READER).status_code == 200
    huge = httpx2.post(
        serving.url, content=b"[" * 5_000_000, headers=HEADERS | {"Authorization": f"Bearer {READER}"}, timeout=LONG
    )
    assert huge.status_code == 413


@pytest.mark.slow
def test_a_reader_cannot_decide_and_each_caller_is_named(serving: Serving) -> None:
    failed, text = serving.call(READER, "record_decision", decision_type="skip", reasoning="no")
    assert failed
    assert "scope decide" in text
    failed, text = serving.call(BOT, "record_decision", decision_type="skip", reasoning="no", symbol="XBT/USD")
    assert not failed, text
    statement = (
        "SELECT metadata->>'caller', metadata->>'answered' FROM audit.system_events WHERE event_type = 'mcp_call'"
    )
    wait_until(
        lambda: rows(serving.made.database_url, f"{statement} ORDER BY id") == [("reader", "false"), ("bot", "true")],
        "both calls in the audit trail",
        deadline=LONG,
    )


EVERY_TOOL: dict[str, dict[str, object]] = {
    "instrument_info": {},
    "latest_quotes": {"symbols": ["BTC/USD"]},
    "bars": {"symbols": ["BTCUSD"]},
    "indicators": {"symbols": ["BTCUSD"], "names": ["rsi_14"]},
    "features": {"symbols": ["BTCUSD"], "names": ["rsi_14"]},
    "news": {},
    "portfolio": {},
    "data_health": {},
    "regime": {},
    "record_decision": {"decision_type": "skip", "reasoning": "no"},
    "publish_signal": {"strategy": "s", "symbol": "BTCUSD", "direction": "flat"},
    "training_set": {"symbols": ["BTCUSD"], "names": ["rsi_14"], "start": "2024-01-01", "end": "2024-01-03"},
    "plan_order": ORDER,
    "place_order": {**ORDER, "idempotency_key": "an order of a test"},
    "explain_decision": {},
}


ERAS = [("legacy", "2025-11-25"), ("auto", "2026-07-28")]
"""How a client connects, and the version that both then speak: the newest of each era of the SDK."""

MISTAKES = {
    "There is no instrument": ("bars", {"symbols": ["NOSUCH"]}),
    "has no argument 'as_off'. Did you mean as_of?": ("bars", {"symbols": ["BTCUSD"], "as_off": "2024-01-01"}),
    "There is no tool 'bar'. Did you mean bars?": ("bar", {}),
}


async def mistakes(client: Client) -> None:
    """Makes each mistake; the answer has the words that it is named by."""
    for words, (tool, arguments) in MISTAKES.items():
        result = await client.call_tool(tool, arguments)
        assert result.is_error
        assert words in result.content[0].text


async def every_tool(client: Client) -> None:
    """Lists and calls every tool; the decision to explain is the one that was recorded."""
    tools = {tool.name for tool in (await client.list_tools()).tools}
    assert tools == set(EVERY_TOOL)
    decision = ""
    for tool, arguments in EVERY_TOOL.items():
        given = dict(arguments)
        if tool == "explain_decision":
            given["decision_id"] = decision
        result = await client.call_tool(tool, given)
        assert not result.is_error, (tool, result.content[0].text)
        if tool == "record_decision":
            decision = result.content[0].text.splitlines()[-1].split(",")[0]
    assert len((await client.list_resources()).resources) > 20
    assert len((await client.list_prompts()).prompts) == 3


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "version"), ERAS)
def test_every_tool_is_called_over_http_in_both_eras_of_the_protocol(serving: Serving, mode: str, version: str) -> None:
    async def called() -> None:
        async with (
            httpx2.AsyncClient(headers={"Authorization": f"Bearer {TRADER}"}, timeout=LONG) as http,
            Client(streamable_http_client(serving.url, http_client=http), mode=mode) as client,
        ):
            assert client.protocol_version == version
            await every_tool(client)
            await mistakes(client)

    asyncio.run(called())


@pytest.mark.slow
def test_only_who_may_order_places_orders(serving: Serving) -> None:
    failed, text = serving.call(BOT, "place_order", **EVERY_TOOL["place_order"])
    assert failed
    assert "scope order" in text
    failed, text = serving.call(READER, "plan_order", **ORDER)
    assert not failed, text


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.parametrize(("mode", "version"), ERAS)
def test_every_tool_is_called_over_standard_input_and_output(ours: Installation, mode: str, version: str) -> None:
    command = StdioServerParameters(
        command=sys.executable,
        args=["-m", "trading_platform.cli", "mcp"],
        env=environment() | ours.environment() | {"MCP_ALLOW_ORDERS": "true"},
        cwd=str(ours.data_dir),
    )

    async def called() -> None:
        async with Client(command, mode=mode) as client:
            assert client.protocol_version == version
            await every_tool(client)
            await mistakes(client)

    asyncio.run(called())


@pytest.mark.parametrize(
    "setting",
    ["", "a:read", f"a:write:{READER}", "a:read:short", f":read:{READER}", f"a:read:{READER};b:read:{READER}",
     f"a:read:{READER};a:read:{BOT}"],
)  # fmt: skip
def test_wrong_tokens_are_refused_and_never_shown(setting: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        holders(setting)
    assert READER not in str(refused.value)


@pytest.mark.slow
def test_without_tokens_it_does_not_serve(ours: Installation) -> None:
    found = ours.run("mcp", "--http", more={"MCP_TOKENS": ""})
    assert found.code == 2
    assert "MCP_TOKENS" in found.err
