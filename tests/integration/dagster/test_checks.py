"""The asset checks inside Dagster: what they look at, what they stop, what they show."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from calm_exchange import HISTORY, CalmExchange
from dagster import AssetCheckEvaluation, AssetCheckKey, AssetCheckSeverity, AssetKey, DagsterInstance, Definitions

from trading_platform.definitions import build_definitions
from trading_platform.domain.market.calendars import sessions
from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.domain.time import Timeframe, Window
from trading_platform.partitions import symbols as symbol_partitions
from trading_platform.resources.platform import PlatformContext
from trading_platform.stores.postgres.database import execute
from trading_platform.stores.stores import Stores, open_stores

NOW = datetime(2022, 1, 5, 12, tzinfo=UTC)
SYMBOLS = ["AAA", "BBB", "CCC"]
RANGE = {"start": "dagster/asset_partition_range_start", "end": "dagster/asset_partition_range_end"}


@pytest.fixture(scope="module")
def opened(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    with open_stores(database_url, tmp_path_factory.mktemp("features"), may_upgrade=True) as stores:
        for symbol in SYMBOLS:
            stores.instruments.add(Instrument(symbol, AssetClass.EQUITY, "XNYS", "file"))
        yield stores


@pytest.fixture
def stores(opened: Stores) -> Stores:
    with opened.database.begin() as connection:
        for table in ("bars_1d", "indicators_1d", "coverage", "coverage_requests", "input_versions", "quarantine"):
            execute(connection, f"TRUNCATE market_data.{table}")
    for file in opened.features.directory.glob("symbol=*/*/*.parquet"):
        file.unlink()
    return opened


@pytest.fixture
def exchange() -> CalmExchange:
    return CalmExchange()


@pytest.fixture
def definitions(stores: Stores, exchange: CalmExchange) -> Definitions:
    platform = PlatformContext(stores, {"file": exchange}, clock=lambda: NOW)
    return build_definitions(resource_overrides={"platform": platform})


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as made:
        made.add_dynamic_partitions(symbol_partitions.name, SYMBOLS)
        yield made


Evaluations = dict[tuple[str, str], AssetCheckEvaluation]


def evaluations(result) -> Evaluations:
    return {
        (found.asset_key.to_user_string(), found.check_name): found for found in result.get_asset_check_evaluations()
    }


def run_daily(definitions: Definitions, instance: DagsterInstance, first: str, last: str):
    job = definitions.resolve_job_def("daily")
    return job.execute_in_process(
        instance=instance, tags={RANGE["start"]: first, RANGE["end"]: last}, raise_on_error=False
    )


def run_checks(definitions: Definitions, instance: DagsterInstance, *names: tuple[str, str]):
    """What the UI's button "Execute checks" does: the checks alone, no partition."""
    keys = {AssetCheckKey(AssetKey(asset), check) for asset, check in names}
    job = definitions.resolve_implicit_global_asset_job_def().get_subset(
        asset_selection=set(), asset_check_selection=keys
    )
    return job.execute_in_process(instance=instance, raise_on_error=False)


def rows_checked(found: AssetCheckEvaluation) -> int:
    value = found.metadata["rows checked"].value
    assert isinstance(value, int)
    return value


def sessions_in(*years: int) -> int:
    return sum(
        sessions("XNYS", Window(datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC))).height
        for year in years
    )


def test_a_run_of_partitions_evaluates_every_check_over_its_partitions(
    definitions: Definitions, instance: DagsterInstance, stores: Stores
) -> None:
    """The corners of a range span symbols times years: two of three symbols, both years."""
    run_daily(definitions, instance, "CCC|2020", "CCC|2021")
    result = run_daily(definitions, instance, "AAA|2020", "BBB|2021")
    assert result.success
    found = evaluations(result)
    keys = definitions.resolve_asset_graph().asset_check_keys
    expected = {(key.asset_key.to_user_string(), key.name) for key in keys}
    of_daily = {key for key in expected if key[0] in ("ohlcv_1d", "indicators_1d", "features")}
    nightly = {("features", name) for name in ("no_skew", "no_look_ahead", "drift", "expectations")}
    nightly |= {("ohlcv_1d", "expectations"), ("ohlcv_1d", "plausibility")}
    assert set(found) == of_daily - nightly
    assert all(one.passed for one in found.values())
    for asset, check in (
        ("ohlcv_1d", "ohlc_consistent"),
        ("ohlcv_1d", "completeness"),
        ("indicators_1d", "matches_bars"),
    ):
        assert rows_checked(found[asset, check]) == 2 * sessions_in(2020, 2021)
    assert rows_checked(found["features", "available_at"]) == 2 * sessions_in(2020, 2021)
    written = {each.partition: each.metadata for each in result.asset_materializations_for_node("features")}
    assert str(written["AAA|2021"]["monthly means"].value).startswith("![adx_14, atr_14, ")
    assert {key for key, metadata in written.items() if "monthly means" in metadata} == {"AAA|2021", "BBB|2021"}
    assert all(0.0 < metadata["share of missing values"].value < 0.5 for metadata in written.values())
    assert stores.bars.spans(SYMBOLS, Timeframe.D1)["stored"].sum() == 3 * sessions_in(2020, 2021)


