"""The ledger against an account at Kraken, through the real client over a socket, and what a difference stops."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from trading_platform.domain.errors import InvalidRequest, SourceRejected
from trading_platform.domain.trading.broker import BrokerFill, BrokerOrder, BrokerPosition
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
from trading_platform.stores.postgres.database import execute
from trading_platform.stores.stores import Stores, open_stores
from trading_platform.stores.trading.ledger import Ledger
from trading_platform.stores.trading.pauses import PauseStore
from trading_platform.stores.trading.reconciliations import ReconciliationStore
from trading_platform.workflows.trading.reconcile import Reconciled, page_of, reconcile

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
SPAN = timedelta(days=1)
FIRST = "cash: it is compared after the first comparison whose fills and positions are equal"


@pytest.fixture(scope="module")
def account() -> Iterator[KrakenAccount]:
    private = PrivateRest(Account(DEFAULT_PAIRS, lambda: NOW), Gate(counter_falls=1000, counter_most=1000))
    with running_exchange(SeededMarket(7), None, lambda: NOW, private=private) as url:
        unhurried = LocalRateLimiter(sleep=lambda _: None)
        retries = Retries(sleep=lambda _: None)
        asked = KrakenPrivate(url, Credentials(KEY, SECRET), rate_limiter=unhurried, retries=retries)
        yield KrakenAccount(asked, connect(url, 1000), clock=lambda: NOW)


@dataclass
class Known:
    """What a broker said, for the days that are compared; a fill can be left out."""

    name: str
    said: list[BrokerFill]
    held: list[BrokerPosition]


@pytest.fixture(scope="module")
def known(account: KrakenAccount) -> Known:
    return Known("kraken", account.fills(NOW - timedelta(days=400), NOW + SPAN), account.positions())


@pytest.fixture
def stores(database_url: str, tmp_path: Path) -> Iterator[Stores]:
    with open_stores(database_url, tmp_path / "features") as opened:
        yield opened
        tables = (
            "trades, orders, positions, position_history, outbox, reconciliations, reconciliation_differences, pauses"
        )
        names = ", ".join(f"trading.{name}" for name in tables.split(", "))
        with opened.database.begin() as connection:
            execute(connection, "SET LOCAL session_replication_role = replica")
            execute(connection, f"TRUNCATE {names}, audit.system_events CASCADE")


def book(stores: Stores, known: Known, leave_out: str | None = None, *, before: bool = True) -> None:
    """Books all that the broker says, and what it held before its first fill."""
    ledger = Ledger(stores.database)
    fills = [fill for fill in known.said if fill.execution_id != leave_out]
    for symbol in sorted({each.symbol for each in known.held} | {fill.symbol for fill in known.said} if before else ()):
        own = [fill for fill in known.said if fill.symbol == symbol]
        traded = sum(((1 if fill.side == "buy" else -1) * fill.quantity for fill in own), Decimal(0))
        held = next((each.quantity for each in known.held if each.symbol == symbol), Decimal(0))
        opening = held - traded
        if opening:
            order = ledger.place(
                symbol=symbol,
                side="buy" if opening > 0 else "sell",
                order_type="market",
                quantity=abs(opening),
                broker="kraken",
            )
            ledger.advance(order.id, "sent")
            ledger.record_fill(
                order.id, f"before-{symbol}", quantity=abs(opening), price="100", executed_at=NOW - timedelta(days=500)
            )
    for fill in fills:
        order = ledger.place(
            symbol=fill.symbol, side=fill.side, order_type="market", quantity=fill.quantity, broker="kraken"
        )
        ledger.advance(order.id, "sent")
        ledger.record_fill(
            order.id,
            fill.execution_id,
            quantity=fill.quantity,
            price=fill.price,
            executed_at=fill.executed_at,
            commission=fill.commission or 0,
        )


@dataclass
class OwnAccount:
    """An account at the exchange that does not trade on margin, and the client of it."""

    there: Account
    client: KrakenAccount
    private: PrivateRest

    def gate(self, permissions: frozenset[str]) -> None:
        """Sets what the key may read."""
        self.private.set(Gate(permissions=permissions, counter_falls=1000, counter_most=1000))


@pytest.fixture
def own() -> Iterator[OwnAccount]:
    there = Account(DEFAULT_PAIRS, lambda: NOW, margin=False)
    private = PrivateRest(there, Gate(counter_falls=1000, counter_most=1000))
    with running_exchange(SeededMarket(7), None, lambda: NOW, private=private) as url:
        unhurried = LocalRateLimiter(sleep=lambda _: None)
        retries = Retries(sleep=lambda _: None)
        asked = KrakenPrivate(url, Credentials(KEY, SECRET), rate_limiter=unhurried, retries=retries)
        yield OwnAccount(there, KrakenAccount(asked, connect(url, 1000), clock=lambda: NOW), private)


def compare(stores: Stores, accounts: Mapping[str, BrokerAccount], known: Known) -> list[Reconciled]:
    return reconcile(stores.database, accounts, known.said[-1].executed_at.date(), lambda: NOW)


def test_equal_and_then_a_fill_that_is_missing(stores: Stores, account: KrakenAccount, known: Known) -> None:
    last = known.said[-1]
    book(stores, known, leave_out=last.execution_id)
    (first,) = compare(stores, {"kraken": account}, known)
    kinds = {(each.about, str(each.kind), each.symbol) for each in first.found.differences}
    assert ("fill", "missing_here", last.symbol) in kinds
    assert {symbol for _, _, symbol in kinds} == {last.symbol}
    events = AuditStore(stores.database).events(event_type="reconciliation_different")
    assert [event.metadata["over"] for event in events] == [False]
    book_one = Ledger(stores.database)
    if PauseStore(stores.database).going(NOW):
        PauseStore(stores.database).end(by="ana", because="booked", at=NOW)
    order = book_one.place(
        symbol=last.symbol, side=last.side, order_type="market", quantity=last.quantity, broker="kraken"
    )
    book_one.advance(order.id, "sent")
    book_one.record_fill(
        order.id,
        last.execution_id,
        quantity=last.quantity,
        price=last.price,
        executed_at=last.executed_at,
        commission=last.commission or 0,
    )
    (second,) = compare(stores, {"kraken": account}, known)
    assert not second.found.differences, [each.words for each in second.found.differences]
    assert (second.found.result, second.found.differences, second.pause) == ("equal", (), None)
    events = AuditStore(stores.database).events(event_type="reconciliation_different")
    assert [event.metadata["over"] for event in events] == [True, False]
    kept = ReconciliationStore(stores.database)
    assert [each.result for each in kept.all()] == ["equal", "different"]
    assert kept.get(first.found.number).differences == first.found.differences
    assert "| missing here |" in page_of(kept.get(first.found.number))


def test_a_critical_difference_pauses_trading_until_a_person_ends_it(
    stores: Stores, account: KrakenAccount, known: Known
) -> None:
    ledger, pauses = Ledger(stores.database), PauseStore(stores.database)
    waiting = ledger.place(symbol="BTCUSD", side="buy", order_type="market", quantity=1, broker="kraken")
    (found,) = compare(stores, {"kraken": account}, known)
    assert found.pause is not None
    assert pauses.state(NOW) == "open"
    with pytest.raises(InvalidRequest, match=r"No order can be placed now.*reconciliation kraken"):
        ledger.place(symbol="BTCUSD", side="buy", order_type="market", quantity=1, broker="kraken")
    again = ledger.place(
        symbol="BTCUSD", side="buy", order_type="market", quantity=1, broker="kraken", order_id=waiting.id
    )
    assert again.id == waiting.id
    assert ledger.cancel(waiting.id).status == "cancelled"
    (second,) = compare(stores, {"kraken": account}, known)
    assert second.pause == found.pause
    pauses.try_orders(1, NOW)
    assert pauses.state(NOW) == "half_open"
    ledger.place(symbol="BTCUSD", side="buy", order_type="market", quantity=1, broker="kraken")
    with pytest.raises(InvalidRequest, match="No order can be placed"):
        ledger.place(symbol="BTCUSD", side="buy", order_type="market", quantity=1, broker="kraken")
    (ended,) = pauses.end(by="ana", because="looked", at=NOW)
    assert (ended.ended_by, ended.ended_because) == ("ana", "looked")
    ledger.place(symbol="BTCUSD", side="buy", order_type="market", quantity=1, broker="kraken")
    with pytest.raises(InvalidRequest, match="not paused"):
        pauses.end(by="ana", because="again", at=NOW)


def test_a_broker_that_is_away_is_unknown_and_the_other_is_compared(
    stores: Stores, account: KrakenAccount, known: Known
) -> None:
    nobody = KrakenPrivate(
        "http://127.0.0.1:9",
        Credentials(KEY, SECRET),
        rate_limiter=LocalRateLimiter(sleep=lambda _: None),
        retries=Retries(sleep=lambda _: None),
    )
    away = KrakenAccount(
        nobody, connect("http://127.0.0.1:9", 1000, retries=Retries(sleep=lambda _: None)), clock=lambda: NOW
    )
    book(stores, known)
    found = compare(stores, {"ibkr": away, "kraken": account}, known)
    assert [(each.found.broker, each.found.result) for each in found] == [("ibkr", "unknown"), ("kraken", "equal")]
    assert found[0].found.reason
    assert found[0].pause is None
    events = AuditStore(stores.database).events(event_type="reconciliation_unknown")
    assert [event.metadata["incident"] for event in events] == ["reconciliation_unknown:ibkr"]


def test_a_pause_of_a_time_ends_by_itself(stores: Stores) -> None:
    pauses = PauseStore(stores.database)
    ((now,),) = stores.database.rows("SELECT clock_timestamp()")
    made = pauses.begin(by="ana", because="lunch", at=now, until=now + timedelta(hours=1))
    assert pauses.begin(by="ana", because="lunch", at=now) == made
    assert pauses.state(now) == "open"
    assert pauses.state(now + timedelta(hours=1)) == "closed"
    with pytest.raises(InvalidRequest, match="end in the future"):
        pauses.begin(by="ana", because="x", at=now, until=now)


def test_cash_is_compared_with_the_last_balances_until_a_person_accepts_others(stores: Stores, own: OwnAccount) -> None:
    def run() -> Reconciled:
        said = own.client.fills(NOW - timedelta(days=400), NOW + SPAN)
        known = Known("kraken", said, own.client.positions())
        missing = {fill.execution_id for fill in said} - booked
        if missing:
            book(
                stores, replace(known, said=[fill for fill in said if fill.execution_id in missing]), before=not booked
            )
            booked.update(missing)
        return compare(stores, {"kraken": own.client}, known)[0]

    booked: set[str] = set()
    kept = ReconciliationStore(stores.database)
    first = run()
    assert (first.found.result, first.found.not_compared) == ("equal", FIRST)
    own.there.grows = 7
    own.there.grow()
    own.there.grows = 0
    second = run()
    assert (second.found.result, second.found.not_compared) == ("equal", None), second.found.differences
    own.there.deposits["ZUSD"] = Decimal("12.5")
    third, fourth = run(), run()
    for found in (third, fourth):
        (difference,) = found.found.differences
        assert (difference.about, difference.symbol, difference.severity) == ("cash", "USD", "error")
        assert difference.ours is not None
        assert Decimal(difference.theirs or 0) - Decimal(difference.ours) == Decimal("12.5")
        assert found.pause is None
    accepted = kept.accept(third.found.number, by="ana", because="a deposit", at=NOW)
    assert (accepted.accepted_by, accepted.accepted_because) == ("ana", "a deposit")
    assert "The cash was accepted by ana: a deposit" in page_of(accepted)
    assert run().found.result == "equal"
    with pytest.raises(InvalidRequest, match="is accepted"):
        kept.accept(third.found.number, by="ana", because="again", at=NOW)
    with pytest.raises(InvalidRequest, match="no difference of cash"):
        kept.accept(first.found.number, by="ana", because="x", at=NOW)
    events = AuditStore(stores.database).events(event_type="reconciliation_different")
    assert [event.metadata["over"] for event in events] == [True, False, False]


def test_open_orders_are_compared(stores: Stores, own: OwnAccount) -> None:
    ledger = Ledger(stores.database)
    bitcoin = next(pair for pair in DEFAULT_PAIRS if pair.symbol == "BTCUSD")
    for number, price in (("O1", "50000"), ("O2", "51000"), ("O3", "52000")):
        order = ledger.place(
            symbol="BTCUSD", side="buy", order_type="limit", quantity="0.5", price=price, broker="kraken"
        )
        ledger.advance(order.id, "sent", number)
        if number == "O3":
            ledger.cancel(order.id)
    entry = own.there.order
    own.there.orders = {
        "O1": entry(bitcoin, "buy", "0.50000000", "50000.0"),
        "O3": entry(bitcoin, "buy", "0.5", "52000"),
        "O9": entry(bitcoin, "sell", "0.1", "90000", filled="0.05"),
    }
    known = Known("kraken", own.client.fills(NOW - timedelta(days=400), NOW + SPAN), own.client.positions())
    (found,) = compare(stores, {"kraken": own.client}, known)
    differences = [each for each in found.found.differences if each.about == "order"]
    assert found.found.orders == 4
    assert [(each.subject, str(each.kind)) for each in differences[1:]] == [("O3", "status"), ("O9", "missing_here")]
    assert (str(differences[0].kind), differences[0].ours) == ("missing_there", "buy 0.5 BTCUSD at 51000")
    assert differences[2].theirs == "sell 0.1 BTCUSD at 90000, 0.05 filled"


def test_what_a_broker_does_not_show_is_said(stores: Stores, account: KrakenAccount, known: Known) -> None:
    book(stores, known)
    (found,) = compare(stores, {"kraken": account}, known)
    assert found.found.result == "equal"
    assert "cash: The balances of an account that trades on margin" in (found.found.not_compared or "")
    assert "Not compared: cash" in page_of(found.found)


def test_fills_that_are_not_shown_are_unknown_and_what_is_not_compared_is_not_over(
    stores: Stores, own: OwnAccount
) -> None:
    known = Known("kraken", own.client.fills(NOW - timedelta(days=400), NOW + SPAN), own.client.positions())
    book(stores, known)
    bitcoin = next(pair for pair in DEFAULT_PAIRS if pair.symbol == "BTCUSD")
    own.there.orders = {"O9": own.there.order(bitcoin, "sell", "0.1", "90000")}
    assert compare(stores, {"kraken": own.client}, known)[0].found.result == "different"
    own.gate(frozenset({"funds", "closed"}))  # orders and margin are not shown any more
    (hidden,) = compare(stores, {"kraken": own.client}, known)
    assert hidden.found.result == "unknown", "positions on margin are not shown either"
    own.gate(frozenset({"funds", "open"}))
    (without_fills,) = compare(stores, {"kraken": own.client}, known)
    assert without_fills.found.result == "different", "the order is"
    own.there.orders = {}
    (without_fills,) = compare(stores, {"kraken": own.client}, known)
    assert (without_fills.found.result, without_fills.found.fills_until) == ("unknown", None)
    assert "fills: Kraken rejects TradesHistory" in (without_fills.found.reason or "")
    audit = AuditStore(stores.database)
    assert next(event.metadata["over"] for event in audit.events(event_type="reconciliation_different")) is False
    own.gate(frozenset({"funds", "open", "closed"}))
    assert compare(stores, {"kraken": own.client}, known)[0].found.result == "equal"
    assert next(event.metadata["over"] for event in audit.events(event_type="reconciliation_different")) is True


class WithoutOrders:
    """An account at a gateway that does not show orders, as one that is read-only."""

    def __init__(self, account: KrakenAccount) -> None:
        self._account = account

    def __getattr__(self, name: str) -> object:
        return getattr(self._account, name)

    def open_orders(self) -> list[BrokerOrder]:
        raise SourceRejected("Orders are not shown.")


def test_a_difference_of_orders_is_not_over_where_orders_are_not_shown(stores: Stores, own: OwnAccount) -> None:
    known = Known("kraken", own.client.fills(NOW - timedelta(days=400), NOW + SPAN), own.client.positions())
    book(stores, known)
    bitcoin = next(pair for pair in DEFAULT_PAIRS if pair.symbol == "BTCUSD")
    own.there.orders = {"O9": own.there.order(bitcoin, "sell", "0.1", "90000")}
    compare(stores, {"kraken": own.client}, known)
    (hidden,) = compare(stores, {"kraken": WithoutOrders(own.client)}, known)  # type: ignore[dict-item]
    assert (hidden.found.result, "Orders are not shown" in (hidden.found.not_compared or "")) == ("equal", True)
    audit = AuditStore(stores.database)
    assert [event.metadata["over"] for event in audit.events(event_type="reconciliation_different")] == [False]
    own.there.orders = {}
    compare(stores, {"kraken": own.client}, known)
    assert [event.metadata["over"] for event in audit.events(event_type="reconciliation_different")] == [True, False]
