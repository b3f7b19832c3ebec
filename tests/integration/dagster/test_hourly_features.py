"""The asset ``features_1h`` in Dagster: its months, its checks by day and by night, and what the sensor requests."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl
import pytest
from dagster import AssetKey, DagsterInstance, build_sensor_context
from hourly_market import NOW, UNIVERSE, Store, bars_of, loaded

from trading_platform.definitions import build_definitions
from trading_platform.jobs import NIGHTLY
from trading_platform.partitions import symbols as symbol_partitions
from trading_platform.resources.platform import PlatformContext
from trading_platform.sources.files.source import FileSource

pytestmark = pytest.mark.exhaustive

HOURLY = AssetKey("features_1h")
CORNERS = {"dagster/asset_partition_range_start": "AAA|2024-03", "dagster/asset_partition_range_end": "STOCK|2024-04"}


@pytest.fixture(scope="module")
def store(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Store:
    return loaded(database_url, tmp_path_factory.mktemp("dagster_hourly"))


@pytest.fixture
def platform(store: Store) -> Iterator[PlatformContext]:
    with store.opened() as stores:
        yield PlatformContext(stores, {"file": FileSource(store.root / "imports")}, clock=lambda: NOW)


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as made:
        made.add_dynamic_partitions(str(symbol_partitions.name), list(UNIVERSE))
        yield made


def test_a_month_of_each_symbol_is_a_partition_and_changed_hours_are_requested(
    store: Store, platform: PlatformContext, instance: DagsterInstance
) -> None:
    definitions = build_definitions(resource_overrides={"platform": platform}, features=platform.stores.definitions)
    job = definitions.resolve_job_def("intraday")
    given = {"instance": instance, "raise_on_error": False, "asset_selection": [HOURLY]}
    result = job.execute_in_process(tags=CORNERS, **given)
    assert result.success
    months = {f"{symbol}|2024-{month}" for symbol in UNIVERSE for month in ("03", "04")}
    assert months <= instance.get_materialized_partitions(HOURLY)
    evaluated = {found.check_name: found.passed for found in result.get_asset_check_evaluations()}
    assert set(evaluated) == {"schema", "available_at", "inputs_unchanged", "nan_share", "no_skew"}
    assert all(passed for check, passed in evaluated.items() if check != "nan_share")

    def tick(cursor: str | None):
        context = build_sensor_context(
            instance, cursor=cursor, definitions=definitions, resources={"platform": platform}
        )
        found = definitions.resolve_sensor_def("recompute_stale").evaluate_tick(context)
        return list(found.run_requests or ()), found.cursor

    requests, cursor = tick(None)
    assert requests == []
    assert tick(cursor) == ([], cursor)
    changed = bars_of("BBB").tail(3).with_columns((pl.col("close") * 1.001).round(4))
    store.load("BBB", changed)
    (request,), _ = tick(cursor)
    assert (request.job_name, request.asset_selection) == ("intraday", [HOURLY])
    assert "no_skew" not in {key.name for key in request.asset_check_keys or ()}
    assert [request.tags[corner] for corner in CORNERS] == ["AAA|2024-04", "BBB|2024-04"]
    assert job.execute_in_process(tags=request.tags, **given).success
    assert tick(None)[0] == []


def test_the_night_compares_the_newest_rows(platform: PlatformContext, instance: DagsterInstance) -> None:
    definitions = build_definitions(resource_overrides={"platform": platform}, features=platform.stores.definitions)
    graph = definitions.resolve_asset_graph()
    of_night = {key.to_user_string() for key in NIGHTLY.resolve_checks(graph)}
    plausibility = {"ohlcv_1m:plausibility", "ohlcv_1d:plausibility"}
    assert of_night == {"features:no_skew", "features_1h:no_skew", *plausibility}
    job = definitions.resolve_job_def("maintenance").get_subset(
        asset_selection=set(), asset_check_selection=NIGHTLY.resolve_checks(graph)
    )
    result = job.execute_in_process(instance=instance)
    found = {each.asset_key.to_user_string(): each for each in result.get_asset_check_evaluations()}
    assert found["features_1h"].passed
    assert found["features_1h"].metadata["computed again"].value == 2
