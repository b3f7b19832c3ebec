"""One id, one order, one fill: however it is written, whoever gives it, whenever it was recorded."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from uuid import uuid4

import psycopg
import pytest
from commands import rows
from schemas import bring_to, new_database, upgrade

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.trading.orders import Broker, Order, fill_uuid
from trading_platform.stores.audit.journal import AuditStore
from trading_platform.stores.postgres.database import Database
from trading_platform.stores.trading.fills import FillRejected
from trading_platform.stores.trading.ledger import Ledger

TIMESTAMP = datetime(2024, 3, 4, 14, 30, tzinfo=UTC)
NUMBER = count()


@pytest.fixture(scope="module")
def ledger(database: Database) -> Ledger:
    return Ledger(database)


def place(ledger: Ledger, order_id: object = None, broker: str = "kraken") -> Order:
    symbol = f"B{next(NUMBER)}"
    return ledger.place(
        symbol=symbol,
        side="buy",
        order_type="market",
        quantity="10",
        broker=broker,
        order_id=order_id,  # type: ignore[arg-type]
    )


def record(ledger: Ledger, order: Order, name: str, **changed: object):
    content: dict = {"quantity": "1", "price": "100", "executed_at": TIMESTAMP} | changed
    return ledger.record_fill(order.id, name, **content)


def test_an_order_placed_twice_is_placed_once_also_by_the_text_of_its_id(ledger: Ledger) -> None:
    ordered = {"symbol": "TEXTID", "side": "buy", "order_type": "market", "quantity": "10", "broker": "kraken"}
    chosen = uuid4()
    first = ledger.place(**ordered, order_id=str(chosen))  # type: ignore[arg-type]
    for again in (str(chosen), str(chosen).upper(), chosen.hex, chosen):
        assert ledger.place(**ordered, order_id=again) == first  # type: ignore[arg-type]
    assert ledger.orders(symbol="TEXTID") == [first]
    assert ledger.get(str(chosen)) == first
    assert ledger.advance(str(chosen), "sent").status == "sent"
    with pytest.raises(InvalidRequest, match="This is no order's id"):
        ledger.place(**ordered, order_id="order 7")  # type: ignore[arg-type]


@pytest.mark.parametrize("spelled", ["T1 ", " T1", "T1\n", "\tT1\r\n", "T1\u00a0"])
@pytest.mark.parametrize("broker", ["kraken", "ibkr"])
def test_blanks_around_a_fills_id_make_no_other_fill(ledger: Ledger, spelled: str, broker: str) -> None:
    order = place(ledger, broker=broker)
    name = f"{order.symbol}.01"
    first = record(ledger, order, name)
    again = record(ledger, order, spelled.replace("T1", name))
    assert (first.is_new, again.is_new) == (True, False)
    assert again.order.filled_qty == Decimal(1)
    cancelled = ledger.record_bust(order.id, spelled.replace("T1", name))
    assert cancelled.order.filled_qty == 0


def test_a_correction_is_found_through_its_blanks(ledger: Ledger) -> None:
    order = place(ledger, broker="ibkr")
    record(ledger, order, f"{order.symbol}.01 ")
    corrected = record(ledger, order, f"{order.symbol}.02\n", quantity="2")
    assert corrected.order.filled_qty == Decimal(2)
    other = place(ledger)
    record(ledger, other, f"{other.symbol}-a")
    named = record(ledger, other, f"{other.symbol}-b", quantity="3", corrects=f" {other.symbol}-a ")
    assert named.order.filled_qty == Decimal(3)


def test_a_fill_recorded_with_blanks_by_an_earlier_version_is_still_the_same(ledger: Ledger, database_url: str) -> None:
    order = place(ledger)
    name = f"{order.symbol}-a\n"
    record(ledger, order, "another")
    with psycopg.connect(database_url) as connection:  # as they were recorded then: by the id as it was given
        connection.execute(
            "INSERT INTO trading.trades (id, order_id, symbol, side, quantity, price, commission, executed_at, broker)"
            " VALUES (%s, %s, %s, 'buy', 1, 100, 0, %s, 'kraken')",
            (fill_uuid(Broker.KRAKEN, name), order.id, order.symbol, TIMESTAMP),
        )
    assert not record(ledger, order, name).is_new
    assert len(ledger.fills(order_id=order.id)) == 2


def test_a_brokers_id_belongs_to_one_order(ledger: Ledger, audit: AuditStore) -> None:
    first, second = place(ledger), place(ledger)
    shared = f"O-{first.symbol}"
    ledger.advance(first.id, "sent", shared)
    for spelled in (shared, f" {shared}\n"):
        with pytest.raises(InvalidRequest, match=f"Another order has the broker's id {shared} already"):
            ledger.advance(second.id, "sent", spelled)
    assert ledger.get(second.id) == second
    with pytest.raises(FillRejected, match="Another order"):
        record(ledger, second, f"{second.symbol}-a", broker_order_id=shared)
    assert ledger.fills(order_id=second.id) == []
    rejected = audit.events(event_type="fill_rejected")
    (event,) = [each for each in rejected if str(second.id) in str(each.metadata)]
    assert shared in f"{event.message} {event.metadata}"
    assert ledger.advance(first.id, "sent", f"{shared} ").broker_order_id == shared, "its own id, written otherwise"
    elsewhere = place(ledger, broker="ibkr")
    assert ledger.advance(elsewhere.id, "sent", shared).broker_order_id == shared, "another broker's id"


def test_of_orders_that_take_an_id_at_once_one_gets_it(ledger: Ledger) -> None:
    orders = [place(ledger) for _ in range(8)]

    def take(order: Order) -> bool:
        try:
            ledger.advance(order.id, "sent", f"O-{orders[0].symbol}")
        except InvalidRequest:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(take, orders)) == 1


def test_orders_that_share_an_id_from_before_keep_it(database_url: str) -> None:
    """Such a database can be upgraded, and no further order takes the id."""
    with new_database(database_url) as url:
        bring_to(url, "0011")
        ids = [uuid4() for _ in range(3)]
        with psycopg.connect(url) as connection:
            for number, order_id in enumerate(ids):
                connection.execute(
                    "INSERT INTO trading.orders (id, symbol, side, order_type, quantity, broker, created_at)"
                    " VALUES (%s, 'BTCUSD', 'buy', 'market', 1, 'kraken', now() + make_interval(secs => %s))",
                    (order_id, number),
                )
            connection.execute("UPDATE trading.orders SET status = 'sent', broker_order_id = 'SHARED'")
        upgrade(url)
        assert rows(url, "SELECT count(*) FROM trading.orders WHERE broker_order_id = 'SHARED'") == [(3,)]
        opened = Database(url)
        ledger = Ledger(opened)
        for order_id in ids:
            assert record(ledger, ledger.get(order_id), f"fill of {order_id}").order.status == "filled"  # type: ignore[arg-type]
        with pytest.raises(InvalidRequest, match="Another order has the broker's id"):
            ledger.advance(place(ledger).id, "sent", "SHARED")
        opened.close()
