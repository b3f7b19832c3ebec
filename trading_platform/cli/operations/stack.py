"""The commands ``up``, ``down``, ``status`` and ``doctor``: the servers of the platform.

:mod:`trading_platform.embedded` does the work; this module parses the options and prints the result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from trading_platform.cli.output import out, print_json, table

if TYPE_CHECKING:
    from trading_platform.embedded.doctor import Check
    from trading_platform.embedded.stack import StackStatus

Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]

_COLOURS = {
    "running": "green",
    "external": "cyan",
    "stopped": "yellow",
    "ok": "green",
    "note": "yellow",
    "broken": "red",
}


def register(app: typer.Typer) -> None:
    """Add the four commands to the command line."""
    app.command("up")(up)
    app.command("down")(down)
    app.command("status")(status)
    app.command("doctor")(doctor)


def up(as_json: Json = False) -> None:
    """Start PostgreSQL and Redis, upgrade the schema, and leave the servers running until `down`.

    Does not touch servers that are running, and uses those of DATABASE_URL and REDIS_URL where these are set.

    Example: trading-platform up
    """
    from trading_platform.embedded.stack import stack_status, start_stack, upgrade_schema
    from trading_platform.settings import load_settings

    settings = load_settings()
    before, after = upgrade_schema(settings, start_stack(settings))
    found = stack_status(settings)
    if as_json:
        print_json(found.as_dict() | {"schema": {"before": before, "after": after}})
        return
    _print_status(found)
    moved = f"from {before or 'nothing'} to {after}" if before != after else f"at {after}, nothing to do"
    out.print(f"Schema {moved}. Stop with: trading-platform down")


def down(
    as_json: Json = False,
    force: Annotated[bool, typer.Option(help="Stop them even if a process uses them.")] = False,
    purge: Annotated[bool, typer.Option(help="Also delete their data, permanently.")] = False,
) -> None:
    """Stop the embedded PostgreSQL and Redis; their data stays.

    While a process uses them, they keep running; they stop when the last user ends.

    Example: trading-platform down
    """
    from trading_platform.embedded.stack import stack_status, stop_stack
    from trading_platform.settings import load_settings

    settings = load_settings()
    stopped = stop_stack(settings, force=force, purge=purge)
    found = stack_status(settings)
    if as_json:
        print_json(found.as_dict() | {"stopped": stopped, "purged": purge})
        return
    out.print(f"Stopped: {', '.join(stopped)}." if stopped else "Nothing was stopped.")
    if purge:
        out.print("Their data is deleted.")
    elif found.users:
        out.print("In use; they stop when the last of these processes ends (--force stops them now):")
        _print_users(found)


def status(as_json: Json = False) -> None:
    """Show the servers, their addresses and the processes that use them.

    Example: trading-platform status --json
    """
    from trading_platform.embedded.stack import stack_status
    from trading_platform.settings import load_settings

    found = stack_status(load_settings())
    if as_json:
        print_json(found.as_dict())
    else:
        _print_status(found)


def doctor(as_json: Json = False) -> None:
    """Check every part of the stack and show how to repair the broken ones.

    Ends with exit code 1 if a part is broken.

    Example: trading-platform doctor
    """
    from trading_platform.embedded.doctor import Verdict, examine
    from trading_platform.settings import load_settings

    checks = examine(load_settings())
    healthy = all(check.verdict is not Verdict.BROKEN for check in checks)
    if as_json:
        print_json({"healthy": healthy, "checks": [check.as_dict() for check in checks]})
    else:
        _print_checks(checks)
    if not healthy:
        raise typer.Exit(1)


def _print_status(found: StackStatus) -> None:
    rows = [(server.part, server.where, _coloured(server.state), server.since) for server in found.servers]
    out.print(table("Servers", ("part", "where", "state", "since"), rows))
    running = any(server.state == "running" for server in found.servers)
    if found.stays:
        out.print("The embedded servers stay until `trading-platform down`.")
    elif running and not found.users:
        out.print("No process uses the embedded servers; `trading-platform down` stops them.")
    _print_users(found)


def _print_users(found: StackStatus) -> None:
    for user in found.users:
        out.print(f"  used by process {user.pid}: {user.command} (since {user.since})", highlight=False)


def _print_checks(checks: list[Check]) -> None:
    rows = [(check.part, _coloured(check.verdict), check.found, check.remedy) for check in checks]
    out.print(table("Stack", ("part", "verdict", "found", "what to do"), rows))


def _coloured(state: str) -> Text:
    return Text(state, _COLOURS[state])
