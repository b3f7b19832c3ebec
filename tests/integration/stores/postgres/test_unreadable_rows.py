"""Nothing that a role can write stops another from reading: what each column takes, by the catalog, and what it holds.

The rules are those of the migration ``0013_readable_rows``, which also takes out the rows of before.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from commands import ROLES_PASSWORD
from psycopg import errors, sql
from schemas import bring_to, new_database, upgrade

from trading_platform.client import Platform
from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.time import Timeframe, Window
from trading_platform.stores.postgres.database import Database
from trading_platform.stores.postgres.roles import Role, as_role
from trading_platform.stores.stores import open_stores
from trading_platform.stores.trading.fills import FillRejected
from trading_platform.stores.trading.outbox import OutboxStore
from trading_platform.workflows.trading.publish_outbox import publish_outbox

SCHEMAS = ["market_data", "features", "news", "trading", "audit", "config"]
PUBLISHED_BY_INGEST = {("trading.outbox", "fault")}
"""Text of our own."""

TIMES = ("infinity", "-infinity", "0044-03-15 00:00:00+00 BC", "10000-01-01 00:00:00+00", "294000-01-01 00:00:00+00")
SPANS = (
    "(,)", "[2024-01-01,)", "[2024-01-01,infinity]", "[-infinity,2024-01-01)", '["0044-03-15 BC",2024-01-01)',
    "[2024-01-01,12000-01-01)",
)  # fmt: skip
JSON = ("[" * 101 + "]" * 101, "1" + "0" * 5000, f'{{"a": [-1{"0" * 4300}]}}')
LONG_JSON = json.dumps("é" * 600_000, ensure_ascii=False)
LONG = "x" * 1_000_001
MULTIDIMENSIONAL = "searching for elements in multidimensional arrays is not supported"
HOSTILE: dict[str, tuple[str, ...]] = {
    "timestamp with time zone": TIMES,
    "numeric": ("NaN", "Infinity", "-Infinity"),
    "numeric(": ("NaN",),
    "double precision": ("NaN", "Infinity", "-Infinity", "1e10", "-1e300"),
    "tstzrange": (*SPANS, "empty"),
    "tstzmultirange": tuple(f"{{{span}}}" for span in SPANS),
    "jsonb": JSON,
    "text[]": ("{{a},{b}}", "{a,NULL}", "{" + "x" * 100_001 + "}"),
    "text": (LONG,),
}


@pytest.fixture(scope="module")
def url(server_url: str) -> str:
    return server_url


def hostile(table: str, column: str, kind: str) -> tuple[str, ...]:
    """What a column of that type must not take; texts of market_data are limited where they arrive."""
    if kind == "text" and table.startswith("market_data."):
        return ()
    if column == "timeframe":
        return ("7x", "")
    more = (LONG_JSON,) if kind == "jsonb" and not table.startswith("market_data.") else ()
    return HOSTILE.get("numeric(" if kind.startswith("numeric(") else kind, ()) + more


def writable_columns(connection: psycopg.Connection) -> dict[str, list[tuple[str, str]]]:
    """Name and type of each column that a role may insert or update, by table."""
    found: dict[str, list[tuple[str, str]]] = {}
    for table, column, kind in connection.execute(
        "SELECT relation.oid::regclass::text, attname::text, format_type(atttypid, atttypmod)"
        " FROM pg_class AS relation JOIN pg_attribute ON attrelid = relation.oid AND attnum > 0 AND NOT attisdropped"
        " WHERE relnamespace::regnamespace::text = ANY(%s) AND relkind IN ('r', 'p') AND NOT relispartition"
        " AND EXISTS (SELECT FROM unnest(ARRAY['ingest', 'agent', 'dashboard']) AS role"
        "  WHERE has_column_privilege(role, relation.oid, attnum, 'INSERT')"
        "  OR has_column_privilege(role, relation.oid, attnum, 'UPDATE'))",
        [SCHEMAS],
    ).fetchall():
        found.setdefault(table, []).append((column, kind))
    return found


def test_no_column_that_a_role_can_write_takes_what_cannot_be_read(url: str) -> None:
    tried, taken = 0, []
    with psycopg.connect(url, autocommit=True) as connection:
        columns = writable_columns(connection)
        assert len(columns) > 30
        for table, written in columns.items():
            with connection.transaction(force_rollback=True):
                connection.execute(f"CREATE TEMPORARY TABLE probe (LIKE {table} INCLUDING CONSTRAINTS)".encode())
                for (name,) in connection.execute(
                    "SELECT attname FROM pg_attribute WHERE attrelid = 'probe'::regclass AND attnum > 0 AND attnotnull"
                ).fetchall():
                    connection.execute(sql.SQL("ALTER TABLE probe ALTER {} DROP NOT NULL").format(sql.Identifier(name)))
                for column, kind in written:
                    insert = sql.SQL("INSERT INTO probe ({}) VALUES ({}::text::{})").format(
                        sql.Identifier(column), sql.Placeholder(), sql.SQL(kind)
                    )
                    for value in hostile(table, column, kind) if (table, column) not in PUBLISHED_BY_INGEST else ():
                        tried += 1
                        rule = rejecting_rule(connection, insert, value)
                        if rule is None:
                            taken.append(f"{table}.{column} = {value[:40]}")
    assert tried > 500
    assert taken == []


def rejecting_rule(connection: psycopg.Connection, insert: sql.Composed, value: str) -> str | None:
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(insert, [value])
    except errors.CheckViolation as error:
        return error.diag.constraint_name
    except errors.FeatureNotSupported:  # an older rule of config.instruments looks for NULL in an array of arrays
        return MULTIDIMENSIONAL
    return None


@pytest.mark.parametrize("text", [r'"\u0000"', r'"\ud800"', r'{"\udfff": 1}', r'"\ud800\ud800"'])
def test_the_database_has_no_json_that_is_no_text(url: str, text: str) -> None:
    with psycopg.connect(url) as connection, pytest.raises(errors.DataError):
        connection.execute("SELECT %s::text::jsonb", [text])


# What is taken is read by everybody


@pytest.fixture
def agent(url: str, tmp_path: Path) -> Iterator[Platform]:
    with open_stores(as_role(url, Role.AGENT, ROLES_PASSWORD), tmp_path) as stores:
        yield Platform(stores)


def as_agent(url: str, statement: str, *values: object) -> None:
    with psycopg.connect(as_role(url, Role.AGENT, ROLES_PASSWORD), autocommit=True) as connection:
        connection.execute(statement.encode(), values)


def test_the_most_extreme_rows_are_read(url: str, agent: Platform) -> None:
    deep, large = json.loads("[" * 100 + "]" * 100), 10**3_999
    latest = "9999-12-31 23:59:59.999999+00"
    as_agent(
        url,
        "INSERT INTO trading.orders (symbol, side, order_type, quantity, broker, created_at) VALUES"
        " ('LATE', 'buy', 'market', 0.00000001, 'kraken', %s), ('EARLY', 'buy', 'market', 9999999999, 'kraken', %s)",
        latest,
        "0001-01-01 00:00:00+00",
    )
    as_agent(
        url,
        "INSERT INTO audit.decisions (timestamp, decision_type, signals) VALUES ('0001-01-01Z', 'x', %s)",
        json.dumps({"deep": deep[0], "large": large}),
    )
    as_agent(
        url,
        "INSERT INTO audit.system_events (event_type, severity, component, message, metadata) VALUES"
        " ('', 'info', '', %s, %s), ('scalar', 'info', 'x', 'x', '1')",
        "é" * 500_000,
        json.dumps(["x" * 990_000]),
    )
    as_agent(
        url,
        "INSERT INTO config.strategies (id, name, params, allowed_symbols, created_at) VALUES ('s', '', %s, '{}', %s)",
        json.dumps({"large": -large}),
        latest,
    )
    as_agent(url, "INSERT INTO config.risk_limits (key, value) VALUES ('least', -9999999999.99999999)")
    as_agent(url, "INSERT INTO trading.positions (symbol) VALUES ('A')")
    assert {order.symbol for order in agent.orders.list()} >= {"LATE", "EARLY"}
    assert agent.decisions.list()[-1].signals["large"] == large
    assert len(agent.events.list()) == 2
    assert agent.strategies.all()[0].params == {"large": -large}
    assert agent.risk_limits.all()
    assert agent.positions()["A"].quantity == 0


def test_bars_at_the_limits_are_read(url: str, tmp_path: Path) -> None:
    limit = "9999999999.99999999"
    with psycopg.connect(as_role(url, Role.INGEST, ROLES_PASSWORD), autocommit=True) as connection:
        for time in ("1800-01-01Z", "2199-12-31Z"):
            connection.execute(
                "INSERT INTO market_data.bars_1d (time, symbol, open, high, low, close, volume) VALUES"
                " (%s, 'EDGE', %s, %s, %s, %s, 9999999999999999)",
                [time, limit, limit, f"-{limit}", limit],
            )
            connection.execute(
                "INSERT INTO market_data.indicators_1d (time, symbol, sma_20, bb_lower)"
                " VALUES (%s, 'EDGE', 9.99e9, -9.99e9)",
                [time],
            )
    ever = Window(datetime(1700, 1, 1, tzinfo=UTC), datetime(2300, 1, 1, tzinfo=UTC))
    with open_stores(as_role(url, Role.DASHBOARD, ROLES_PASSWORD), tmp_path) as stores:
        assert stores.bars.read(["EDGE"], Timeframe.D1, ever).height == 2
        assert stores.indicators.read(["EDGE"], Timeframe.D1, ever, ["sma_20", "bb_lower"]).height == 2
    with psycopg.connect(as_role(url, Role.DASHBOARD, ROLES_PASSWORD)) as connection:
        assert len(connection.execute("SELECT * FROM market_data.indicators WHERE symbol = 'EDGE'").fetchall()) == 4


# The future


def test_a_fill_of_the_future_is_rejected_and_pins_no_price(url: str, agent: Platform) -> None:
    order = agent.orders.place("PIN", "buy", "market", 2, broker="kraken")
    future = datetime(9999, 1, 1, tzinfo=UTC)
    with pytest.raises(FillRejected, match="in the future"):
        agent.orders.record_fill(order.id, "future", quantity=1, price=99, executed_at=future)
    assert agent.events.list(event_type="fill_rejected")[0].metadata["fill"]["executed_at"].startswith("9999")
    now = datetime.now(UTC)
    agent.orders.record_fill(order.id, "earlier", quantity=1, price=50, executed_at=now - timedelta(hours=1))
    position = agent.orders.record_fill(order.id, "now", quantity=1, price=51, executed_at=now).position
    assert position.current_price == 51
    with pytest.raises(errors.CheckViolation, match="another symbol or time"):
        as_agent(
            url,
            "INSERT INTO trading.position_history (symbol, executed_at, trade_id, quantity, cost, realized_pnl)"
            " SELECT symbol, '9999-01-01Z', id, 7, 7, 7 FROM trading.trades WHERE symbol = 'PIN' LIMIT 1",
        )


def test_decisions_and_events_of_the_future_are_invalid(agent: Platform) -> None:
    future = datetime.now(UTC) + timedelta(hours=2)
    with pytest.raises(InvalidRequest, match="in the future"):
        agent.decisions.record("entry", timestamp=future)
    with pytest.raises(InvalidRequest, match="in the future"):
        agent.events.log("x", "info", "x", "x", timestamp=future)


# The outbox


class Printed:
    """A publisher of messages that keeps them."""

    def __init__(self) -> None:
        self.messages: dict[int, dict[str, object]] = {}

    def publish(self, seq: int, message: str) -> bool:
        self.messages[seq] = json.loads(message)
        return True


def foreign(order_id: object) -> list[str]:
    """Content with the id of its order, which the table takes, and that is no change of an order."""
    order = {"id": str(order_id)}
    return [
        json.dumps({"order": order}),
        json.dumps({"order": {**order, "quantity": "1e999999999"}, "previous_status": None, "fill": None}),
        json.dumps({"order": order, "x": json.loads("[" * 90 + "]" * 90)}),
        f'{{"order": {{"id": "{order_id}", "quantity": 1{"0" * 3_000}}}}}',
    ]


def test_a_foreign_message_is_set_aside_and_the_others_are_published(url: str, agent: Platform) -> None:
    ingest = Database(as_role(url, Role.INGEST, ROLES_PASSWORD))
    publish_outbox(OutboxStore(ingest), Printed())
    first = agent.orders.place("ONE", "buy", "market", 1, broker="kraken")
    for content in foreign(first.id):
        as_agent(url, "INSERT INTO trading.outbox (order_id, payload) VALUES (%s, %s)", first.id, content)
    wrong = [f'{{"order": {{"id": "{first.id}"}}, "x": {value}}}' for value in (*JSON, LONG_JSON)]
    for content in ('{"a": 1}', "null", "[]", json.dumps({"order": {"id": "somebody else's"}}), *wrong):
        with pytest.raises(errors.CheckViolation):
            as_agent(url, "INSERT INTO trading.outbox (order_id, payload) VALUES (%s, %s)", first.id, content)
    second = agent.orders.place("TWO", "buy", "market", 1, broker="kraken")
    printed = Printed()
    assert publish_outbox(OutboxStore(ingest), printed) == 2
    assert [message["payload"]["order"]["id"] for _, message in sorted(printed.messages.items())] == [  # type: ignore[index]
        str(first.id),
        str(second.id),
    ]
    low, high = sorted(printed.messages)
    assert high == low + 1
    (event, *_) = agent.events.list(event_type="messages_set_aside")
    assert event.metadata["count"] == 4
    assert publish_outbox(OutboxStore(ingest), printed) == 0
    assert OutboxStore(ingest).prune(timedelta(0)) >= 4
    ingest.close()


def test_a_numbered_message_of_another_form_leaves_no_gap(url: str, agent: Platform) -> None:
    """A version that numbered what it could not publish, or another form of messages, was stuck there."""
    ingest = Database(as_role(url, Role.INGEST, ROLES_PASSWORD))
    order = agent.orders.place("SIX", "buy", "market", 1, broker="kraken")
    as_agent(url, "INSERT INTO trading.outbox (order_id, payload) VALUES (%s, %s)", order.id, foreign(order.id)[0])
    agent.orders.cancel(order.id)
    OutboxStore(ingest).number(lambda _at, _text: None)
    printed = Printed()
    assert publish_outbox(OutboxStore(ingest), printed) == 2
    assert [message["payload"]["order"]["status"] for _, message in sorted(printed.messages.items())] == [  # type: ignore[index]
        "pending",
        "cancelled",
    ]
    assert max(printed.messages) - min(printed.messages) == 1
    ingest.close()


# Rows of before


BEFORE = """
INSERT INTO trading.orders (id, symbol, side, order_type, quantity, broker, created_at) VALUES
    ('00000000-0000-0000-0000-000000000001', 'GOOD', 'buy', 'market', 1, 'kraken', now()),
    ('00000000-0000-0000-0000-000000000002', 'BAD', 'buy', 'market', 1, 'kraken', 'infinity');
