"""What Dagster shows as missing is missing: the partitions before a symbol's history are recorded."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from calm_exchange import CalmExchange
from dagster import AssetKey, AssetRecordsFilter, DagsterInstance

from trading_platform.definitions import build_definitions
from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.partitions import symbols as symbol_partitions
from trading_platform.resources.platform import PlatformContext
from trading_platform.stores.stores import Stores, open_stores

NOW = datetime(2022, 1, 5, 12, tzinfo=UTC)
DAILY = ("ohlcv_1d", "indicators_1d", "features")
RANGE = {"start": "dagster/asset_partition_range_start", "end": "dagster/asset_partition_range_end"}


@pytest.fixture(scope="module")
def stores(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    with open_stores(database_url, tmp_path_factory.mktemp("features"), may_upgrade=True) as opened:
        for symbol in ("AAA", "BBB"):
            opened.instruments.add(Instrument(symbol, AssetClass.EQUITY, "XNYS", "file"))
        yield opened


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as made:
        made.add_dynamic_partitions(symbol_partitions.name, ["AAA", "BBB"])
        yield made


def run_daily(stores: Stores, instance: DagsterInstance, first: str, last: str) -> None:
    platform = PlatformContext(stores, {"file": CalmExchange()}, clock=lambda: NOW)
    job = build_definitions(resource_overrides={"platform": platform}).resolve_job_def("daily")
    tags = {RANGE["start"]: first, RANGE["end"]: last}
    assert job.execute_in_process(instance=instance, tags=tags, raise_on_error=False).success


def made(instance: DagsterInstance, asset: str, symbol: str) -> list[int]:
    partitions = instance.get_materialized_partitions(AssetKey(asset))
    return sorted(int(key.partition("|")[2]) for key in partitions if key.startswith(symbol))


@pytest.mark.exhaustive
def test_only_what_is_missing_is_shown_as_missing(stores: Stores, instance: DagsterInstance) -> None:
    run_daily(stores, instance, "AAA|2021", "AAA|2021")
    for asset in DAILY:
        assert made(instance, asset, "AAA") == [2021], "the year before can be had, so it is missing"
    run_daily(stores, instance, "AAA|2020", "BBB|2020")
    for asset in DAILY:
        assert made(instance, asset, "AAA") == list(range(1990, 2022))
        assert made(instance, asset, "BBB") == list(range(1990, 2021)), "2021 is missing"


@pytest.mark.exhaustive
def test_it_is_recorded_once_and_says_why(stores: Stores, instance: DagsterInstance) -> None:
    for _ in range(2):
        run_daily(stores, instance, "AAA|2020", "AAA|2021")
    for asset in DAILY:
        wanted = AssetRecordsFilter(asset_key=AssetKey(asset), asset_partitions=["AAA|1990", "AAA|2019", "AAA|2020"])
        records = instance.fetch_materializations(wanted, limit=10).records
        assert sorted(str(record.partition_key) for record in records) == ["AAA|1990", "AAA|2019", *["AAA|2020"] * 2]
        for record in records[-2:]:
            assert record.asset_materialization is not None
            text = "before the available history of AAA, which begins in 2020"
            assert record.asset_materialization.description == text
            assert record.asset_materialization.metadata["dagster/partition_row_count"].value == 0
