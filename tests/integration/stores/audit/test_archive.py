"""Old months of decisions and events: moved to files, and read as before."""

from __future__ import annotations

import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from archived_months import FIRST, MAY, NOW, World, fresh
from hypothesis import given, settings
from hypothesis import strategies as st
from properties import examples

from trading_platform.stores.audit.archive_manifest import AuditTable
from trading_platform.stores.audit.archive_source import AuditSource
from trading_platform.stores.postgres.database import Database, execute
from trading_platform.stores.trading.ledger import Ledger
from trading_platform.workflows.audit.archive_audit import ArchiveReport, Outcome, archive_limit
from trading_platform.workflows.quality.verify_archive import verify_archive


@pytest.fixture
def world(database_url: str, database: Database, tmp_path: Path) -> World:
    return fresh(database_url, database, tmp_path)


# What is archived


def test_months_older_than_a_year_leave_the_database(world: World):
    decisions = world.decide(MAY.end - timedelta(microseconds=3), 3) + world.decide(MAY.end, 2)
    events = world.happen(MAY.start, 3)
    assert world.outcomes() == {
        ("decisions", "2019-03"): Outcome.EMPTY,
        ("decisions", "2019-04"): Outcome.EMPTY,
        ("decisions", "2019-05"): Outcome.ARCHIVED,
        ("system_events", "2019-03"): Outcome.EMPTY,
        ("system_events", "2019-04"): Outcome.EMPTY,
        ("system_events", "2019-05"): Outcome.ARCHIVED,
    }
    left = {name for name in world.partitions() if "_2019_" in name}
    assert left == {f"{table}_2019_{month}" for table in ("decisions", "system_events") for month in ("06", "07")}
    assert [(m.table, m.window, m.record.manifest.rows) for m in world.archive.months()] == [
        (AuditTable.DECISIONS, MAY, 3),
        (AuditTable.EVENTS, MAY, 3),
    ]
    assert len(world.live.decisions()) == 2
    assert world.all_decisions() == sorted(decisions, key=lambda row: row.timestamp, reverse=True)
    assert world.all_events() == list(reversed(events))
    archived = world.live.events(event_type="month_archived")
    assert {(event.metadata["table"], event.metadata["month"], event.metadata["rows"]) for event in archived} == {
        ("decisions", "2019-05", 3),
        ("system_events", "2019-05", 3),
    }
    assert world.run().months == (), "a second run has nothing to do"


@pytest.mark.parametrize(("now", "archived"), [(timedelta(0), True), (timedelta(microseconds=-1), False)])
def test_the_limit_is_exactly_a_year_after_the_months_end(world: World, *, now: timedelta, archived: bool):
    world.decide(MAY.start)
    outcomes = world.outcomes(datetime(2020, 6, 1, tzinfo=UTC) + now)
    assert (("decisions", "2019-05") in outcomes) == archived


def test_the_year_before_the_29th_of_february():
    assert archive_limit(datetime(2024, 2, 29, 8, tzinfo=UTC)) == datetime(2023, 2, 28, 8, tzinfo=UTC)
    assert archive_limit(datetime(2025, 3, 1, tzinfo=UTC)) == datetime(2024, 3, 1, tzinfo=UTC)


def test_the_order_of_an_archived_decision_stays(world: World):
    order = Ledger(world.database).place(symbol="SPY", side="buy", order_type="market", quantity=1, broker="ibkr")
    decision = world.live.record(decision_type="entry", symbol="SPY", order_id=order.id, timestamp=MAY.start)
    world.run()
    assert world.everything.decisions(order_id=order.id) == [decision]
    assert world.live.decisions(order_id=order.id) == []


TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=("Cs",)), min_size=1, max_size=40)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.decimals(allow_nan=False, allow_infinity=False, places=12)
    | TEXT
    | st.just("")
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4))
OBJECTS = st.none() | st.dictionaries(TEXT, VALUES, max_size=5)
TIMESTAMPS = st.datetimes(
    FIRST.replace(tzinfo=None), MAY.end.replace(tzinfo=None) - timedelta(microseconds=1), timezones=st.just(UTC)
)
DECISIONS = st.fixed_dictionaries(
    {
        "decision_type": TEXT,
        "symbol": st.sampled_from([None, "SPY", "BTCUSD"]),
        "signals": OBJECTS,
        "risk_check": OBJECTS,
        "final_action": st.none() | TEXT,
        "reasoning": st.none() | TEXT,
        "timestamp": TIMESTAMPS,
    }
)
EVENTS = st.fixed_dictionaries(
    {
        "event_type": TEXT,
        "severity": st.sampled_from(["info", "warning", "error", "critical"]),
        "component": st.just("test"),
        "message": TEXT,
        "metadata": OBJECTS,
        "timestamp": TIMESTAMPS,
    }
)


