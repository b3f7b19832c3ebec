"""The tools of orders: what would be placed, which writes nothing; and placing, which a setting has to allow.

An order is written into the ledger; sending it to the broker is the execution agent's. Limits are checked by the
database (docs/ledger.md). The portfolio is in :mod:`trading_platform.mcp.trading`.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID, uuid5

from pydantic import Field

from trading_platform.client import Platform
from trading_platform.domain.time import Clock
from trading_platform.mcp.access import caller
from trading_platform.mcp.answers import Answer, Table, answer, cell
from trading_platform.mcp.numbers import Decimals
from trading_platform.mcp.pages import page_of
from trading_platform.mcp.spellings import understand
from trading_platform.stores.trading.order_checks import CHECKED_LIMITS

ORDER_NAMESPACE = UUID("7c0e3b52-5d5f-4d0f-8f6c-52f4c1f8a9d4")
"""Namespace of the ids of orders from idempotency keys; never change it, or a repeated call would place again."""

Side = Literal["buy", "sell"]
Kind = Literal["market", "limit", "stop_limit"]
Broker = Literal["ibkr", "kraken"]
Quantity = Annotated[Decimals, Field(description="decimal", max_length=40)]
Price = Annotated[Decimals | None, Field(description="limit; none for market", max_length=40)]
Stop = Annotated[Decimals | None, Field(description="for stop_limit", max_length=40)]
Strategy = Annotated[str | None, Field(max_length=50)]

_COLUMNS = {"item": "what it is about", "value": "its value; prices and values in the quote currency", "note": "more"}


class OrderTools:
    """The tools of orders.

    Args:
        platform: the platform.
        clock: the present time.
    """

    def __init__(self, platform: Platform, clock: Clock) -> None:
        self._platform = platform
        self._clock = clock

    def plan_order(
        self,
        symbol: str,
        side: Side,
        order_type: Kind,
        quantity: Quantity,
        broker: Broker,
        price: Price = None,
        stop_price: Stop = None,
        strategy_id: Strategy = None,
    ) -> Answer:
        """What place_order would write and what stands against it: limits, lot and tick size. Writes nothing."""
        page = page_of(None, 1_000, {}, None, self._clock())
        understood = understand(self._platform, [symbol])
        plan = self._platform.orders.plan(
            understood.symbols[0],
            side,
            order_type,
            quantity,
            broker=broker,
            price=price,
            stop_price=stop_price,
            strategy_id=strategy_id,
        )
        rows: list[dict[str, object]] = [
            {"item": f"against it: {each.rule}", "value": each.received, "note": f"{each.message} {each.expected}"}
            for each in plan.faults
        ]
        rows += [{"item": name, "value": value} for name, value in plan.terms.items() if value is not None]
        rows += [
            {
                "item": "value",
                "value": plan.value,
                "note": f"at {'unknown' if plan.price is None else cell(plan.price)}",
            },
            {"item": "held now", "value": plan.held},
            {"item": "tick size", "value": plan.tick_size},
            {"item": "lot size", "value": plan.lot_size},
        ]
        ordered = plan.terms["quantity"]
        if plan.lot_size is not None and isinstance(ordered, Decimal) and ordered % plan.lot_size:
            rows.append({"item": "nearest quantity below", "value": ordered - ordered % plan.lot_size})
        rows += [
            {
                "item": f"limit {key}",
                "value": value,
                "note": "checked" if key in CHECKED_LIMITS else "not checked by the database: check it yourself",
            }
            for key, value in plan.limits.items()
        ]
        verdict = f"It would not be placed: {len(plan.faults)} reasons." if plan.faults else "It would be placed now."
        return answer(Table(rows, _COLUMNS, None, (verdict, *understood.notes)), page)

    def place_order(
        self,
        symbol: str,
        side: Side,
        order_type: Kind,
        quantity: Quantity,
        broker: Broker,
        idempotency_key: Annotated[str, Field(min_length=8, max_length=100, description="new for each order")],
        price: Price = None,
        stop_price: Stop = None,
        strategy_id: Strategy = None,
    ) -> Answer:
        """Write an order into the ledger, pending; the execution agent sends it. A repeated key places nothing more."""
        page = page_of(None, 1, {}, None, self._clock())
        understood = understand(self._platform, [symbol])
        order = self._platform.orders.place(
            understood.symbols[0],
            side,
            order_type,
            quantity,
            broker=broker,
            price=price,
            stop_price=stop_price,
            strategy_id=strategy_id,
            order_id=uuid5(ORDER_NAMESPACE, f"{caller()}\n{idempotency_key}"),
        )
        columns = {
            "id": "of the order",
            "status": "its present status",
            "symbol": "instrument",
            "side": "direction",
            "order_type": "type",
            "quantity": "units",
            "price": "limit price",
            "created_at": "when it was placed",
        }
        row = {name: getattr(order, name) for name in columns}
        return answer(Table([row], columns, None, understood.notes), page)
