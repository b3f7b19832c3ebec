"""Old months of decisions and events: moved to files, read as before, and never lost on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import psycopg
import pytest
from clusters import cluster, missing
from hypothesis import given, settings
from hypothesis import strategies as st
from processes import REPOSITORY, environment
from properties import examples

from trading_platform.domain.errors import StoreError, StoreFull
from trading_platform.domain.time import month_window
from trading_platform.stores.audit.archive import AuditArchive
from trading_platform.stores.audit.archive_manifest import AuditTable
from trading_platform.stores.audit.archive_source import AuditSource
from trading_platform.stores.audit.journal import AuditStore, Decision, SystemEvent
from trading_platform.stores.postgres.database import Database, execute
from trading_platform.stores.schema import upgrade
from trading_platform.stores.trading.ledger import Ledger
from trading_platform.workflows.audit.archive_audit import STAGES, ArchiveReport, Outcome, archive_audit, archive_limit
from trading_platform.workflows.quality.verify_archive import verify_archive

FIRST = datetime(2019, 3, 1, tzinfo=UTC)
MAY = month_window(datetime(2019, 5, 1, tzinfo=UTC))
NOW = datetime(2020, 6, 15, 12, tzinfo=UTC)  # a year before is in June: May is archived, June is not


@dataclass
class World:
    """One database with partitions from March 2019 on, and an empty archive."""

    url: str
    database: Database
    archive: AuditArchive

    @property
    def live(self) -> AuditStore:
        return AuditStore(self.database)

    @property
    def everything(self) -> AuditStore:
        return AuditStore(self.database, self.archive)

    def run(self, now: datetime = NOW):
        return archive_audit(self.database, self.archive, clock=lambda: now, sleep=lambda _seconds: None)

    def outcomes(self, now: datetime = NOW) -> dict[tuple[str, str], Outcome]:
        return {(month.table, month.month): month.outcome for month in self.run(now).months}

    def decide(self, timestamp: datetime, count: int = 1) -> list[Decision]:
        return [
            self.live.record(
                decision_type="entry",
                signals={"number": number},
                reasoning="¿por qué?",
                timestamp=timestamp + timedelta(microseconds=number),
            )
            for number in range(count)
        ]

    def happen(self, timestamp: datetime, count: int = 1) -> list[SystemEvent]:
        return [
            self.live.log(
                event_type="test", severity="warning", component="test", message=f"event {number}", timestamp=timestamp
            )
            for number in range(count)
        ]

    def partitions(self) -> set[str]:
        with self.database.begin() as connection:
            rows = execute(connection, "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent IN "
                           "('audit.decisions'::regclass, 'audit.system_events'::regclass)")  # fmt: skip
        return {name.removeprefix("audit.") for (name,) in rows}

    def all_decisions(self) -> list[Decision]:
        return self.everything.decisions(limit=1_000_000)

    def all_events(self) -> list[SystemEvent]:
        return self.everything.events(component="test", limit=1_000_000)


def fresh(url: str, database: Database, folder: Path) -> World:
    with database.begin() as connection:
        old = execute(
            connection,
            "SELECT inhrelid::regclass::text FROM pg_inherits"
            " WHERE inhparent IN ('audit.decisions'::regclass, 'audit.system_events'::regclass)"
            " AND inhrelid::regclass::text LIKE '%%\\_2019\\_%%'",
        )
        for (name,) in old:
            execute(connection, f"DROP TABLE {name}")
        execute(connection, "TRUNCATE audit.decisions, audit.system_events, audit.archived_months, audit.set_aside")
        for table in ("decisions", "system_events"):
            for month in (3, 4, 5, 6, 7):
                window = month_window(datetime(2019, month, 1, tzinfo=UTC))
                execute(
                    connection,
                    "SELECT audit.make_partition(%(table)s, %(name)s, %(first)s, %(after)s)",
                    {
                        "table": table,
                        "name": f"{table}_2019_{month:02}",
                        "first": window.start,
                        "after": window.end,
                    },
                )
    return World(url, database, AuditArchive(folder / "archive"))


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


# Damage


def damage(path: Path, how: str) -> None:
    content = path.read_bytes()
    if how == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif how == "removed":
        path.unlink()
    elif how == "another month":
        path.write_bytes(path.with_name("2019-04.parquet").read_bytes())
    elif how == "a row less":
        rewrite(path, lambda frame: frame.head(-1))
    else:
        rewrite(path, lambda frame: frame.with_columns(reasoning=pl.lit("it was not me")))


def rewrite(path: Path, change) -> None:
    record = pl.read_parquet_metadata(path)["trading_platform.audit_archive"]
    change(pl.read_parquet(path)).write_parquet(path, metadata={"trading_platform.audit_archive": record})


@pytest.mark.parametrize("how", ["truncated", "removed", "another month", "a row less", "tampered"])
def test_a_damaged_file_is_named_and_nothing_is_dropped(world: World, how: str):
    world.decide(FIRST + timedelta(days=40), 2)
    world.decide(MAY.start, 5)
    world.run()
    path = world.archive.path(AuditTable.DECISIONS, MAY)
    damage(path, how)
    found = path.read_bytes() if path.exists() else None
    late = world.decide(MAY.start + timedelta(hours=1), 1)
    (report,) = world.run().failed
    assert str(path) in str(report.error)
    assert world.live.decisions() == late
    assert (path.read_bytes() if path.exists() else None) == found
    (event,) = world.live.events(event_type="archive_failed")
    assert event.severity == "error"
    assert str(path) in event.message
    if how != "tampered":  # that only reading it whole can tell
        with pytest.raises(StoreError, match=r"2019-05\.parquet"):
            world.everything.decisions()
    assert world.everything.decisions(limit=1, start=MAY.end) == []
    assert len(world.everything.decisions(end=MAY.start)) == 2, "another month's file is none of its business"


def test_another_archive_is_not_taken_for_an_empty_one(world: World, tmp_path: Path):
    world.decide(MAY.start)
    world.run()
    elsewhere = AuditStore(world.database, AuditArchive(tmp_path / "elsewhere"))
    with pytest.raises(StoreError, match="ARCHIVE_DIR"):
        elsewhere.decisions()
    assert elsewhere.decisions(start=MAY.end) == []
    late = world.decide(MAY.start)
    report = archive_audit(world.database, AuditArchive(tmp_path / "elsewhere"), clock=lambda: NOW)
    assert "ARCHIVE_DIR" in str(report.failed[0].error)
    assert world.live.decisions() == late


def test_no_file_is_opened_where_live_rows_are_newer(world: World):
    world.decide(MAY.start, 3)
    world.run()
    world.archive.path(AuditTable.DECISIONS, MAY).write_bytes(b"broken")
    newer = world.decide(NOW, 3)
    assert world.everything.decisions(limit=3) == newer[::-1]
    assert world.everything.decisions(start=MAY.end) == newer[::-1]
    with pytest.raises(StoreError):
        world.everything.decisions(limit=4)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may do everything")
def test_a_folder_that_cannot_be_looked_into(world: World):
    world.decide(MAY.start)
    world.run()
    folder = world.archive.path(AuditTable.DECISIONS, MAY).parent
    folder.chmod(0)
    try:
        with pytest.raises(StoreError, match="permission"):
            world.all_decisions()
    finally:
        folder.chmod(0o755)


# Others at work


@pytest.mark.exhaustive
def test_a_writer_into_an_old_month_loses_nothing(world: World):
    written: list[Decision] = []
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            written.extend(world.decide(MAY.start + timedelta(minutes=len(written))))

    with ThreadPoolExecutor(2) as pool:
        writing = [pool.submit(write) for _ in range(2)]
        try:
            for _ in range(6):
                report = archive_audit(world.database, world.archive, clock=lambda: NOW)
                assert not report.failed
                before = {row.id for row in list(written)}
                assert before <= {row.id for row in world.all_decisions()}
        finally:
            stop.set()
        for job in writing:
            job.result()
    assert not world.run().failed
    assert world.live.decisions() == []
    assert len(world.all_decisions()) == len(written)
    assert {row.id for row in world.all_decisions()} == {row.id for row in written}


@pytest.mark.parametrize(
    "lock",
    [
        "LOCK TABLE ONLY audit.decisions IN ACCESS SHARE MODE",
        "LOCK TABLE audit.decisions_2019_05 IN ROW EXCLUSIVE MODE",
        "LOCK TABLE audit.decisions_default IN ROW EXCLUSIVE MODE",
    ],
)
def test_a_month_that_somebody_holds_is_left_for_the_next_run(world: World, lock: str):
    rows = world.decide(MAY.start, 3)
    with psycopg.connect(world.url) as other:
        other.execute(lock)
        outcomes = world.outcomes()
        assert outcomes["decisions", "2019-05"] is Outcome.POSTPONED
        assert outcomes["system_events", "2019-05"] is Outcome.EMPTY
        assert len(world.live.decisions()) == 3
        assert world.all_decisions() == rows[::-1]
    assert world.outcomes()["decisions", "2019-05"] is Outcome.ARCHIVED
    assert world.all_decisions() == rows[::-1]


def test_orders_are_not_locked(world: World):
    world.decide(MAY.start)
    with psycopg.connect(world.url) as other:
        other.execute("LOCK TABLE trading.orders IN ROW EXCLUSIVE MODE")
        assert world.outcomes()["decisions", "2019-05"] is Outcome.ARCHIVED


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.parametrize("version", [15, 16, 18])
def test_other_versions_of_postgresql(version: int, tmp_path: Path):
    if reason := missing(version):
        pytest.skip(reason)
    with cluster(version) as url:
        opened = Database(url)
        upgrade(opened)
        world = fresh(url, opened, tmp_path)
        rows = world.decide(MAY.start, 3)
        events = world.happen(MAY.start, 2)
        with psycopg.connect(url) as other:
            other.execute("LOCK TABLE trading.orders IN ROW EXCLUSIVE MODE")
            world.run()
            late = world.decide(MAY.start + timedelta(hours=1))
            assert not world.run().failed
        assert world.live.decisions() == []
        assert world.all_decisions() == [*late, *rows[::-1]]
        assert world.all_events() == events[::-1]
        opened.close()


# Killed

SCRIPT = """
import os, signal, sys
from datetime import datetime
from pathlib import Path
from trading_platform.stores.audit.archive import AuditArchive
from trading_platform.stores.postgres.database import Database
from trading_platform.workflows.audit.archive_audit import archive_audit

