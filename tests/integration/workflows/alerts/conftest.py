"""A database with two symbols, and a watch over it, for tests that follow a fault to its message."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from alert_scene import Scene, forget_alerts, new_scene
from telegram_server import telegram_server

from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.stores.postgres.database import execute
from trading_platform.stores.stores import Stores, open_stores


@pytest.fixture(scope="module")
def opened(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    with open_stores(database_url, tmp_path_factory.mktemp("features"), may_upgrade=True) as found:
        for symbol in ("BTCUSD", "ETHUSD"):
            found.instruments.add(Instrument(symbol, AssetClass.CRYPTO, "24/7", "kraken"))
        yield found


@pytest.fixture
def scene(opened: Stores, tmp_path: Path) -> Iterator[Scene]:
    with telegram_server() as telegram:
        yield new_scene(opened, telegram, tmp_path)
    forget_alerts(opened)
    tables = "trades, orders, positions, position_history, outbox, reconciliations, reconciliation_differences, pauses"
    names = ", ".join(f"trading.{name}" for name in tables.split(", "))
    with opened.database.begin() as connection:
        execute(connection, "SET LOCAL session_replication_role = replica")
        execute(connection, f"TRUNCATE {names} CASCADE")
        execute(connection, "TRUNCATE market_data.bars_1d, market_data.coverage, market_data.coverage_requests")
