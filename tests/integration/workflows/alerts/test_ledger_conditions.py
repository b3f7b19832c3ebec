"""Each documented difference between ledger and broker, as a person is told of it: once, by severity, with its end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from alert_scene import Scene, begun_of, over_of

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.trading.broker import BrokerFill, BrokerPosition
from trading_platform.simulator.account import KEY, SECRET, Account
from trading_platform.simulator.pairs import DEFAULT_PAIRS
from trading_platform.simulator.private import Gate, PrivateRest
from trading_platform.simulator.seeded import SeededMarket
from trading_platform.simulator.server import running_exchange
from trading_platform.sources.base import BrokerAccount
from trading_platform.sources.kraken.account.private import Credentials, KrakenPrivate
from trading_platform.sources.kraken.account.source import KrakenAccount
from trading_platform.sources.kraken.client import connect
from trading_platform.sources.kraken.http import Retries
from trading_platform.sources.rate_limits import LocalRateLimiter
from trading_platform.stores.audit.journal import AuditStore
from trading_platform.stores.trading.ledger import Ledger
from trading_platform.stores.trading.pauses import PauseStore
from trading_platform.workflows.trading.reconcile import Reconciled, reconcile

BTC = "BTCUSD"

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
UNIT = Decimal("0.00000001")


@pytest.fixture(scope="module")
def account() -> Iterator[KrakenAccount]:
    private = PrivateRest(Account(DEFAULT_PAIRS, lambda: NOW), Gate(counter_falls=1000, counter_most=1000))
    with running_exchange(SeededMarket(7), None, lambda: NOW, private=private) as url:
        unhurried, retries = LocalRateLimiter(sleep=lambda _: None), Retries(sleep=lambda _: None)
        asked = KrakenPrivate(url, Credentials(KEY, SECRET), rate_limiter=unhurried, retries=retries)
        yield KrakenAccount(asked, connect(url, 1000), clock=lambda: NOW)


@dataclass
class Books:
    """The ledger beside the account, compared as the schedule does it."""

    scene: Scene
    account: BrokerAccount
    fills: list[BrokerFill]
    held: list[BrokerPosition]

    def book(self, leave_out: str = "", off: Decimal = Decimal(0)) -> None:
        """Books all that the broker says; the first position is off by a share."""
        symbols = sorted({each.symbol for each in self.held} | {fill.symbol for fill in self.fills})
        for symbol in symbols:
            traded = sum((_signed(fill) for fill in self.fills if fill.symbol == symbol), Decimal(0))
            held = next((each.quantity for each in self.held if each.symbol == symbol), Decimal(0))
            more = (held * off).quantize(UNIT) if symbol == symbols[0] else Decimal(0)
            before = held + more - traded
            if before:
                self.fill(symbol, "buy" if before > 0 else "sell", abs(before), f"before-{symbol}")
        for fill in self.fills:
            if fill.execution_id != leave_out:
                self.book_fill(fill)

    def book_fill(self, fill: BrokerFill) -> None:
        self.fill(
            fill.symbol, fill.side, fill.quantity, fill.execution_id, fill.price, fill.executed_at, fill.commission or 0
        )

    def fill(
        self, symbol: str, side: str, quantity: Decimal, number: str, price: object = "100",
        at: datetime = NOW - timedelta(days=500), commission: object = 0,
    ) -> None:  # fmt: skip
        ledger = Ledger(self.scene.stores.database)
        order = ledger.place(symbol=symbol, side=side, order_type="market", quantity=quantity, broker="kraken")  # type: ignore[arg-type]
        ledger.advance(order.id, "sent")
        ledger.record_fill(order.id, number, quantity=quantity, price=price, executed_at=at, commission=commission)  # type: ignore[arg-type]

    def compare(self, account: BrokerAccount | None = None) -> Reconciled:
        day = self.fills[-1].executed_at.date()
        (found,) = reconcile(self.scene.stores.database, {"kraken": account or self.account}, day, lambda: NOW)
        return found


def _signed(fill: BrokerFill) -> Decimal:
    return fill.quantity if fill.side == "buy" else -fill.quantity


@pytest.fixture
def books(scene: Scene, account: KrakenAccount) -> Books:
    fills = account.fills(NOW - timedelta(days=400), NOW + timedelta(days=1))
    return Books(scene, account, fills, account.positions())


@dataclass
class Reporting:
    """The account, with other reports of its fills."""

    account: KrakenAccount
    last: tuple[BrokerFill, ...]

    def fills(self, start: datetime, end: datetime) -> list[BrokerFill]:
        return [*self.account.fills(start, end)[:-1], *self.last]

    def positions(self) -> list[BrokerPosition]:
        return self.account.positions()

    def balances(self) -> list:  # type: ignore[type-arg]
        return self.account.balances()


def told_of_difference(books: Books, severity: str, account: BrokerAccount | None, kind: tuple[str, str], mend) -> None:
    """One message however often it is compared; a critical one stops new orders until a person has looked."""
    scene, mark = books.scene, {"critical": "🛑", "error": "🔴"}[severity]
    for _ in range(2):
        found = books.compare(account)
        assert kind in {(each.about, str(each.kind)) for each in found.found.differences}
        scene.pass_time(2)
    name = f"[{severity}] reconciliation reconciliation_different kraken"
    (begun,) = begun_of(scene, name)
    assert begun.startswith(mark)
    events = AuditStore(scene.stores.database).events(event_type="reconciliation_different")
    assert {event.severity for event in events} == {severity}
    pauses = PauseStore(scene.stores.database)
    assert bool(pauses.going(NOW)) == (severity == "critical")
    if severity == "critical":
        with pytest.raises(InvalidRequest, match="No order can be placed"):
            books.fill(BTC, "buy", Decimal(1), "while-paused")
        pauses.end(by="ana", because="looked", at=NOW)
    mend()
    assert books.compare().found.result == "equal"
    scene.pass_time(4)
    (over,) = over_of(scene, name)
    assert over.startswith("🟢")
    assert len(begun_of(scene, name)) == 1


def test_a_position_that_is_off_by_more_than_a_percent(books: Books) -> None:
    books.book(off=Decimal("0.011"))
    first = min({each.symbol for each in books.held} | {fill.symbol for fill in books.fills})
    held = next(each.quantity for each in books.held if each.symbol == first)
    amount = abs((held * Decimal("0.011")).quantize(UNIT))

    def mend() -> None:
        books.fill(first, "sell" if held > 0 else "buy", amount, "correction")

    told_of_difference(books, "critical", None, ("position", "quantity"), mend)


def test_a_fill_that_the_ledger_does_not_know(books: Books) -> None:
    last = books.fills[-1]
    books.book(leave_out=last.execution_id)
    severity = "critical" if _position_is_off(books) else "error"
    told_of_difference(books, severity, None, ("fill", "missing_here"), lambda: books.book_fill(last))


def _position_is_off(books: Books) -> bool:
    """Whether the last fill is more than a hundredth of its position."""
    last = books.fills[-1]
    held = next((each.quantity for each in books.held if each.symbol == last.symbol), Decimal(0))
    return last.quantity > Decimal("0.01") * max(abs(held), abs(held - _signed(last)))


def test_a_fill_that_the_broker_does_not_know(books: Books, account: KrakenAccount) -> None:
    books.book()
    told_of_difference(books, "error", Reporting(account, ()), ("fill", "missing_there"), lambda: None)


def test_an_execution_that_the_broker_corrected(books: Books, account: KrakenAccount) -> None:
    books.book()
    last = books.fills[-1]
    corrected = replace(last, execution_id="corrected", price=last.price + 1, replaces=(last.execution_id,))
    told_of_difference(books, "error", Reporting(account, (corrected,)), ("fill", "corrected"), lambda: None)
