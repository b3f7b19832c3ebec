"""Corrected and cancelled executions: counted once, whatever the order of arrival, with their history kept."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count, permutations

import psycopg
import pytest

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.trading.orders import CORRECTED_STEPS, Broker, Order, fill_uuid
from trading_platform.stores.postgres.database import Database, execute
from trading_platform.stores.trading.fills import FillRejected
from trading_platform.stores.trading.ledger import Ledger

TIMESTAMP = datetime(2025, 3, 3, 15, tzinfo=UTC)
NUMBER = count()


@pytest.fixture(scope="module")
def ledger(database: Database) -> Ledger:
    return Ledger(database)


@pytest.fixture
def symbol() -> str:
    return f"C{next(NUMBER)}"


def place(ledger: Ledger, symbol: str, quantity: str = "10", **changed) -> Order:
    ordered = {"side": "buy", "order_type": "market", "broker": "ibkr"} | changed
    return ledger.place(symbol=symbol, quantity=quantity, **ordered)


def execution(order: Order, number: str = "0a1b") -> str:
    """The id of an execution as Interactive Brokers writes them, without the number of its report."""
    return f"{order.symbol}.{number}.65e5c0de.01"


def report(ledger: Ledger, order: Order, name: str, quantity: str = "10", price: str = "100", **changed):
    content = {"executed_at": TIMESTAMP, "commission": "1"} | changed
    return ledger.record_fill(order.id, name, quantity=quantity, price=price, **content)


def state(ledger: Ledger, order: Order):
    """What has to be the same however the reports arrived."""
    now, position = ledger.get(order.id), ledger.positions(order.symbol)[order.symbol]
    return (
        (now.status, now.filled_qty, now.avg_fill_price, now.commission, now.filled_at),
        (position.quantity, position.avg_entry_price, position.current_price, position.realized_pnl),
        (position.unrealized_pnl, position.opened_at),
        {(fill.quantity, fill.price, fill.commission) for fill in ledger.fills(order_id=order.id)},
        {fill.broker_fill_id.rpartition(".")[2] for fill in ledger.replaced_fills(order_id=order.id)},
    )


@pytest.mark.parametrize(
    ("quantity", "price", "commission", "status"),
    [("10", "99.5", "1.25", "filled"), ("4", "100", "0.4", "partial"), ("10", "100", "-0.1", "filled")],
)
def test_a_correction_of_a_filled_order_replaces(ledger, audit, symbol, quantity, price, commission, status):
    order = place(ledger, symbol)
    first = report(ledger, order, f"{execution(order)}.01").fill
    recorded = report(ledger, order, f"{execution(order)}.02", quantity, price, commission=commission)
    assert (recorded.is_new, recorded.counts, recorded.replaced) == (True, True, (first,))
    now = recorded.order
    assert (now.status, now.filled_qty, now.avg_fill_price) == (status, Decimal(quantity), Decimal(price))
    assert now.commission == Decimal(commission)
    assert now.filled_at == (TIMESTAMP if status == "filled" else None)
    position = recorded.position
    assert (position.quantity, position.avg_entry_price) == (Decimal(quantity), Decimal(price))
    assert (position.realized_pnl, position.current_price) == (-Decimal(commission), Decimal(price))
    assert ledger.fills(order_id=order.id) == [recorded.fill]
    (kept,) = ledger.replaced_fills(order_id=order.id)
    assert (kept.id, kept.quantity, kept.price, kept.commission) == (first.id, 10, 100, 1)
    assert (kept.broker_fill_id, kept.replaced_by) == (f"{execution(order)}.01", f"{execution(order)}.02")
    event = audit.events(event_type="fill_corrected", limit=1)[0]
    assert (event.severity, event.metadata["broker_fill_id"]) == ("warning", f"{execution(order)}.02")


@pytest.mark.parametrize("arrival", list(permutations(["01", "02", "03"])))
def test_reports_in_any_order_of_arrival_end_the_same(ledger, symbol, arrival):
    contents = {"01": ("10", "100", "1"), "02": ("9", "101", "0.9"), "03": ("8", "102", "0.8")}
    order = place(ledger, symbol)
    for number in arrival:
        quantity, price, commission = contents[number]
        report(ledger, order, f"{execution(order)}.{number}", quantity, price, commission=commission)
    expected = state(ledger, order)
    assert expected[0] == ("partial", 8, 102, Decimal("0.8"), None)
    assert expected[4] == {"01", "02"}
    for number in arrival:  # each once more, by another process after a restart
        quantity, price, commission = contents[number]
        again = report(
            Ledger(ledger._database), order, f"{execution(order)}.{number}", quantity, price, commission=commission
        )
        assert (again.is_new, again.counts) == (False, number == "03")
        assert again.replaced_by == (None if number == "03" else f"{execution(order)}.03")
    assert state(ledger, order) == expected


@pytest.mark.parametrize("arrival", list(permutations(["01", "02", "03"])))
def test_a_bust_is_nothing_in_any_order_of_arrival(ledger, symbol, arrival):
    """Reported as an execution of no shares, before or after what it cancels."""
    contents = {"01": ("6", "100", "1"), "02": ("5", "101", "0.9"), "03": ("0", "0", "0")}
    order = place(ledger, symbol)
    other = report(ledger, order, f"{execution(order, 'ffff')}.01", "2", "50", executed_at=TIMESTAMP - timedelta(1))
    for number in arrival:
        quantity, price, commission = contents[number]
        report(ledger, order, f"{execution(order)}.{number}", quantity, price, commission=commission)
    now, position = ledger.get(order.id), ledger.positions(symbol)[symbol]
    assert (now.status, now.filled_qty, now.commission) == ("partial", 2, 1)
    assert (position.quantity, position.avg_entry_price, position.realized_pnl) == (2, 50, -1)
    assert position.current_price == 50
    assert ledger.fills(order_id=order.id) == [other.fill]
    assert {fill.broker_fill_id[-2:] for fill in ledger.replaced_fills(symbol=symbol)} == {"01", "02", "03"}


def test_a_bust_of_all_leaves_an_order_that_was_sent(ledger, audit, symbol):
    order = place(ledger, symbol)
    first = report(ledger, order, f"{execution(order)}.01").fill
    busted = ledger.record_bust(order.id, f"{execution(order)}.01")
    assert (busted.is_new, busted.counts, busted.replaced) == (True, False, (first,))
    assert (busted.order.status, busted.order.filled_qty, busted.order.avg_fill_price) == ("sent", 0, None)
    assert (busted.order.commission, busted.order.filled_at) == (0, None)
    position = busted.position
    assert (position.quantity, position.realized_pnl, position.unrealized_pnl) == (0, 0, 0)
    assert (position.current_price, position.avg_entry_price, position.opened_at) == (None, None, None)
    assert ledger.replaced_fills(symbol=symbol)[0].replaced_by is None
    assert "cancel it" in audit.events(event_type="fill_busted", limit=1)[0].message
    again = ledger.record_bust(order.id, f"{execution(order)}.01")
    assert (again.is_new, again.counts, again.replaced) == (False, False, ())
    assert not report(ledger, order, f"{execution(order)}.01").is_new
    assert ledger.positions(symbol)[symbol].quantity == 0
    assert ledger.cancel(order.id).status == "cancelled"


def test_a_bust_takes_the_correction_with_it(ledger, symbol):
    order = place(ledger, symbol)
    report(ledger, order, f"{execution(order)}.01")
    report(ledger, order, f"{execution(order)}.02", "9")
    busted = ledger.record_bust(order.id, f"{execution(order)}.01")
    assert (busted.order.filled_qty, busted.position.quantity) == (0, 0)
    reinstated = report(ledger, order, f"{execution(order)}.03", "7")
    assert (reinstated.counts, reinstated.order.filled_qty, reinstated.position.quantity) == (True, 7, 7)


def test_the_bust_of_an_unknown_fill_is_refused(ledger, audit, symbol):
    order = place(ledger, symbol)
    with pytest.raises(FillRejected, match="not in the ledger"):
        ledger.record_bust(order.id, f"{execution(order)}.01")
    assert audit.events(event_type="fill_rejected", limit=1)[0].metadata["fill"]["cancels"] is True
    for broker, name in (("kraken", "TQ-1.01"), ("ibkr", "by-hand")):
        other = place(ledger, symbol, broker=broker)
        with pytest.raises(FillRejected, match="does not say which"):
            report(ledger, other, name, "0")


def test_a_correction_of_a_partly_filled_order_and_of_an_earlier_session(ledger, symbol):
    """Profit of the sale after it is computed again, as if the corrected price had been reported at once."""
    bought, sold = place(ledger, symbol, "20"), place(ledger, symbol, "5", side="sell")
    report(ledger, bought, f"{execution(bought)}.01", "10", "100", commission="1")
    report(
        ledger, sold, f"{execution(sold, '0c')}.01", "5", "110", commission="1", executed_at=TIMESTAMP + timedelta(1)
    )
    assert ledger.positions(symbol)[symbol].realized_pnl == 5 * 10 - 2
    ledger.mark(symbol, "120")
    recorded = report(ledger, bought, f"{execution(bought)}.02", "8", "104", commission="0.5")
    assert recorded.order.status == "partial"
    assert (recorded.position.quantity, recorded.position.avg_entry_price) == (3, 104)
    assert recorded.position.realized_pnl == 5 * 6 - Decimal("1.5")
    assert (recorded.position.current_price, recorded.position.unrealized_pnl) == (120, 3 * 16)


def test_a_correction_can_change_the_time_of_execution(ledger, symbol):
    order, sold = place(ledger, symbol), place(ledger, symbol, "5", side="sell")
    report(ledger, order, f"{execution(order)}.01", "5", "100", commission="0")
    report(ledger, sold, f"{execution(sold, '0d')}.01", "5", "90", commission="0", executed_at=TIMESTAMP + timedelta(1))
    recorded = report(
        ledger, order, f"{execution(order)}.02", "5", "100", commission="0", executed_at=TIMESTAMP + timedelta(2)
    )
    assert (recorded.position.quantity, recorded.position.realized_pnl) == (0, -50)
    assert recorded.position.current_price == 100


def test_more_than_was_ordered_is_refused_without_what_is_replaced(ledger, symbol):
    order = place(ledger, symbol)
    report(ledger, order, f"{execution(order)}.01", "6")
    report(ledger, order, f"{execution(order, '0e')}.01", "4")
    before = state(ledger, order)
    with pytest.raises(FillRejected, match="more than was ordered") as rejected:
        report(ledger, order, f"{execution(order)}.02", "6.00000001")
    assert rejected.value.expected == "at most 6.00000000 of 10.00000000"
    assert state(ledger, order) == before


def test_a_correction_without_a_commission_keeps_it(ledger, symbol):
    order = place(ledger, symbol)
    report(ledger, order, f"{execution(order)}.01", commission="1.5")
    recorded = report(ledger, order, f"{execution(order)}.02", price="101", commission=None)
    assert (recorded.fill.commission, recorded.order.commission) == (Decimal("1.5"), Decimal("1.5"))
    assert not report(ledger, order, f"{execution(order)}.02", price="101", commission=None).is_new
    with pytest.raises(FillRejected, match="other content"):
        report(ledger, order, f"{execution(order)}.02", price="101", commission="1.4")


def test_a_cancelled_order_stays_cancelled(ledger, symbol):
    order = place(ledger, symbol)
    report(ledger, order, f"{execution(order)}.01", "5")
    ledger.cancel(order.id)
    corrected = report(ledger, order, f"{execution(order)}.02", "4")
    assert (corrected.order.status, corrected.order.filled_qty) == ("cancelled", 4)
    busted = report(ledger, order, f"{execution(order)}.03", "0")
    assert (busted.order.status, busted.order.filled_qty, busted.position.quantity) == ("cancelled", 0, 0)


def test_the_reports_of_an_execution_belong_to_one_order(ledger, symbol):
    order, other = place(ledger, symbol), place(ledger, symbol)
    report(ledger, order, f"{execution(order)}.01")
    with pytest.raises(FillRejected, match="with another order"):
        report(ledger, other, f"{execution(order)}.02")
    with pytest.raises(FillRejected, match="with another order"):
        ledger.record_bust(other.id, f"{execution(order)}.01")
    assert ledger.positions(symbol)[symbol].quantity == 10


def test_reports_of_an_execution_at_once_count_once(ledger, symbol):
    for number in range(15):
        order = place(ledger, symbol, "1")
        names = [f"{execution(order, str(number))}.{version:02d}" for version in range(1, 5)]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda name, order=order: report(ledger, order, name, "1", f"1{name[-1]}"), names))
        assert [fill.price for fill in ledger.fills(order_id=order.id)] == [14]
        assert len(ledger.replaced_fills(order_id=order.id)) == 3
        assert ledger.get(order.id).avg_fill_price == 14
    position = ledger.positions(symbol)[symbol]
    assert (position.quantity, position.avg_entry_price, position.realized_pnl) == (15, 14, -15)


@pytest.mark.parametrize("names", [("a.1", "a.2"), ("b.001", "b.002"), ("c-01", "c-02"), (".01", ".02")])
def test_other_ids_are_executions_of_their_own(ledger, symbol, names):
    order = place(ledger, symbol)
    recorded = [report(ledger, order, f"{symbol}{name}" if name[0] != "." else name + symbol, "5") for name in names]
    assert [each.replaced for each in recorded] == [(), ()]
    assert recorded[-1].order.filled_qty == 10


@pytest.mark.parametrize("broker", ["kraken", "ibkr"])
def test_a_fill_entered_by_hand_is_corrected_by_name(ledger, symbol, broker):
    order = place(ledger, symbol, broker=broker)
    names = [f"{symbol}-note-{number}" for number in range(4)]
    first = report(ledger, order, names[0]).fill
    recorded = report(ledger, order, names[1], "9", "99", corrects=names[0])
    assert (recorded.replaced, recorded.order.filled_qty, recorded.position.quantity) == ((first,), 9, 9)
    again = report(ledger, order, names[1], "9", "99", corrects=names[0])
    assert (again.is_new, again.counts) == (False, True)
    with pytest.raises(FillRejected, match="does not count any more") as rejected:
        report(ledger, order, names[2], "9", corrects=names[0])
    assert names[1] in rejected.value.received
    with pytest.raises(FillRejected, match=f"was replaced by {names[1]}"):
        ledger.record_bust(order.id, names[0])
    with pytest.raises(FillRejected, match="is not in the ledger"):
        report(ledger, order, names[2], "9", corrects="nobody")
    with pytest.raises(FillRejected, match="cannot correct itself"):
        report(ledger, order, names[1], "9", "99", corrects=names[1])
    busted = report(ledger, order, names[3], "0", corrects=names[1])
    assert (busted.counts, busted.order.status, busted.position.quantity) == (False, "sent", 0)
    for corrects in (names[1], None):  # a repetition may say less
        again = report(ledger, order, names[3], "0", corrects=corrects)
        assert (again.is_new, again.counts, again.fill.id) == (False, False, busted.fill.id)


INSERT_FILL = """
INSERT INTO trading.trades (id, order_id, symbol, side, quantity, price, commission, executed_at, broker)
VALUES (%(id)s, %(order)s, %(symbol)s, 'buy', 10, 101, 1, %(at)s, 'ibkr')
"""
INSERT_STEP = """
INSERT INTO trading.position_history (symbol, executed_at, trade_id, quantity, cost, realized_pnl, opened_at)
SELECT symbol, %(at)s, %(id)s::uuid, quantity + 10, cost + 1010, realized_pnl - 1, opened_at
FROM trading.position_history WHERE symbol = %(symbol)s ORDER BY executed_at DESC, trade_id DESC LIMIT 1
"""


def test_a_double_that_was_booked_before_is_put_right_by_the_next_report(ledger, database, symbol):
    """Before corrections were known, ``.01`` and ``.02`` were two fills; reporting either again replaces one."""
    for reported_again in ("01", "02"):
        order = place(ledger, symbol, "20")
        double = f"{execution(order, reported_again)}.02"
        report(ledger, order, f"{execution(order, reported_again)}.01", price="100")
        later = TIMESTAMP + timedelta(seconds=1)
        row = {"id": fill_uuid(Broker.IBKR, double), "order": order.id, "symbol": symbol, "at": later}
        with database.begin() as connection:
            for statement in (INSERT_FILL, INSERT_STEP):
                execute(connection, statement, row)
        content = {"01": {"price": "100"}, "02": {"price": "101", "executed_at": later}}[reported_again]
        recorded = report(ledger, order, f"{execution(order, reported_again)}.{reported_again}", **content)
        assert (recorded.is_new, recorded.counts) == (False, reported_again == "02")
        assert (recorded.order.filled_qty, recorded.order.avg_fill_price) == (10, 101)
    assert ledger.positions(symbol)[symbol].quantity == 20


def test_the_message_of_an_order_names_what_was_replaced(ledger, database, symbol):
    order = place(ledger, symbol)
    first = report(ledger, order, f"{execution(order)}.01").fill
    second = report(ledger, order, f"{execution(order)}.02", "9").fill
    ledger.record_bust(order.id, f"{execution(order)}.02")
    with database.begin() as connection:
        statement = "SELECT payload FROM trading.outbox WHERE order_id = %(id)s ORDER BY id"
        payloads = [payload for (payload,) in execute(connection, statement, {"id": order.id})]
    corrected, busted = payloads[-2:]
    assert (corrected["previous_status"], corrected["order"]["status"]) == ("filled", "partial")
    assert corrected["fill"]["broker_fill_id"] == f"{execution(order)}.02"
    assert [each["id"] for each in corrected["replaced"]] == [str(first.id)]
    assert (busted["fill"], busted["order"]["status"]) == (None, "sent")
    assert [each["id"] for each in busted["replaced"]] == [str(second.id)]


@pytest.mark.parametrize("broken", [{"quantity": "-1"}, {"quantity": "0", "price": "-1"}, {"price": "0"}])
def test_amounts_below_zero_are_refused(ledger, symbol, broken):
    order = place(ledger, symbol)
    with pytest.raises(InvalidRequest, match="cannot be used"):
        report(ledger, order, f"{execution(order)}.01", **broken)


def test_the_database_lets_an_order_back_only_where_a_fill_was_replaced(database_url, ledger, symbol):
    corrected, untouched = place(ledger, symbol), place(ledger, symbol)
    for order, number in ((corrected, "aa"), (untouched, "bb")):
        report(ledger, order, f"{execution(order, number)}.01")
    report(ledger, corrected, f"{execution(corrected, 'aa')}.02", price="99")
    back = (
        "UPDATE trading.orders SET status = %(status)s, filled_qty = %(filled)s::numeric, filled_at = NULL,"
        " avg_fill_price = CASE WHEN %(filled)s::numeric > 0 THEN 99 END WHERE id = %(id)s"
    )
    for status in CORRECTED_STEPS[untouched.status.FILLED]:
        row = {"status": status.value, "filled": {"partial": "1", "sent": "0"}[status.value]}
        with psycopg.connect(database_url) as raw:
            assert raw.execute(back, row | {"id": corrected.id}).rowcount == 1
            with pytest.raises(psycopg.errors.CheckViolation, match="cannot go from filled"):
                raw.execute(back, row | {"id": untouched.id})
            raw.rollback()


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM trading.replaced_trades",
        "UPDATE trading.replaced_trades SET replaced_by = NULL",
        "DELETE FROM trading.trades",
        """INSERT INTO trading.replaced_trades
               (id, order_id, symbol, side, quantity, price, executed_at, broker, broker_fill_id)
           SELECT gen_random_uuid(), id, 'QQQ', side, 1, 1, now(), broker, 'x' FROM trading.orders LIMIT 1""",
    ],
)
def test_the_database_keeps_the_history(database_url, ledger, symbol, statement):
    order = place(ledger, symbol)
    report(ledger, order, f"{execution(order)}.01")
    report(ledger, order, f"{execution(order)}.02", "9")
    with psycopg.connect(database_url) as raw, pytest.raises(psycopg.errors.CheckViolation):
        raw.execute(statement)
