"""``reconcile``: compares the ledger with the brokers (docs/reconciliation.md)."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trading_platform.cli.output import out, print_json, table
from trading_platform.cli.parameters import Because, By, this_user
from trading_platform.domain.errors import ConfigurationError, InvalidRequest
from trading_platform.domain.time import rfc3339
from trading_platform.stores.postgres.roles import Role

if TYPE_CHECKING:
    from trading_platform.stores.trading.reconciliations import Reconciliation

reconcile = typer.Typer(
    help="Compare the ledger with the brokers: positions, open orders, cash and a day's fills.", no_args_is_help=True
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(reconcile, name="reconcile")


@reconcile.command()
def run(
    broker: Annotated[str | None, typer.Option(help="Only this broker.")] = None,
    day: Annotated[
        str | None, typer.Option(help="Day of the fills, as the broker counts days; default: today.")
    ] = None,
    json: Json = False,
) -> None:
    """Compare now. Ends with exit code 1 if something differs, with 2 if a broker did not answer.

    Example: trading-platform reconcile run
    """
    from contextlib import closing

    from trading_platform.resources.accounts import open_accounts
    from trading_platform.resources.platform import open_platform
    from trading_platform.settings import load_settings
    from trading_platform.stores.redis.live import LiveStore
    from trading_platform.workflows.trading.circuit import copy_circuit
    from trading_platform.workflows.trading.reconcile import reconcile as compare

    settings = load_settings()
    with open_platform(settings) as platform, open_accounts(settings, clock=platform.clock) as accounts:
        if not accounts or (broker is not None and broker not in accounts):
            raise ConfigurationError(
                "There is no account to compare with.",
                expected=f"one of {', '.join(accounts)}" if accounts else "the access to an account in the settings",
                received=broker or "none",
                remedy="see `trading-platform account`",
            )
        chosen = accounts if broker is None else {broker: accounts[broker]}
        found = compare(platform.stores.database, chosen, _day(day), platform.clock)
        url = platform.redis_url()
        if url is not None:
            with closing(LiveStore(url)) as live:
                copy_circuit(platform.stores.database, live, platform.clock())
    if json:
        print_json([_as_dict(each.found) | {"pauses_trading": each.pause is not None} for each in found])
    else:
        for each in found:
            _print(each.found)
            if each.pause is not None:
                out.print("Trading is paused: `trading-platform circuit show`.", style="red")
    results = {each.found.result for each in found}
    if results != {"equal"}:
        raise typer.Exit(1 if "different" in results else 2)


@reconcile.command("list")
def list_reconciliations(
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 20, json: Json = False
) -> None:
    """List the newest comparisons.

    Example: trading-platform reconcile list
    """
    from trading_platform.resources.platform import open_platform
    from trading_platform.settings import load_settings
    from trading_platform.stores.trading.reconciliations import ReconciliationStore

    with open_platform(load_settings(), role=Role.DASHBOARD) as platform:
        found = ReconciliationStore(platform.stores.database).all(limit)
    if json:
        print_json([_as_dict(each) for each in found])
        return
    columns = ("number", "broker", "day", "result", "positions", "fills", "compared (UTC)", "reason")
    rows = [
        (
            each.number,
            each.broker,
            each.day,
            each.result,
            each.positions,
            each.fills,
            f"{each.compared_at:%Y-%m-%d %H:%M}",
            each.reason,
        )
        for each in found
    ]
    out.print(table("Reconciliations", columns, rows, right=("number", "positions", "fills"), keys=("number",)))


@reconcile.command()
def show(number: Annotated[int, typer.Argument(help="Number of the comparison.")], json: Json = False) -> None:
    """Show a comparison with its differences.

    Example: trading-platform reconcile show 3
    """
    from trading_platform.resources.platform import open_platform
    from trading_platform.settings import load_settings
    from trading_platform.stores.trading.reconciliations import ReconciliationStore

    with open_platform(load_settings(), role=Role.DASHBOARD) as platform:
        found = ReconciliationStore(platform.stores.database).get(number)
    if json:
        print_json(_as_dict(found))
    else:
        _print(found)


@reconcile.command()
def accept(
    number: Annotated[int, typer.Argument(help="Number of the comparison.")],
    because: Because,
    by: By = None,
    json: Json = False,
) -> None:
    """Accept the cash of a comparison as it is, because something known moved it: a deposit, a dividend, interest.

    Later comparisons go on from its balances. Fills, positions and orders cannot be accepted: book them.

    Example: trading-platform reconcile accept 3 --because "dividend of SPY"
    """
    from trading_platform.resources.platform import open_platform
    from trading_platform.settings import load_settings
    from trading_platform.stores.trading.reconciliations import ReconciliationStore

    with open_platform(load_settings()) as platform:
        store = ReconciliationStore(platform.stores.database)
        found = store.accept(number, by=by or this_user(), because=because, at=platform.clock())
    if json:
        print_json(_as_dict(found))
    else:
        _print(found)


def _day(text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidRequest(
            "This is no day.", expected="a date such as 2026-11-25", received=text, remedy="correct it"
        ) from None


def _print(found: Reconciliation) -> None:
    if found.reason is not None:
        out.print(f"{found.broker}, {found.day}: unknown. {found.reason}", highlight=False)
        return
    out.print(
        f"{found.broker}, {found.day}: {found.result}; {found.positions} positions, {found.orders} open orders and "
        f"{found.fills} fills compared.",
        highlight=False,
    )
    if found.not_compared is not None:
        out.print(f"Not compared: {found.not_compared}", highlight=False)
    if found.accepted_at is not None:
        out.print(f"The cash was accepted by {found.accepted_by}: {found.accepted_because}", highlight=False)
    elif any(each.about == "cash" for each in found.differences):
        out.print(
            f"If you know what moved the cash: `trading-platform reconcile accept {found.number} --because …`.",
            highlight=False,
        )
    if found.differences:
        columns = ("severity", "about", "symbol", "kind", "id", "ledger", "broker")
        rows = [
            (
                each.severity.value,
                each.about,
                each.symbol,
                each.kind.replace("_", " "),
                each.subject,
                each.ours,
                each.theirs,
            )
            for each in found.differences
        ]
        out.print(table(f"Differences of {found.number}", columns, rows, keys=("symbol", "kind")))


def _as_dict(found: Reconciliation) -> dict[str, Any]:
    times = {
        "day": found.day.isoformat(),
        "compared_at": rfc3339(found.compared_at),
        "fills_until": None if found.fills_until is None else rfc3339(found.fills_until),
        "accepted_at": None if found.accepted_at is None else rfc3339(found.accepted_at),
    }
    row = {name: value for name, value in asdict(found).items() if name != "cash"}
    return {**row, **times, "differences": [asdict(each) for each in found.differences]}
