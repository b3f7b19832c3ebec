"""The MCP server: its tools, their guard, and the two transports.

A tool is a method of a class in :mod:`trading_platform.mcp.market_data`, ``trading``, ``orders`` or ``training_sets``.
Every call is in ``audit.system_events`` (:mod:`trading_platform.mcp.call_log`).
"""

from __future__ import annotations

import asyncio
import gc
import json
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing, contextmanager, suppress
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial, wraps
from importlib.metadata import version
from inspect import iscoroutinefunction, signature
from pathlib import Path
from typing import Any, ParamSpec

import uvicorn
from mcp.server import MCPServer
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.tools import Tool
from mcp.server.transport_security import TransportSecuritySettings
from mcp.types import CallToolResult, ToolAnnotations
from pydantic import AnyHttpUrl

from trading_platform.client import Platform
from trading_platform.domain.errors import TradingPlatformError
from trading_platform.domain.texts import fault_in_json, shown, storable
from trading_platform.domain.time import Clock, utc_now
from trading_platform.mcp.access import DECIDE, ORDER, READ, Holder, Tokens, caller, may
from trading_platform.mcp.call_log import CallLog
from trading_platform.mcp.market_data import MarketTools
from trading_platform.mcp.orders import OrderTools
from trading_platform.mcp.prompts import prompts
from trading_platform.mcp.resources import resources
from trading_platform.mcp.trading import TradingTools
from trading_platform.mcp.training_sets import TrainingSetTool

_P = ParamSpec("_P")

INSTRUCTIONS = (
    "Market data and the ledger of a trading platform. Times are UTC, bars are stamped at their open, prices are"
    " decimals. Every answer says as of when it is and how old it is: check that before you rely on it. Values are"
    " never invented: an empty cell is unknown. Errors say what to do. Symbols are understood in any usual spelling"
    " (AAPL, brk-b, BTC/USD, XBTUSD). Times are given in ISO 8601, UTC; the end of a window is not included. A long"
    " answer has pages: give next_cursor as cursor, with the same arguments."
)

_LONGEST_ARGUMENTS = 2_000


@dataclass(frozen=True)
class Offer:
    """Which tools are offered.

    Attributes:
        read_only: leave out the tools that write.
        orders: with the tool that places orders.
        training_sets: folder of training sets; None: none are written.
    """

    read_only: bool = True
    orders: bool = False
    training_sets: Path | None = None


class AgentServer(MCPServer[Any]):
    """The server, which checks scopes and writes each call to the audit trail.

    Args:
        platform: the platform.
        offer: which tools are offered; by default all that write nothing.
        clock: the present time.
        **options: of :class:`mcp.server.MCPServer`.

    Attributes:
        arguments: the names of each tool's arguments.
        calls: the audit of calls; close it at the end.
    """

    def __init__(
        self, platform: Platform, offer: Offer | None = None, *, clock: Clock = utc_now, **options: Any
    ) -> None:
        offered = offer or Offer()
        self._scopes: dict[str, str] = {}
        self.arguments: dict[str, tuple[str, ...]] = {}
        self.calls = CallLog(partial(platform.events.log_all, "mcp_call", "info", "mcp"))
        tools = [self._made(tool, scope) for tool, scope in _tools(platform, offered, clock).items()]
        super().__init__(
            "trading-platform",
            instructions=INSTRUCTIONS,
            version=version("trading-platform"),
            tools=tools,
            resources=resources(platform),
            log_level="WARNING",  # the audit trail has the calls
            lifespan=_lifespan(platform, self.calls),
            **options,
        )
        for prompt in prompts():
            self.add_prompt(prompt)

    def _made(self, tool: Callable[..., Any], scope: str) -> Tool:
        self._scopes[tool.__name__] = scope
        self.arguments[tool.__name__] = tuple(signature(tool).parameters)
        hints = ToolAnnotations(read_only_hint=True) if scope == READ else ToolAnnotations(destructive_hint=False)
        made = Tool.from_function(_explained(tool), annotations=hints)
        made.parameters = slim(made.parameters)
        schema = made.fn_metadata.output_schema or {}
        made.fn_metadata.output_schema = slim({key: value for key, value in schema.items() if key != "description"})
        return made

    async def call_tool(self, name: str, arguments: dict[str, Any], context: Context[Any, Any] | None = None) -> Any:
        """Calls a tool for a caller with its scope, and notes the call.

        Raises:
            ToolError: in words that the model can act on.
        """
        began, said = time.monotonic(), "unexpected error"
        result: object = None
        try:
            if self.calls.full:
                await asyncio.to_thread(self._written)
            self._check(name, arguments)
            result = await super().call_tool(name, arguments, context)
            said = "answered"
        except ToolError as error:
            said = str(error)
            raise
        finally:
            self._note(name, arguments, result, time.monotonic() - began, said)
            if self._scopes.get(name, READ) != READ:
                await asyncio.to_thread(self._written)
        return result

    def _written(self) -> None:
        """Waits until all calls are in the audit trail."""
        try:
            self.calls.flush()
        except TradingPlatformError as error:
            raise ToolError(f"The audit trail cannot be written; what was written before stays. {error}") from error

    def _check(self, name: str, arguments: Mapping[str, Any]) -> None:
        """Refuses a call out of the caller's scope, and arguments that the tool does not have: they had a meaning."""
        if name not in self._scopes:
            raise ToolError(f"There is no tool {shown(name)}. {_near(name, self._scopes)}")
        if not may(self._scopes[name]):
            raise ToolError(
                f"{name} needs a token with the scope {self._scopes[name]}. Ask who runs the server for one."
            )
        for argument in arguments:
            if argument not in self.arguments[name]:
                raise ToolError(f"{name} has no argument {shown(argument)}. {_near(argument, self.arguments[name])}")

    def _note(self, name: str, arguments: Mapping[str, Any], result: object, seconds: float, said: str) -> None:
        facts = result.structured_content if isinstance(result, CallToolResult) else None
        self.calls.add(
            storable(f"{caller()} called {name}: {said}")[:1_000],
            {
                "caller": caller(),
                "tool": storable(name)[:100],
                "arguments": _kept(arguments),
                "rows": facts["rows"] if facts else None,
                "seconds": round(seconds, 6),
                "answered": result is not None,
            },
        )


