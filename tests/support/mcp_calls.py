"""Calls of the MCP server through the SDK's own client, and the rows of their answers."""

from __future__ import annotations

import asyncio
import csv

from mcp import Client
from mcp.types import CallToolResult

from trading_platform.mcp.server import AgentServer


def call(server: AgentServer, tool: str, **arguments: object) -> CallToolResult:
    """What a tool answers."""

    async def called() -> CallToolResult:
        async with Client(server) as client:
            return await client.call_tool(tool, arguments)

    return asyncio.run(called())


def text_of(result: CallToolResult) -> str:
    """The only text of an answer."""
    (content,) = result.content
    return content.text


def rows_of(result: CallToolResult) -> list[dict[str, str]]:
    """The rows of the table in the text, by column."""
    assert not result.is_error, text_of(result)
    lines = text_of(result).splitlines()
    header = lines.index(",".join(result.structured_content["columns"]))
    return list(csv.DictReader(lines[header:]))