url, folder, now, stage = sys.argv[1:]
asked = 0

def kill():
    os.kill(os.getpid(), signal.SIGKILL)

def clock():
    global asked
    asked += 1
    if stage == "0" and asked == 2:  # the file is being written
        kill()
    return datetime.fromisoformat(now)

def progress(what, done, total):
    if str(done) == stage:
        kill()

archive_audit(Database(url), AuditArchive(Path(folder)), clock=clock, progress=progress)
"""


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.parametrize("late", [False, True], ids=["a month", "late rows"])
@pytest.mark.parametrize("stage", range(len(STAGES) + 1), ids=["half written", *STAGES])
def test_killed_at_any_stage_nothing_is_lost_or_twice(world: World, *, stage: int, late: bool):
    rows = world.decide(MAY.start, 5)
    if late:
        world.run()
        rows += world.decide(MAY.start + timedelta(hours=1), 3)
    events = world.happen(MAY.start, 2)
    arguments = [world.url, str(world.archive.directory), NOW.isoformat(), str(stage)]
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments], cwd=REPOSITORY, env=environment(), capture_output=True, check=False
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    assert world.all_decisions() == rows[::-1]
    assert world.all_events() == events[::-1]
    assert len(world.live.decisions()) == (3 if late else 5), "nothing was committed"
    report = world.run()
    assert not report.failed
    assert world.live.decisions() == []
    assert world.all_decisions() == rows[::-1]
    assert world.all_events() == events[::-1]
    assert world.archive.verified(AuditTable.DECISIONS, MAY).rows == len(rows)
    assert not list(world.archive.directory.rglob("*.tmp"))


# No space


def test_no_space_for_the_archive(world: World, small_disk: Path):
    world.archive = AuditArchive(small_disk)
    with world.database.begin() as connection:
        execute(
            connection,
            "INSERT INTO audit.decisions (timestamp, decision_type, reasoning)"
            " SELECT %(first)s::timestamptz + n * interval '1 second', 'entry',"
            " string_agg(sha256((n * 100 + m)::text::bytea)::text, '')"
            " FROM generate_series(1, 1000) n, generate_series(1, 40) m GROUP BY n",
            {"first": MAY.start},
        )
    report = world.run()
    assert isinstance(report.failed[0].error, StoreFull)
    assert not list(small_disk.rglob("*.parquet"))
    assert not list(small_disk.rglob("*.tmp"))
    assert len(world.all_decisions()) == 1000
    (event,) = world.live.events(event_type="archive_failed")
    assert event.metadata["error"] == "StoreFull"
