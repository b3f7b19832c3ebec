"""``mcp``: serves agents and assistants over the Model Context Protocol."""

from __future__ import annotations

from typing import Annotated

import typer

from trading_platform.cli.output import err
from trading_platform.domain.errors import ConfigurationError


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(mcp)


def mcp(
    http: Annotated[bool, typer.Option("--http", help="Serve over HTTP on 127.0.0.1, with tokens.")] = False,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port for --http.")] = 8765,
    read_only: Annotated[bool, typer.Option("--read-only", help="Leave out the tools that write.")] = False,
) -> None:
    """Serve agents and assistants over MCP: market data as of a moment, the portfolio, decisions and signals.

    Without --http it speaks over standard input and output, as an assistant starts it.
    Example: [bold]trading-platform mcp --http --port 8765[/]
    """
    from trading_platform.client import Platform
    from trading_platform.mcp.access import holders
    from trading_platform.mcp.server import Offer, over_http, over_stdio
    from trading_platform.settings import load_settings

    settings = load_settings()
    offer = Offer(
        read_only=read_only or settings.mcp_read_only,
        orders=settings.mcp_allow_orders,
        training_sets=settings.training_sets_directory,
    )
    if not http:
        with Platform.connect(settings) as platform:
            over_stdio(platform, offer)
        return
    if settings.mcp_tokens is None:
        raise ConfigurationError(
            "Nobody could call this server: MCP_TOKENS is not set.",
            expected="MCP_TOKENS=NAME:SCOPES:TOKEN, such as assistant:read:… or bot:read+decide:…",
            received="no tokens",
            remedy='make a token with: python3 -c "import secrets; print(secrets.token_urlsafe(32))"',
        )
    known = holders(settings.mcp_tokens.get_secret_value())
    hosts = [name for name in settings.mcp_allowed_hosts.split(",") if name]
    err.print(f"Serving MCP at http://127.0.0.1:{port}/mcp for {', '.join(each.name for each in known)}.")
    with Platform.connect(settings) as platform:
        over_http(platform, offer, port=port, known=known, hosts=hosts)
