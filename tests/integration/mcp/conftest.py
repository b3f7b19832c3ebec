"""A small market that is stored, and the server over it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from clients import platform_on
from stored_year import INSTRUMENTS, bars_of, store

from trading_platform.client import Platform
from trading_platform.stores.stores import Stores, open_stores


@pytest.fixture(scope="module")
def stores(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    with open_stores(database_url, tmp_path_factory.mktemp("features"), may_upgrade=True) as opened:
        for place, instrument in enumerate(INSTRUMENTS):
            opened.instruments.add(instrument)
            store(opened, bars_of(instrument, lambda number, base=100 * (place + 1): Decimal(base + number % 9)))
        opened.catalog.publish(opened.definitions)
        yield opened


@pytest.fixture(scope="module")
def platform(stores: Stores, redis_url: str) -> Iterator[Platform]:
    with platform_on(stores, redis_url) as made:
        yield made


@pytest.fixture(scope="module")
def now() -> datetime:
    """After the stored year, at an hour when New York is closed."""
    return datetime(2025, 1, 1, tzinfo=UTC) + timedelta(hours=1)
