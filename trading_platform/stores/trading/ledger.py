"""Orders, fills and positions: the ledger.

Each change of an order writes a message to the outbox in the same transaction
(:mod:`trading_platform.workflows.trading.publish_outbox` publishes it afterwards). Rows are always locked in the same
sequence, order, fill, position, each at most once, so that transactions cannot deadlock. The effect of a fill on a
position is defined in :mod:`trading_platform.domain.trading.positions`.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.money import amount
from trading_platform.domain.texts import shown
from trading_platform.domain.trading.orders import (
    BY_FILLS,
    Fill,
    Order,
    OrderStatus,
    ReplacedFill,
    check_step,
    fill_uuid,
)
from trading_platform.domain.trading.positions import Holding, Position
from trading_platform.stores.audit.journal import AuditStore
from trading_platform.stores.postgres.database import Database
from trading_platform.stores.postgres.records import (
    checked_count,
    checked_id,
    checked_text,
    checked_time,
    choice,
    fetch,
    fetch_readable,
    not_in_future,
)
from trading_platform.stores.postgres.sql import query
from trading_platform.stores.trading.broker_ids import fill_name, one_order, order_name
from trading_platform.stores.trading.fills import (
    FillRejected,
    FillReport,
    RecordedFill,
    book,
    cancel,
    save_position,
)
from trading_platform.stores.trading.ledger_events import log_recorded, log_rejected
from trading_platform.stores.trading.order_checks import OrderPlan, checked_terms, plan, within_limits
from trading_platform.stores.trading.outbox import enqueue
from trading_platform.stores.trading.pauses import refused_while_paused

if TYPE_CHECKING:
    from sqlalchemy import Connection


class Ledger:
    """The tables ``trading.orders``, ``trades``, ``positions`` and those that depend on them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._audit = AuditStore(database)

    def place(
        self,
        *,
        symbol: str,
        side: str,
        order_type: str,
        quantity: Decimal | int | str,
        broker: str,
        price: Decimal | int | str | None = None,
        stop_price: Decimal | int | str | None = None,
        strategy_id: str | None = None,
        order_id: UUID | str | None = None,
    ) -> Order:
        """Records a new order, as pending.

        Args:
            symbol: instrument.
            side: ``buy`` or ``sell``.
            order_type: ``market``, ``limit`` or ``stop_limit``.
            quantity: quantity to trade.
            broker: ``ibkr`` or ``kraken``.
            price: limit price; None for a market order.
            stop_price: price at which a stop-limit order becomes active; None for other orders.
            strategy_id: the strategy that places it; None for a manual order.
            order_id: makes the call idempotent: placing the same order twice records it once.

        Raises:
            InvalidRequest: if the order is invalid, its strategy is unknown, a lot size, tick size or risk limit is
                against it, the id belongs to another order, or trading is paused
                (:mod:`trading_platform.stores.trading.pauses`).
        """
        from psycopg.errors import ForeignKeyViolation

        ordered = checked_terms(
            symbol=symbol,
            side=side,
            order_type=order_type,
            quantity=quantity,
            broker=broker,
            price=price,
            stop_price=stop_price,
            strategy_id=strategy_id,
            order_id=order_id,
        )
        with self._database.begin() as connection:
            try:
                with refused_while_paused(), within_limits():
                    placed = fetch(connection, Order, query("trading/ledger/insert_order"), ordered)
            except ForeignKeyViolation:
                raise _no_strategy(strategy_id) from None
            if placed:
                enqueue(connection, placed[0], None)
                return placed[0]
            stored = fetch(connection, Order, query("trading/ledger/order"), {"id": ordered["id"]})[0]
        return _same_order(stored, ordered)

    def plan(self, terms: dict[str, object]) -> OrderPlan:
        """What stands against an order with these terms (:func:`.order_checks.checked_terms`); writes nothing."""
        return plan(self._database, terms)

    def advance(self, order_id: UUID | str, status: str, broker_order_id: str | None = None) -> Order:
        """Changes the status of an order to ``sent``, ``cancelled`` or ``rejected``; repeating it is no error.

        Args:
            order_id: id of the order.
            status: the new status.
            broker_order_id: the broker's id of the order, once known.

        Raises:
            InvalidRequest: for an unknown order, an invalid transition, and a status that only a fill can cause.
        """
        wanted = choice(OrderStatus, status, "status")
        if wanted in BY_FILLS:
            raise InvalidRequest(
                f"An order becomes {wanted} by its fills alone.",
                expected="sent, cancelled or rejected",
                received=wanted.value,
                remedy="record the fill",
            )
        order_id = checked_id(order_id, "order's id")
        broker_order_id = order_name(broker_order_id)
        with self._database.begin() as connection:
            order = _locked(connection, order_id)
            adds_name = order.broker_order_id is None and broker_order_id is not None
            if order.status is wanted and not adds_name and broker_order_id in (None, order.broker_order_id):
                return order
            if order.status is not wanted or not adds_name:  # adding the broker's id alone is no transition
                check_step(order_id, order.status, wanted)
            with one_order(InvalidRequest, broker_order_id):
                return _move(connection, order, wanted, broker_order_id)

    def cancel(self, order_id: UUID | str) -> Order:
        """Changes the status of an order to ``cancelled``; fills that the broker reports later are still booked."""
        return self.advance(order_id, OrderStatus.CANCELLED)

    def record_fill(
        self,
        order_id: UUID | str,
        broker_fill_id: str,
        *,
        quantity: Decimal | int | str,
        price: Decimal | int | str,
        executed_at: datetime,
        commission: Decimal | int | str | None = None,
        broker_order_id: str | None = None,
        corrects: str | None = None,
    ) -> RecordedFill:
        """Records a fill exactly once, however often it is reported, and updates order and position.

        A pending order is marked as sent first; a cancelled order stays cancelled, and a warning is logged. Fills
        may be reported in any order of time.

        A correction replaces the fill that it corrects, in any order of arrival; Interactive Brokers numbers the
        reports of an execution (:mod:`trading_platform.domain.trading.executions`). A correction with the quantity 0
        cancels the execution (a bust). What is replaced is kept in ``trading.replaced_trades``.

        Args:
            order_id: id of the order it fills.
            broker_fill_id: the broker's id of the fill (IBKR's execution id, Kraken's trade id).
            quantity: executed quantity; 0 if it cancels an execution.
            price: price of the execution.
            executed_at: time of the execution, timezone-aware.
            commission: commission of the broker, in the currency of the price; negative is a rebate. None: not
                reported; it is that of the replaced fill, else 0.
            broker_order_id: the broker's id of the order, if the report has it; stored if not known yet.
            corrects: the broker's id of the fill that it replaces, if that does not follow from the ids.

        Raises:
            FillRejected: for an unknown or rejected order, more than was ordered, another broker's id of the order,
                the same fill with other content, an execution of another order, a correction of an unknown fill, a
                time in the future, or a position too large to store; the fill is then recorded in
                ``audit.system_events``.
            InvalidRequest: if a value is invalid.
        """
        size = _not_negative(quantity, "quantity")
        paid = amount(price, "price", positive=True) if size else _not_negative(price, "price")
        fee = amount(0 if commission is None else commission, "commission")
        timestamp = checked_time(executed_at, "time of execution")
        order_id = checked_id(order_id, "order's id")
        broker_order_id = order_name(broker_order_id)
        checked_text(broker_fill_id, "broker's fill id")
        if corrects is not None:
            checked_text(corrects, "id of the corrected fill")
        reported: dict[str, object] = {"quantity": size, "price": paid, "commission": fee, "executed_at": timestamp}
        reported |= {"corrects": corrects} if corrects is not None else {}
        try:
            with self._database.begin() as connection:
                order = _to_fill(connection, order_id, broker_order_id)
                broker_fill_id = fill_name(connection, order.broker, broker_fill_id)
                corrects = None if corrects is None else fill_name(connection, order.broker, corrects)
                fill = Fill(
                    id=fill_uuid(order.broker, broker_fill_id),
                    order_id=order.id,
                    symbol=order.symbol,
                    side=order.side,
                    broker=order.broker,
                    quantity=size,
                    price=paid,
                    commission=fee,
                    executed_at=timestamp,
                )
                report = FillReport(fill, broker_fill_id, corrects, has_commission=commission is not None)
                with one_order(FillRejected, broker_order_id), not_in_future(FillRejected, timestamp):
                    recorded = book(connection, order, report)
                log_recorded(self._audit, connection, order, recorded, broker_fill_id)
                return recorded
        except FillRejected as rejection:
            log_rejected(self._audit, rejection, {"order_id": order_id, "broker_fill_id": broker_fill_id, **reported})
            raise

    def record_bust(self, order_id: UUID | str, broker_fill_id: str) -> RecordedFill:
        """Records that the broker cancelled an execution: no report of it counts any more; repeating it is no error.

        For a notice without a report of its own; a report of the quantity 0 is recorded with :meth:`record_fill`.

        Args:
            order_id: id of the order of the execution.
            broker_fill_id: the broker's id of a recorded fill of the execution.

        Raises:
            FillRejected: for an unknown order or fill; the attempt is recorded in ``audit.system_events``.
        """
        checked_text(broker_fill_id, "broker's fill id")
        order_id = checked_id(order_id, "order's id")
        try:
            with self._database.begin() as connection:
                order = _to_fill(connection, order_id, None)
                broker_fill_id = fill_name(connection, order.broker, broker_fill_id)
                recorded = cancel(connection, order, broker_fill_id)
                log_recorded(self._audit, connection, order, recorded, broker_fill_id)
                return recorded
        except FillRejected as rejection:
            log_rejected(
                self._audit, rejection, {"order_id": order_id, "broker_fill_id": broker_fill_id, "cancels": True}
            )
            raise

    def mark(self, symbol: str, price: Decimal | int | str) -> Position | None:
        """Marks the position in a symbol to the last price; returns it, or None if there never was one.

        Raises:
            InvalidRequest: for an invalid price, or one so high that the profit cannot be stored.
        """
        last = amount(price, "price", positive=True)
        with self._database.begin() as connection:
            if not fetch(connection, Position, query("trading/ledger/lock_position"), {"symbol": symbol}):
                return None
            found = fetch(connection, Holding, query("trading/ledger/last_holding"), {"symbol": symbol})
            holding = found[0] if found else Holding()
            if not holding.fits(last):
                raise InvalidRequest(
                    f"The position in {symbol} is too large for the price {last}.", remedy="check the price"
                )
            return save_position(connection, symbol, holding, last)

    def get(self, order_id: UUID | str) -> Order | None:
        """The order with that id, if there is one."""
        wanted = {"id": checked_id(order_id, "order's id")}
        with self._database.begin() as connection:
            found = fetch(connection, Order, query("trading/ledger/order"), wanted)
        return found[0] if found else None

    def orders(
        self,
        *,
        symbol: str | None = None,
        status: str | None = None,
        strategy_id: str | None = None,
        limit: int = 1000,
    ) -> list[Order]:
        """Orders, newest first."""
        state = choice(OrderStatus, status, "status").value if status else None
        most = checked_count(limit, "limit")
        conditions = {"symbol": symbol, "status": state, "strategy_id": strategy_id, "limit": most}
        with self._database.begin() as connection:
            return fetch_readable(connection, Order, query("trading/ledger/orders"), conditions)

    def fills(self, *, order_id: UUID | str | None = None, symbol: str | None = None) -> list[Fill]:
        """Fills of an order or symbol that count, in order of execution."""
        with self._database.begin() as connection:
            return fetch_readable(connection, Fill, query("trading/ledger/trades"), _fills_of(order_id, symbol))

    def replaced_fills(self, *, order_id: UUID | str | None = None, symbol: str | None = None) -> list[ReplacedFill]:
        """Reports of an order or symbol that do not count: corrected or cancelled, in order of execution."""
        with self._database.begin() as connection:
            return fetch_readable(
                connection, ReplacedFill, query("trading/ledger/replaced_trades"), _fills_of(order_id, symbol)
            )

    def positions(self, symbol: str | None = None, *, open_only: bool = False) -> dict[str, Position]:
        """Positions by symbol; closed ones too, for their realized profit, unless ``open_only``."""
        conditions = {"symbol": symbol, "open_only": open_only}
        with self._database.begin() as connection:
            found = fetch_readable(connection, Position, query("trading/ledger/positions"), conditions)
        return {position.symbol: position for position in found}