@pytest.mark.exhaustive
@settings(max_examples=examples(25))
@given(decisions=st.lists(DECISIONS, max_size=12), events=st.lists(EVENTS, max_size=12), late=st.integers(0, 12))
def test_everything_reads_as_before(database_url: str, database: Database, decisions, events, late):
    with tempfile.TemporaryDirectory() as folder:
        world = fresh(database_url, database, Path(folder))
        for row in decisions[:late]:
            world.live.record(**row)
        world.run()
        for row in decisions[late:]:
            world.live.record(**row)
        for row in events:
            world.live.log(**row)
        before = reads(world)
        assert not world.run().failed
        assert reads(world) == before
        assert world.live.decisions() == []
        assert sum(month.record.manifest.rows for month in world.archive.months(AuditTable.DECISIONS)) == len(decisions)


def reads(world: World) -> list[object]:
    april = datetime(2019, 4, 10, tzinfo=UTC)
    store = world.everything
    return [
        store.decisions(),
        store.decisions(limit=3),
        store.decisions(start=april, end=MAY.end),
        store.decisions(symbol="SPY", end=april),
        store.decisions(decision_type="0"),
        store.events(component="test"),
        store.events(component="test", at_least="error", limit=2),
        store.events(component="test", start=april),
        store.events(event_type="0"),
    ]


def test_what_sql_alone_can_write_is_archived_too(world: World):
    with world.database.begin() as connection:
        execute(
            connection,
            "INSERT INTO audit.decisions (id, timestamp, decision_type, final_action, reasoning, signals) VALUES"
            " (gen_random_uuid(), %(at)s, '', '', E'line\\r\\n\\t\"quoted\", \\\\N', '[1e400, 1.10, -0, \"\\u00e9\"]'),"
            " (gen_random_uuid(), %(at)s, '-', '3:abc', '', 'null')",
            {"at": MAY.start},
        )
        before = execute(connection, "SELECT to_jsonb(d) - 'timestamp', timestamp FROM audit.decisions d ORDER BY id")
    assert not world.run().failed
    rows = world.archive.read(AuditTable.DECISIONS, [MAY], lambda rows: rows.sort("id")).to_dicts()
    assert [(row["decision_type"], row["final_action"], row["reasoning"], row["timestamp"]) for row in rows] == [
        (found["decision_type"], found["final_action"], found["reasoning"], timestamp) for found, timestamp in before
    ]
    numbers = {row["decision_type"]: row["signals"] for row in rows}
    assert numbers["-"] == "null"
    assert numbers[""].startswith("[1" + 400 * "0" + ", 1.10, ")


def run_until_done(world: World) -> ArchiveReport:
    """As the nights do: the server vacuums what was filled at once, and a month is postponed meanwhile."""
    for _ in range(60):
        report = world.run()
        if all(month.outcome is not Outcome.POSTPONED for month in report.months):
            return report
        time.sleep(0.5)
    pytest.fail(f"still postponed: {report}")


@pytest.mark.exhaustive
def test_many_rows_go_in_batches(world: World):
    with world.database.begin() as connection:
        execute(
            connection,
            "INSERT INTO audit.system_events (timestamp, event_type, severity, component, message, metadata)"
            " SELECT %(first)s::timestamptz + n %% 30 * interval '1 day', 'test', 'info', 'test', 'event ' || n,"
            " jsonb_build_object('n', n) FROM generate_series(1, 45000) n",
            {"first": MAY.start},
        )
    newest = world.everything.events(component="test", limit=700)
    assert not run_until_done(world).failed
    assert world.everything.events(component="test", limit=700) == newest
    late = world.happen(MAY.start + timedelta(hours=1), 5)
    report = run_until_done(world)
    assert [(month.rows, month.archived_rows) for month in report.months] == [(5, 45005)]
    assert world.everything.events(event_type="test", end=MAY.start + timedelta(hours=2), limit=5) == late[::-1]
    assert world.archive.verified(AuditTable.EVENTS, MAY).rows == 45005


# Late rows


