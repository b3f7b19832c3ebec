"""What the account holds and what was done in it today, as Interactive Brokers tells it; nothing is ordered here."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

from trading_platform.domain.errors import ConfigurationError, MalformedPayload, SourceRejected
from trading_platform.domain.money import round_amount
from trading_platform.domain.time import Clock, utc_now
from trading_platform.domain.trading.broker import BrokerBalance, BrokerFill, BrokerPosition
from trading_platform.sources.ibkr.client import IbkrClient
from trading_platform.sources.ibkr.contracts import symbol_of
from trading_platform.sources.ibkr.parse import number

if TYPE_CHECKING:
    from ib_async import AccountValue, Fill, Position

BROKER = "ibkr"

_CASH, _TOTAL = "CashBalance", "BASE"
_SIDES: dict[str, Literal["buy", "sell"]] = {"BOT": "buy", "SLD": "sell"}


class IbkrAccount:
    """Balances, positions and executions of one account; a ``BrokerAccount``.

    Args:
        client: asks Interactive Brokers.
        account: which account; None: the only one of the login.
        clock: tells the time.
    """

    name = "ibkr"

    def __init__(self, client: IbkrClient, account: str | None = None, *, clock: Clock = utc_now) -> None:
        self._client = client
        self._account = account
        self._clock = clock

    def balances(self) -> list[BrokerBalance]:
        """The cash in each currency, by currency.

        Raises:
            ConfigurationError: if the login has several accounts and none was named.
            SourceError: if it cannot be had.
        """
        found = self._client.balances()
        return balances_of(found, self._only(value.account for value in found), self._clock())

    def positions(self) -> list[BrokerPosition]:
        """What is held now, one a symbol, by symbol; none of quantity zero.

        Raises:
            ConfigurationError: if the login has several accounts and none was named.
            SourceError: if it cannot be had.
        """
        found = self._client.positions()
        return positions_of(found, self._only(position.account for position in found), self._clock())

    def fills(self, start: datetime, end: datetime) -> list[BrokerFill]:
        """The executions in ``[start, end)``, in order of time, corrected ones as corrected.

        Raises:
            ConfigurationError: if the login has several accounts and none was named.
            SourceRejected: if ``start`` is before the gateway's midnight: earlier executions are not told any more.
            SourceError: if they cannot be had.
        """
        zone = self._client.gateway.zone
        midnight = self._clock().astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
        if start < midnight:
            raise SourceRejected(
                "Interactive Brokers tells the executions of the day only.",
                expected=f"a start from {midnight.astimezone(UTC).isoformat()} on",
                received=start.isoformat(),
                remedy="ask each day after the close (IBKR_TIMEZONE says whose day); earlier ones are in statements",
            )
        found = self._client.executions()
        fills = fills_of(found, self._only(fill.execution.acctNumber for fill in found))
        return [fill for fill in fills if start <= fill.executed_at < end]

    def _only(self, accounts: Iterable[str]) -> str | None:
        if self._account is not None:
            return self._account
        several = sorted(set(accounts))
        if len(several) > 1:
            raise ConfigurationError(
                "The login has several accounts.",
                expected="the one that the platform trades",
                received=", ".join(several),
                remedy="name it: IBKR_ACCOUNT",
            )
        return several[0] if several else None


def balances_of(found: Iterable[AccountValue], account: str | None, as_of: datetime) -> list[BrokerBalance]:
    """The cash of an account, by currency; the total in its base currency is none of its assets."""
    balances = [
        BrokerBalance(BROKER, value.account, value.currency, round_amount(Decimal(value.value)), as_of)
        for value in found
        if value.account == account and value.tag == _CASH and value.currency != _TOTAL
    ]
    return sorted((balance for balance in balances if balance.amount), key=lambda balance: balance.asset)


def positions_of(found: Iterable[Position], account: str | None, as_of: datetime) -> list[BrokerPosition]:
    """The positions of an account; what has no quantity is none."""
    positions = []
    for position in found:
        quantity = number(position.position)
        if position.account != account or not quantity:
            continue
        positions.append(
            BrokerPosition(
                BROKER,
                position.account,
                symbol_of(position.contract),
                round_amount(quantity),
                _per_unit(position),
                as_of,
            )
        )
    return sorted(positions, key=lambda position: position.symbol)


def fills_of(found: Iterable[Fill], account: str | None) -> list[BrokerFill]:
    """The executions of an account. Of an execution and its corrections the last counts.

    Raises:
        MalformedPayload: for an execution that says neither bought nor sold, or without quantity or price.
    """
    last: dict[str, Fill] = {}
    for fill in found:
        if fill.execution.acctNumber == account:
            number_, _, correction = fill.execution.execId.rpartition(".")
            known = last.get(number_)
            if known is None or known.execution.execId.rpartition(".")[2] <= correction:
                last[number_] = fill
    return sorted(map(_fill, last.values()), key=lambda fill: (fill.executed_at, fill.execution_id))


def _fill(fill: Fill) -> BrokerFill:
    execution, report = fill.execution, fill.commissionReport
    side, quantity, price = _SIDES.get(execution.side), number(execution.shares), number(execution.price)
    if side is None or not quantity or price is None:
        raise MalformedPayload(
            "An execution of Interactive Brokers cannot be read.",
            expected="side BOT or SLD, a number of shares and a price",
            received=repr(execution),
            remedy="compare it with the account's statement",
        )
    commission = number(report.commission) if report.execId else None
    return BrokerFill(
        broker=BROKER,
        account=execution.acctNumber,
        execution_id=execution.execId,
        order_id=str(execution.permId) if execution.permId else None,
        symbol=symbol_of(fill.contract),
        side=side,
        quantity=round_amount(quantity),
        price=round_amount(price),
        commission=None if commission is None else round_amount(commission),
        commission_currency=report.currency if commission is not None else None,
        executed_at=execution.time.astimezone(UTC),
    )


def _per_unit(position: Position) -> Decimal | None:
    """The average cost of a unit: of contracts with a multiplier it is told of a whole contract."""
    cost = number(position.avgCost)
    if cost is None:
        return None
    multiplier = Decimal(position.contract.multiplier or "1")
    return round_amount(cost / multiplier if multiplier else cost)
