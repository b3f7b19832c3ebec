"""Every block of docs/mcp.md: the configurations start the server or reach it, the shell serves, the agents ask."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from commands import Installation, kill
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from processes import REPOSITORY, environment, free_port
from waiting import LONG, wait_until

COMMAND = Path(sys.executable).parent / "trading-platform"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", (REPOSITORY / "docs" / "mcp.md").read_text(), re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    return [text for name, text in BLOCKS if name == language]


def configurations() -> list[dict[str, Any]]:
    """What each configuration of the page says of the server."""
    read = [*map(json.loads, blocks("json")), *map(tomllib.loads, blocks("toml"))]
    return [next(iter(each.values()))["trading-platform"] for each in read]


async def listed_by(client: Client) -> tuple[list[str], str]:
    tools = [tool.name for tool in (await client.list_tools()).tools]
    return tools, (await client.call_tool("instrument_info", {})).content[0].text


@dataclass(frozen=True)
class Shell:
    """The server as the shell of the page started it.

    Attributes:
        port: the port that replaces the page's.
        token: the token that the shell made.
    """

    port: int
    token: str


@pytest.fixture(scope="module")
def shell(ours: Installation) -> Iterator[Shell]:
    """The block for the shell, on a free port; it also says which token it made."""
    (block,) = blocks("bash")
    port = free_port()
    assert "trading-platform mcp --http --port 8765\n" in block
    script = block.replace("--port 8765", f"--port {port}")
    script = script.replace("trading-platform mcp", 'printf %s "$MCP_TOKENS" > made\nexec trading-platform mcp')
    variables = environment() | ours.environment()
    variables["PATH"] = f"{COMMAND.parent}{os.pathsep}{variables['PATH']}"
    process = subprocess.Popen(
        ["bash", "-c", script], env=variables, cwd=ours.data_dir, text=True, start_new_session=True
    )

    def answers() -> bool:
        try:
            return httpx2.post(f"http://127.0.0.1:{port}/mcp", timeout=LONG).status_code == 401
        except httpx2.TransportError:
            return False

    try:
        wait_until(answers, "the server", deadline=LONG, running=process)
        yield Shell(port, (ours.data_dir / "made").read_text().split(":")[-1])
    finally:
        kill(process)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_each_configuration_starts_the_server(ours: Installation) -> None:
    started = [each for each in configurations() if "url" not in each]
    assert len(started) == 3
    assert {json.dumps(each | {"type": "stdio"}, sort_keys=True) for each in started} == {
        json.dumps(started[0] | {"type": "stdio"}, sort_keys=True)
    }, "all start it in the same way, so that one of them is started"
    server = started[0]
    assert server["command"].endswith("/.venv/bin/trading-platform")
    assert server["env"].keys() == {"DATA_DIR"}
    variables = environment() | ours.environment() | {"DATA_DIR": str(ours.data_dir)}
    command = StdioServerParameters(command=str(COMMAND), args=server["args"], env=variables, cwd=str(ours.data_dir))

    async def asked() -> tuple[list[str], str]:
        async with Client(command) as client:
            return await listed_by(client)

    tools, text = asyncio.run(asked())
    assert "bars" in tools
    assert "record_decision" not in tools, "it is started with --read-only"
    assert "BTCUSD,crypto,24/7,kraken" in text


@pytest.mark.exhaustive
@pytest.mark.slow
def test_the_shell_serves_and_the_configuration_with_an_address_reaches_it(shell: Shell) -> None:
    (server,) = [each for each in configurations() if "url" in each]
    assert server["type"] == "http"
    url = server["url"].replace(":8765/", f":{shell.port}/")
    headers = {name: value.replace("TOKEN", shell.token) for name, value in server["headers"].items()}

    async def asked() -> tuple[list[str], str]:
        async with (
            httpx2.AsyncClient(headers=headers, timeout=LONG) as http,
            Client(streamable_http_client(url, http_client=http)) as client,
        ):
            return await listed_by(client)

    tools, text = asyncio.run(asked())
    assert "latest_quotes" in tools
    assert "BTCUSD,crypto,24/7,kraken" in text


@pytest.mark.exhaustive
@pytest.mark.slow
def test_both_agents_of_the_page_ask(ours: Installation, shell: Shell) -> None:
    within, over_http = blocks("python")
    assert "http://127.0.0.1:8765/mcp" in over_http
    for code in (within, over_http.replace(":8765/", f":{shell.port}/")):
        ran = subprocess.run(
            [sys.executable, "-c", code], env=ours.environment() | {"MCP_TOKEN": shell.token},
            capture_output=True, text=True, check=False, timeout=LONG,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr
        assert "BTCUSD,crypto,24/7,kraken" in ran.stdout