def _lifespan(platform: Platform, calls: CallLog) -> Callable[[object], AbstractAsyncContextManager[None]]:
    """What an event loop leaves behind: no connection, and no call that is not in the audit trail."""

    @asynccontextmanager
    async def lifespan(_server: object) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await platform.async_quotes.close()
            with suppress(TradingPlatformError):  # it is tried again, and close() says what is lost
                await asyncio.to_thread(calls.flush)

    return lifespan


def _tools(platform: Platform, offer: Offer, clock: Clock) -> dict[Callable[..., Any], str]:
    """The tools that are offered, each with its scope."""
    market, trading, orders = MarketTools(platform, clock), TradingTools(platform, clock), OrderTools(platform, clock)
    tools: dict[Callable[..., Any], str] = dict.fromkeys(
        (
            *(market.instrument_info, market.latest_quotes, market.bars, market.indicators, market.features),
            *(market.news, trading.portfolio, trading.data_health, trading.regime, trading.explain_decision),
            orders.plan_order,
        ),
        READ,
    )
    if offer.read_only:
        return tools
    tools |= dict.fromkeys((trading.record_decision, trading.publish_signal), DECIDE)
    if offer.training_sets is not None:
        tools[TrainingSetTool(platform, clock, offer.training_sets).training_set] = DECIDE
    return tools | ({orders.place_order: ORDER} if offer.orders else {})


def slim(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A schema without what costs tokens and says nothing: titles, empty defaults, and the NULL of what is optional."""
    slimmed: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "properties":
            slimmed[key] = {name: slim(each) for name, each in value.items()}
        elif key == "anyOf" and len(kinds := [each for each in value if each != {"type": "null"}]) == 1:
            slimmed |= slim(kinds[0])
        elif key != "title" and (key, value) not in (("default", None), ("description", "")):
            slimmed[key] = slim(value) if isinstance(value, dict) and key == "items" else value
    return slimmed


def _near(name: str, known: Collection[str]) -> str:
    near = get_close_matches(name, known, n=1)
    return f"Did you mean {near[0]}?" if near else f"There are: {', '.join(known)}."


def _kept(arguments: Mapping[str, Any]) -> object:
    """The arguments as they can be stored: long ones are cut, and impossible ones become text."""
    if fault_in_json(arguments) is None:
        text = json.dumps(arguments, ensure_ascii=False)
        return dict(arguments) if len(text) <= _LONGEST_ARGUMENTS else f"{text[:_LONGEST_ARGUMENTS]}…"
    return storable(repr(arguments))[:_LONGEST_ARGUMENTS]


def _explained(tool: Callable[_P, Any]) -> Callable[_P, Any]:
    """The tool, whose errors reach the model in words that it can act on."""
    if iscoroutinefunction(tool):

        @wraps(tool)
        async def explained_later(*arguments: _P.args, **named: _P.kwargs) -> Any:
            with _in_words():
                return await tool(*arguments, **named)

        return explained_later

    @wraps(tool)
    def explained(*arguments: _P.args, **named: _P.kwargs) -> Any:
        with _in_words():
            return tool(*arguments, **named)

    return explained


@contextmanager
def _in_words() -> Iterator[None]:
    try:
        yield
    except TradingPlatformError as error:
        raise ToolError(str(error)) from error


def over_stdio(platform: Platform, offer: Offer) -> None:
    """Serves one client over standard input and output until it closes them.

    Raises:
        StoreError: if the audit of the last calls could not be written.
    """
    server = AgentServer(platform, offer)
    with closing(server.calls):
        server.run("stdio")


def over_http(platform: Platform, offer: Offer, *, port: int, known: list[Holder], hosts: list[str]) -> None:
    """Serves clients with a token over HTTP on the loopback address until it is ended.

    Args:
        platform: the platform.
        offer: which tools are offered.
        port: port on 127.0.0.1.
        known: who has a token.
        hosts: further names by which clients reach the server, such as that of a proxy.

    Raises:
        StoreError: if the audit of the last calls could not be written.
    """
    address = f"http://127.0.0.1:{port}"
    own = [f"{name}:{port}" for name in ("127.0.0.1", "localhost")]
    server = AgentServer(
        platform,
        offer,
        token_verifier=Tokens(known, address),
        auth=AuthSettings(
            issuer_url=AnyHttpUrl(address),
            resource_server_url=AnyHttpUrl(address),
            validate_token_resource=False,
            required_scopes=[READ],
        ),
    )
    served = server.streamable_http_app(
        json_response=True,
        stateless_http=True,
        transport_security=TransportSecuritySettings(
            allowed_hosts=[*own, *hosts], allowed_origins=[f"http://{name}" for name in own]
        ),
    )
    # What is loaded by now stays, so the collector need not look at it; and each call makes many short-lived objects.
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
    with closing(server.calls):
        # What the SDK's own run() leaves out: no line for each request, and no trust in forwarded addresses.
        uvicorn.run(served, host="127.0.0.1", port=port, log_level="warning", access_log=False, proxy_headers=False)
