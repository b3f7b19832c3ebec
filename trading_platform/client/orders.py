"""``Platform.orders``: orders and fills in the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from trading_platform.domain.trading.orders import Fill, Order, ReplacedFill
from trading_platform.stores.trading.fills import RecordedFill
from trading_platform.stores.trading.ledger import Ledger
from trading_platform.stores.trading.order_checks import OrderPlan, checked_terms

Amount = Decimal | int | str
"""A decimal, a whole number, or either as text; floats are rejected, because they have lost digits."""


class Orders:
    """Places orders, changes their status, and records their fills.

    ::

        order = platform.orders.place("BTCUSD", "buy", "limit", "0.5", broker="kraken", price="64000")
        platform.orders.advance(order.id, "sent", broker_order_id="OXYZ12-ABCDE-FGHIJK")
        platform.orders.record_fill(order.id, "TXYZ12-…", quantity="0.2", price="63990.5", executed_at=executed_at)
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
        stop_price: Amount | None = None,
        strategy_id: str | None = None,
        order_id: UUID | str | None = None,
    ) -> Order:
        """Records a new order with status pending; the agent sends it to the broker.

        Args:
            symbol: instrument.
            side: ``buy`` or ``sell``.
            order_type: ``market``, ``limit`` or ``stop_limit``.
            quantity: ordered quantity, at most eight decimals.
            broker: ``ibkr`` or ``kraken``.
            price: limit price; none for a market order.
            stop_price: price at which a stop-limit order becomes active; none for other orders.
            strategy_id: the strategy that places it; None for a person.
            order_id: an id chosen by the caller, or its text: placing the same order again with it changes nothing.

        Raises:
            InvalidRequest: if the order is invalid, its strategy is unknown, a lot size, tick size or risk limit is
                against it (docs/ledger.md), the id belongs to another order, or trading is paused
                (docs/reconciliation.md).
        """
        return self._ledger.place(
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

    def plan(
        self,
        symbol: str,
        side: str,
        order_type: str,
        quantity: Amount,
        *,
        broker: str,
        price: Amount | None = None,
        stop_price: Amount | None = None,
        strategy_id: str | None = None,
    ) -> OrderPlan:
        """What :meth:`place` would record with these arguments, and what stands against it; writes nothing.

        Returns:
            The terms, tick and lot size, value and limits, and ``faults``: empty if the order would be placed now.

        Raises:
            InvalidRequest: if the order is invalid by itself, for example of the quantity 0.
        """
        terms = checked_terms(
            symbol=symbol,
            side=side,
            order_type=order_type,
            quantity=quantity,
            broker=broker,
            price=price,
            stop_price=stop_price,
            strategy_id=strategy_id,
            order_id=None,
        )
        return self._ledger.plan(terms)

    def advance(self, order_id: UUID | str, status: str, broker_order_id: str | None = None) -> Order:
        """Sets the status ``sent``, ``cancelled`` or ``rejected``; setting the present status again is no error.

        Raises:
            InvalidRequest: for an unknown order, or a status that cannot follow the present one.
        """
        return self._ledger.advance(order_id, status, broker_order_id)

    def cancel(self, order_id: UUID | str) -> Order:
        """Sets the status ``cancelled``; a fill that the broker reports later still counts."""
        return self._ledger.cancel(order_id)

    def record_fill(
        self,
        order_id: UUID | str,
        broker_fill_id: str,
        *,
        quantity: Amount,
        price: Amount,
        executed_at: datetime,
        commission: Amount | None = None,
        broker_order_id: str | None = None,
        corrects: str | None = None,
    ) -> RecordedFill:
        """Records a fill exactly once, however often it is reported; updates the order and position in the same step.

        A correction of an execution (IBKR's ``….02`` of ``….01``) replaces the fill and is not counted besides it, in
        any order of arrival; one with the quantity 0 cancels the execution (a bust). :meth:`replaced_fills` has what
        was replaced.

        Args:
            order_id: the filled order.
            broker_fill_id: the broker's id of the fill (IBKR's execution id, Kraken's trade id).
            quantity: executed quantity; 0 if the report cancels an execution.
            price: execution price.
            executed_at: execution time, with its zone; fills may arrive in any order of time.
            commission: the broker's commission, in the currency of the price; a rebate is negative. None: not
                reported; it is that of the replaced fill, else 0.
            broker_order_id: the broker's id of the order, if the report has it; stored if not stored yet.
            corrects: the broker's id of the fill that this one replaces, where the ids do not say so: fills entered by
                hand, and brokers other than IBKR.

        Raises:
            FillRejected: for an unknown or rejected order, a quantity above the ordered one, another broker's id of
                the order, the same fill with other content, an execution of another order, or a correction of an
                unknown fill; the report is stored in the system events.
            InvalidRequest: if the fill is invalid.
        """
        return self._ledger.record_fill(
            order_id,
            broker_fill_id,
            quantity=quantity,
            price=price,
            executed_at=executed_at,
            commission=commission,
            broker_order_id=broker_order_id,
            corrects=corrects,
        )

    def record_bust(self, order_id: UUID | str, broker_fill_id: str) -> RecordedFill:
        """Records that the broker cancelled an execution, where it sent no report of the quantity 0.

        Args:
            order_id: the order of the execution.
            broker_fill_id: the broker's id of a recorded fill of it; no correction of it counts any more, either.

        Raises:
            FillRejected: for an unknown order or fill.
        """
        return self._ledger.record_bust(order_id, broker_fill_id)

    def get(self, order_id: UUID | str) -> Order | None:
        """The order of an id; None if there is none."""
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

    def fills(self, *, order_id: UUID | str | None = None, symbol: str | None = None) -> Sequence[Fill]:
        """Fills of an order or symbol that count, in the order of their execution."""
        return self._ledger.fills(order_id=order_id, symbol=symbol)

    def replaced_fills(
        self, *, order_id: UUID | str | None = None, symbol: str | None = None
    ) -> Sequence[ReplacedFill]:
        """Reports of an order or symbol that do not count, each with the id of the report that replaced it."""
        return self._ledger.replaced_fills(order_id=order_id, symbol=symbol)
