"""The message of the channel and stream ``orders``, version 1; its fields are described in docs/ledger.md."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict

from trading_platform.domain.orders import Broker, OrderStatus, OrderType, Side


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class OrderState(_Part):
    """The order after the change: the columns of ``trading.orders``."""

    id: UUID
    symbol: str
    side: Side
    order_type: OrderType
    quantity: Decimal
    price: Decimal | None
    status: OrderStatus
    broker: Broker
    broker_order_id: str | None
    strategy_id: str | None
    created_at: AwareDatetime
    updated_at: AwareDatetime
    filled_at: AwareDatetime | None
    filled_qty: Decimal
    avg_fill_price: Decimal | None
    commission: Decimal


class FillState(_Part):
    """The fill that changed it: the columns of ``trading.trades``, and the broker's own id."""

    id: UUID
    order_id: UUID
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    commission: Decimal
    executed_at: AwareDatetime
    broker: Broker
    broker_fill_id: str


class OrderEvent(_Part):
    """What happened to an order.

    Attributes:
        order: as it is now.
        previous_status: where it was before; None for a new one.
        fill: the fill, if one did it.
    """

    order: OrderState
    previous_status: OrderStatus | None
    fill: FillState | None


class OrderMessage(_Part):
    """What is sent.

    Attributes:
        v: version of this form.
        ts: when it happened, UTC.
        seq: number in the stream, without gaps; the stream entry is ``<seq>-0``.
        payload: what happened.
    """

    v: Literal[1] = 1
    ts: AwareDatetime
    seq: int
    payload: OrderEvent


def order_message(seq: int, ts: datetime, payload: dict[str, object]) -> str:
    """A message as it goes over the wire; decimals are texts in it."""
    return OrderMessage(ts=ts, seq=seq, payload=OrderEvent.model_validate(payload)).model_dump_json()
