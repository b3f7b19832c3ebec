"""The list of all commands, and the text of ``--help`` from it; importing it loads nothing else.

A command is in a module with a function ``register``, which :mod:`trading_platform.cli.main` calls when the command
is used.
"""

from __future__ import annotations

import shutil
import sys
import textwrap
from typing import NamedTuple

SUMMARY = "The data platform of a trading bot: verified bars, indicators and features."

_CLI = "trading_platform.cli"
_WIDEST = 120


class Command(NamedTuple):
    """A command of the first level.

    Attributes:
        group: heading under which help shows it.
        name: its name.
        module: module that registers it.
        summary: first sentence of its help.
        hidden: whether help leaves it out.
    """

    group: str
    name: str
    module: str
    summary: str
    hidden: bool = False


_TRY, _DATA, _QUALITY, _LIVE, _OPERATE = "Try it", "Market data", "Quality", "Live", "Operations"

COMMANDS = (
    Command(
        _TRY,
        "demo",
        f"{_CLI}.demo.command",
        "Run the platform on an invented market, without an account or a server, up to checked features.",
    ),
    Command(
        _TRY,
        "simulate-exchange",
        f"{_CLI}.live.simulate_exchange",
        "Run a local exchange with Kraken's REST API and WebSocket v2, until Ctrl-C or SIGTERM.",
    ),
    Command(
        _DATA,
        "instruments",
        f"{_CLI}.market_data.instruments",
        "The universe: the instruments that the platform stores data for.",
    ),
    Command(
        _DATA,
        "import",
        f"{_CLI}.market_data.imports",
        "Import files of bars or ticks in any supported format; rejected rows are quarantined with their reason.",
    ),
    Command(
        _DATA,
        "backfill",
        f"{_CLI}.market_data.backfill",
        "Bring bars, indicators and features up to date with the sources.",
    ),
    Command(
        _DATA,
        "corporate-actions",
        f"{_CLI}.market_data.corporate_actions",
        "Splits and dividends; bars are adjusted by them when they are read.",
    ),
    Command(
        _DATA,
        "actions",
        f"{_CLI}.market_data.corporate_actions",
        "Splits and dividends; bars are adjusted by them when they are read.",
        hidden=True,  # the former name; removed with version 0.2
    ),
    Command(
        _DATA,
        "coverage",
        f"{_CLI}.market_data.data",
        "Show the numbers of bars expected, stored, confirmed empty, rejected, missing, and expired by retention.",
    ),
    Command(
        _DATA,
        "features",
        f"{_CLI}.features.command",
        "Definitions of features and labels: list, show, try and compute them; audit of their values.",
    ),
    Command(
        _DATA,
        "news",
        f"{_CLI}.news.command",
        "News from feeds and files, linked to instruments, with their sentiment.",
    ),
    Command(_DATA, "export", f"{_CLI}.market_data.data", "Write stored data to a Parquet or CSV file."),
    Command(
        _QUALITY,
        "verify",
        f"{_CLI}.market_data.verify",
        "Check all stored bars, indicators and features against all rules.",
    ),
    Command(
        _QUALITY,
        "gaps",
        f"{_CLI}.market_data.gaps",
        "Show each interval without bars: no trades, pending confirmation, missing, rejected, failed or expired.",
    ),
    Command(
        _QUALITY,
        "repair",
        f"{_CLI}.market_data.gaps",
        "Detect all gaps, compare stored bars with what was committed, and repair now what is possible.",
    ),
    Command(
        _QUALITY,
        "outages",
        f"{_CLI}.market_data.outages",
        "Show outages of feeds that are not repaired: in progress, waiting for repair, or failed permanently.",
    ),
    Command(
        _QUALITY,
        "rules",
        f"{_CLI}.quality.rules",
        "Show the rules for incoming data: what must hold, and what happens if it does not.",
    ),
    Command(
        _QUALITY,
        "check-files",
        f"{_CLI}.quality.check_files",
        "Check files without importing them: rejected rows, and what is suspect, with the likely cause.",
    ),
    Command(
        _QUALITY,
        "source-health",
        f"{_CLI}.quality.source_health",
        "Show how well each source has served, by day: a score from 0 to 100, and what lowered it.",
    ),
    Command(
        _QUALITY,
        "quarantine",
        f"{_CLI}.quality.quarantine",
        "Rejected rows: list, show, release them into the bars, or drop them.",
    ),
    Command(
        _QUALITY,
        "alerts",
        f"{_CLI}.alerts.command",
        "What is wrong, and messages of it: list, show, acknowledge, silence.",
    ),
    Command(
        _LIVE,
        "stream",
        f"{_CLI}.live.stream",
        "Stream quotes to Redis and one-minute bars to the database, until Ctrl-C or SIGTERM.",
    ),
    Command(
        _LIVE,
        "replay",
        f"{_CLI}.live.replay",
        "Build 1m bars from recorded ticks, event by event, as the live stream would have built them.",
    ),
    Command(
        _LIVE,
        "account",
        f"{_CLI}.operations.account",
        "Show balances, positions and a day's fills at the configured brokers; changes nothing there.",
    ),
    Command(
        _LIVE,
        "decisions",
        f"{_CLI}.operations.decisions",
        "Decisions of agents: list them, and explain one by what was recorded when it was taken.",
    ),
    Command(
        _LIVE,
        "mcp",
        f"{_CLI}.operations.mcp",
        "Serve agents and assistants over MCP: market data as of a moment, the portfolio, decisions and signals.",
    ),
    Command(
        _LIVE,
        "reconcile",
        f"{_CLI}.trading.reconcile",
        "Compare the ledger with the brokers: positions, open orders, cash and a day's fills.",
    ),
    Command(
        _LIVE,
        "circuit",
        f"{_CLI}.trading.circuit",
        "The circuit breakers: show them, pause trading, let it go on.",
    ),
    Command(
        _LIVE,
        "limits",
        f"{_CLI}.operations.limits",
        "Show the rate limits of sources, what is left of them, and when they are full again.",
    ),
    Command(
        _OPERATE,
        "up",
        f"{_CLI}.operations.stack",
        "Start PostgreSQL and Redis, upgrade the schema, and leave the servers running until `down`.",
    ),
    Command(
        _OPERATE,
        "down",
        f"{_CLI}.operations.stack",
        "Stop the embedded PostgreSQL and Redis; their data stays.",
    ),
    Command(
        _OPERATE,
        "status",
        f"{_CLI}.operations.stack",
        "Show the servers, their addresses and the processes that use them.",
    ),
    Command(
        _OPERATE,
        "doctor",
        f"{_CLI}.operations.stack",
        "Check every part of the stack and show how to repair the broken ones.",
    ),
    Command(
        _OPERATE,
        "dev",
        f"{_CLI}.operations.dev",
        "Open the Dagster UI and run its daemon, until Ctrl-C or SIGTERM; no process of it is left then.",
    ),
    Command(
        _OPERATE,
        "systemd",
        f"{_CLI}.operations.systemd",
        "Write systemd units that run the stream and Dagster, and start again whatever dies.",
    ),
    Command(
        _OPERATE,
        "archive",
        f"{_CLI}.operations.archive",
        "Move decisions and system events older than a year from the database to files.",
    ),
    Command(_OPERATE, "db", f"{_CLI}.operations.database", "Show or upgrade the database's schema."),
)

