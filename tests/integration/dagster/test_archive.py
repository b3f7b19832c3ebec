"""The archive as people meet it: the asset and its checks in Dagster, the command, the client."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from commands import Installation, installation
from dagster import AssetSelection, DagsterInstance, ExecuteInProcessResult, materialize

from trading_platform.assets.audit_archive import audit_archive
from trading_platform.checks.archive_checks import archive_checks
from trading_platform.client import Platform
from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.time import month_window
from trading_platform.embedded.stack import Endpoints
from trading_platform.resources.platform import PlatformContext
from trading_platform.stores.audit.archive_manifest import AuditTable
from trading_platform.stores.audit.journal import AuditStore
from trading_platform.stores.postgres.database import Database, execute
from trading_platform.stores.stores import Stores, open_stores

NOW = datetime.now(UTC)
OLD = month_window(NOW - timedelta(days=500))


@pytest.fixture
def stores(database_url: str, tmp_path: Path) -> Iterator[Stores]:
    with open_stores(database_url, tmp_path / "features", may_upgrade=True) as opened:
        with opened.owner.begin() as connection:
            execute(connection, "TRUNCATE audit.decisions, audit.system_events, audit.archived_months")
        yield opened


def write(database: Database) -> None:
    audit = AuditStore(database)
    for number in range(5):
        timestamp = OLD.start + timedelta(days=number)
        audit.record(decision_type="entry", symbol="SPY", signals={"rsi": 30.5, "n": number}, timestamp=timestamp)
        audit.log(event_type="test", severity="info", component="test", message=f"{number}", timestamp=timestamp)


def run(stores: Stores, *, now: datetime = NOW, selection: AssetSelection | None = None) -> ExecuteInProcessResult:
    """What Dagster makes of the asset and its checks, or of a part of them."""
    with DagsterInstance.ephemeral() as instance:
        return materialize(
            [audit_archive, archive_checks],
            instance=instance,
            resources={"platform": PlatformContext(stores, {}, lambda: now)},
            selection=selection,
            raise_on_error=False,
        )


def checks(result: ExecuteInProcessResult) -> dict[str, bool]:
    return {found.check_name: found.passed for found in result.get_asset_check_evaluations()}


ALL_PASSED = {"archive_intact": True, "months_ahead": True, "nothing_overdue": True}


def test_the_asset_archives_and_its_checks_pass(stores: Stores):
    write(stores.database)
    result = run(stores)
    assert result.success
    assert checks(result) == ALL_PASSED
    (made,) = result.asset_materializations_for_node("audit_archive")
    assert made.metadata["rows archived"].value == 10
    records = [record.data for record in made.metadata["months"].records]
    assert [(record["table"], record["rows"], record["outcome"]) for record in records] == [
        ("decisions", 5, "archived"),
        ("system_events", 5, "archived"),
    ]
    assert all(record["bytes"] > 0 for record in records)
    force = run(stores)
    assert force.success
    assert checks(force) == ALL_PASSED


@pytest.mark.exhaustive
def test_the_checks_see_what_is_wrong(stores: Stores):
    write(stores.database)
    assert run(stores).success
    path = stores.archive.path(AuditTable.DECISIONS, OLD)
    content = path.read_bytes()
    record = pl.read_parquet_metadata(path)["trading_platform.audit_archive"]
    tampered = pl.read_parquet(path).with_columns(symbol=pl.lit("QQQ"))
    tampered.write_parquet(path, metadata={"trading_platform.audit_archive": record})
    assert checks(run(stores)) == ALL_PASSED | {"archive_intact": False}
    path.unlink()
    assert checks(run(stores)) == ALL_PASSED | {"archive_intact": False}
    path.write_bytes(content)
    assert checks(run(stores)) == ALL_PASSED
    far = month_window(NOW + timedelta(days=300)).start
    found = run(stores, now=far)
    assert not checks(found)["months_ahead"], "the database's clock says which months are made, and it is not that far"


def test_what_cannot_be_archived_fails_the_run_and_is_overdue(stores: Stores):
    write(stores.database)
    assert run(stores).success
    stores.archive.path(AuditTable.DECISIONS, OLD).write_bytes(b"broken")
    AuditStore(stores.database).record(decision_type="late", timestamp=OLD.start)
    result = run(stores)
    assert not result.success
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert "1 months could not be archived" in str(failure.event_specific_data.user_failure_data.description)
    judged = run(stores, selection=AssetSelection.checks_for_assets(audit_archive))
    assert checks(judged) == ALL_PASSED | {"archive_intact": False, "nothing_overdue": False}


def test_the_client_reads_the_archive(stores: Stores):
    write(stores.database)
    platform = Platform(stores)
    decisions, events = platform.decisions.list(), platform.events.list(component="test")
    assert platform.archive.months().is_empty()
    assert platform.archive.decisions(OLD.start, OLD.end).is_empty()
    assert run(stores).success
    assert platform.decisions.list() == decisions
    assert platform.events.list(component="test") == events
    months = platform.archive.months()
    assert months["rows"].to_list() == [5, 5]
    assert months["first"].to_list() == [OLD.start] * 2
    second = OLD.start + timedelta(days=1)
    frame = platform.archive.decisions(second, date(OLD.end.year, OLD.end.month, 1))
    assert frame["id"].to_list() == [str(decision.id) for decision in reversed(decisions[:-1])]
    assert frame.schema["timestamp"] == pl.Datetime("us", "UTC")
    assert platform.archive.events(OLD.start.isoformat(), second)["message"].to_list() == ["0"]
    with pytest.raises(InvalidRequest):
        platform.archive.events(second, OLD.start)


@pytest.fixture
def ours(stack: Endpoints) -> Iterator[Installation]:
    with installation(stack.database_url) as made:
        yield made


def test_the_command(ours: Installation, tmp_path: Path):
    more = {"ARCHIVE_DIR": str(tmp_path / "elsewhere")}
    nothing = ours.run("archive", more=more)
    assert (nothing.code, "Nothing in the database is older" in nothing.text) == (0, True)
    database = Database(ours.environment()["DATABASE_URL"])
    write(database)
    found = ours.run("archive", "--json", more=more)
    assert found.code == 0, found.text
    assert [(month["table"], month["rows"], month["outcome"]) for month in found.json["months"]] == [
        ("decisions", 5, "archived"),
        ("system_events", 5, "archived"),
    ]
    listed = ours.run("archive", "--list", "--json", more=more)
    assert [(month["table"], month["rows"]) for month in listed.json["months"]] == [
        ("decisions", 5),
        ("system_events", 5),
    ]
    assert "decisions" in ours.run("archive", "--list", more=more).out
    assert "Nothing is archived" in ours.run("archive", "--list").out
    (path,) = (tmp_path / "elsewhere").rglob("decisions/*.parquet")
    os.truncate(path, 100)
    AuditStore(database).record(decision_type="late", timestamp=OLD.start)
    broken = ours.run("archive", more=more)
    assert broken.code == 1
    assert path.name in broken.text
    assert "Traceback" not in broken.text
    assert ours.run("archive", "--list", more=more).code == 1
    database.close()
