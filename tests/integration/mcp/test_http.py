"""The server over its two transports, as a process of its own: tokens, scopes, hosts, and standard input and output."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass

import httpx2
import pytest
from commands import Installation, installation, kill, rows
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from processes import REPOSITORY, environment, free_port
from waiting import LONG, wait_until

from trading_platform.domain.errors import ConfigurationError
from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.embedded.stack import Endpoints
from trading_platform.mcp.access import holders
from trading_platform.stores.stores import open_stores

READER, BOT, TRADER = "r" * 32, "b" * 32, "t" * 32
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
def ours(stack: Endpoints) -> Iterator[Installation]:
    with installation(stack.database_url) as made:
        made.variables["REDIS_URL"] = stack.redis_url
        with open_stores(made.database_url, made.data_dir / "features", may_upgrade=True) as stores:
            stores.instruments.add(Instrument("BTCUSD", AssetClass.CRYPTO, "24/7", "kraken"))
        yield made


@pytest.fixture(scope="module")
def serving(ours: Installation) -> Iterator[Serving]:
    port = free_port()
    ours.variables["MCP_TOKENS"] = f"reader:read:{READER};bot:read+decide:{BOT};trader:read+decide+order:{TRADER}"
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
@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_every_tool_is_called_over_http_in_both_eras_of_the_protocol(serving: Serving, mode: str) -> None:
    async def called() -> None:
        async with (
            httpx2.AsyncClient(headers={"Authorization": f"Bearer {TRADER}"}, timeout=LONG) as http,
            Client(streamable_http_client(serving.url, http_client=http), mode=mode) as client,
        ):
            await every_tool(client)

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
def test_every_tool_is_called_over_standard_input_and_output(ours: Installation) -> None:
    command = StdioServerParameters(
        command=sys.executable,
        args=["-m", "trading_platform.cli", "mcp"],
        env=environment() | ours.environment() | {"MCP_ALLOW_ORDERS": "true"},
        cwd=str(ours.data_dir),
    )

    async def called() -> None:
        async with Client(command) as client:
            await every_tool(client)

    asyncio.run(called())


@pytest.mark.exhaustive
@pytest.mark.slow
def test_an_assistant_starts_it_over_standard_input_and_output(ours: Installation) -> None:
    command = StdioServerParameters(
        command=sys.executable,
        args=["-m", "trading_platform.cli", "mcp", "--read-only"],
        env=environment() | ours.environment(),
        cwd=str(ours.data_dir),
    )

    async def asked() -> tuple[list[str], str]:
        async with Client(command) as client:
            tools = [tool.name for tool in (await client.list_tools()).tools]
            return tools, (await client.call_tool("instrument_info", {})).content[0].text

    tools, text = asyncio.run(asked())
    assert "bars" in tools
    assert "record_decision" not in tools
    assert "BTCUSD,crypto,24/7,kraken" in text


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


def test_the_configurations_of_the_page_are_what_the_command_takes() -> None:
    page = (REPOSITORY / "docs" / "mcp.md").read_text()
    blocks = re.findall(r"^```(json|toml)\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    read = [json.loads(text) if kind == "json" else tomllib.loads(text) for kind, text in blocks]
    servers = [next(iter(each.values()))["trading-platform"] for each in read]
    assert len(servers) == 4
    for server in servers:
        if "url" not in server:
            assert server["args"] == ["mcp", "--read-only"]
            assert server["command"].endswith("/trading-platform")
            assert server["env"].keys() == {"DATA_DIR"}
        else:
            assert server["url"].endswith(":8765/mcp")
            assert server["headers"]["Authorization"].startswith("Bearer ")


@pytest.mark.exhaustive
@pytest.mark.slow
def test_the_agent_of_the_page_runs(ours: Installation) -> None:
    (code,) = re.findall(
        r"^```python\n(.*?)^```", (REPOSITORY / "docs" / "mcp.md").read_text(), re.MULTILINE | re.DOTALL
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], env=ours.environment(), capture_output=True, text=True, check=False, timeout=LONG
    )
    assert ran.returncode == 0, ran.stderr
    assert "BTCUSD,crypto,24/7,kraken" in ran.stdout
