"""What a stream commits: bars, proof, longer bars and position together, once, on PostgreSQL and on TimescaleDB."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import psycopg
import pytest
from commands import rows, tables

from trading_platform.domain.bars import BAR_SCHEMA, mark_gaps
from trading_platform.domain.instruments import AssetClass, Instrument
from trading_platform.domain.time import Timeframe, Window, partition_windows
from trading_platform.stores.bundle import Stores, open_stores
from trading_platform.stores.coverage import ROLLED_UP
from trading_platform.stores.migrations import upgrade
from trading_platform.stores.outages import LATE_EVENTS, OutageState
from trading_platform.stores.postgres import Database
from trading_platform.stores.roles import Role, as_role, set_passwords
from trading_platform.workflows.roll_up_bars import roll_up_bars

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
START = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - 9 * DAY
BTC = Instrument("BTCUSD", AssetClass.CRYPTO, "24/7", "kraken")
ETH = Instrument("ETHUSD", AssetClass.CRYPTO, "24/7", "kraken")
SPY = Instrument("SPY", AssetClass.ETF, "XNYS", "ibkr")
PASSWORD = "of the roles in tests"  # noqa: S105 - servers of tests


@pytest.fixture(scope="module", params=["database_url", "timescale_url"])
def server_url(request: pytest.FixtureRequest) -> str:
    url = request.getfixturevalue(request.param)
    database = Database(url)
    upgrade(database)
    database.close()
    set_passwords(url, dict.fromkeys(Role, PASSWORD))
    return url


@pytest.fixture
def stores(server_url: str, tmp_path: Path) -> Iterator[Stores]:
    """Empty, as the role that streams."""
    with psycopg.connect(server_url) as connection:
        connection.execute(
            "TRUNCATE config.instruments, market_data.bars_1m, market_data.bars_5m, market_data.bars_1h,"
            " market_data.bars_1d, market_data.coverage, market_data.coverage_requests, market_data.derivations,"
            " market_data.stream_positions, market_data.outages"
        )
    with open_stores(as_role(server_url, Role.INGEST, PASSWORD), tmp_path) as opened:
        for instrument in (BTC, ETH, SPY):
            opened.instruments.add(instrument)
        yield opened


def at(minute: int) -> datetime:
    return START + minute * MINUTE


def span(first: int, end: int) -> Window:
    return Window(at(first), at(end))


def bars(prices: Sequence[tuple[int, int]], symbol: str = "BTCUSD", **values: object) -> pl.DataFrame:
    """Bars that stand at one price each, by the minute of the day."""
    given = {"source": "kraken", "quality": "traded"} | values
    return pl.DataFrame(
        [
            (at(minute), symbol, "1m", *[Decimal(price)] * 4, Decimal(1), given["source"], given["quality"])
            for minute, price in prices
        ],
        schema=BAR_SCHEMA,
        orient="row",
    )


def commit(stores: Stores, found: pl.DataFrame, first: int, end: int, **values):
    """Minutes of all symbols in them, answered for from the first until the last."""
    answered = {symbol: [span(first, end)] for symbol in found["symbol"].unique()} or {"BTCUSD": [span(first, end)]}
    given = {"answered": answered, "until": at(end), "position": {"offset": end}, "now": at(end)} | values
    return stores.stream.commit("kraken", "kraken", bars=found, **given)


def stored(stores: Stores, timeframe: Timeframe = Timeframe.M1, symbol: str = "BTCUSD") -> pl.DataFrame:
    return stores.bars.read([symbol], timeframe, Window(START - DAY, START + 9 * DAY))


def version(stores: Stores, timeframe: Timeframe = Timeframe.M1) -> int:
    return stores.derivations.bar_versions(["BTCUSD"], timeframe).before(["BTCUSD"], START + 365 * DAY)


def test_bars_proof_and_position_are_stored_together(stores: Stores) -> None:
    found = bars([(0, 100), (2, 101)])
    done = commit(stores, found, 0, 3)
    assert done.bars == {Timeframe.M1: 2}
    assert done.symbols == {"BTCUSD"}
    assert stored(stores).equals(found)
    assert stores.coverage.answered("BTCUSD", Timeframe.M1) == {"kraken": [span(0, 3)]}
    position = stores.stream.position("kraken")
    assert position is not None
    assert (position.position, position.until) == ({"offset": 3}, at(3))
    assert stores.stream.position("another") is None


def test_the_same_again_changes_nothing(stores: Stores, server_url: str) -> None:
    found = pl.concat([bars([(0, 100), (2, 120), (4, 121)]), bars([(1, 7)], "ETHUSD")])
    late = [("BTCUSD", at(-10) + timedelta(seconds=59))]
    commit(stores, found, 0, 5, late=late)
    before = tables(server_url)
    assert before["stream_positions"]
    assert before["outages"]
    done = commit(stores, found, 0, 5, late=late, now=at(60))
    assert (done.bars, done.symbols, done.withdrawn) == ({}, frozenset(), {})
    assert tables(server_url) == before


def test_a_version_moves_on_only_with_a_change(stores: Stores, server_url: str) -> None:
    found = bars([(minute, 100) for minute in range(4)])
    commit(stores, found.head(2), 0, 2)
    first = version(stores)
    assert first
    commit(stores, found.head(2), 0, 3)
    assert version(stores) == first, "a minute without a trade is no change"
    commit(stores, found, 0, 4)
    assert version(stores) > first
    kept = rows(server_url, "SELECT lower(asked), upper(asked), stored, origin FROM market_data.coverage_requests")
    assert kept == [(at(0), at(4), 4, "stream")], "one row a symbol and day"
