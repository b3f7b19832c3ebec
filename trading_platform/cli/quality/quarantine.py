"""``quarantine``: lists and shows rejected rows, releases or drops them (docs/quarantine.md)."""

from __future__ import annotations

import getpass
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from trading_platform.cli.output import out, print_json, table
from trading_platform.stores.postgres.roles import Role

if TYPE_CHECKING:
    from trading_platform.stores.market_data.quarantine import RejectedRow

quarantine = typer.Typer(
    help="Rejected rows: list, show, release them into the bars, or drop them.", no_args_is_help=True
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Number = Annotated[int, typer.Argument(help="Number of the row, as `list` shows it.")]
Because = Annotated[str, typer.Option("--because", help="The reason, kept with it.")]
By = Annotated[str | None, typer.Option("--by", help="Who you are. Default: the user of this machine.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(quarantine, name="quarantine")


@quarantine.command("list")
def list_rows(
    symbol: Annotated[str | None, typer.Option("--symbol", "-s", help="Only of this symbol.")] = None,
    source: Annotated[str | None, typer.Option(help="Only of this source.")] = None,
    reason: Annotated[str | None, typer.Option(help="Only those that broke this rule.")] = None,
    since: Annotated[str | None, typer.Option(help="Only those rejected at this time or later.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Also those that were released or dropped.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number to show, newest first.")] = 50,
    json: Json = False,
) -> None:
    """List rejected rows, newest first, and count them by reason.

    Example: trading-platform quarantine list --symbol SPY --reason ohlc_inconsistent
    """
    from trading_platform.domain.time import parse_timestamp
    from trading_platform.resources.platform import open_platform
    from trading_platform.settings import load_settings
    from trading_platform.stores.market_data.quarantine import RowFilter

    which = RowFilter(symbol, source, reason, parse_timestamp(since) if since else None, not every)
    with open_platform(load_settings(), role=Role.DASHBOARD) as platform:
        counts = platform.stores.quarantine.counts(which)
        found = platform.stores.quarantine.listed(which, limit)
    if json:
        print_json({"counts": counts, "rows": [asdict(row) for row in found]})
        return
    if not found:
        out.print("No row is in the quarantine." if every else "No row in the quarantine waits for a decision.")
        return
    columns = ("#", "symbol", "time", "reason", "detail", "source", "rows", "decision")
    rows = [
        (
            row.id,
            row.symbol or "",
            f"{row.time:%Y-%m-%d %H:%M}" if row.time else "",
            row.reason,
            row.detail or "",
            row.source,
            f"{row.row_count:,}",
            row.decision or "",
        )
        for row in found
    ]
    out.print(table("Rejected rows", columns, rows, right=("#", "rows"), keys=("#", "symbol")))
    out.print(table("Rows by reason", ("reason", "rows"), [(r, f"{n:,}") for r, n in counts.items()], right=("rows",)))


@quarantine.command()
def show(number: Number, json: Json = False) -> None:
    """Show a rejected row with the rule that it broke and what was decided.

    Example: trading-platform quarantine show 17
    """
    from trading_platform.domain.quality.rule_book import rule_of
    from trading_platform.resources.platform import open_platform
    from trading_platform.settings import load_settings

    with open_platform(load_settings(), role=Role.DASHBOARD) as platform:
        row = platform.stores.quarantine.get(number)
    rule = rule_of(row.reason)
    if json:
        print_json({**asdict(row), "rule": asdict(rule) if rule else None})
        return
    values = [(name.replace("_", " "), str(value)) for name, value in asdict(row).items() if value is not None]
    if rule is not None:
        values += [("rule", f"{rule.requires}. {rule.explanation}"), ("if not", rule.action.value)]
    out.print(table(f"Rejected row {number}", ("field", "value"), values))


@quarantine.command()
def release(
    number: Number,
    because: Because,
    override: Annotated[
        str | None, typer.Option(help="Name of the rule that the row may break; `rules` says which may be.")
    ] = None,
    by: By = None,
    json: Json = False,
) -> None:
    """Validate a rejected bar again and store it, as a correction.

    Example: trading-platform quarantine release 17 --override duplicate --because "the first of the two is right"
    """
    from trading_platform.resources.platform import open_platform
    from trading_platform.settings import load_settings
    from trading_platform.workflows.quality.release_rows import release_row

    with open_platform(load_settings()) as platform:
        row, new = release_row(
            platform.stores, number, by=by or _me(), because=because, override=override, clock=platform.clock
        )
    _print_decision(row, new, json=json)


@quarantine.command()
def drop(number: Number, because: Because, by: By = None, json: Json = False) -> None:
    """Decide that a rejected row stays out; it is kept, and no longer listed.

    Example: trading-platform quarantine drop 17 --because "a test row of the vendor"
    """
    from trading_platform.resources.platform import open_platform
    from trading_platform.settings import load_settings
    from trading_platform.workflows.quality.release_rows import drop_row

    with open_platform(load_settings()) as platform:
        row, new = drop_row(platform.stores, number, by=by or _me(), because=because)
    _print_decision(row, new, json=json)


def _me() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def _print_decision(row: RejectedRow, new: bool, *, json: bool) -> None:
    if json:
        print_json({"changed": new, **asdict(row)})
        return
    done = {"release": "released", "drop": "dropped"}.get(row.decision or "", "")
    already = "is" if new else "was already"
    out.print(f"Row {row.id} {already} {done} by {row.decided_by}: {row.because}", highlight=False)
    if new and row.decision == "release":
        out.print("What was computed from these bars is stale; `backfill` or the running sensors compute it again.")
