"""Books a fill in the ledger: the fill itself, its order and its position, in one transaction.

A correction replaces the fill that it corrects, and a cancelled execution (bust) does not count any more: order and
position are computed again from the fills that count. :mod:`trading_platform.stores.trading.ledger` opens the
transaction, locks the order, and records rejected fills.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.money import EXACT, fits_amount, round_amount
from trading_platform.domain.trading.executions import execution_id
from trading_platform.domain.trading.orders import Broker, Fill, Order, OrderStatus, check_step
from trading_platform.domain.trading.positions import Holding, Position, steps
from trading_platform.stores.postgres.database import execute
from trading_platform.stores.postgres.records import fetch
from trading_platform.stores.postgres.sql import query
from trading_platform.stores.trading.outbox import enqueue
from trading_platform.stores.trading.reports import (
    Report,
    insert_fill,
    insert_replaced,
    recorded_reports,
    replace_fills,
    version_of,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection


class FillRejected(InvalidRequest):
    """An invalid fill; it is recorded as an error in ``audit.system_events``."""


@dataclass(frozen=True)
class RecordedFill:
    """Outcome of recording a fill, a correction or a cancellation.

    Attributes:
        fill: the report as stored in the ledger; of quantity 0 if it cancels an execution.
        order: the order after it.
        position: the position after it.
        is_new: False if it had been recorded before.
        counts: False if it is kept without being counted: a later report replaced it, or its execution was cancelled.
        replaced: the fills that counted until now and that it replaced or cancelled.
        replaced_by: the broker's id of the later report that counts instead of it; None if there is none.
    """

    fill: Fill
    order: Order
    position: Position
    is_new: bool
    counts: bool = True
    replaced: tuple[Fill, ...] = ()
    replaced_by: str | None = None


@dataclass(frozen=True)
class FillReport:
    """A report of a fill, as it comes from the caller.

    Attributes:
        fill: its content; of quantity 0 if it cancels the execution.
        broker_fill_id: the broker's id of it.
        corrects: the broker's id of the fill that it corrects, where that does not follow from the ids.
        has_commission: whether the commission was reported; a correction without one keeps that of the fill it
            replaces.
    """

    fill: Fill
    broker_fill_id: str
    corrects: str | None = None
    has_commission: bool = True


def book(connection: Connection, order: Order, report: FillReport) -> RecordedFill:
    """Records a report of a fill of a locked order once, and updates order, position and outbox.

    Raises:
        FillRejected: if the report is invalid; the transaction must then not be committed.
    """
    reports = _reports_of(connection, order, report)
    version = version_of(order.broker, report.broker_fill_id)
    known = next((each for each in reports if each.fill.id == report.fill.id), None)
    newer = reports[-1] if reports and reports[-1].version > version else None
    replaced = [each for each in reports if each.counts and each.version < (newer.version if newer else version)]
    fill = _with_commission(report, known, replaced)
    if known is None:
        if not fill.quantity:
            _reject_no_bust(order, report)
        known_now = _store(connection, order, fill, report, replaced, newer)
        if known_now is not None:  # of another order, whose lock this one's does not exclude
            raise _other_content(known_now, fill)
    elif known.fill != fill:
        raise _other_content(known.fill, fill)
    counts = newer is None and (bool(fill.quantity) if known is None else known.counts)
    position = lock_position(connection, order.symbol)
    replace_fills(connection, replaced, newer.broker_fill_id if newer else report.broker_fill_id)
    recorded = RecordedFill(
        fill,
        order,
        position,
        is_new=known is None,
        counts=counts,
        replaced=_fills(replaced),
        replaced_by=newer.broker_fill_id if newer else known.replaced_by if known else None,
    )
    added = fill if counts and known is None else None
    return _updated(connection, recorded, added, report.broker_fill_id)


def cancel(connection: Connection, order: Order, broker_fill_id: str) -> RecordedFill:
    """Cancels an execution of a locked order (a bust): no report of it counts any more; repeating it is no error.

    Raises:
        FillRejected: if no fill with this id is recorded for the order, or another fill was recorded as its correction.
    """
    reports = recorded_reports(connection, order.broker, broker_fill_id)
    if not reports:
        raise FillRejected(
            "The execution that is to be cancelled is not in the ledger.",
            expected="the broker's id of a recorded fill",
            received=broker_fill_id,
            remedy="record the fill first, then its cancellation",
        )
    _reject_other_order(order, reports)
    counting = [report for report in reports if report.counts]
    position = lock_position(connection, order.symbol)
    if not counting:
        last = reports[-1]
        if last.replaced_by is not None:
            raise FillRejected(
                f"The fill {broker_fill_id} was replaced by {last.replaced_by}.",
                expected="the id of the fill that counts",
                received=broker_fill_id,
                remedy=f"cancel {last.replaced_by}",
            )
        return RecordedFill(last.fill, order, position, is_new=False, counts=False)
    replace_fills(connection, counting, None)
    last = counting[-1]
    recorded = RecordedFill(
        last.fill, order, position, is_new=True, counts=False, replaced=_fills(counting), replaced_by=None
    )
    return _updated(connection, recorded, None, broker_fill_id)


def lock_position(connection: Connection, symbol: str) -> Position:
    """The position in a symbol, locked; an empty one is inserted if there is none."""
    execute(connection, query("trading/ledger/make_position"), {"symbol": symbol})
    return fetch(connection, Position, query("trading/ledger/lock_position"), {"symbol": symbol})[0]


def save_position(connection: Connection, symbol: str, holding: Holding, price: Decimal | None) -> Position:
    """Saves a locked position, valued at a price; None where no fill is left and none was marked."""
    shown = {
        "symbol": symbol,
        "quantity": holding.quantity,
        "avg_entry_price": holding.avg_entry_price,
        "current_price": price,
        "unrealized_pnl": holding.unrealized_pnl(price) if price is not None else Decimal(0),
        "realized_pnl": round_amount(holding.realized_pnl),
        "opened_at": holding.opened_at,
    }
    return fetch(connection, Position, query("trading/ledger/save_position"), shown)[0]


def _reports_of(connection: Connection, order: Order, report: FillReport) -> list[Report]:
    reports = recorded_reports(connection, order.broker, report.broker_fill_id, report.corrects)
    _reject_other_order(order, reports)
    if report.corrects is None:
        return reports
    version = version_of(order.broker, report.broker_fill_id)
    corrected = next((each for each in reports if each.broker_fill_id == report.corrects), None)
    if corrected is None:
        raise FillRejected(
            "The fill that is corrected is not in the ledger.",
            expected="the broker's id of a recorded fill",
            received=report.corrects,
            remedy="record the fill first, then its correction",
        )
    if corrected.version >= version:
        raise FillRejected(
            "A fill cannot correct itself or a later report of the same execution.",
            expected="the id of an earlier report",
            received=report.corrects,
            remedy="name the fill that is corrected",
        )
    if not corrected.counts and corrected.version < 0 and corrected.replaced_by != report.broker_fill_id:
        raise FillRejected(
            f"The fill {report.corrects} does not count any more.",
            expected="a correction of a fill that counts",
            received=f"{report.corrects}, {_why_not(corrected)}",
            remedy="correct the fill that counts instead, or record a new one",
        )
    return reports


def _why_not(report: Report) -> str:
    return f"replaced by {report.replaced_by}" if report.replaced_by else "cancelled by the broker"


def _reject_other_order(order: Order, reports: Sequence[Report]) -> None:
    for report in reports:
        if report.fill.order_id != order.id:
            raise FillRejected(
                f"The execution is in the ledger with another order than {order.id}.",
                expected=f"order_id {report.fill.order_id}, as the report {report.broker_fill_id}",
                received=f"order_id {order.id}",
                remedy="find out which order it fills; all reports of an execution belong to one order",
            )


def _with_commission(report: FillReport, known: Report | None, replaced: Sequence[Report]) -> Fill:
    """The reported fill; without a reported commission, with that of the fill it repeats or corrects."""
    if report.has_commission or (known is None and (not replaced or not report.fill.quantity)):
        return report.fill
    return replace(report.fill, commission=(known or replaced[-1]).fill.commission)


def _store(
    connection: Connection,
    order: Order,
    fill: Fill,
    report: FillReport,
    replaced: Sequence[Report],
    newer: Report | None,
) -> Fill | None:
    """Inserts a report that is not known; returns the stored one if another transaction was faster."""
    if newer is None:
        _reject_impossible(order, fill, replaced)
    if fill.quantity and newer is None:
        inserted = insert_fill(connection, fill)
    else:
        replaced_by = newer.broker_fill_id if newer else None
        inserted = insert_replaced(connection, fill, report.broker_fill_id, replaced_by)
    if inserted:
        return None
    stored = recorded_reports(connection, order.broker, report.broker_fill_id)
    return next(each.fill for each in stored if each.fill.id == fill.id)


def _reject_impossible(order: Order, fill: Fill, replaced: Sequence[Report]) -> None:
    if order.status is OrderStatus.REJECTED:
        raise FillRejected(
            f"Order {order.id} was rejected and cannot be filled.",
            expected="no fill",
            received=f"{fill.quantity} at {fill.price}",
            remedy="find out from the broker which is true, and place the order that it filled",
        )
    possible = order.open_quantity
    for each in replaced:
        possible = EXACT.add(possible, each.fill.quantity)
    if fill.quantity > possible:
        raise FillRejected(
            f"Order {order.id} would be filled with more than was ordered.",
            expected=f"at most {possible} of {order.quantity}",
            received=str(fill.quantity),
            remedy="compare the order's fills with the broker's",
        )


def _reject_no_bust(order: Order, report: FillReport) -> None:
    if report.corrects is None and (order.broker is not Broker.IBKR or execution_id(report.broker_fill_id) is None):
        raise FillRejected(
            "A fill of the quantity 0 cancels an execution, and this one does not say which.",
            expected="an execution id of Interactive Brokers with the number of its report, or corrects",
            received=report.broker_fill_id,
            remedy="name the cancelled fill with corrects, or call record_bust with its id",
        )


def _other_content(stored: Fill, fill: Fill) -> FillRejected:
    pairs = zip(asdict(stored).items(), asdict(fill).values(), strict=True)
    differing = [(name, was, now) for (name, was), now in pairs if was != now]
    return FillRejected(
        "This fill is in the ledger with other content.",
        expected=", ".join(f"{name} {was}" for name, was, _ in differing),
        received=", ".join(f"{name} {now}" for name, _, now in differing),
        remedy="find out which is right; a correction of the broker has an id of its own and replaces the fill",
    )


def _fills(reports: Sequence[Report]) -> tuple[Fill, ...]:
    return tuple(report.fill for report in reports)


def _updated(connection: Connection, recorded: RecordedFill, added: Fill | None, broker_fill_id: str) -> RecordedFill:
    """The outcome with order and position after the change of the fills that count."""
    if added is None and not recorded.replaced:
        return recorded
    order = _fill_order(connection, recorded, added, broker_fill_id)
    position = _settle_position(connection, recorded.position, recorded.replaced, added)
    return replace(recorded, order=order, position=position)


def _fill_order(connection: Connection, recorded: RecordedFill, added: Fill | None, broker_fill_id: str) -> Order:
    order = recorded.order
    if order.status is OrderStatus.PENDING:  # a filled order was sent, whether or not that was recorded
        sent = {"id": order.id, "status": OrderStatus.SENT, "broker_order_id": order.broker_order_id}
        before, order = order, fetch(connection, Order, query("trading/ledger/advance_order"), sent)[0]
        enqueue(connection, order, before)
    totals = execute(connection, query("trading/ledger/order_totals"), {"order_id": order.id})
    quantity, worth, commission, last = totals[0]
    if not fits_amount(commission):
        raise FillRejected(f"The commission of order {order.id} is too large to store.", remedy="check the fill")
    after = order.filled_to(quantity, worth, commission, last)
    if after.status is not order.status:
        check_step(order.id, order.status, after.status, corrected=bool(recorded.replaced))
    filled = fetch(connection, Order, query("trading/ledger/fill_order"), asdict(after))[0]
    enqueue(connection, filled, order, added, broker_fill_id, recorded.replaced)
    return filled


def _settle_position(
    connection: Connection, position: Position, removed: Sequence[Fill], added: Fill | None
) -> Position:
    """Applies the change to a locked position, and reapplies the fills executed after it."""
    changed = [*removed, added] if added else [*removed]
    first = min(changed, key=lambda fill: fill.in_time)
    key = {"symbol": first.symbol, "executed_at": first.executed_at, "id": first.id}
    before = fetch(connection, Holding, query("trading/ledger/holding_before"), key)
    following = fetch(connection, Fill, query("trading/ledger/trades_from"), key)
    holding = before[0] if before else Holding()
    for each, after in steps(holding, following):
        holding = _fitting(after, each.price, first)
        step = {"symbol": each.symbol, "executed_at": each.executed_at, "trade_id": each.id, **asdict(holding)}
        execute(connection, query("trading/ledger/save_step"), step)
    price = _price(connection, position, removed, added)
    if price is not None:
        _fitting(holding, price, first)
    return save_position(connection, first.symbol, holding, price)


def _price(connection: Connection, position: Position, removed: Sequence[Fill], added: Fill | None) -> Decimal | None:
    """The price to value the position at: that of the newest fill, unless another was marked since."""
    key = {"symbol": position.symbol, "id": added.id if added else None}
    others = fetch(connection, Fill, query("trading/ledger/last_trade"), key)
    remaining = [*others, added] if added else others
    newest = max(remaining, key=lambda fill: fill.in_time) if remaining else None
    if position.current_price is None:
        return newest.price if newest else None
    if not removed:
        return newest.price if newest is added and newest else position.current_price
    was_newest = max([*others, *removed], key=lambda fill: fill.in_time)
    if position.current_price != was_newest.price:
        return position.current_price
    return newest.price if newest else None


def _fitting(holding: Holding, price: Decimal, fill: Fill) -> Holding:
    if not holding.fits(price):
        raise FillRejected(
            f"With this fill the position in {fill.symbol} would be too large to store.",
            expected="quantity and profit below 10,000,000,000",
            received=f"{fill.quantity} at {fill.price}",
            remedy="check the fill",
        )
    return holding
