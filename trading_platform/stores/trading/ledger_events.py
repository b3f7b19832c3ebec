"""The system events of the ledger: fills that were rejected, replaced or cancelled, and fills of cancelled orders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

from trading_platform.domain.severity import Severity
from trading_platform.domain.trading.orders import Order, OrderStatus
from trading_platform.stores.audit.journal import AuditStore
from trading_platform.stores.trading.fills import FillRejected, RecordedFill

if TYPE_CHECKING:
    from sqlalchemy import Connection

_COMPONENT = "ledger"


def log_recorded(
    audit: AuditStore, connection: Connection, before: Order, recorded: RecordedFill, broker_fill_id: str
) -> None:
    """Logs what a person should know of a recorded report, in its transaction; most reports have nothing.

    Args:
        audit: the store of the events.
        connection: connection in the transaction.
        before: the order before the report.
        recorded: the outcome.
        broker_fill_id: the broker's id of the report.
    """
    event = _event_of(before, recorded, broker_fill_id)
    if event is None:
        return
    event_type, message = event
    audit.add_event(
        connection,
        event_type=event_type,
        severity=Severity.WARNING,
        component=_COMPONENT,
        message=message,
        metadata={
            "broker_fill_id": broker_fill_id,
            "fill": asdict(recorded.fill),
            "replaced": [asdict(fill) for fill in recorded.replaced],
            "replaced_by": recorded.replaced_by,
            "status": {"before": before.status.value, "after": recorded.order.status.value},
        },
    )


def log_rejected(audit: AuditStore, rejection: FillRejected, reported: Mapping[str, object]) -> None:
    """Logs a rejected report with its content, in a transaction of its own."""
    audit.log(
        event_type="fill_rejected",
        severity=Severity.ERROR,
        component=_COMPONENT,
        message=str(rejection),
        metadata={"fill": dict(reported), "rejection": rejection.as_dict()},
    )


def _event_of(before: Order, recorded: RecordedFill, broker_fill_id: str) -> tuple[str, str] | None:
    """Kind and message of the event of a report; None if there is nothing to say."""
    order = recorded.order
    if recorded.replaced:
        return _replacement(recorded, broker_fill_id)
    if recorded.is_new and not recorded.counts:
        return "fill_replaced", f"The report {broker_fill_id} is kept and does not count. {_reason(recorded)}"
    if recorded.is_new and before.status is OrderStatus.CANCELLED:
        return "fill_after_cancel", f"Order {order.id} was filled although it is cancelled; the fill is booked."
    return None


def _replacement(recorded: RecordedFill, broker_fill_id: str) -> tuple[str, str]:
    order = recorded.order
    was = ", ".join(f"{fill.quantity} at {fill.price}" for fill in recorded.replaced)
    state = f"Order {order.id} is {order.status} with {order.filled_qty} of {order.quantity}."
    if recorded.counts:
        now = f"{recorded.fill.quantity} at {recorded.fill.price}"
        return "fill_corrected", f"The report {broker_fill_id} replaces a fill: {was} is now {now}. {state}"
    if recorded.replaced_by:
        return "fill_corrected", f"The fill {broker_fill_id} does not count. {_reason(recorded)} {state}"
    rest = " Find out whether its rest still works at the broker; if not, cancel it." if order.open_quantity else ""
    return "fill_busted", f"The broker cancelled the execution of {broker_fill_id}: {was}. {state}{rest}"


def _reason(recorded: RecordedFill) -> str:
    if recorded.replaced_by:
        return f"The later report {recorded.replaced_by} counts instead, or cancelled the execution."
    return "It cancels an execution that is not in the ledger."
