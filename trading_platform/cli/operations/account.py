"""``account``: shows the brokers' accounts, read-only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from trading_platform.cli.output import as_rows, out, print_json, table
from trading_platform.domain.errors import ConfigurationError, InvalidRequest, SourceRejected
from trading_platform.domain.money import plain_text
from trading_platform.domain.time import parse_timestamp, shifted, utc_now

if TYPE_CHECKING:
    from datetime import datetime
    from decimal import Decimal

    from trading_platform.domain.trading.broker import BrokerBalance, BrokerFill, BrokerPosition
    from trading_platform.sources.base import BrokerAccount

_FILL_COLUMNS = ["executed_at", "symbol", "side", "quantity", "price", "commission", "execution_id"]


@dataclass(frozen=True)
class Statement:
    """The state of an account at its broker."""

    balances: list[BrokerBalance]
    positions: list[BrokerPosition]
    fills: list[BrokerFill]
    without_fills: str | None = None
    """Why the broker does not return the day's fills; None if it does."""


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(account)


def account(
    day: Annotated[str | None, typer.Option(help="Day of the fills, in UTC. Default: today.")] = None,
    broker: Annotated[str | None, typer.Option(help="Only this broker's account.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Show balances, positions and a day's fills at the configured brokers; changes nothing there.

    Example: [bold]trading-platform account --day 2026-11-25[/]
    """
    from trading_platform.resources.accounts import open_accounts
    from trading_platform.settings import load_settings

    timestamp = parse_timestamp(day) if day else utc_now()
    start = timestamp.replace(hour=0, minute=0, second=0, microsecond=0)
    with open_accounts(load_settings()) as accounts:
        statements = {name: _statement(each, start) for name, each in _chosen(accounts, broker).items()}
    if json:
        print_json({name: asdict(statement) for name, statement in statements.items()})
        return
    for name, statement in statements.items():
        _print(name, statement, start)


def _chosen(accounts: Mapping[str, BrokerAccount], broker: str | None) -> Mapping[str, BrokerAccount]:
    if not accounts:
        raise ConfigurationError(
            "No broker's account is configured.",
            expected="the key of an account, such as KRAKEN_API_KEY and KRAKEN_API_SECRET",
            received="none",
            remedy="create a read-only key at the broker, and set it in the environment or in .env",
        )
    if broker is None:
        return accounts
    if broker not in accounts:
        raise InvalidRequest(
            "No account of this broker is configured.",
            expected=f"one of {', '.join(accounts)}",
            received=broker,
            remedy="correct --broker, or configure the account",
        )
    return {broker: accounts[broker]}


def _statement(each: BrokerAccount, start: datetime) -> Statement:
    balances, positions = each.balances(), each.positions()
    try:
        return Statement(balances, positions, each.fills(start, shifted(start, timedelta(days=1))))
    except SourceRejected as rejection:
        return Statement(balances, positions, [], without_fills=str(rejection))


def _print(name: str, statement: Statement, start: datetime) -> None:
    rows = [[each.asset, _text(each.amount)] for each in statement.balances if each.amount]
    out.print(table(f"{name}: balances", ["asset", "amount"], rows, right=["amount"]))
    rows = [[each.symbol, _text(each.quantity), _text(each.average_price)] for each in statement.positions]
    columns = ["symbol", "quantity", "average price"]
    out.print(table(f"{name}: positions", columns, rows, right=columns[1:]))
    fills = [
        {
            **asdict(fill),
            "executed_at": _time(fill.executed_at, start),
            "quantity": _text(fill.quantity),
            "price": _text(fill.price),
            "commission": f"{_text(fill.commission)} {fill.commission_currency or ''}".strip(),
            "replaces": ", ".join(fill.replaces),
        }
        for fill in statement.fills
    ]
    if statement.without_fills is not None:
        out.print(f"{name}: no fills of {start:%Y-%m-%d} (UTC). {statement.without_fills}")
        return
    title = f"{name}: fills of {start:%Y-%m-%d} (UTC)"
    corrected = ["replaces"] if any(fill.replaces for fill in statement.fills) else []
    columns = [*_FILL_COLUMNS, *corrected]
    out.print(table(title, columns, as_rows(fills, columns), right=["quantity", "price", "commission"]))


def _time(executed_at: datetime, start: datetime) -> str:
    """The time of day; with its date if it is of another day, as that of a late correction."""
    is_of_the_day = executed_at.date() == start.date()
    return f"{executed_at:%H:%M:%S.%f}" if is_of_the_day else f"{executed_at:%Y-%m-%d %H:%M:%S.%f}"


def _text(number: Decimal | None) -> str:
    return "" if number is None else plain_text(number)
