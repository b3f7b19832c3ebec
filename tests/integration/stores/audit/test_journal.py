"""Decisions and events: what is written comes back, and every month finds its partition."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest

from trading_platform.domain.errors import InvalidRequest
from trading_platform.stores.postgres.database import Database, execute
from trading_platform.stores.trading.ledger import Ledger

OLD = datetime(2019, 5, 31, 23, 59, 59, 999999, tzinfo=UTC)


def partition_of(database: Database, table: str, identifier: object) -> str:
    statements = {
        "decisions": "SELECT tableoid::regclass::text FROM audit.decisions WHERE id = %(id)s",
        "system_events": "SELECT tableoid::regclass::text FROM audit.system_events WHERE id = %(id)s",
    }
    with database.begin() as connection:
        found = execute(connection, statements[table], {"id": identifier})
    assert len(found) == 1
    return found[0][0]


def test_a_decision_comes_back_as_it_was(database, audit):
    order = Ledger(database).place(symbol="SPY", side="buy", order_type="market", quantity=1, broker="ibkr")
    recorded = audit.record(
        decision_type="entry",
        symbol="SPY",
        signals={"rsi_14": 27.5, "price": Decimal("500.10000001"), "at": OLD, "news": None},
        risk_check={"passed": True},
        final_action="buy",
        reasoning="Überverkauft: RSI < 30 — ¿rebote?",
        order_id=order.id,
    )
    assert recorded.signals == {"rsi_14": 27.5, "price": "500.10000001", "at": OLD.isoformat(), "news": None}
    assert audit.decisions(order_id=order.id) == [recorded]
    assert audit.decisions(symbol="SPY", decision_type="exit") == []
    assert abs(recorded.timestamp - datetime.now(UTC)) < timedelta(minutes=1)
    assert partition_of(database, "decisions", recorded.id) == f"audit.decisions_{recorded.timestamp:%Y_%m}"


def test_events_are_read_by_severity_and_window(audit):
    start = datetime(2020, 1, 1, tzinfo=UTC)
    for number, severity in enumerate(["info", "warning", "error", "critical"]):
        audit.log(
            event_type="severity",
            severity=severity,
            component="test",
            message=severity,
            timestamp=start + timedelta(days=number),
        )
    read = audit.events(event_type="severity", at_least="error")
    assert [event.severity for event in read] == ["critical", "error"]
    window = audit.events(start=start, end=start + timedelta(days=2), component="test")
    assert [event.message for event in window] == ["warning", "info"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"decision_type": "x" * 51}, "type of decision cannot be stored"),
        ({"decision_type": ""}, "type of decision cannot be stored"),
        ({"signals": {"rsi": float("nan")}}, "signals cannot be written as JSON"),
        ({"signals": {"x": object()}}, "a object cannot be written as JSON"),
        ({"signals": {"x": "a\x00b"}}, "NUL"),
        ({"reasoning": "a\x00b"}, "reasoning cannot be stored"),
        ({"symbol": "no symbol"}, "not a symbol"),
        ({"order_id": uuid4()}, "There is no order"),
        ({"timestamp": datetime(2024, 1, 1)}, "no time zone"),  # noqa: DTZ001
    ],
)
def test_what_cannot_be_kept_is_said(audit, wrong, said):
    with pytest.raises(InvalidRequest, match=said):
        audit.record(**({"decision_type": "skip"} | wrong))


def test_months_without_a_partition_lose_nothing(database, audit):
    decisions = [audit.record(decision_type="old", timestamp=OLD + timedelta(microseconds=n)) for n in range(2)]
    event = audit.log(event_type="old", severity="info", component="test", message="old", timestamp=OLD)
    assert partition_of(database, "decisions", decisions[0].id) == "audit.decisions_default"
    made = audit.ensure_partitions(since=OLD)
    assert {"decisions_2019_05", "decisions_2019_06", "system_events_2019_05"} <= set(made)
    assert partition_of(database, "decisions", decisions[0].id) == "audit.decisions_2019_05"
    assert partition_of(database, "decisions", decisions[1].id) == "audit.decisions_2019_06"
    assert partition_of(database, "system_events", event.id) == "audit.system_events_2019_05"
    assert sorted(audit.decisions(decision_type="old"), key=lambda each: each.timestamp) == decisions
    assert audit.ensure_partitions(since=OLD) == []
    with database.begin() as connection:
        keys = execute(
            connection,
            "SELECT count(*) FROM pg_constraint"
            " WHERE conrelid = 'audit.decisions_2019_05'::regclass AND contype IN ('p', 'f')",
        )
    assert keys == [(2,)]


def test_partitions_are_made_while_others_write(database, audit):
    ledger = Ledger(database)

    def write(number: int) -> None:
        order = ledger.place(symbol="QQQ", side="buy", order_type="market", quantity=1, broker="ibkr")
        timestamp = datetime(2018, 1 + number % 12, 15, tzinfo=UTC)
        audit.record(decision_type="busy", order_id=order.id, timestamp=timestamp)

    with ThreadPoolExecutor(6) as pool:
        writing = [pool.submit(write, number) for number in range(120)]
        making = [pool.submit(audit.ensure_partitions, datetime(2018, 1, 1, tzinfo=UTC)) for _ in range(2)]
        for job in (*writing, *making):
            job.result()
    audit.ensure_partitions(datetime(2018, 1, 1, tzinfo=UTC))
    assert len(audit.decisions(decision_type="busy")) == 120
    with database.begin() as connection:
        assert execute(connection, "SELECT count(*) FROM audit.decisions_default") == [(0,)]
