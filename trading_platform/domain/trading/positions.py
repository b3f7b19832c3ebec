"""Positions from fills: quantity, cost and profit, by the average cost method.

**Exact.** A holding carries its cost, not its average price; prices are only derived for display.
Everything is exact with one exception: a partial close removes its share of the cost,
``cost × closed ÷ held``, rounded half to even at 24 decimals, and the rounding difference stays in
the cost. So at any time, exactly::

    realized P&L − cost  =  money received for sales − money paid for purchases − commissions

and a closed position has earned exactly what was received less what was paid, for any number of partial
closes. Compared with arithmetic without any rounding each partial close differs by at most
5e-25; displayed values are rounded once more, half to even at 8 decimals.

**Commissions** are part of the realized P&L from the time they are paid, on entry as on exit, and
never part of the cost. So the average entry price is comparable with a broker's, and realized
plus unrealized P&L is the result of closing everything now, before the commission for that.

**Order.** Fills count in the order of their execution, in any order of arrival (:attr:`Fill.in_time`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from trading_platform.domain.money import EXACT, fits_amount, round_amount, round_cost
from trading_platform.domain.trading.orders import Fill

_NOTHING = Decimal(0)


@dataclass(frozen=True)
class Holding:
    """The exact holding of one symbol after some fills.

    Attributes:
        quantity: negative when short.
        cost: cost of the quantity held, with the sign of ``quantity``.
        realized_pnl: profit from closing, less every commission paid.
        opened_at: first entry of the quantity held; None when it is 0.
    """

    quantity: Decimal = _NOTHING
    cost: Decimal = _NOTHING
    realized_pnl: Decimal = _NOTHING
    opened_at: datetime | None = None

    def after(self, fill: Fill) -> Holding:
        """The holding after one more fill, which closes as much as possible and opens with the rest."""
        signed = fill.quantity.copy_negate() if fill.side.sign < 0 else fill.quantity
        if self.quantity * signed < 0:
            closed = min(fill.quantity, abs(self.quantity)).copy_sign(self.quantity)
            remaining = self._close(closed, fill.price)
        else:
            closed, remaining = _NOTHING, self
        opened = EXACT.add(signed, closed)
        return Holding(
            quantity=EXACT.add(remaining.quantity, opened),
            cost=EXACT.fma(opened, fill.price, remaining.cost),
            realized_pnl=EXACT.subtract(remaining.realized_pnl, fill.commission),
            opened_at=fill.executed_at if opened and not remaining.quantity else remaining.opened_at,
        )

    def _close(self, closed: Decimal, price: Decimal) -> Holding:
        """The holding after closing a part, with the sign of the quantity, at a price."""
        if closed == self.quantity:
            released = self.cost
        else:
            released = round_cost(EXACT.divide(EXACT.multiply(self.cost, closed), self.quantity))
        left = EXACT.subtract(self.quantity, closed)
        return Holding(
            quantity=left,
            cost=EXACT.subtract(self.cost, released),
            realized_pnl=EXACT.add(self.realized_pnl, EXACT.subtract(EXACT.multiply(closed, price), released)),
            opened_at=self.opened_at if left else None,
        )

    @property
    def avg_entry_price(self) -> Decimal | None:
        """Average cost of the quantity held, to eight decimals; None when it is 0."""
        return round_amount(EXACT.divide(self.cost, self.quantity)) if self.quantity else None

    def unrealized_pnl(self, price: Decimal) -> Decimal:
        """Value at a price less cost, to eight decimals."""
        return round_amount(EXACT.subtract(EXACT.multiply(self.quantity, price), self.cost))

    def fits(self, price: Decimal) -> bool:
        """Whether the displayed values at a price fit the database's columns."""
        shown = (self.quantity, self.realized_pnl, self.unrealized_pnl(price), self.avg_entry_price or _NOTHING)
        return all(map(fits_amount, shown))


@dataclass(frozen=True)
class Position:
    """One position, as stored in ``trading.positions``.

    Attributes:
        symbol: instrument.
        quantity: negative when short, 0 when closed.
        avg_entry_price: average cost without commissions; None when closed.
        current_price: last known price.
        unrealized_pnl: value at ``current_price`` less cost.
        realized_pnl: profit from closing, less every commission paid.
        opened_at: first entry of the quantity held, UTC; None when closed.
        updated_at: when it last changed, UTC.
    """

    symbol: str
    quantity: Decimal
    avg_entry_price: Decimal | None
    current_price: Decimal | None
    unrealized_pnl: Decimal
    realized_pnl: Decimal
    opened_at: datetime | None
    updated_at: datetime


def steps(start: Holding, fills: Iterable[Fill]) -> Iterator[tuple[Fill, Holding]]:
    """Each fill, in the order of execution, with the holding after it."""
    holding = start
    for fill in sorted(fills, key=lambda fill: fill.in_time):
        holding = holding.after(fill)
        yield fill, holding
