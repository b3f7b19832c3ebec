"""What fills make of a position: quantity, cost and profit, by the average cost method.

**Exact, and nothing gets lost.** A holding carries its cost, not its average price; a price is only
ever shown. Everything is exact but one thing: a partial close takes its share of the cost out,
``cost × closed ÷ held``, rounded half to even at 24 decimals, and what the rounding drops stays in
the cost. So at any time, exactly::

    realized P&L − cost  =  money received for sales − money paid for purchases − commissions

and a position that is closed has earned just what went in less what went out, however many partial
closes it took. Against arithmetic without any rounding each partial close differs by at most
5e-25; shown values are rounded once more, half to even at 8 decimals.

**Commissions** are part of the realized P&L from the moment they are paid, on entry as on exit, and
never part of the cost: so the average entry price can be compared with a broker's, and realized
plus unrealized P&L is what closing everything now would leave, less the commission for that.

**Order.** Fills count in the order of their execution, whenever they arrive (:attr:`Fill.in_time`).
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
    """What is held of one symbol after some fills, exactly.

    Attributes:
        quantity: negative when short.
        cost: what it cost, signed as ``quantity`` is.
        realized_pnl: earned by closing, less every commission paid.
        opened_at: first entry of what is held; None when nothing is.
    """

    quantity: Decimal = _NOTHING
    cost: Decimal = _NOTHING
    realized_pnl: Decimal = _NOTHING
    opened_at: datetime | None = None

    def after(self, fill: Fill) -> Holding:
        """What is held after one more fill, which closes what it can and opens with the rest."""
        signed = fill.quantity.copy_negate() if fill.side.sign < 0 else fill.quantity
        if self.quantity * signed < 0:
            closed = min(fill.quantity, abs(self.quantity)).copy_sign(self.quantity)
            kept = self._close(closed, fill.price)
        else:
            closed, kept = _NOTHING, self
        opened = EXACT.add(signed, closed)
        return Holding(
            quantity=EXACT.add(kept.quantity, opened),
            cost=EXACT.fma(opened, fill.price, kept.cost),
            realized_pnl=EXACT.subtract(kept.realized_pnl, fill.commission),
            opened_at=fill.executed_at if opened and not kept.quantity else kept.opened_at,
        )

    def _close(self, closed: Decimal, price: Decimal) -> Holding:
        """After closing a part, signed as the quantity is, at a price."""
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
        """Average cost of what is held, to eight decimals; None when nothing is."""
        return round_amount(EXACT.divide(self.cost, self.quantity)) if self.quantity else None

    def unrealized_pnl(self, price: Decimal) -> Decimal:
        """Worth at a price less cost, to eight decimals."""
        return round_amount(EXACT.subtract(EXACT.multiply(self.quantity, price), self.cost))

    def fits(self, price: Decimal) -> bool:
        """Whether what is shown of it at a price fits the database's columns."""
        shown = (self.quantity, self.realized_pnl, self.unrealized_pnl(price), self.avg_entry_price or _NOTHING)
        return all(map(fits_amount, shown))


@dataclass(frozen=True)
class Position:
    """One position, as ``trading.positions`` has it.

    Attributes:
        symbol: instrument.
        quantity: negative when short, 0 when closed.
        avg_entry_price: average cost, commissions apart; None when closed.
        current_price: last known price.
        unrealized_pnl: worth at ``current_price`` less cost.
        realized_pnl: earned by closing, less every commission paid.
        opened_at: first entry of what is held, UTC; None when closed.
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
    """Each fill, in the order of execution, with what is held after it."""
    holding = start
    for fill in sorted(fills, key=lambda fill: fill.in_time):
        holding = holding.after(fill)
        yield fill, holding
