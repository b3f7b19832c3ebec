"""``source-health``: how well each source has served, by day (docs/checks.md)."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from trading_platform.cli.output import out, print_json, table
from trading_platform.stores.postgres.roles import Role


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("source-health")(source_health)


def source_health(
    days: Annotated[int, typer.Option(min=1, max=3650, help="How many days back.")] = 14,
    source: Annotated[str | None, typer.Option(help="Only this source.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Show how well each source has served, by day: a score from 0 to 100, and what lowered it.

    Example: trading-platform source-health --days 30
    """
    from trading_platform.resources.platform import open_platform
    from trading_platform.settings import load_settings
    from trading_platform.workflows.quality.report_source_health import source_health_of

    with open_platform(load_settings(), role=Role.DASHBOARD) as platform:
        found = source_health_of(platform.stores.database, days, platform.clock)
    shown = [each for name, own in found.items() if source in (None, name) for each in own]
    if json:
        print_json([{**asdict(each), "score": each.score, "words": each.words} for each in shown])
        return
    if not shown:
        out.print(f"No source has done anything in the last {days} days.")
        return
    rows = [
        (each.source, each.day, f"{each.score:.1f}", f"{each.requests:,}", f"{each.stored:,}", each.words)
        for each in shown
    ]
    columns = ("source", "day (UTC)", "score", "requests", "bars", "what lowered it")
    out.print(
        table("Health of the sources", columns, rows, right=("score", "requests", "bars"), keys=("source", "day (UTC)"))
    )
