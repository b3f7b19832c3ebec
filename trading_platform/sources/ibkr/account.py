"""Balances, positions, open orders and today's executions of an account at Interactive Brokers; read only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

from trading_platform.domain.errors import ConfigurationError, MalformedPayload, SourceRejected
from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.money import round_amount, without_noise
from trading_platform.domain.texts import shown
from trading_platform.domain.time import Clock, Window, utc_now
from trading_platform.domain.trading.broker import BrokerBalance, BrokerFill, BrokerOrder, BrokerPosition, Settlement
from trading_platform.domain.trading.executions import execution_id
from trading_platform.sources.ibkr.client import IbkrClient
from trading_platform.sources.ibkr.contracts import spec_of, symbol_of
from trading_platform.sources.ibkr.parse import number

if TYPE_CHECKING:
    from ib_async import AccountValue, Fill, Position, Trade

BROKER = "ibkr"

_CASH, _TOTAL = "CashBalance", "BASE"
_ORIGINAL = 1
"""Number of the first report of an execution; higher ones correct it."""
_SIDES: dict[str, Literal["buy", "sell"]] = {"BOT": "buy", "SLD": "sell"}
_ACTIONS: dict[str, Literal["buy", "sell"]] = {"BUY": "buy", "SELL": "sell"}


class IbkrAccount:
    """Balances, positions and executions of one account; a ``BrokerAccount``.

    Args:
        client: client of Interactive Brokers.
        account: account id; None: the only one of the login.
        clock: the present.
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
            SourceError: if they are not available.
        """
        found = self._client.balances()
        return balances_of(found, self._only(value.account for value in found), self._clock())

    def cash(self) -> list[BrokerBalance]:
        """As :meth:`BrokerAccount.cash`: all balances are of money."""
        return self.balances()

    def settlement(self, instrument: Instrument) -> Settlement:
        """As :meth:`BrokerAccount.settlement`: a pair of currencies is a position, and moves both currencies.

        Raises:
            InvalidRequest: if the instrument's exchange is unknown.
        """
        spec = spec_of(instrument)
        base = spec.symbol if spec.security_type == "CASH" else None
        return Settlement(instrument.symbol, spec.currency, base)

    def open_orders(self) -> list[BrokerOrder]:
        """As :meth:`BrokerAccount.open_orders`, by Interactive Brokers' permanent ids.

        Raises:
            ConfigurationError: if the login has several accounts and none was named.
            SourceRejected: if the gateway is in its read-only mode.
            SourceError: if they are not available.
        """
        found = self._client.open_orders()
        return orders_of(found, self._only(trade.order.account for trade in found))

    def positions(self) -> list[BrokerPosition]:
        """The current positions, one per symbol, by symbol; none of quantity zero.

        Raises:
            ConfigurationError: if the login has several accounts and none was named.
            SourceError: if they are not available.
        """
        found = self._client.positions()
        return positions_of(found, self._only(position.account for position in found), self._clock())

    def today(self) -> date:
        """As :meth:`BrokerAccount.today`: in the gateway's zone."""
        return self._clock().astimezone(self._client.gateway.zone).date()

    def day(self, day: date, since: datetime | None) -> Window:
        """As :meth:`BrokerAccount.day`: a day in the gateway's zone; there are no fills of earlier ones."""
        del since
        start, end = (
            datetime(each.year, each.month, each.day, tzinfo=self._client.gateway.zone).astimezone(UTC)
            for each in (day, day + timedelta(days=1))
        )
        return Window(start, end)

    def fills(self, start: datetime, end: datetime) -> list[BrokerFill]:
        """The executions in ``[start, end)``, in order of time, with corrections applied.

        A correction that Interactive Brokers reports today of an execution of an earlier day is among them, whatever
        ``start`` is: no other request would return it. A cancelled execution has the quantity zero.

        Raises:
            ConfigurationError: if the login has several accounts and none was named.
            SourceRejected: if ``start`` is before the gateway's midnight: earlier executions are not available.
            SourceError: if they are not available.
        """
        zone = self._client.gateway.zone
        midnight = self._clock().astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
        if start < midnight:
            raise SourceRejected(
                "Interactive Brokers provides the executions of the current day only.",
                expected=f"a start from {midnight.astimezone(UTC).isoformat()} on",
                received=start.isoformat(),
                remedy="request each day after the close (IBKR_TIMEZONE sets the day); earlier ones are in statements",
            )
        found = self._client.executions()
        fills = fills_of(found, self._only(fill.execution.acctNumber for fill in found))
        return [fill for fill in fills if _since(fill, midnight, start) and fill.executed_at < end]

    def _only(self, accounts: Iterable[str]) -> str | None:
        if self._account is not None:
            return self._account
        several = sorted(set(accounts))
        if len(several) > 1:
            raise ConfigurationError(
                "The login has several accounts.",
                expected="the account that the platform trades",
                received=", ".join(several),
                remedy="set IBKR_ACCOUNT to it",
            )
        return several[0] if several else None


