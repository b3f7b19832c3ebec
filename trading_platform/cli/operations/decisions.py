"""``decisions``: the decisions of agents, and what was recorded when one was taken."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from trading_platform.cli.output import as_rows, out, print_json, table

if TYPE_CHECKING:
    from trading_platform.stores.audit.journal import Decision

decisions = typer.Typer(
    help="Decisions of agents: list them, and explain one by what was recorded when it was taken.", no_args_is_help=True
)

_COLUMNS = ("id", "timestamp", "decision_type", "symbol", "final_action", "order_id")


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(decisions, name="decisions")


@decisions.command("list")
def list_decisions(
    symbol: Annotated[str | None, typer.Option(help="Only those on this instrument.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many, the newest.")] = 20,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Show the newest decisions, archived ones too. Example: trading-platform decisions list --symbol BTCUSD."""
    from trading_platform.client import Platform

    with Platform.connect() as platform:
        found = [asdict(each) for each in platform.decisions.list(symbol=symbol, limit=limit)]
    if json:
        print_json(found)
    elif found:
        out.print(table("Decisions", _COLUMNS, as_rows(found, _COLUMNS)))
    else:
        out.print("No decision is recorded.")


@decisions.command()
def explain(
    decision_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the decision; `decisions list` shows it.")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Show what was recorded when a decision was taken, and what of it is different now.

    Bars, features and their definitions, regime, positions, open orders, risk limits and news, as they were then.
    Example: [bold]trading-platform decisions explain 7f1c2a34-5b6d-4e8f-9a0b-1c2d3e4f5a6b[/]
    """
    from trading_platform.client import Platform

    with Platform.connect() as platform:
        explanation = platform.explain_decision(decision_id)
    rows = explanation.facts.to_dicts()
    if json:
        print_json({"decision": asdict(explanation.decision), "facts": rows, "notes": explanation.notes})
        return
    _print_decision(explanation.decision)
    columns = explanation.facts.columns
    if rows:
        title = f"Recorded by {explanation.decision.timestamp:%Y-%m-%d %H:%M:%S} UTC; `now` where it is different"
        out.print(table(title, columns, as_rows(rows, columns), keys=("section", "name")))
    for note in explanation.notes:
        out.print(note)


def _print_decision(decision: Decision) -> None:
    for name, value in asdict(decision).items():
        if value is not None:
            out.print(f"{name}: {value}", highlight=False)
