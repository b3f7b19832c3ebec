"""The ledger over a real database: once only, refusals kept, and the database's own guards."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count, product
from uuid import uuid4

import psycopg
import pytest
from processes import REPOSITORY, environment
from waiting import LONG

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.trading.orders import STEPS, Broker, Order, OrderStatus, fill_uuid
from trading_platform.stores.config.strategies import StrategyStore
from trading_platform.stores.postgres.database import Database, execute
from trading_platform.stores.trading.fills import FillRejected
from trading_platform.stores.trading.ledger import Ledger

TIMESTAMP = datetime(2024, 3, 4, 14, 30, tzinfo=UTC)
NUMBER = count()

FIRE = """
import json, random, sys
from datetime import datetime
from uuid import UUID
from trading_platform.stores.trading.ledger import Ledger
from trading_platform.stores.postgres.database import Database
ledger, fills = Ledger(Database(sys.argv[1])), json.load(open(sys.argv[2]))
random.Random(sys.argv[3]).shuffle(fills)
print("ready", flush=True)
sys.stdin.readline()
new = 0
for fill in fills:
    recorded = ledger.record_fill(
        UUID(fill["order"]), fill["id"], quantity=fill["quantity"], price=fill["price"],
        commission="0.01", executed_at=datetime.fromisoformat(fill["at"]))
    new += recorded.is_new
