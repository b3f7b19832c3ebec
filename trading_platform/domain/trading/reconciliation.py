"""The comparison of the ledger with what a broker says: every difference, its kind, and how bad it is.

It is pure, and about positions and fills; cash is in :mod:`trading_platform.domain.trading.cash`, open orders in
:mod:`trading_platform.domain.trading.open_orders`. :mod:`trading_platform.workflows.trading.reconcile` asks the
brokers and keeps the result. What a broker
does not say is unknown, which is not equal: the caller compares only what was answered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from trading_platform.domain.money import EXACT, plain_text, round_amount
from trading_platform.domain.severity import Severity
from trading_platform.domain.trading.broker import BrokerFill, BrokerPosition, Settlement
from trading_platform.domain.trading.orders import Broker, Fill, fill_uuid
from trading_platform.domain.trading.positions import Holding, steps

CRITICAL_SHARE = Decimal("0.01")
"""A position that differs by more than this share of the larger one is critical."""

PRICE_SHARE = Decimal("0.01")
"""By how much average prices may differ: brokers include commissions, or average lots in other ways."""

FEE_TOLERANCE = Decimal("0.005")
"""By how much commissions may differ: brokers round them to cents."""

ROUNDING = Decimal("0.00001")
"""By how much a fill that is paid with a coin may differ: brokers round its cost and commission."""

_NOTHING = Decimal(0)


class DifferenceKind(StrEnum):
    """In what the ledger and a broker differ."""

    MISSING_HERE = "missing_here"
    """The broker has it, the ledger has not."""
    MISSING_THERE = "missing_there"
    """The ledger has it, the broker has not."""
    QUANTITY = "quantity"
    SIDE = "side"
    """One holds long what the other holds short, or a fill is a purchase in one and a sale in the other."""
    PRICE = "price"
    FEE = "fee"
    DUPLICATE = "duplicate"
    """The ledger has a fill twice."""
    CORRECTED = "corrected"
    """The broker has corrected or cancelled an execution, and the ledger has its former report."""
    AMOUNT = "amount"
    """A balance of money has moved by something else than fills."""
    STATUS = "status"
    """The broker can still fill an order that is over in the ledger."""
    SYMBOL = "symbol"
    """An order is of one instrument in one and of another in the other."""


@dataclass(frozen=True)
class Difference:
    """One difference.

    Attributes:
        about: ``position``, ``fill``, ``cash`` or ``order``.
        kind: in what they differ.
        symbol: the instrument; of cash the currency.
        subject: the broker's id of the fill or order, or the ledger's where the broker has none; else empty.
        ours: what the ledger has, as text; of cash the balance that follows from it; None if nothing.
        theirs: what the broker says, as text; None if nothing.
        severity: how bad it is.
    """

    about: str
    kind: DifferenceKind
    symbol: str
    subject: str
    ours: str | None
    theirs: str | None
    severity: Severity

    @property
    def words(self) -> str:
        """The difference in words."""
        what = f"{self.about} {self.symbol}" + (f" {self.subject}" if self.subject else "")
        return (
            f"{what}: {self.kind.replace('_', ' ')}, ledger {self.ours or 'nothing'}, broker {self.theirs or 'nothing'}"
        )


@dataclass(frozen=True)
class Held:
    """What the ledger's fills make of a position at a broker.

    Attributes:
        quantity: negative if short.
        average: average price; None where fills of several instruments count together.
        tolerance: by how much the broker's quantity may differ: it rounds what pays for fills.
    """

    quantity: Decimal
    average: Decimal | None = None
    tolerance: Decimal = _NOTHING


def paid_for(fill: Fill) -> Decimal:
    """What a fill has cost with its commission, in the currency of its price; negative if it was a sale."""
    return EXACT.add(EXACT.multiply(EXACT.multiply(fill.side.sign, fill.quantity), fill.price), fill.commission)


def holdings_of(fills: Iterable[Fill], settlements: Mapping[str, Settlement] | None = None) -> dict[str, Held]:
    """What all fills make of each position at the broker; closed ones are left out.

    Args:
        fills: the ledger's fills at the broker.
        settlements: what a fill of each symbol moves there; without it a fill moves the position of its own symbol.
    """
    by_symbol: dict[str, list[Fill]] = {}
    for fill in fills:
        by_symbol.setdefault(fill.symbol, []).append(fill)
    parts: dict[str, list[Held]] = {}
    for symbol, own in by_symbol.items():
        settlement = (settlements or {}).get(symbol) or Settlement(symbol, None)
        *_, (_, after) = steps(Holding(), own)
        if settlement.position is not None and after.quantity:
            average = EXACT.divide(after.cost, after.quantity)
            parts.setdefault(settlement.position, []).append(Held(after.quantity, average))
        if settlement.paid_from is not None:
            paid = EXACT.minus(_sum(map(paid_for, own)))
            tolerance = EXACT.multiply(ROUNDING, len(own))
            parts.setdefault(settlement.paid_from, []).append(Held(paid, None, tolerance))
    found = {symbol: each[0] if len(each) == 1 else _together(each) for symbol, each in parts.items()}
    return {symbol: held for symbol, held in found.items() if held.quantity}


def _together(parts: Sequence[Held]) -> Held:
    return Held(_sum(each.quantity for each in parts), None, _sum(each.tolerance for each in parts))


def compare_positions(ours: Mapping[str, Held], theirs: Iterable[BrokerPosition]) -> list[Difference]:
    """The differences of positions, over the symbols of both sides.

    Args:
        ours: holdings by symbol, of the fills at this broker; closed ones left out.
        theirs: what the broker says; several of one symbol, of several accounts, count together.
    """
    there: dict[str, list[BrokerPosition]] = {}
    for position in theirs:
        there.setdefault(position.symbol, []).append(position)
    found = []
    for symbol in sorted({*ours, *there}):
        held = ours.get(symbol, Held(_NOTHING))
        quantity = _sum(each.quantity for each in there.get(symbol, ()))
        average = there[symbol][0].average_price if len(there.get(symbol, ())) == 1 else None
        found += _position(symbol, held, quantity, average)
    return found


def _sum(values: Iterable[Decimal]) -> Decimal:
    total = _NOTHING
    for value in values:
        total = EXACT.add(total, value)
    return total


def _position(symbol: str, held: Held, quantity: Decimal, average: Decimal | None) -> list[Difference]:
    ours, theirs = _text(held.quantity), _text(quantity)
    apart = abs(EXACT.subtract(held.quantity, quantity))
    if apart > held.tolerance:
        larger = max(abs(held.quantity), abs(quantity))
        severity = Severity.CRITICAL if apart > EXACT.multiply(larger, CRITICAL_SHARE) else Severity.ERROR
        if not held.quantity:
            kind = DifferenceKind.MISSING_HERE
        elif not quantity:
            kind = DifferenceKind.MISSING_THERE
        else:
            kind = DifferenceKind.SIDE if held.quantity * quantity < 0 else DifferenceKind.QUANTITY
        return [Difference("position", kind, symbol, "", ours, theirs, severity)]
    own = held.average
    if not quantity or own is None or average is None:
        return []
    if abs(EXACT.subtract(own, average)) <= EXACT.multiply(max(abs(own), abs(average)), PRICE_SHARE):
        return []
    shown = _text(round_amount(own))
    return [Difference("position", DifferenceKind.PRICE, symbol, "", shown, _text(average), Severity.WARNING)]


def compare_fills(broker: Broker, ours: Sequence[Fill], theirs: Sequence[BrokerFill]) -> list[Difference]:
    """The differences of the fills of a span of time.

    Args:
        broker: the broker.
        ours: the ledger's fills at this broker in that time; a cancelled execution has the quantity zero.
        theirs: the broker's, each as its newest report has it.
    """
    left = {fill.id: fill for fill in ours}
    found: list[Difference] = []
    same = Counter(_contents_there(fill) for fill in theirs)
    for fill in {fill.execution_id: fill for fill in theirs}.values():
        own = left.pop(fill_uuid(broker, fill.execution_id), None)
        former = [left.pop(key) for key in _former(broker, fill) if key in left]
        if own is not None:
            found += _fill(own, fill)
        elif former:
            found.append(_of_fill(DifferenceKind.CORRECTED, fill, former[0], Severity.ERROR))
        elif fill.quantity:
            found.append(_of_fill(DifferenceKind.MISSING_HERE, fill, None, Severity.ERROR))
    here = Counter(_contents_here(fill) for fill in ours)
    for own in sorted(left.values(), key=lambda fill: fill.in_time):
        if not own.quantity:
            continue  # a cancelled execution that the broker does not list any more
        contents = _contents_here(own)
        is_double = same[contents] > 0 and here[contents] > same[contents]
        kind = DifferenceKind.DUPLICATE if is_double else DifferenceKind.MISSING_THERE
        found.append(Difference("fill", kind, own.symbol, str(own.id), _ours(own), None, Severity.ERROR))
    return found


def _former(broker: Broker, fill: BrokerFill) -> list[UUID]:
    return [fill_uuid(broker, each) for each in fill.replaces]


def _fill(own: Fill, fill: BrokerFill) -> list[Difference]:
    if own.quantity != fill.quantity:
        return [_of_fill(DifferenceKind.QUANTITY, fill, own, Severity.ERROR)]
    if not own.quantity:
        return []
    if own.side != fill.side:
        return [_of_fill(DifferenceKind.SIDE, fill, own, Severity.ERROR)]
    found = []
    if own.price != fill.price:
        found.append(_of_fill(DifferenceKind.PRICE, fill, own, Severity.ERROR))
    if _fee_differs(own, fill):
        ours, theirs = _text(own.commission), f"{_text(fill.commission)} {fill.commission_currency or ''}".strip()
        severity = Severity.WARNING
        found.append(Difference("fill", DifferenceKind.FEE, fill.symbol, fill.execution_id, ours, theirs, severity))
    return found


def _fee_differs(own: Fill, fill: BrokerFill) -> bool:
    """Whether commissions differ; one in the coin that was traded cannot be compared with the ledger's."""
    if fill.commission is None or (fill.commission_currency and fill.symbol.startswith(fill.commission_currency)):
        return False
    return abs(EXACT.subtract(own.commission, fill.commission)) > FEE_TOLERANCE


def _of_fill(kind: DifferenceKind, fill: BrokerFill, own: Fill | None, severity: Severity) -> Difference:
    theirs = f"{fill.side} {_text(fill.quantity)} at {_text(fill.price)}" if fill.quantity else "cancelled"
    ours = None if own is None else _ours(own)
    return Difference("fill", kind, fill.symbol, fill.execution_id, ours, theirs, severity)


def _ours(own: Fill) -> str:
    return f"{own.side} {_text(own.quantity)} at {_text(own.price)}" if own.quantity else "cancelled"


def _contents_here(fill: Fill) -> tuple[object, ...]:
    return fill.symbol, str(fill.side), fill.quantity, fill.price, fill.executed_at


def _contents_there(fill: BrokerFill) -> tuple[object, ...]:
    return fill.symbol, str(fill.side), fill.quantity, fill.price, fill.executed_at


def _text(value: Decimal | None) -> str | None:
    return None if value is None or value == 0 else plain_text(EXACT.create_decimal(value).normalize(EXACT))
