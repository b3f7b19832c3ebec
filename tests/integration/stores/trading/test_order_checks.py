"""Lot size, tick size and risk limits: the database rejects an order whoever places it, and a plan says so before."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from uuid import uuid4

import psycopg
import pytest

from trading_platform.client.orders import Orders
from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.stores.config.instruments import InstrumentStore
from trading_platform.stores.config.strategies import RiskLimitStore, StrategyStore
from trading_platform.stores.postgres.database import Database, execute
from trading_platform.stores.trading.ledger import Ledger

SYMBOL = "BTCUSD"


@pytest.fixture
def orders(database: Database) -> Orders:
    with database.begin() as connection:
        execute(connection, "TRUNCATE trading.orders, trading.positions, config.risk_limits CASCADE")
    InstrumentStore(database).add(
        Instrument(SYMBOL, AssetClass.CRYPTO, "24/7", "kraken", tick_size=Decimal("0.1"), lot_size=Decimal("0.001"))
    )
    return Orders(Ledger(database))


@pytest.fixture
def limits(database: Database) -> RiskLimitStore:
    return RiskLimitStore(database)


def place(
    orders: Orders, quantity: str = "0.5", price: str | None = "100", side: str = "buy", **more: object
) -> object:
    kind = "market" if price is None else "limit"
    return orders.place(SYMBOL, side, kind, quantity, broker="kraken", price=price, **more)  # type: ignore[arg-type]


def faults(orders: Orders, quantity: str = "0.5", price: str | None = "100", side: str = "buy") -> list[str]:
    kind = "market" if price is None else "limit"
    return [each.rule for each in orders.plan(SYMBOL, side, kind, quantity, broker="kraken", price=price).faults]


@pytest.mark.parametrize(
    ("quantity", "price", "rule"),
    [("0.5", "100.05", "tick_size"), ("0.0005", "100", "lot_size"), ("0.5001", "100", "lot_size")],
)
def test_steps_of_the_instrument(orders: Orders, quantity: str, price: str, rule: str) -> None:
    assert faults(orders, quantity, price) == [rule]
    with pytest.raises(InvalidRequest, match="is not a multiple of its") as refused:
        place(orders, quantity, price)
    assert "multiple of 0." in str(refused.value)
    assert orders.list() == []
    stop = orders.plan(SYMBOL, "buy", "stop_limit", 1, broker="kraken", price=100, stop_price="100.01")
    assert [each.rule for each in stop.faults] == ["tick_size"]


def test_a_quantity_of_nothing_is_never_placed_nor_planned(orders: Orders) -> None:
    for quantity in ("0", "-1", "NaN", "0.000000001"):
        with pytest.raises(InvalidRequest):
            place(orders, quantity)
        with pytest.raises(InvalidRequest):
            faults(orders, quantity)


def test_the_value_of_an_order_and_of_the_position_it_leads_to(orders: Orders, limits: RiskLimitStore) -> None:
    limits.set("max_order_value", 100)
    limits.set("max_position_value", 150)
    assert faults(orders, "1", "100") == []
    assert faults(orders, "1.001", "100") == ["max_order_value"]
    first = place(orders, "1", "100")
    assert faults(orders, "0.501", "100") == ["max_position_value"], "what is ordered counts"
    orders.record_fill(first.id, "F1", quantity=1, price=100, executed_at=datetime.now(UTC))  # type: ignore[attr-defined]
    with pytest.raises(InvalidRequest, match="max_position_value"):
        place(orders, "0.6", "100")
    assert faults(orders, "1", "100", "sell") == [], "an order that reduces is always allowed by it"
    limits.set("max_order_value", 1_000)
    assert faults(orders, "2.6", "100", "sell") == ["max_position_value"], "nor may it turn into a larger one"
    plan = orders.plan(SYMBOL, "buy", "market", "0.6", broker="kraken")
    assert (plan.price, plan.value, plan.held) == (100, 60, 1), "the price of a market order is the newest known"
    assert plan.limits == {"max_order_value": 1_000, "max_position_value": 150}
    assert [each.rule for each in plan.faults] == ["max_position_value"]


def test_a_market_order_of_unknown_value_is_refused_where_values_are_limited(
    orders: Orders, limits: RiskLimitStore
) -> None:
    assert faults(orders, price=None) == []
    limits.set("max_order_value", 100)
    assert faults(orders, price=None) == ["price"]


def test_orders_at_the_same_time_do_not_exceed_a_limit_together(orders: Orders, limits: RiskLimitStore) -> None:
    limits.set("max_open_orders", 3)

    def attempt(_: int) -> bool:
        try:
            place(orders)
        except InvalidRequest:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(attempt, range(8))) == 3
    assert len(orders.list()) == 3


def test_placing_again_is_not_checked_again(orders: Orders, limits: RiskLimitStore) -> None:
    order_id = uuid4()
    first = place(orders, order_id=order_id)
    limits.set("max_open_orders", 1)
    assert place(orders, order_id=order_id) == first
    with pytest.raises(InvalidRequest, match="max_open_orders"):
        place(orders)


def test_a_strategy_trades_what_it_may(orders: Orders, database: Database) -> None:
    StrategyStore(database).save("only_eth", "Only Ether", allowed_symbols=["ETHUSD"])
    with pytest.raises(InvalidRequest, match="may not trade BTCUSD"):
        place(orders, strategy_id="only_eth")


@pytest.mark.usefixtures("orders")
def test_other_sql_of_an_agent_is_checked_and_forges_no_record(database_url: str) -> None:
    insert = (
        "INSERT INTO trading.orders (symbol, side, order_type, quantity, price, broker)"
        " VALUES ('BTCUSD', 'buy', 'limit', 1, 100.05, 'kraken')"
    )
    record = "INSERT INTO trading.recorded_positions (symbol, quantity, realized_pnl) VALUES ('BTCUSD', 1, 0)"
    for statement, refusal in ((insert, psycopg.errors.CheckViolation), (record, psycopg.errors.InsufficientPrivilege)):
        with psycopg.connect(database_url) as connection:
            connection.execute("SET ROLE agent")
            with pytest.raises(refusal):
                connection.execute(statement)