print(new)
"""


@pytest.fixture(scope="module")
def ledger(database: Database) -> Ledger:
    return Ledger(database)


@pytest.fixture
def symbol() -> str:
    return f"T{next(NUMBER)}"


def place(ledger: Ledger, symbol: str, quantity: str = "10", **changed) -> Order:
    ordered = {"side": "buy", "order_type": "market", "broker": "ibkr"} | changed
    return ledger.place(symbol=symbol, quantity=quantity, **ordered)


def fill(ledger: Ledger, order: Order, name: str, quantity: str = "1", price: str = "100", **changed):
    content = {"executed_at": TIMESTAMP} | changed
    return ledger.record_fill(order.id, f"{order.symbol}-{name}", quantity=quantity, price=price, **content)


def test_decimals_end_to_end(ledger, symbol):
    order = place(ledger, symbol, "1234567890.12345678", order_type="limit", price="0.00000001", broker="kraken")
    recorded = fill(ledger, order, "a", "1234567890.12345677", "0.00000001", commission="0.00000003")
    assert recorded.order.quantity == Decimal("1234567890.12345678")
    assert recorded.order.open_quantity == Decimal("0.00000001")
    assert recorded.position.quantity == Decimal("1234567890.12345677")
    assert ledger.get(order.id) == recorded.order
    assert ledger.fills(order_id=order.id) == [recorded.fill]
    assert recorded.fill.id == fill_uuid(Broker.KRAKEN, f"{symbol}-a")
    assert all(isinstance(value, Decimal) for value in (recorded.fill.price, recorded.position.realized_pnl))


def test_a_position_from_entry_to_exit(ledger, symbol):
    bought = place(ledger, symbol)
    fill(ledger, bought, "1", "4", "100", commission="1")
    fill(ledger, bought, "2", "6", "110", commission="1", executed_at=TIMESTAMP + timedelta(seconds=1))
    held = ledger.positions(symbol)[symbol]
    assert (held.quantity, held.avg_entry_price, held.realized_pnl) == (10, 106, -2)
    assert (held.current_price, held.unrealized_pnl, held.opened_at) == (110, 40, TIMESTAMP)
    assert ledger.mark(symbol, "107").unrealized_pnl == 10
    sold = place(ledger, symbol, "15", side="sell")
    recorded = fill(ledger, sold, "3", "15", "108", commission="1", executed_at=TIMESTAMP + timedelta(seconds=2))
    assert recorded.order.status == "filled"
    assert recorded.order.filled_at == TIMESTAMP + timedelta(seconds=2)
    assert (recorded.position.quantity, recorded.position.avg_entry_price) == (-5, 108)
    assert recorded.position.realized_pnl == 10 * 2 - 3
    assert symbol in ledger.positions(open_only=True)


def test_fills_in_any_order_of_time_make_the_same_position(ledger):
    def book(name: str, order_of_arrival: list[int]):
        orders = [place(ledger, name), place(ledger, name, "10", side="sell"), place(ledger, name)]
        for number in order_of_arrival:
            price = str([10, 13, 17][number])
            fill(ledger, orders[number], str(number), "3", price, executed_at=TIMESTAMP + timedelta(seconds=number))
        position = ledger.positions(name)[name]
        return position.quantity, position.avg_entry_price, position.realized_pnl, position.opened_at

    arrivals = [[0, 1, 2], [2, 1, 0], [1, 2, 0], [2, 0, 1]]
    booked = [book(f"ORDER{number}", arrival) for number, arrival in enumerate(arrivals)]
    assert len(set(booked)) == 1
    assert booked[0] == (3, 17, 9, TIMESTAMP + timedelta(seconds=2))


def test_more_than_was_ordered_is_refused_and_kept(ledger, audit, symbol):
    order = place(ledger, symbol, "2")
    fill(ledger, order, "1", "1.5")
    before = ledger.get(order.id), ledger.positions(symbol), ledger.fills(symbol=symbol)
    with pytest.raises(FillRejected, match="more than was ordered") as rejected:
        fill(ledger, order, "2", "0.50000001", commission="0.25")
    assert rejected.value.expected == "at most 0.50000000 of 2.00000000"
    assert (ledger.get(order.id), ledger.positions(symbol), ledger.fills(symbol=symbol)) == before
    kept = audit.events(event_type="fill_rejected", limit=1)[0]
    assert (kept.severity, kept.component) == ("error", "ledger")
    assert kept.metadata["fill"] == {
        "order_id": str(order.id),
        "broker_fill_id": f"{symbol}-2",
        "quantity": "0.50000001",
        "price": "100.00000000",
        "commission": "0.25000000",
        "executed_at": TIMESTAMP.isoformat(),
    }


@pytest.mark.parametrize(
    "changed",
    [{"quantity": "2"}, {"price": "101"}, {"commission": "1"}, {"executed_at": TIMESTAMP + timedelta(seconds=1)}],
)
def test_the_same_fill_with_other_content_is_refused(ledger, audit, symbol, changed):
    order = place(ledger, symbol)
    first = fill(ledger, order, "1")
    with pytest.raises(FillRejected, match="other content") as rejected:
        fill(ledger, order, "1", **changed)
    assert next(iter(changed)) in rejected.value.received
    assert ledger.fills(symbol=symbol) == [first.fill]
    assert audit.events(event_type="fill_rejected", limit=1)[0].metadata["fill"]["broker_fill_id"] == f"{symbol}-1"


def test_fills_that_belong_to_no_living_order_are_refused(ledger, audit, symbol):
    rejected = place(ledger, symbol)
    ledger.advance(rejected.id, "rejected")
    with pytest.raises(FillRejected, match="was rejected"):
        fill(ledger, rejected, "1")
    with pytest.raises(FillRejected, match="There is no order"):
        ledger.record_fill(uuid4(), "x", quantity=1, price=1, executed_at=TIMESTAMP)
    named = place(ledger, symbol)
    ledger.advance(named.id, "sent", broker_order_id="77")
    with pytest.raises(FillRejected, match="another order"):
        fill(ledger, named, "2", broker_order_id="78")
    assert len(audit.events(event_type="fill_rejected", limit=3)) == 3
    assert not ledger.fills(symbol=symbol)


def test_a_position_that_no_column_can_hold_is_refused_whole(ledger, symbol):
    order = place(ledger, symbol, "9999999999")
    fill(ledger, order, "1", "9999999999", "1")
    force = place(ledger, symbol, "9999999999")
    with pytest.raises(FillRejected, match="too large"):
        fill(ledger, force, "2", "9999999999", "1")
    assert ledger.get(force.id).status == "pending"
    assert len(ledger.fills(symbol=symbol)) == 1
    with pytest.raises(InvalidRequest, match="too large"):
        ledger.mark(symbol, "9999999999")


def test_a_fill_after_the_cancel_counts_and_is_warned_of(ledger, audit, symbol):
    order = place(ledger, symbol, "2")
    ledger.advance(order.id, "sent")
    ledger.cancel(order.id)
    recorded = fill(ledger, order, "1", "2")
    assert (recorded.order.status, recorded.order.filled_qty, recorded.position.quantity) == ("cancelled", 2, 2)
    assert audit.events(event_type="fill_after_cancel", limit=1)[0].severity == "warning"


def test_a_fill_can_come_before_the_acknowledgement(ledger, symbol):
    recorded = fill(ledger, place(ledger, symbol), "1", broker_order_id="OQCLML-BW3P3-BUCMWZ")
    assert (recorded.order.status, recorded.order.broker_order_id) == ("partial", "OQCLML-BW3P3-BUCMWZ")


def test_placing_twice_is_placing_once(ledger, symbol):
    chosen = uuid4()
    assert place(ledger, symbol, order_id=chosen) == place(ledger, symbol, order_id=chosen)
    with pytest.raises(InvalidRequest, match="another order") as rejected:
        place(ledger, symbol, "11", order_id=chosen)
    assert rejected.value.received == "quantity 11.00000000"
    assert len(ledger.orders(symbol=symbol)) == 1


def test_an_order_has_a_known_strategy_or_none(ledger, database, symbol):
    with pytest.raises(InvalidRequest, match="no strategy 'nobody'"):
        place(ledger, symbol, strategy_id="nobody")
    StrategyStore(database).save("momentum_eu_v1", "Momentum Europe", params={"lookback": 20, "risk": Decimal("0.01")})
    placed = place(ledger, symbol, strategy_id="momentum_eu_v1")
    assert ledger.orders(strategy_id="momentum_eu_v1", status="pending") == [placed]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"side": "hold"}, "no side 'hold'"),
        ({"order_type": "stop"}, "no order type 'stop'"),
        ({"broker": "binance"}, "no broker 'binance'"),
        ({"quantity": "0"}, "quantity cannot be used"),
        ({"quantity": 0.1}, "quantity cannot be used"),
        ({"order_type": "limit"}, "needs its limit price"),
        ({"price": "1"}, "has no price"),
        ({"order_type": "stop_limit", "price": "1"}, "needs its stop price"),
        ({"order_type": "stop_limit", "price": "1", "stop_price": 0.5}, "stop price cannot be used"),
        ({"order_type": "limit", "price": "1", "stop_price": "1"}, "has no stop price"),
        ({"stop_price": "1"}, "has no stop price"),
    ],
)
def test_what_could_be_no_order_is_refused(ledger, symbol, wrong, said):
    with pytest.raises(InvalidRequest, match=said):
        place(ledger, symbol, **wrong)
    assert not ledger.orders(symbol=symbol)


@pytest.mark.parametrize(("before", "after"), list(product(OrderStatus, OrderStatus)))
def test_the_database_has_the_same_steps(database_url, ledger, symbol, before, after):
    """Each step tried with plain SQL, with everything else in the row as the new status wants it."""
    order = bring_to(ledger, symbol, before)
    filled = {"partial": "1", "filled": "2"}.get(after.value, str(order.filled_qty))
    statement = (
        "UPDATE trading.orders SET status = %(status)s, filled_qty = %(filled)s::numeric,"
        " avg_fill_price = CASE WHEN %(filled)s::numeric > 0 THEN 100 END,"
        " filled_at = CASE WHEN %(complete)s THEN COALESCE(filled_at, now()) END WHERE id = %(id)s"
    )
    row = {"status": after.value, "filled": filled, "complete": after is OrderStatus.FILLED, "id": order.id}
    with psycopg.connect(database_url) as raw:
        if after in STEPS[before] or after is before:
            assert raw.execute(statement, row).rowcount == 1
        else:
            with pytest.raises(psycopg.errors.CheckViolation, match=f"cannot go from {before} to {after}"):
                raw.execute(statement, row)
        raw.rollback()


def bring_to(ledger: Ledger, symbol: str, status: OrderStatus) -> Order:
    order = place(ledger, symbol, "2")
    if status in ("partial", "filled"):
        return fill(ledger, order, "1", "1" if status == "partial" else "2").order
    return order if status == "pending" else ledger.advance(order.id, status)


def test_a_stop_price_is_kept_with_its_order(database, ledger, symbol):
    chosen = uuid4()
    stop = {"order_type": "stop_limit", "price": "99.5", "stop_price": "100.00000001", "order_id": chosen}
    order = place(ledger, symbol, side="sell", **stop)
    assert (order.price, order.stop_price) == (Decimal("99.5"), Decimal("100.00000001"))
    assert place(ledger, symbol, side="sell", **stop) == ledger.get(chosen) == order
    with pytest.raises(InvalidRequest, match="another order"):
        place(ledger, symbol, side="sell", **stop | {"stop_price": "100"})
    assert fill(ledger, order, "1").order.stop_price == Decimal("100.00000001")
    with database.begin() as connection:
        statement = "SELECT payload FROM trading.outbox WHERE order_id = %(id)s ORDER BY id LIMIT 1"
        ((payload,),) = execute(connection, statement, {"id": order.id})
    assert payload["order"]["stop_price"] == "100.00000001"


def test_a_stop_limit_order_from_before_stop_prices_is_filled(database_url, ledger, symbol):
    with psycopg.connect(database_url) as raw:
        raw.execute("SET session_replication_role = replica")  # as it was inserted before the rule existed
        raw.execute(f"{ORDERED} (%s, 'buy', 'ibkr', 'stop_limit', 10, 99, 'sent')", (symbol,))
    (order,) = ledger.orders(symbol=symbol)
    assert (order.status, order.stop_price) == ("sent", None)
    assert fill(ledger, order, "1", "10", "99").order.status == "filled"


ORDERED = "INSERT INTO trading.orders (symbol, side, broker, order_type, quantity, price, status) VALUES "

STOPPED = "INSERT INTO trading.orders (symbol, side, broker, order_type, quantity, price, stop_price) VALUES "


@pytest.mark.parametrize(
    "statement",
    [
        f"{ORDERED} ('SPY', 'buy', 'ibkr', 'market', 1, NULL, 'sent')",
        f"{ORDERED} ('SPY', 'buy', 'ibkr', 'market', 0, NULL, 'pending')",
        f"{ORDERED} ('SPY', 'buy', 'ibkr', 'market', 'NaN', NULL, 'pending')",
        f"{ORDERED} ('SPY', 'buy', 'ibkr', 'market', 1, 1, 'pending')",
        f"{ORDERED} ('SPY', 'buy', 'ibkr', 'limit', 1, NULL, 'pending')",
        f"{ORDERED} ('SPY', 'buy', 'ibkr', 'stop_limit', 1, -1, 'pending')",
        f"{ORDERED} ('SPY', 'buy', 'ibkr', 'stop_limit', 1, 1, 'pending')",
        f"{STOPPED} ('SPY', 'buy', 'ibkr', 'stop_limit', 1, 1, 'NaN')",
        f"{STOPPED} ('SPY', 'buy', 'ibkr', 'stop_limit', 1, 1, 0)",
        f"{STOPPED} ('SPY', 'buy', 'ibkr', 'limit', 1, 1, 1)",
        f"{STOPPED} ('SPY', 'buy', 'ibkr', 'market', 1, NULL, 1)",
        "UPDATE trading.orders SET stop_price = 1",
        "UPDATE trading.orders SET quantity = quantity + 1",
        "UPDATE trading.orders SET filled_qty = quantity + 1",
        "UPDATE trading.orders SET side = 'sell'",
        "DELETE FROM trading.orders",
        "UPDATE trading.trades SET price = price + 1",
        "DELETE FROM trading.trades",
        """INSERT INTO trading.trades (id, order_id, symbol, side, quantity, price, executed_at, broker)
           SELECT gen_random_uuid(), id, 'QQQ', side, 1, 1, now(), broker FROM trading.orders LIMIT 1""",
        "UPDATE trading.positions SET realized_pnl = 'NaN'",
    ],
)
def test_the_database_refuses_by_itself(database_url, ledger, symbol, statement):
    fill(ledger, place(ledger, symbol), "1")
    with psycopg.connect(database_url) as raw, pytest.raises(psycopg.errors.CheckViolation):
        raw.execute(statement)


def test_one_fill_for_two_orders_at_once_is_counted_once(ledger, symbol):
    """Their locks do not exclude each other; the fill's key does."""
    for number in range(30):
        orders = [place(ledger, symbol) for _ in range(2)]
        with ThreadPoolExecutor(2) as pool:
            jobs = [pool.submit(fill, ledger, order, str(number)) for order in orders]
        errors = [job.exception() for job in jobs]
        assert sorted(type(error).__name__ for error in errors) == ["FillRejected", "NoneType"]
    assert ledger.positions(symbol)[symbol].quantity == 30


