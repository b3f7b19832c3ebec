"""Books a fill in the ledger: the fill itself, its order and its position, in one transaction.

:mod:`trading_platform.stores.trading.ledger` opens the transaction, locks the order, and records rejected fills.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.money import fits_amount, round_amount
from trading_platform.domain.trading.orders import Fill, Order, OrderStatus, check_step
from trading_platform.domain.trading.positions import Holding, Position, steps
from trading_platform.stores.postgres.database import execute
from trading_platform.stores.postgres.records import fetch
from trading_platform.stores.postgres.sql import query
from trading_platform.stores.trading.outbox import enqueue

if TYPE_CHECKING:
    from sqlalchemy import Connection


class FillRejected(InvalidRequest):
    """An invalid fill; it is recorded as an error in ``audit.system_events``."""


@dataclass(frozen=True)
class RecordedFill:
    """Outcome of recording a fill.

    Attributes:
        fill: the fill as stored in the ledger.
        order: the order after the fill.
        position: the position after the fill.
        is_new: False if the fill had been recorded before, so that nothing changed.
    """

    fill: Fill
    order: Order
    position: Position
    is_new: bool


def book(connection: Connection, order: Order, fill: Fill, broker_fill_id: str) -> RecordedFill:
    """Records a fill of a locked order once, and updates order, position and outbox.

    Raises:
        FillRejected: if the fill is invalid; the transaction must then not be committed.
    """
    stored = fetch(connection, Fill, query("trading/ledger/trade"), {"id": fill.id})
    if not stored:
        _reject_impossible(order, fill)
        # Another transaction may be inserting it under another order, which this order's lock does not exclude.
        if not execute(connection, query("trading/ledger/insert_trade"), asdict(fill)):
            stored = fetch(connection, Fill, query("trading/ledger/trade"), {"id": fill.id})
    if stored:
        return _recorded_before(connection, order, stored[0], fill)
    filled = _fill_order(connection, order, fill, broker_fill_id)
    return RecordedFill(fill, filled, _fill_position(connection, fill), is_new=True)


def save_position(connection: Connection, symbol: str, holding: Holding, price: Decimal) -> Position:
    """Saves a locked position, valued at a price."""
    shown = {
        "symbol": symbol,
        "quantity": holding.quantity,
        "avg_entry_price": holding.avg_entry_price,
        "current_price": price,
        "unrealized_pnl": holding.unrealized_pnl(price),
        "realized_pnl": round_amount(holding.realized_pnl),
        "opened_at": holding.opened_at,
    }
    return fetch(connection, Position, query("trading/ledger/save_position"), shown)[0]


def _reject_impossible(order: Order, fill: Fill) -> None:
    if order.status is OrderStatus.REJECTED:
        raise FillRejected(
            f"Order {order.id} was rejected and cannot be filled.",
            expected="no fill",
            received=f"{fill.quantity} at {fill.price}",
            remedy="find out from the broker which is true, and place the order that it filled",
        )
    if fill.quantity > order.open_quantity:
        raise FillRejected(
            f"Order {order.id} would be filled with more than was ordered.",
            expected=f"at most {order.open_quantity} of {order.quantity}",
            received=str(fill.quantity),
            remedy="compare the order's fills with the broker's",
        )


def _recorded_before(connection: Connection, order: Order, stored: Fill, fill: Fill) -> RecordedFill:
    if stored != fill:
        pairs = zip(asdict(stored).items(), asdict(fill).values(), strict=True)
        differing = [(name, was, now) for (name, was), now in pairs if was != now]
        raise FillRejected(
            "This fill is in the ledger with other content.",
            expected=", ".join(f"{name} {was}" for name, was, _ in differing),
            received=", ".join(f"{name} {now}" for name, _, now in differing),
            remedy="find out which is right; a recorded fill is never changed",
        )
    conditions = {"symbol": stored.symbol, "open_only": False}
    found = fetch(connection, Position, query("trading/ledger/positions"), conditions)
    return RecordedFill(stored, order, found[0], is_new=False)


def _fill_order(connection: Connection, order: Order, fill: Fill, broker_fill_id: str) -> Order:
    if order.status is OrderStatus.PENDING:  # a filled order was sent, whether or not that was recorded
        sent = {"id": order.id, "status": OrderStatus.SENT, "broker_order_id": order.broker_order_id}
        before, order = order, fetch(connection, Order, query("trading/ledger/advance_order"), sent)[0]
        enqueue(connection, order, before)
    quantity, worth, commission, last = execute(
        connection, query("trading/ledger/order_totals"), {"order_id": order.id}
    )[0]
    if not fits_amount(commission):
        raise FillRejected(f"The commission of order {order.id} is too large to store.", remedy="check the fill")
    after = order.filled_to(quantity, worth, commission, last)
    if after.status is not order.status:
        check_step(order.id, order.status, after.status)
    filled = fetch(connection, Order, query("trading/ledger/fill_order"), asdict(after))[0]
    enqueue(connection, filled, order, fill, broker_fill_id)
    return filled


def _fill_position(connection: Connection, fill: Fill) -> Position:
    """Applies a fill to its position, and reapplies the fills executed after it."""
    key = {"symbol": fill.symbol, "executed_at": fill.executed_at, "id": fill.id}
    execute(connection, query("trading/ledger/make_position"), key)
    position = fetch(connection, Position, query("trading/ledger/lock_position"), key)[0]
    before = fetch(connection, Holding, query("trading/ledger/holding_before"), key)
    following = fetch(connection, Fill, query("trading/ledger/trades_from"), key)
    holding = before[0] if before else Holding()
    for each, after in steps(holding, following):
        holding = _fitting(after, each.price, fill)
        step = {"symbol": each.symbol, "executed_at": each.executed_at, "trade_id": each.id, **asdict(holding)}
        execute(connection, query("trading/ledger/save_step"), step)
    is_newest = following[-1].id == fill.id
    price = fill.price if is_newest or position.current_price is None else position.current_price
    return save_position(connection, fill.symbol, _fitting(holding, price, fill), price)


def _fitting(holding: Holding, price: Decimal, fill: Fill) -> Holding:
    if not holding.fits(price):
        raise FillRejected(
            f"With this fill the position in {fill.symbol} would be too large to store.",
            expected="quantity and profit below 10,000,000,000",
            received=f"{fill.quantity} at {fill.price}",
            remedy="check the fill",
        )
    return holding
