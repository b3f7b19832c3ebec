"""The schema comes whole or not at all, once, whoever asks for it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from commands import installation, rows
from properties import some_usual
from schemas import catalog, new_database
from sqlalchemy import Connection
from waiting import LONG

from trading_platform.domain.errors import ConfigurationError, StoreBusy, StoreError, StoreUnavailable
from trading_platform.embedded.stack import Endpoints
from trading_platform.stores.postgres import migrations
from trading_platform.stores.postgres.database import Database, execute
from trading_platform.stores.schema import upgrade
from trading_platform.stores.stores import open_stores


@pytest.fixture
def empty_url(stack: Endpoints) -> Iterator[str]:
    """URL of a database with nothing in it."""
    with new_database(stack.database_url) as url:
        yield url


@pytest.fixture
def database(empty_url: str) -> Iterator[Database]:
    opened = Database(empty_url)
    yield opened
    opened.close()


def test_from_nothing_to_the_newest_and_then_no_further(database: Database, empty_url: str) -> None:
    assert migrations.current(database) is None
    assert catalog(empty_url) == []
    assert upgrade(database) == (None, migrations.head())
    assert migrations.current(database) == migrations.head()
    made = catalog(empty_url)
    assert {"market_data", "config"} <= {name for kind, name, _ in made if kind == "schema"}
    assert upgrade(database) == (migrations.head(), migrations.head())
    assert catalog(empty_url) == made


def test_every_revision_has_its_sql_and_they_follow_each_other() -> None:
    folder = migrations.sql_directory() / "migrations" / "versions"
    revisions = sorted(path.stem for path in folder.glob("[0-9]*.py"))
    assert revisions == sorted(path.stem for path in folder.glob("*.sql"))
    assert [int(name.partition("_")[0]) for name in revisions] == list(range(1, len(revisions) + 1))


def test_a_failing_statement_leaves_nothing_behind(
    database: Database, empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last statement of the migration fails, as if someone had made that function before."""
    original = Path.read_text

    def with_a_fault(path: Path, *arguments: object, **named: object) -> str:
        text = original(path, *arguments, **named)  # type: ignore[arg-type]
        return text + "\nSELECT 1 / 0;" if path.suffix == ".sql" else text

    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_text", with_a_fault)
        with pytest.raises(StoreError, match="rejected a statement"):
            upgrade(database)
    assert catalog(empty_url) == []
    assert upgrade(database) == (None, migrations.head())


def test_a_killed_upgrade_leaves_nothing_behind(
    database: Database, empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Path.read_text

    def with_an_end(path: Path, *arguments: object, **named: object) -> str:
        text = original(path, *arguments, **named)  # type: ignore[arg-type]
        return text + "\nSELECT pg_terminate_backend(pg_backend_pid());" if path.suffix == ".sql" else text

    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_text", with_an_end)
        with pytest.raises(StoreUnavailable):
            upgrade(database)
    assert catalog(empty_url) == []
    assert upgrade(database) == (None, migrations.head())


def test_an_attempt_that_was_in_the_way_of_others_is_repeated_in_another_session(database: Database) -> None:
    """On TimescaleDB the same session could not create its views any more."""
    _repeated_elsewhere(database)


def test_it_is_so_on_timescaledb() -> None:
    server = os.environ.get("TEST_TIMESCALE_DSN")
    if not server:
        pytest.skip("no TimescaleDB to test against (set TEST_TIMESCALE_DSN to postgresql://user:password@host/db)")
    with new_database(server) as url:
        opened = Database(url)
        _repeated_elsewhere(opened)
        opened.close()


def _repeated_elsewhere(database: Database) -> None:
    sessions: list[int] = []

    def publish(connection: Connection) -> None:
        sessions.append(execute(connection, "SELECT pg_backend_pid()")[0][0])
        if len(sessions) == 1:
            raise StoreBusy("Another transaction was in the way.")

    assert migrations.upgrade(database, publish) == (None, migrations.head())
    assert len(set(sessions)) == len(sessions) == 2


def test_several_at_the_same_time_do_it_once(empty_url: str) -> None:
    def upgrade_once(_number: int) -> tuple[str | None, str]:
        database = Database(empty_url)
        try:
            return upgrade(database)
        finally:
            database.close()

    with ThreadPoolExecutor(4) as pool:
        outcomes = sorted(pool.map(upgrade_once, range(4)), key=str)
    assert outcomes == [(migrations.head(), migrations.head())] * 3 + [(None, migrations.head())]


@pytest.mark.exhaustive
def test_two_processes_at_the_same_time_do_it_once(stack: Endpoints) -> None:
    with installation(stack.database_url, schema=False) as made:
        processes = [made.start("db", "upgrade", "--json") for _ in range(2)]
        said = [process.communicate(timeout=LONG) for process in processes]
        assert [process.returncode for process in processes] == [0, 0], said
        assert sorted("null" in out for out, _ in said) == [False, True]
        assert rows(made.database_url, "SELECT version_num FROM alembic_version") == [(migrations.head(),)]


@pytest.mark.parametrize("revision", some_usual(["0000", "9999", "somebody else's"]))
def test_another_revision_is_refused_with_what_to_do(
    database: Database, empty_url: str, tmp_path: Path, revision: str
) -> None:
    upgrade(database)
    with psycopg.connect(empty_url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = %s", [revision])
    for may_upgrade in (False, True):
        with (
            pytest.raises(ConfigurationError, match="newer than this version") as caught,
            open_stores(empty_url, tmp_path, may_upgrade=may_upgrade),
        ):
            pass
        assert caught.value.received == f"revision {revision}"
        assert caught.value.expected == f"revision {migrations.head()}"


def test_a_database_without_a_schema_is_brought_up_only_where_that_is_ours_to_do(
    empty_url: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match="db upgrade"), open_stores(empty_url, tmp_path):
        pass
    assert catalog(empty_url) == []
    with open_stores(empty_url, tmp_path, may_upgrade=True) as stores:
        assert stores.instruments.all() == {}