@pytest.mark.exhaustive
@pytest.mark.slow
def test_eight_processes_report_the_same_thousand_fills(database_url, ledger, tmp_path):
    """Ten orders in three symbols, each process in an order of its own, fills of the same second among them."""
    chance = random.Random(8)
    orders = [
        place(ledger, f"EIGHT{number % 3}", "1000", side="sell" if number % 4 == 3 else "buy") for number in range(10)
    ]
    fills = [
        {
            "order": str(chance.choice(orders).id),
            "id": f"eight-{number}",
            "quantity": str(Decimal(chance.randint(1, 10**9)).scaleb(-8)),
            "price": str(Decimal(chance.randint(10**9, 10**11)).scaleb(-8)),
            "at": (TIMESTAMP + timedelta(seconds=number // 3)).isoformat(),
        }
        for number in range(1000)
    ]
    file = tmp_path / "fills.json"
    file.write_text(json.dumps(fills))
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", FIRE, database_url, str(file), str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
            cwd=REPOSITORY,
        )
        for number in range(8)
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    new = [int(process.communicate(timeout=LONG)[0]) for process in processes]
    assert sum(new) == 1000
    for order in orders:
        mine = [Decimal(each["quantity"]) for each in fills if each["order"] == str(order.id)]
        after = ledger.get(order.id)
        assert (after.filled_qty, after.commission) == (sum(mine), Decimal("0.01") * len(mine))
    for name, position in ledger.positions().items():
        if name.startswith("EIGHT"):
            recorded = ledger.fills(symbol=name)
            assert position.quantity == sum(each.side.sign * each.quantity for each in recorded)


def test_what_is_told_is_written_with_what_it_tells_of(database, ledger, symbol):
    order = place(ledger, symbol)
    fill(ledger, order, "1")
    with pytest.raises(FillRejected):
        fill(ledger, order, "2", "100")
    with database.begin() as connection:
        messages = execute(
            connection, "SELECT payload FROM trading.outbox WHERE order_id = %(id)s ORDER BY id", {"id": order.id}
        )
    assert [payload["order"]["status"] for (payload,) in messages] == ["pending", "sent", "partial"]
