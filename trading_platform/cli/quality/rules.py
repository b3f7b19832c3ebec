"""``rules``: shows the rule book (docs/rules.md)."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from trading_platform.cli.output import out, print_json, table


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(rules)


def rules(
    json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the page docs/rules.md.")] = False,
) -> None:
    """Show the rules for incoming data: what must hold, and what happens if it does not.

    Example: trading-platform rules
    """
    from trading_platform.domain.quality.rule_book import RULES, as_page

    if json:
        print_json([asdict(rule) for rule in RULES])
        return
    if markdown:
        print(as_page(), end="")
        return
    columns = ("rule", "must hold", "if not", "severity", "applies to")
    rows = [
        (rule.name, rule.requires, rule.action.value, rule.severity.value, ", ".join(rule.applies_to)) for rule in RULES
    ]
    out.print(table("Rules for incoming data", columns, rows, keys=("rule",)))
