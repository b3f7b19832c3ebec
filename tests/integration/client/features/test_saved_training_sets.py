"""A training set can be made again: saved, it has the same bytes for ever; as recorded, it is what was read then."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from feature_rows import rows

from trading_platform.client.market_data import MarketData
from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.domain.time import Window, utc_now
from trading_platform.stores.features.recorded.manifests import hash_of
from trading_platform.stores.stores import Stores, open_stores

WINTER = Window(datetime(2023, 12, 1, tzinfo=UTC), datetime(2024, 3, 1, tzinfo=UTC))
NAMES = ["rsi_14", "returns_1d"]
SPINE = pl.DataFrame(
    {
        "symbol": ["SPY", "AAPL", "SPY"],
        "time": [datetime(2024, 2, 5, tzinfo=UTC), datetime(2024, 1, 9, tzinfo=UTC), datetime(2024, 2, 5, tzinfo=UTC)],
        "own": [1, 2, 3],
    }
)


@pytest.fixture
def stores(database_url: str, tmp_path: Path) -> Iterator[Stores]:
    with open_stores(database_url, tmp_path / "features") as opened:
        for symbol in ("AAPL", "SPY"):
            opened.instruments.add(Instrument(symbol, AssetClass.EQUITY, "XNYS", "file"))
        store(opened, 1.0)
        yield opened


@pytest.fixture
def client(stores: Stores) -> MarketData:
    return MarketData(stores, lambda: now_of(stores))


def store(stores: Stores, value: float) -> None:
    for symbol in ("AAPL", "SPY"):
        stores.features.replace(rows(WINTER, symbol, value), symbol, WINTER)


def now_of(stores: Stores) -> datetime:
    found: datetime = stores.database.rows("SELECT clock_timestamp()")[0][0]
    return found


def test_it_is_read_again_whatever_was_corrected_recomputed_or_deleted_since(
    stores: Stores, client: MarketData, tmp_path: Path
) -> None:
    first = client.training_set(SPINE, NAMES, save="first")
    client.training_set(SPINE, NAMES, save="other")
    assert first["rsi_14"].to_list() == [1.0] * 3
    digest = hash_of(client.snapshot("first"))
    then = now_of(stores)
    store(stores, 2.0)
    rows_written = client.training_set(SPINE.lazy(), NAMES, save="second", to=tmp_path / "second.parquet")
    stores.features.snapshots.delete("other")
    store(stores, 3.0)
    assert client.snapshot("first").equals(first)
    assert hash_of(client.snapshot("first")) == digest
    assert rows_written == 3
    assert client.snapshot("second")["rsi_14"].to_list() == [2.0] * 3
    assert client.training_set(SPINE, NAMES, recorded_as_of=then).equals(first)
    assert client.training_set(SPINE, NAMES)["rsi_14"].to_list() == [3.0] * 3


def test_its_manifest_says_what_it_is_of(stores: Stores, client: MarketData, tmp_path: Path) -> None:
    then = now_of(stores)
    client.training_set(SPINE, NAMES, save="whole", recorded_as_of=then)
    client.training_set(SPINE.lazy(), NAMES, save="batches", to=tmp_path / "set.parquet")
    client.training_set(SPINE.reverse(), NAMES, save="reversed")
    whole, batches, turned = (
        stores.features.snapshots.open(name).manifest for name in ("whole", "batches", "reversed")
    )
    assert whole.contents.spine == batches.contents.spine != turned.contents.spine
    assert whole.contents.recorded_as_of == then
    assert whole.contents.parameters["names"] == NAMES
    assert set(whole.months) == {
        f"symbol={symbol}/{month}/features.parquet" for symbol, month in (("AAPL", "2024-01"), ("SPY", "2024-02"))
    }
    assert set(whole.definitions) >= set(NAMES)


def test_a_name_is_taken_once_and_times_to_come_are_refused(client: MarketData) -> None:
    client.training_set(SPINE, NAMES, save="name")
    with pytest.raises(InvalidRequest, match="name"):
        client.training_set(SPINE, NAMES, save="name")
    with pytest.raises(InvalidRequest, match="future"):
        client.training_set(SPINE, NAMES, recorded_as_of=utc_now() + timedelta(days=1))