@pytest.mark.exhaustive
def test_a_run_of_one_partition_looks_at_it_alone(
    definitions: Definitions, instance: DagsterInstance, stores: Stores
) -> None:
    """What is wrong in another year or symbol does not stop this one."""
    run_daily(definitions, instance, "AAA|2020", "BBB|2020")
    with stores.database.begin() as connection:
        execute(connection, "UPDATE market_data.bars_1d SET high = 1 WHERE time < '2020-02-01'")
    job = definitions.resolve_job_def("daily")
    result = job.execute_in_process(instance=instance, partition_key="AAA|2021", raise_on_error=False)
    assert result.success
    assert rows_checked(evaluations(result)["ohlcv_1d", "ohlc_consistent"]) == sessions_in(2021)


def test_a_blocking_check_stops_what_would_be_computed_from_it(
    definitions: Definitions, instance: DagsterInstance, exchange: CalmExchange, stores: Stores
) -> None:
    exchange.broken = datetime(2020, 3, 4, tzinfo=UTC)
    result = run_daily(definitions, instance, "AAA|2020", "BBB|2020")
    assert not result.success
    found = evaluations(result)
    broken = found["ohlcv_1d", "ohlc_consistent"]
    assert (broken.passed, broken.severity, broken.blocking) == (False, AssetCheckSeverity.ERROR, True)
    assert broken.metadata["failing rows"].value == 2
    sample = [record.data for record in broken.metadata["sample"].value.records]
    assert [(row["symbol"], row["time"]) for row in sample] == [
        ("AAA", "2020-03-04T00:00:00+00:00"),
        ("BBB", "2020-03-04T00:00:00+00:00"),
    ]
    assert "To do" in (broken.description or "")
    assert found["ohlcv_1d", "completeness"].passed
    assert not any(asset != "ohlcv_1d" for asset, _ in found)
    assert stores.indicators.read(SYMBOLS, Timeframe.D1, HISTORY).is_empty()
    assert stores.features.symbols() == []


@pytest.mark.exhaustive
def test_a_warning_stops_nothing(definitions: Definitions, instance: DagsterInstance, stores: Stores) -> None:
    run_daily(definitions, instance, "AAA|2020", "AAA|2020")
    with stores.database.begin() as connection:
        execute(connection, "UPDATE market_data.bars_1d SET quality = 'review' WHERE time = '2020-03-04'")
        execute(connection, "DELETE FROM market_data.bars_1d WHERE time = '2020-03-05'")
        execute(connection, "DELETE FROM market_data.indicators_1d WHERE time = '2020-03-05'")
    result = run_daily(definitions, instance, "AAA|2020", "AAA|2020")
    assert result.success
    found = evaluations(result)
    for check in ("price_jump_review", "completeness"):
        assert (found["ohlcv_1d", check].passed, found["ohlcv_1d", check].severity) == (
            False,
            AssetCheckSeverity.WARN,
        )
    assert ("features", "schema") in found


@pytest.mark.exhaustive
def test_checks_alone_look_at_everything(definitions: Definitions, instance: DagsterInstance, stores: Stores) -> None:
    run_daily(definitions, instance, "AAA|2020", "CCC|2021")
    with stores.database.begin() as connection:
        execute(connection, "UPDATE market_data.indicators_1d SET rsi_14 = 101 WHERE time = '2021-03-04'")
    result = run_checks(definitions, instance, ("indicators_1d", "in_range"), ("features", "available_at"))
    found = evaluations(result)
    assert set(found) == {("indicators_1d", "in_range"), ("features", "available_at")}
    assert found["features", "available_at"].passed
    assert not found["indicators_1d", "in_range"].passed
    assert found["indicators_1d", "in_range"].metadata["failing rows"].value == 3
    assert {rows_checked(one) for one in found.values()} == {3 * sessions_in(2020, 2021)}


def test_an_empty_scope_says_that_nothing_was_looked_at(definitions: Definitions, instance: DagsterInstance) -> None:
    result = run_daily(definitions, instance, "AAA|2005", "AAA|2005")
    found = evaluations(result)
    assert result.success
    for (asset, check), one in found.items():
        if check != "schema" or asset == "features":
            assert rows_checked(one) == 0
            assert "nothing was checked" in (one.description or "")


def test_intraday_runs_are_scoped_by_month(definitions: Definitions, instance: DagsterInstance) -> None:
    """Nothing is stored of 1m here: what counts is that the month's name is understood."""
    job = definitions.resolve_job_def("intraday")
    result = job.execute_in_process(instance=instance, partition_key="AAA|2021-03", raise_on_error=False)
    assert result.success
    assert {asset for asset, _ in evaluations(result)} == {"features_1h"} | {
        f"{kind}_{timeframe}" for kind in ("ohlcv", "indicators") for timeframe in ("1m", "5m", "1h")
    }


def test_every_asset_has_its_checks(definitions: Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    blocking = {
        (key.asset_key.to_user_string(), key.name)
        for key in graph.asset_check_keys
        if graph.get_check_spec(key).blocking
    }
    for timeframe in Timeframe:
        assert {check for asset, check in blocking if asset == f"ohlcv_{timeframe}"} == {
            "schema",
            "ohlc_consistent",
            "positive_prices",
            "no_future_bar",
            "no_duplicate",
        }
    assert {key.asset_key for key in graph.asset_check_keys} == set(graph.materializable_asset_keys)
