"""``outages``: shows outages of feeds and the state of their repairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from trading_platform.cli.output import as_rows, out, print_json, table
from trading_platform.stores.postgres.roles import Role

if TYPE_CHECKING:
    from trading_platform.stores.market_data.completeness.outages import Outage
    from trading_platform.workflows.gaps.repair_outages import Repair

_COLUMNS = ["id", "source", "symbol", "down", "up", "state", "attempts", "reason", "note"]


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(outages)


def outages(
    everything: Annotated[bool, typer.Option("--all", help="Also show repaired outages.")] = False,
    repair: Annotated[bool, typer.Option("--repair", help="First repair what is due.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Maximum number to show, newest first.")] = 100,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Show outages of feeds that are not repaired: in progress, waiting for repair, or failed permanently.

    Ends with exit code 1 if an outage failed permanently: it is not retried automatically.
    Example: trading-platform outages --repair
    """
    from trading_platform.resources.platform import open_platform
    from trading_platform.settings import load_settings
    from trading_platform.stores.market_data.completeness.outages import OutageState
    from trading_platform.workflows.gaps.repair_outages import repair_outages

    states = [state for state in OutageState if everything or state is not OutageState.REPAIRED]
    done: list[Repair] = []
    with open_platform(load_settings(), role=Role.INGEST if repair else Role.DASHBOARD) as platform:
        if repair:
            done = repair_outages(platform.stores, platform.sources, clock=platform.clock)
        found = platform.stores.outages.all(states, limit)
    if json:
        print_json([asdict(each) | {"window": str(each.window() or "")} for each in found])
    else:
        for each in done:
            out.print(f"{each.outage.symbol}: {each.state}, {each.note}", highlight=False)
        _print(found)
    if any(each.state is OutageState.FAILED_PERMANENTLY for each in found):
        raise typer.Exit(1)


def _print(found: Sequence[Outage]) -> None:
    if not found:
        out.print("No outage is left to repair.")
        return
    rows = [
        {**asdict(each), "down": _time(each.down_at), "up": _time(each.up_at), "state": each.state.value}
        for each in found
    ]
    out.print(table("Outages", _COLUMNS, as_rows(rows, _COLUMNS), right=["id", "attempts"], keys=["id", "symbol"]))


def _time(timestamp: datetime | None) -> str:
    return f"{timestamp:%Y-%m-%d %H:%M:%S}" if timestamp else ""
