"""Locks of the feature store by the database: over connections, as they are of several machines, and lost ones."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest
from feature_rows import YEAR, rows
from waiting import DEADLINE, wait_until

from trading_platform.domain.errors import StoreUnavailable
from trading_platform.stores.features.files import FeatureStore
from trading_platform.stores.features.recorded.locks import DatabaseLocks
from trading_platform.stores.postgres.database import Database
from trading_platform.stores.postgres.roles import Role, as_role


@pytest.fixture
def hosts(database_url: str, tmp_path: Path) -> Iterator[tuple[FeatureStore, FeatureStore]]:
    """Two machines with one database and one folder; file locks do not hold between them."""
    databases = [Database(as_role(database_url, Role.INGEST, trusted=True)) for _ in range(2)]
    first, second = (
        FeatureStore(tmp_path / "features", locks=DatabaseLocks(database, tmp_path / f"host {number}"))
        for number, database in enumerate(databases)
    )
    yield first, second
    for database in databases:
        database.close()


def waiting(database: Database) -> Callable[[], object]:
    return lambda: database.rows("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")


def test_a_second_machine_waits_and_is_recorded_later(
    hosts: tuple[FeatureStore, FeatureStore], database: Database
) -> None:
    first, second = hosts
    thread = threading.Thread(target=lambda: second.replace(rows(YEAR, value=2.0), "AAPL", YEAR))
    with first.locks.holding("AAPL") as held:
        thread.start()
        wait_until(waiting(database), "the second machine")
        assert second.months("AAPL") == []
        other = rows(YEAR, "MSFT")
        assert len(second.replace(other, "MSFT", YEAR).written) == 12, "another symbol is not held"
    thread.join(DEADLINE)
    assert second.read(["AAPL"], YEAR).equals(rows(YEAR, value=2.0))
    recorded = pl.read_parquet(first.live.path("AAPL", "2024-01"))["recorded_at"]
    assert recorded.n_unique() == 1
    assert held.at < recorded[0]


def test_objects_are_not_removed_while_somebody_writes(
    hosts: tuple[FeatureStore, FeatureStore], database: Database
) -> None:
    first, second = hosts
    done: list[datetime] = []

    def remove() -> None:
        with second.locks.removing_objects():
            done.append(database.rows("SELECT clock_timestamp()")[0][0])

    thread = threading.Thread(target=remove)
    with first.locks.holding("AAPL"):
        thread.start()
        wait_until(waiting(database), "the removal")
        assert done == []
    thread.join(DEADLINE)
    assert len(done) == 1


def test_a_writer_that_lost_its_lock_publishes_nothing(
    hosts: tuple[FeatureStore, FeatureStore], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server ends the connection while the files are computed; another machine may hold the lock then."""
    first, second = hosts
    second.replace(rows(YEAR), "AAPL", YEAR)
    keep = first.objects.persist

    def lose() -> None:
        keep()
        database.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_locks"
            " WHERE locktype = 'advisory' AND granted AND pid <> pg_backend_pid()"
        )

    monkeypatch.setattr(first.objects, "persist", lose)
    with pytest.raises(StoreUnavailable):
        first.replace(rows(YEAR, value=2.0), "AAPL", YEAR)
    assert second.read(["AAPL"], YEAR).equals(rows(YEAR))
    monkeypatch.undo()
    first.replace(rows(YEAR, value=2.0), "AAPL", YEAR)
    assert second.read(["AAPL"], YEAR).equals(rows(YEAR, value=2.0))