def test_late_rows_join_their_month(world: World):
    first = world.decide(MAY.start, 4)
    world.run()
    late = world.decide(MAY.start + timedelta(microseconds=2), 3) + world.decide(FIRST, 2)
    assert world.outcomes() == {
        ("decisions", "2019-03"): Outcome.ARCHIVED,
        ("decisions", "2019-05"): Outcome.ARCHIVED,
    }
    assert world.live.decisions() == []
    assert sorted(world.all_decisions(), key=lambda row: row.id) == sorted(first + late, key=lambda row: row.id)
    assert world.archive.verified(AuditTable.DECISIONS, MAY).rows == 7


def test_rows_of_younger_months_stay_in_the_default_partition(world: World):
    with world.database.begin() as connection:
        execute(connection, "DROP TABLE audit.decisions_2019_06")
    june = world.decide(MAY.end, 2)
    may = world.decide(MAY.start, 1)
    world.run()
    assert world.live.decisions() == june[::-1]
    assert world.all_decisions() == june[::-1] + may


def test_a_row_both_archived_and_live_is_read_once(world: World):
    rows = world.decide(MAY.start, 3)
    source = AuditSource(world.database)
    with world.archive.writing(), source.reading(AuditTable.DECISIONS, MAY) as (manifest, batches):
        world.archive.add(AuditTable.DECISIONS, MAY, manifest, batches, clock=lambda: NOW, reached=lambda _stage: None)
    assert world.all_decisions() == rows[::-1]
    before = world.archive.path(AuditTable.DECISIONS, MAY).read_bytes()
    assert world.outcomes()["decisions", "2019-05"] is Outcome.ARCHIVED
    assert world.archive.path(AuditTable.DECISIONS, MAY).read_bytes() == before, "it had every row already"
    assert world.all_decisions() == rows[::-1]
    assert "decisions_2019_05" not in world.partitions()


def test_a_row_with_the_key_of_an_archived_one_is_set_aside_and_the_month_goes_on(world: World):
    """An agent can choose id and time of a decision, so it could stop the month for ever."""
    rows = world.decide(MAY.start, 3)
    world.run()
    for row in rows[:2]:
        world.live.record(decision_type="other", timestamp=row.timestamp, decision_id=row.id)
    (late,) = world.decide(MAY.start + timedelta(hours=1))
    report = world.run()
    assert not report.failed
    assert world.live.decisions() == []
    assert world.archive.verified(AuditTable.DECISIONS, MAY).rows == 4
    assert world.all_decisions() == [late, *rows[::-1]]
    (event,) = world.live.events(event_type="rows_set_aside")
    assert event.message.startswith("2 rows of audit.decisions")
    with world.database.begin() as connection:
        aside = execute(connection, "SELECT relation, record::jsonb ->> 'decision_type' FROM audit.set_aside")
    assert aside == [("audit.decisions", "other")] * 2


def test_forged_events_about_archived_months_are_not_believed(world: World):
    for metadata in (
        {"table": "decisions", "month": "zzzz"},
        {"table": "decisions", "month": "2019-04"},
        {"table": "system_events", "month": "9999-12"},
        {"table": {"deep": []}, "month": 7},
    ):
        world.live.log(
            event_type="month_archived", severity="info", component="archive", message="forged", metadata=metadata
        )
    world.decide(MAY.start)
    assert len(world.all_decisions()) == 1
    assert not world.run().failed
    assert AuditSource(world.database).archived() == [("decisions", "2019-05")]
    results = verify_archive(world.database, world.archive, clock=lambda: NOW)
    assert [result.status.name for result in results if result.check == "archive_intact"] == ["PASSED"]


@pytest.mark.exhaustive
def test_the_next_partitions_wait_for_nobody(world: World):
    """Else a role that holds a lock on the orders would stop all who write orders, from then on."""
    with world.database.begin() as connection:
        ((ahead,),) = execute(
            connection,
            "SELECT max(inhrelid::regclass::text) FROM pg_inherits WHERE inhparent = 'audit.decisions'::regclass"
            " AND inhrelid::regclass::text NOT LIKE '%%default'",
        )
        execute(connection, f"DROP TABLE {ahead}")
    with psycopg.connect(world.url) as writer:
        writer.execute("LOCK TABLE trading.orders IN ROW EXCLUSIVE MODE")
        assert world.run().partitions_made == ()
    assert world.run().partitions_made == (ahead.removeprefix("audit."),)