def balances_of(found: Iterable[AccountValue], account: str | None, as_of: datetime) -> list[BrokerBalance]:
    """The cash of an account, by currency, without the total in its base currency."""
    balances = [
        BrokerBalance(BROKER, value.account, value.currency, round_amount(Decimal(value.value)), as_of)
        for value in found
        if value.account == account and value.tag == _CASH and value.currency != _TOTAL
    ]
    return sorted((balance for balance in balances if balance.amount), key=lambda balance: balance.asset)


def orders_of(found: Iterable[Trade], account: str | None) -> list[BrokerOrder]:
    """The open orders of an account, by id.

    Raises:
        MalformedPayload: for an order without a side or quantity.
    """
    orders = [_order(trade) for trade in found if trade.order.account == account and not trade.isDone()]
    return sorted(orders, key=lambda order: order.order_id)


_WITH_LIMIT = frozenset({"LMT", "STP LMT"})
"""The types of orders whose limit price is the one of the order; of others it is an offset or nothing."""


def _order(trade: Trade) -> BrokerOrder:
    order = trade.order
    side, quantity, filled = _ACTIONS.get(order.action), number(order.totalQuantity), number(trade.orderStatus.filled)
    if side is None or quantity is None:
        raise MalformedPayload(
            "An order of Interactive Brokers cannot be read.",
            expected="action BUY or SELL and a quantity",
            received=shown(order),
            remedy="look at it in Trader Workstation",
        )
    has_limit = order.orderType in _WITH_LIMIT and order.lmtPrice is not None
    price = number(float(order.lmtPrice or 0)) if has_limit else None
    return BrokerOrder(
        broker=BROKER,
        account=order.account,
        order_id=str(order.permId),
        symbol=symbol_of(trade.contract),
        side=side,
        quantity=round_amount(quantity),
        filled=None if filled is None else round_amount(filled),
        price=None if price is None else without_noise(price),
    )


def positions_of(found: Iterable[Position], account: str | None, as_of: datetime) -> list[BrokerPosition]:
    """The positions of an account, without those of quantity zero."""
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
    """The executions of an account. Of the reports of an execution the one with the highest number counts.

    Raises:
        MalformedPayload: for an execution without a side, quantity or price.
    """
    executions: dict[str, dict[int, Fill]] = {}
    for fill in found:
        if fill.execution.acctNumber == account:
            name, version = _version(fill.execution.execId)
            executions.setdefault(name, {})[version] = fill
    fills = (_fill([reports[version] for version in sorted(reports)]) for reports in executions.values())
    return sorted(fills, key=lambda fill: (fill.executed_at, fill.execution_id))


def _version(report_id: str) -> tuple[str, int]:
    numbered = execution_id(report_id)
    return (numbered.execution, numbered.version) if numbered else (report_id, 0)


def _since(fill: BrokerFill, midnight: datetime, start: datetime) -> bool:
    """Whether a fill belongs to a request from ``start`` on; corrections of earlier days always do."""
    is_late_correction = fill.executed_at < midnight and _version(fill.execution_id)[1] > _ORIGINAL
    return fill.executed_at >= start or is_late_correction


def _fill(reports: Sequence[Fill]) -> BrokerFill:
    """The execution of some reports, the newest last."""
    fill = reports[-1]
    execution, report = fill.execution, fill.commissionReport
    side, quantity, price = _SIDES.get(execution.side), number(execution.shares), number(execution.price)
    if side is None or quantity is None or quantity < 0 or price is None:
        raise MalformedPayload(
            "An execution of Interactive Brokers cannot be read.",
            expected="side BOT or SLD, a number of shares and a price",
            received=shown(execution),
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
        price=without_noise(price),
        commission=None if commission is None else round_amount(commission),
        commission_currency=report.currency if commission is not None else None,
        executed_at=execution.time.astimezone(UTC),
        replaces=tuple(earlier.execution.execId for earlier in reports[:-1]),
    )


def _per_unit(position: Position) -> Decimal | None:
    """The average cost of a unit; for contracts with a multiplier the API reports it per contract."""
    cost = number(position.avgCost)
    if cost is None:
        return None
    multiplier = Decimal(position.contract.multiplier or "1")
    return round_amount(cost / multiplier if multiplier else cost)
