"""``Platform.orders``: what the bot's agents do with orders."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from trading_platform.domain.trading.orders import Fill, Order
from trading_platform.stores.trading.fills import RecordedFill
from trading_platform.stores.trading.ledger import Ledger

Amount = Decimal | int | str
"""A decimal, a whole number, or either as text; floats are refused, because they have lost digits."""


class Orders:
    """Places orders, moves them on, and records what the broker did with them.

    ::

        order = platform.orders.place("BTCUSD", "buy", "limit", "0.5", broker="kraken", price="64000")
        platform.orders.advance(order.id, "sent", broker_order_id="OXYZ12-ABCDE-FGHIJK")
        platform.orders.record_fill(order.id, "TXYZ12-…", quantity="0.2", price="63990.5", executed_at=moment)
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def place(
        self,
        symbol: str,
        side: str,
        order_type: str,
        quantity: Amount,
        *,
        broker: str,
        price: Amount | None = None,
        strategy_id: str | None = None,
        order_id: UUID | None = None,
    ) -> Order:
        """Writes down an order, pending; sending it to the broker is the agent's business.

        Args:
            symbol: instrument.
            side: ``buy`` or ``sell``.
            order_type: ``market``, ``limit`` or ``stop_limit``.
            quantity: how much, at most eight decimals.
            broker: ``ibkr`` or ``kraken``.
            price: limit price; none for a market order.
            strategy_id: the strategy that wants it; None for a person.
            order_id: an id of your own: placing the same order again with it changes nothing.

        Raises:
            InvalidRequest: if it could not be an order, its strategy is unknown, or the id is another order's.
        """
        return self._ledger.place(
            symbol=symbol,
            side=side,
            order_type=order_type,
            quantity=quantity,
            broker=broker,
            price=price,
            strategy_id=strategy_id,
            order_id=order_id,
        )

    def advance(self, order_id: UUID, status: str, broker_order_id: str | None = None) -> Order:
        """Moves an order to ``sent``, ``cancelled`` or ``rejected``; being there already is no error.

        Raises:
            InvalidRequest: for an unknown order or a step that its life does not have.
        """
        return self._ledger.advance(order_id, status, broker_order_id)

    def cancel(self, order_id: UUID) -> Order:
        """Moves an order to ``cancelled``; a fill that the broker reports later still counts."""
        return self._ledger.cancel(order_id)

    def record_fill(
        self,
        order_id: UUID,
        broker_fill_id: str,
        *,
        quantity: Amount,
        price: Amount,
        executed_at: datetime,
        commission: Amount = 0,
        broker_order_id: str | None = None,
    ) -> RecordedFill:
        """Writes down a fill, exactly once whoever reports it how often; order and position follow at once.

        Args:
            order_id: which order it fills.
            broker_fill_id: the broker's id for the fill (IBKR's execution id, Kraken's trade id).
            quantity: how much was executed.
            price: at what price.
            executed_at: when, with its zone; fills may come in any order of time.
            commission: what the broker took, in the currency of the price; negative is a rebate.
            broker_order_id: the broker's own name for the order, if the report has it; kept if not known yet.

        Raises:
            FillRejected: for an unknown or rejected order, more than was ordered, another name of the order,
                or the same fill with other content; what was reported is kept in the system events.
            InvalidRequest: if it could not be a fill.
        """
        return self._ledger.record_fill(
            order_id,
            broker_fill_id,
            quantity=quantity,
            price=price,
            executed_at=executed_at,
            commission=commission,
            broker_order_id=broker_order_id,
        )

    def get(self, order_id: UUID) -> Order | None:
        """An order, if there is one of that id."""
        return self._ledger.get(order_id)

    def list(
        self,
        *,
        symbol: str | None = None,
        status: str | None = None,
        strategy_id: str | None = None,
        limit: int = 1000,
    ) -> Sequence[Order]:
        """Orders, newest first."""
        return self._ledger.orders(symbol=symbol, status=status, strategy_id=strategy_id, limit=limit)

    def fills(self, *, order_id: UUID | None = None, symbol: str | None = None) -> Sequence[Fill]:
        """Fills of an order or symbol, in the order of their execution."""
        return self._ledger.fills(order_id=order_id, symbol=symbol)
