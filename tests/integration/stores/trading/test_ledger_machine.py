"""Random lives of orders against a second bookkeeping in exact fractions, compared after every step.

``TEST_LEDGER_STEPS=10000`` makes it as many steps; by default it takes some seconds.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import count
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.trading.orders import Order
from trading_platform.stores.audit.journal import AuditStore
from trading_platform.stores.postgres.database import Database, execute
from trading_platform.stores.trading.fills import FillRejected
from trading_platform.stores.trading.ledger import Ledger

STEPS = int(os.environ.get("TEST_LEDGER_STEPS", "1500"))
START = datetime(2024, 3, 4, 14, 30, tzinfo=UTC)
HALF_A_UNIT = Fraction(1, 2 * 10**8)
"""Shown values are rounded to eight decimals."""

LIVES = {  # as the task has it, not as the code has it
    "pending": {"sent", "cancelled", "rejected"},
    "sent": {"partial", "filled", "cancelled", "rejected"},
    "partial": {"partial", "filled", "cancelled"},  # and back by corrections only, which the statuses below say
    "filled": set(),
    "cancelled": set(),
    "rejected": set(),
}

units = st.sampled_from([1, 2, 3, 7, 10**4, 10**8, 3 * 10**8, 123456789, 10**11]).map(lambda n: Decimal(n).scaleb(-8))
prices = st.integers(1, 10**13).map(lambda n: Decimal(n).scaleb(-8))
commissions = st.integers(-(10**6), 10**9).map(lambda n: Decimal(n).scaleb(-8))
timestamps = st.integers(0, 20).map(lambda seconds: START + timedelta(seconds=seconds))


@dataclass(frozen=True)
class Entry:
    """A fill in the second bookkeeping."""

    order_id: UUID
    name: str
    id: UUID
    quantity: Decimal
    price: Decimal
    commission: Decimal
    executed_at: datetime


@dataclass
class Account:
    """Average cost, carried as a price in fractions: the other way round than the platform does it."""

    quantity: Fraction = Fraction(0)
    average: Fraction = Fraction(0)
    realized: Fraction = Fraction(0)
    cash: Fraction = Fraction(0)
    opened_at: datetime | None = None

    def book(self, signed: Fraction, price: Fraction, commission: Fraction, at: datetime) -> None:
        self.cash -= signed * price + commission
        self.realized -= commission
        closing = self.quantity * signed < 0
        if closing:
            closed = min(abs(signed), abs(self.quantity))
            direction = 1 if self.quantity > 0 else -1
            self.realized += closed * (price - self.average) * direction
            crosses = abs(signed) > abs(self.quantity)
            self.quantity += signed
            if crosses:
                self.average, self.opened_at = price, at
            elif self.quantity == 0:
                self.average, self.opened_at = Fraction(0), None
            return
        if self.quantity == 0:
            self.opened_at = at
        total = self.quantity + signed
        self.average = (self.quantity * self.average + signed * price) / total
        self.quantity = total


class Lives(RuleBasedStateMachine):
    """Two symbols of their own in each life; the test gives the database."""

    database: Database
    ledger: Ledger
    audit: AuditStore
    counter = count()
    steps_made = 0

    def __init__(self) -> None:
        super().__init__()
        life = next(self.counter)
        self.symbols = [f"L{life}A", f"L{life}B"]
        self.orders: dict[UUID, Order] = {}
        self.entries: list[Entry] = []
        self.replaced: list[Entry] = []
        self.last_price: dict[str, Decimal] = {}
        self.rejected = 0
        self.rejected_before = len(self.audit.events(event_type="fill_rejected", limit=10**6))

    # what happens

    @rule(
        which=st.integers(0, 1),
        side=st.sampled_from(["buy", "sell"]),
        quantity=units,
        limit=st.none() | prices,
        broker=st.sampled_from(["ibkr", "kraken"]),
    )
    def place(self, which, side, quantity, limit, broker):
        order = self.ledger.place(
            symbol=self.symbols[which],
            side=side,
            order_type="market" if limit is None else "limit",
            quantity=quantity,
            broker=broker,
            price=limit,
        )
        assert (order.status, order.filled_qty, order.quantity, order.price) == ("pending", 0, quantity, limit)
        self.orders[order.id] = order

    @precondition(lambda self: self.orders)
    @rule(data=st.data(), status=st.sampled_from(["sent", "sent", "partial", "cancelled", "filled", "rejected"]))
    def advance(self, data, status):
        order = self.some_order(data)
        possible = status not in ("partial", "filled") and status in LIVES[order.status] | {order.status.value}
        if possible:
            self.orders[order.id] = self.ledger.advance(order.id, status)
            assert self.orders[order.id].status == status
        else:
            with pytest.raises(InvalidRequest):
                self.ledger.advance(order.id, status)

    @precondition(lambda self: self.orders)
    @rule(data=st.data(), price=prices, commission=commissions, at=timestamps, part=st.integers(1, 4))
    def fill(self, data, price, commission, at, part):
        order = self.some_order(data)
        open_quantity = order.quantity - self.filled(order)
        quantity = max((open_quantity / part).quantize(Decimal("1e-8"), rounding="ROUND_DOWN"), Decimal("1e-8"))
        self.try_to_fill(order, quantity, price, commission, at)

    @precondition(lambda self: self.orders)
    @rule(data=st.data(), quantity=units, price=prices, commission=commissions, at=timestamps)
    def fill_with_anything(self, data, quantity, price, commission, at):
        self.try_to_fill(self.some_order(data), quantity, price, commission, at)

    @precondition(lambda self: self.entries)
    @rule(data=st.data())
    def fill_again(self, data):
        entry = self.some_entry(data)
        recorded = self.report(entry)
        assert not recorded.is_new
        assert recorded.fill.id == entry.id

    @precondition(lambda self: self.entries)
    @rule(data=st.data(), price=prices)
    def fill_again_otherwise(self, data, price):
        entry = self.some_entry(data)
        assume(price != entry.price)
        with pytest.raises(FillRejected, match="other content"):
            self.report(entry, price=price)
        self.rejected += 1

    @precondition(lambda self: self.entries)
    @rule(data=st.data(), price=prices, commission=st.none() | commissions, at=timestamps, part=st.integers(0, 4))
    def correct(self, data, price, commission, at, part):
        """A further report of an execution; of nothing, it cancels the execution."""
        entry = self.some_entry(data)
        order = self.orders[entry.order_id]
        possible = order.quantity - self.filled(order) + entry.quantity
        quantity = (possible * part / 3).quantize(Decimal("1e-8"), rounding="ROUND_DOWN")
        execution, _, version = entry.name.rpartition(".")
        name = f"{execution}.{int(version) + 1:02d}" if order.broker == "ibkr" else f"{entry.name}+"
        corrects = None if order.broker == "ibkr" else entry.name
        kept = entry.commission if commission is None and quantity else commission or Decimal(0)
        after = Entry(order.id, name, UUID(int=0), quantity, price, kept, at)
        reported = {"commission": None} if commission is None else {}
        if quantity > possible:
            with pytest.raises(FillRejected, match="more than was ordered"):
                self.report(after, corrects=corrects, **reported)
            self.rejected += 1
            return
        before = self.in_time(order.symbol)[-1]
        was_shown = self.last_price[order.symbol] == before.price
        recorded = self.report(after, corrects=corrects, **reported)
        assert (recorded.is_new, recorded.counts) == (True, bool(quantity))
        assert [fill.id for fill in recorded.replaced] == [entry.id]
        self.entries.remove(entry)
        self.replaced.append(entry)
        after = Entry(order.id, name, recorded.fill.id, quantity, price, kept, at)
        (self.entries if quantity else self.replaced).append(after)
        self.settled(order, recorded, was_shown)

    @precondition(lambda self: self.entries)
    @rule(data=st.data())
    def bust(self, data):
        entry = self.some_entry(data)
        order = self.orders[entry.order_id]
        was_shown = self.last_price[order.symbol] == self.in_time(order.symbol)[-1].price
        recorded = self.ledger.record_bust(order.id, entry.name)
        assert (recorded.is_new, recorded.counts, recorded.fill.id) == (True, False, entry.id)
        self.entries.remove(entry)
        self.replaced.append(entry)
        self.settled(order, recorded, was_shown)

    @precondition(lambda self: self.replaced)
    @rule(data=st.data())
    def report_what_was_replaced(self, data):
        entry = self.replaced[data.draw(st.integers(0, len(self.replaced) - 1))]
        recorded = self.report(entry)
        assert (recorded.is_new, recorded.counts, recorded.replaced) == (False, False, ())

    def settled(self, order, recorded, was_shown):
        self.orders[order.id] = recorded.order
        filled = self.filled(order)
        reached = "filled" if filled == order.quantity else "partial" if filled else "sent"
        assert recorded.order.status == ("cancelled" if order.status == "cancelled" else reached)
        if was_shown:
            remaining = self.in_time(order.symbol)
            self.last_price[order.symbol] = remaining[-1].price if remaining else None

    @rule(which=st.integers(0, 1), price=prices)
    def mark(self, which, price):
        position = self.ledger.mark(self.symbols[which], price)
        assert (position is None) == (self.symbols[which] not in self.last_price)
        if position is not None:
            self.last_price[self.symbols[which]] = price

    # how

    def some_order(self, data) -> Order:
        return list(self.orders.values())[data.draw(st.integers(0, len(self.orders) - 1))]

    def some_entry(self, data) -> Entry:
        return self.entries[data.draw(st.integers(0, len(self.entries) - 1))]

    def filled(self, order: Order) -> Decimal:
        return sum((entry.quantity for entry in self.entries if entry.order_id == order.id), Decimal(0))

    def report(self, entry: Entry, **changed):
        content = {name: getattr(entry, name) for name in ("quantity", "price", "commission", "executed_at")}
        return self.ledger.record_fill(entry.order_id, entry.name, **(content | changed))

    def try_to_fill(self, order, quantity, price, commission, at):
        name = f"fill-{next(self.counter)}.01"
        entry = Entry(order.id, name, UUID(int=0), quantity, price, commission, at)
        if order.status == "rejected" or self.filled(order) + quantity > order.quantity:
            with pytest.raises(FillRejected):
                self.report(entry)
            self.rejected += 1
            return
        recorded = self.report(entry)
        assert recorded.is_new
        self.entries.append(Entry(order.id, name, recorded.fill.id, quantity, price, commission, at))
        self.orders[order.id] = recorded.order
        complete = self.filled(order) == order.quantity
        expected = "cancelled" if order.status == "cancelled" else "filled" if complete else "partial"
        assert recorded.order.status == expected
        if recorded.fill.id == self.in_time(order.symbol)[-1].id or self.last_price.get(order.symbol) is None:
            price = self.in_time(order.symbol)[-1].price
            self.last_price[order.symbol] = price

    def in_time(self, symbol: str) -> list[Entry]:
        mine = [entry for entry in self.entries if self.orders[entry.order_id].symbol == symbol]
        return sorted(mine, key=lambda entry: (entry.executed_at, entry.id.bytes))

    # what must hold

    @invariant()
    def positions_follow_from_the_fills(self):
        for symbol in self.symbols:
            replayed, found = Account(), self.ledger.positions(symbol).get(symbol)
            fills = self.in_time(symbol)
            if found is None:
                assert not fills
                continue
            if self.last_price[symbol] is None:
                assert not fills
                assert (found.quantity, found.realized_pnl, found.unrealized_pnl) == (0, 0, 0)
                assert (found.current_price, found.avg_entry_price, found.opened_at) == (None, None, None)
                continue
            for entry in fills:
                signed = Fraction(entry.quantity) * (1 if self.orders[entry.order_id].side == "buy" else -1)
                replayed.book(signed, Fraction(entry.price), Fraction(entry.commission), entry.executed_at)
            self.compare(found, replayed, len(fills))

    def compare(self, found, replayed, number):
        slack = HALF_A_UNIT + Fraction(number, 10**24)
        price = self.last_price[found.symbol]
        assert Fraction(found.quantity) == replayed.quantity
        assert found.opened_at == replayed.opened_at
        assert found.current_price == price
        assert abs(Fraction(found.realized_pnl) - replayed.realized) <= slack
        unrealized = replayed.quantity * (Fraction(price) - replayed.average)
        assert abs(Fraction(found.unrealized_pnl) - unrealized) <= slack
        if replayed.quantity:
            assert abs(Fraction(found.avg_entry_price) - replayed.average) <= HALF_A_UNIT + Fraction(number, 10**16)
        else:
            assert found.avg_entry_price is None
            assert Fraction(found.unrealized_pnl) == 0
        with self.database.begin() as connection:
            steps = execute(
                connection,
                "SELECT cost, realized_pnl FROM trading.position_history WHERE symbol = %(symbol)s"
                " ORDER BY executed_at DESC, trade_id DESC LIMIT 1",
                {"symbol": found.symbol},
            )
        cost, realized = steps[0] if steps else (0, 0)
        assert Fraction(realized) - Fraction(cost) == replayed.cash, "money appeared or went missing"

    @invariant()
    def orders_follow_from_their_fills(self):
        for order in (order for symbol in self.symbols for order in self.ledger.orders(symbol=symbol)):
            assert order == self.orders[order.id]
            mine = [entry for entry in self.entries if entry.order_id == order.id]
            assert order.filled_qty == sum(entry.quantity for entry in mine) <= order.quantity
            assert order.commission == sum(entry.commission for entry in mine)
            assert order.filled_at == (max(e.executed_at for e in mine) if order.status == "filled" else None)
            if mine:
                worth = sum(Fraction(entry.quantity) * Fraction(entry.price) for entry in mine)
                assert abs(Fraction(order.avg_fill_price) - worth / Fraction(order.filled_qty)) <= HALF_A_UNIT

    @invariant()
    def a_step_was_made(self):
        type(self).steps_made += 1

    def teardown(self):
        recorded = {fill.id for symbol in self.symbols for fill in self.ledger.fills(symbol=symbol)}
        assert recorded == {entry.id for entry in self.entries}
        kept = {fill.id for symbol in self.symbols for fill in self.ledger.replaced_fills(symbol=symbol)}
        assert kept == {entry.id for entry in self.replaced}
        kept = len(self.audit.events(event_type="fill_rejected", limit=10**6)) - self.rejected_before
        assert kept == self.rejected, "a refused fill is not in the system events"


@pytest.mark.exhaustive
@pytest.mark.slow
def test_any_life_of_orders_is_booked_right(database: Database):
    class LivesHere(Lives):
        pass

    LivesHere.database, LivesHere.ledger, LivesHere.audit = database, Ledger(database), AuditStore(database)
    run_state_machine_as_test(
        LivesHere,
        settings=settings(
            max_examples=STEPS // 40,  # a life is a little shorter than it may be
            stateful_step_count=50,
            deadline=None,
            database=None,
            phases=[Phase.generate],  # a smaller failing life would run under other names, in another order of ties
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert LivesHere.steps_made >= STEPS
