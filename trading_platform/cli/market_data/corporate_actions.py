"""``corporate-actions``: imports, fetches, lists and removes splits and dividends.

docs/corporate-actions.md explains their effect on prices.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trading_platform.cli.output import out, print_json, progress_bars, table
from trading_platform.cli.parameters import in_capitals
from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.texts import shown
from trading_platform.domain.time import parse_timestamp, utc_now
from trading_platform.stores.postgres.roles import Role

if TYPE_CHECKING:
    from trading_platform.domain.market.corporate_actions import CorporateAction

actions = typer.Typer(help="Splits and dividends; bars are adjusted by them when they are read.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(actions, name="corporate-actions")
    app.add_typer(actions, name="actions", hidden=True)  # the former name; removed with version 0.2


@actions.command("import")
def import_actions(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="LEAN factor files, tables symbol,ex_date,kind,ratio,amount, or yfinance's Date,Dividends,Stock "
            "Splits."
        ),
    ],
    symbol: Annotated[
        str | None, typer.Option("--symbol", "-s", callback=in_capitals, help="Symbol, if a file does not have it.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Import splits and dividends; rejected rows are quarantined with their reason.

    Ends with exit code 1 if a file had rejected rows and no usable one.

    Example: trading-platform corporate-actions import aapl_factor_file.csv --symbol AAPL
    """
    from trading_platform.resources.platform import open_platform
    from trading_platform.settings import load_settings
    from trading_platform.sources.files.content.contents import check_exists
    from trading_platform.workflows.corporate_actions.import_actions import import_actions as run

    for file in files:
        check_exists(file.expanduser())
    with open_platform(load_settings()) as platform:
        done = run(platform.stores, files, symbol, clock=utc_now)
    if json:
        print_json([asdict(file) for file in done])
    else:
        columns = ("file", "format", "rows", "splits", "dividends", "changed", "rejected")
        rows = [
            (Path(one.origin).name, one.format, one.rows, one.splits, one.dividends, one.changed, one.quarantined)
            for one in done
        ]
        out.print(table("Corporate actions", columns, rows, right=columns[2:]))
        for one in done:
            if one.detail:
                out.print(f"{Path(one.origin).name}: {one.detail}", highlight=False)
        if any(one.splits and one.changed for one in done):
            out.print("Next: trading-platform backfill recomputes the indicators and features that a split affects.")
    if any(one.quarantined and not one.splits + one.dividends for one in done):
        raise typer.Exit(1)


@actions.command()
def fetch(
    symbols: Annotated[
        list[str] | None, typer.Argument(callback=in_capitals, help="Symbols. Default: all with a source of actions.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Fetch splits and dividends from Yahoo: for symbols with bars from Yahoo, or for all with YAHOO_ACTIONS=true.

    Ends with exit code 1 if a symbol could not be fetched.

    Example: trading-platform corporate-actions fetch AAPL
    """
    from trading_platform.resources.platform import open_platform
    from trading_platform.settings import load_settings
    from trading_platform.workflows.corporate_actions.fetch_actions import fetch_actions, with_actions

    with open_platform(load_settings()) as platform, progress_bars(quiet=json) as progress:
        universe = platform.stores.instruments.require(symbols) if symbols else platform.stores.instruments.all()
        instruments = with_actions(universe, platform.action_sources)
        done = fetch_actions(platform.stores, platform.action_sources, instruments, clock=utc_now, progress=progress)
    if json:
        print_json([{**asdict(one), "error": one.error.as_dict() if one.error else None} for one in done])
    elif done:
        columns = ("symbol", "splits", "dividends", "changed", "kept as imported", "error")
        rows = [
            (one.symbol, one.splits, one.dividends, one.changed, one.differing, one.error and one.error.message)
            for one in done
        ]
        out.print(table("Corporate actions", columns, rows, right=columns[1:5]))
    else:
        out.print("No source has these. YAHOO_ACTIONS=true fetches splits and dividends of all shares and funds.")
    if any(one.error for one in done):
        raise typer.Exit(1)


@actions.command("list")
def list_actions(
    symbols: Annotated[list[str] | None, typer.Argument(callback=in_capitals, help="Symbols. Default: all.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Show splits and dividends. Example: trading-platform corporate-actions list AAPL."""
    from trading_platform.resources.platform import open_platform
    from trading_platform.settings import load_settings

    with open_platform(load_settings(), role=Role.DASHBOARD) as platform:
        found = platform.stores.corporate_actions.read(symbols or None)
    if json:
        print_json([_as_dict(action) for action in found])
    elif found:
        columns = ("symbol", "ex-date", "kind", "terms", "source", "known at")
        rows = [
            (
                action.symbol,
                f"{action.ex_date:%Y-%m-%d}",
                action.kind.value,
                action.terms,
                action.source,
                f"{action.known_at:%Y-%m-%d %H:%M}",
            )
            for action in found
        ]
        out.print(table("Corporate actions", columns, rows))
    else:
        out.print("None are stored. `trading-platform corporate-actions import FILE` imports some.")


@actions.command()
def remove(
    symbol: Annotated[str, typer.Argument(callback=in_capitals, help="Symbol of the action.")],
    ex_date: Annotated[str, typer.Argument(help="Its ex-date, YYYY-MM-DD.")],
    kind: Annotated[str, typer.Argument(help="split or dividend.")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Remove a wrong action. Example: trading-platform corporate-actions remove AAPL 2014-06-09 split."""
    from trading_platform.domain.market.corporate_actions import ActionKind
    from trading_platform.resources.platform import open_platform
    from trading_platform.settings import load_settings

    if kind not in set(ActionKind):
        raise InvalidRequest(
            f"There is no kind {kind!r} of corporate action.",
            expected=" or ".join(ActionKind),
            received=shown(kind),
            remedy="choose one of these",
        )
    date = parse_timestamp(ex_date)
    with open_platform(load_settings()) as platform:
        removed = platform.stores.corporate_actions.remove(symbol.upper(), date, ActionKind(kind))
    if not removed:
        raise InvalidRequest(
            f"{symbol.upper()} has no {kind} on {date:%Y-%m-%d}.",
            expected="an action that is stored",
            received=f"{symbol.upper()} {date:%Y-%m-%d} {kind}",
            remedy=f"`trading-platform corporate-actions list {symbol.upper()}` shows them",
        )
    if json:
        print_json({"removed": [symbol.upper(), f"{date:%Y-%m-%d}", kind]})
    else:
        out.print(f"Removed the {kind} of {symbol.upper()} on {date:%Y-%m-%d}.")


def _as_dict(action: CorporateAction) -> dict[str, object]:
    return {**asdict(action), "kind": action.kind.value, "ratio": action.terms if action.ratio else None}
