"""``verify``: checks stored data against all rules of the platform.

The rules are those of the asset checks in Dagster (:mod:`trading_platform.workflows.quality.suites.verify`). The
command runs them over everything at once, without Dagster.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from trading_platform.cli.output import out, print_json, print_labelled, progress_bars, table
from trading_platform.cli.parameters import in_capitals
from trading_platform.domain.time import Timeframe
from trading_platform.stores.postgres.roles import Role

if TYPE_CHECKING:
    from trading_platform.workflows.quality.check_results import CheckResult

_COLOURS = {"passed": "green", "warn": "yellow", "failed": "bold red", "nothing stored": "dim"}


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(verify)


def verify(
    symbols: Annotated[
        list[str] | None, typer.Argument(callback=in_capitals, help="Symbols. Default: everything stored.")
    ] = None,
    timeframe: Annotated[
        list[str] | None, typer.Option("--timeframe", "-t", help="1m, 5m, 1h or 1d. Default: all.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Check all stored bars, indicators and features against all rules.

    Changes nothing. The exit code is 1 if a check fails; a warning is no failure.
    Example: [bold]trading-platform verify SPY GOOG -t 1d[/]
    """
    from trading_platform.resources.platform import open_platform
    from trading_platform.settings import load_settings
    from trading_platform.stores.market_data.checks import Scope
    from trading_platform.workflows.quality.check_results import Status
    from trading_platform.workflows.quality.suites.verify import EVERYTHING
    from trading_platform.workflows.quality.suites.verify import verify as run_checks

    lengths = [Timeframe.parse(text) for text in timeframe] if timeframe else list(Timeframe)
    with progress_bars(quiet=json) as progress, open_platform(load_settings(), role=Role.DASHBOARD) as platform:
        scopes = EVERYTHING
        if symbols:
            platform.instruments(symbols)
            scopes = (Scope(tuple(dict.fromkeys(symbols))),)
        results = run_checks(
            platform.stores,
            platform.sources,
            scopes,
            timeframes=lengths,
            clock=platform.clock,
            progress=progress,
        )
    _report(results, as_json=json)
    if any(result.status is Status.FAILED for result in results):
        raise typer.Exit(1)


def _report(results: Sequence[CheckResult], *, as_json: bool) -> None:
    counts = {status: sum(result.status.value == status for result in results) for status in _COLOURS}
    if as_json:
        print_json({"summary": counts, "checks": [result.as_dict() for result in results]})
        return
    rows = [
        (
            result.asset,
            result.check,
            Text(result.status.value, _COLOURS[result.status.value]),
            result.rows_checked,
            result.failing_rows,
        )
        for result in results
    ]
    columns = ("asset", "check", "result", "rows checked", "failing rows")
    out.print(table("Checks", columns, rows, right=("rows checked", "failing rows")))
    for result in results:
        if not result.passed:
            _explain(result)
    out.print(", ".join(f"{count:,} {status}" for status, count in counts.items() if count))


def _explain(result: CheckResult) -> None:
    """Prints the description of a failed check and its first failing rows."""
    colour = _COLOURS[result.status.value]
    print_labelled(out, f"{result.asset} {result.check}:", result.description, colour)
    for row in result.sample:
        values = "  ".join(f"{name} {value}" for name, value in row.items() if value not in ("", 0))
        out.print(f"    {values}", highlight=False)