INSERT INTO trading.outbox (order_id, payload, seq, published_at) VALUES
    ('00000000-0000-0000-0000-000000000001', '{}', 1, now()),
    ('00000000-0000-0000-0000-000000000001', '{"a": 1}', 2, NULL),
    ('00000000-0000-0000-0000-000000000001', '{"order": {"id": "00000000-0000-0000-0000-000000000001"}}', 3, NULL);
INSERT INTO audit.system_events ("timestamp", event_type, severity, component, message, metadata) VALUES
    ('infinity', 'x', 'info', 'x', 'x', NULL), ('0044-03-15 BC', 'x', 'info', 'x', 'x', NULL),
    (now(), 'good', 'info', 'x', 'x', NULL),
    (now(), 'month_archived', 'info', 'archive', 'x', '{"table": "decisions", "month": "zzzz"}'),
    (now(), 'month_archived', 'info', 'archive', 'x', '{"table": "decisions", "month": "2019-05"}');
INSERT INTO audit.decisions (decision_type, signals) VALUES ('deep', (repeat('[', 200) || repeat(']', 200))::jsonb);
INSERT INTO market_data.bars_1d (time, symbol, open, high, low, close, volume) VALUES
    ('2024-01-02Z', 'A', 1, 1, 1, 1, 1), ('2024-01-03Z', 'A', 'NaN', 1, 1, 1, 1), ('infinity', 'A', 1, 1, 1, 1, 1);
