"""Dagster's storage keeps its connections between statements, and does without one that has died."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from schemas import new_database

from trading_platform.embedded.stack import Endpoints
from trading_platform.resources.dagster_storage import PlatformStorage


@pytest.fixture
def database_url(stack: Endpoints) -> Iterator[str]:
    """URL of an empty database."""
    with new_database(stack.database_url) as url:
        yield url


@pytest.fixture
def storage(database_url: str, monkeypatch: pytest.MonkeyPatch) -> PlatformStorage:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("DAGSTER_DATABASE_URL", database_url)
    return PlatformStorage()


def _backends(database_url: str) -> set[int]:
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return {pid for (pid,) in rows}


def test_statements_share_a_connection(storage: PlatformStorage, database_url: str):
    events = storage.event_log_storage
    events.add_dynamic_partitions("symbols", ["SPY"])
    before = _backends(database_url)
    for symbol in ("AAPL", "GOOG"):
        events.add_dynamic_partitions("symbols", [symbol])
    assert list(events.get_dynamic_partitions("symbols")) == ["SPY", "AAPL", "GOOG"]
    assert before
    assert _backends(database_url) == before


def test_a_connection_that_died_is_replaced(storage: PlatformStorage, database_url: str):
    events = storage.event_log_storage
    events.add_dynamic_partitions("others", ["SPY"])
    dead = _backends(database_url)
    with psycopg.connect(database_url, autocommit=True) as connection:
        for pid in dead:
            connection.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
    assert list(events.get_dynamic_partitions("others")) == ["SPY"]
    assert dead
    assert not _backends(database_url) & dead