_OPTIONS = (
    ("-h, --help", "Show this list; after a command, its options and an example."),
    ("--version", "Show the version."),
    ("--install-completion", "Let the shell complete commands and options."),
    ("--show-completion", "Print the completion script instead."),
)


def help_text(width: int | None = None) -> str:
    """The commands in groups, for a terminal of that many columns; by default the present one's."""
    columns = min(width or shutil.get_terminal_size().columns, _WIDEST)
    names = [command.name for command in COMMANDS if not command.hidden] + [option for option, _ in _OPTIONS]
    margin = max(map(len, names)) + 4
    lines = ["Usage: trading-platform COMMAND [ARGS]...", "", *textwrap.wrap(SUMMARY, columns), ""]
    for group in dict.fromkeys(command.group for command in COMMANDS):
        own = [command for command in COMMANDS if command.group == group and not command.hidden]
        lines += [group, *(_line(command.name, command.summary, margin, columns) for command in own), ""]
    lines += ["Options", *(_line(name, summary, margin, columns) for name, summary in _OPTIONS)]
    return "\n".join(lines) + "\n"


def _line(name: str, summary: str, margin: int, columns: int) -> str:
    first = f"  {name}".ljust(margin)
    return textwrap.fill(summary, max(columns, margin + 20), initial_indent=first, subsequent_indent=" " * margin)


def version_text() -> str:
    """The version of the platform and of the Python that runs it."""
    import trading_platform

    return f"trading-platform {trading_platform.__version__} (Python {sys.version.split()[0]})"