INSERT INTO market_data.bars_1m (time, symbol, open, high, low, close, volume) VALUES
    ('2024-01-02Z', 'A', 1, 1, 1, 1, 1), ('2024-01-02 00:01Z', 'A', 'NaN', 1, 1, 1, 1),
    ('infinity', 'A', 1, 1, 1, 1, 1);
INSERT INTO market_data.coverage (symbol, timeframe, source, answered) VALUES ('A', '1d', 'file', '{(,)}');
"""


def test_rows_of_before_are_taken_out_or_named(
    database_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with new_database(database_url) as url:
        bring_to(url, "0012")
        with psycopg.connect(url) as connection:
            connection.execute(BEFORE.encode())
        upgrade(url)
        with psycopg.connect(url) as connection:
            aside = dict(connection.execute("SELECT relation, count(*) FROM audit.set_aside GROUP BY 1").fetchall())
            open_rules = connection.execute(
                "SELECT conname FROM pg_constraint WHERE conname LIKE '%_readable' AND NOT convalidated"
            ).fetchall()
            archived = connection.execute("SELECT table_name, month FROM audit.archived_months").fetchall()
        assert aside == {
            "trading.outbox": 1,
            "audit.system_events": 2,
            "audit.decisions": 1,
            "market_data.bars_1d": 2,
            "market_data.bars_1m": 2,
            "market_data.coverage": 1,
        }
        assert open_rules == [("orders_readable",)]
        assert archived == [("decisions", "2019-05")]
        with open_stores(url, tmp_path) as stores, caplog.at_level(logging.WARNING):
            platform = Platform(stores)
            assert [order.symbol for order in platform.orders.list()] == ["GOOD"]
            assert "a stored Order cannot be read" in caplog.text
            assert platform.orders.list(symbol="GOOD")
            said = platform.events.list(event_type="rows_unreadable")
            assert {event.metadata["relation"] for event in said} == {"trading.orders", *aside}
            ever = Window(datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
            assert stores.bars.read(["A"], Timeframe.D1, ever).height == 1
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("SELECT market_data.make_partitions_ahead('2024-02-01Z')")
                connection.execute("SELECT market_data.refresh_ohlcv_1h('2024-02-01Z')")
                assert connection.execute("SELECT high, volume FROM market_data.ohlcv_1h").fetchall() == [(1, 1)]
            printed = Printed()
            assert publish_outbox(OutboxStore(stores.database), printed) == 0, "the third has no order in it"
            platform.orders.advance("00000000-0000-0000-0000-000000000001", "sent")
            assert publish_outbox(OutboxStore(stores.database), printed) == 1
            assert list(printed.messages) == [2]
