"""A small market that is stored, and the server over it; and an installation for servers of their own."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from clients import platform_on
from commands import Installation, installation
from stored_year import INSTRUMENTS, bars_of, store

from trading_platform.client import Platform
from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.embedded.stack import Endpoints
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


@pytest.fixture(scope="module")
def ours(stack: Endpoints) -> Iterator[Installation]:
    """An installation with one instrument, whose server is a process of its own."""
    with installation(stack.database_url) as made:
        made.variables["REDIS_URL"] = stack.redis_url
        with open_stores(made.database_url, made.data_dir / "features", may_upgrade=True) as stores:
            stores.instruments.add(Instrument("BTCUSD", AssetClass.CRYPTO, "24/7", "kraken"))
        yield made
