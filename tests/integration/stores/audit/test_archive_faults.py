"""An archive whose files are damaged, whose tables are held, or whose process is killed loses nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import polars as pl
import psycopg
import pytest
from archived_months import FIRST, MAY, NOW, World, fresh
from clusters import cluster, missing
from processes import REPOSITORY, environment

from trading_platform.domain.errors import StoreError, StoreFull
from trading_platform.stores.audit.archive import AuditArchive
from trading_platform.stores.audit.archive_manifest import AuditTable
from trading_platform.stores.audit.journal import AuditStore, Decision
from trading_platform.stores.postgres.database import Database, execute
from trading_platform.stores.schema import upgrade
from trading_platform.workflows.audit.archive_audit import STAGES, Outcome, archive_audit


@pytest.fixture
def world(database_url: str, database: Database, tmp_path: Path) -> World:
    return fresh(database_url, database, tmp_path)


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