def _to_fill(connection: Connection, order_id: UUID, broker_order_id: str | None) -> Order:
    """The order, locked, with the broker's id of it if the fill is the first to report that."""
    found = fetch(connection, Order, query("trading/ledger/lock_order"), {"id": order_id})
    if not found:
        raise FillRejected(
            f"There is no order {order_id} to fill.", remedy="place the order, then record the fill again"
        )
    order = found[0]
    if broker_order_id is not None and order.broker_order_id not in (None, broker_order_id):
        raise FillRejected(
            f"The fill belongs to another order than {order_id}, by the broker's id of the order.",
            expected=order.broker_order_id,
            received=broker_order_id,
            remedy="record the fill for the order with this broker's id",
        )
    return replace(order, broker_order_id=order.broker_order_id or broker_order_id)


def _fills_of(order_id: UUID | str | None, symbol: str | None) -> dict[str, object]:
    return {"order_id": None if order_id is None else checked_id(order_id, "order's id"), "symbol": symbol}


def _not_negative(value: Decimal | int | str, name: str) -> Decimal:
    return amount(value, name, positive=bool(amount(value, name)))


def _locked(connection: Connection, order_id: UUID) -> Order:
    found = fetch(connection, Order, query("trading/ledger/lock_order"), {"id": order_id})
    if not found:
        raise InvalidRequest(f"There is no order {order_id}.", remedy="place it first, or check the id")
    return found[0]


def _move(connection: Connection, order: Order, status: OrderStatus, broker_order_id: str | None) -> Order:
    moved = {"id": order.id, "status": status, "broker_order_id": broker_order_id}
    after = fetch(connection, Order, query("trading/ledger/advance_order"), moved)[0]
    enqueue(connection, after, order)
    return after


def _same_order(stored: Order, ordered: dict[str, object]) -> Order:
    differing = [name for name, value in ordered.items() if getattr(stored, name) != value]
    if differing:
        raise InvalidRequest(
            f"There is another order {stored.id} already.",
            expected=", ".join(f"{name} {getattr(stored, name)}" for name in differing),
            received=", ".join(f"{name} {ordered[name]}" for name in differing),
            remedy="give a new order an id of its own",
        )
    return stored


def _no_strategy(strategy_id: str | None) -> InvalidRequest:
    return InvalidRequest(
        f"There is no strategy {strategy_id!r}.",
        expected="one of config.strategies, or None for a manual order",
        received=shown(strategy_id),
        remedy="save the strategy first",
    )
