"""The assembled definitions: complete, loadable by Dagster's own commands, refreshed by schedules, kept by a sensor."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from dagster import (
    AssetKey,
    DagsterInstance,
    DefaultScheduleStatus,
    DefaultSensorStatus,
    RunRequest,
    build_schedule_context,
    build_sensor_context,
)
from processes import REPOSITORY, environment, free_port
from properties import some_usual
from waiting import LONG

from trading_platform.definitions import build_definitions, defs
from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.domain.time import Timeframe, Window
from trading_platform.partitions import symbols as symbol_partitions
from trading_platform.resources.platform import PlatformContext, build_sources
from trading_platform.settings import Settings
from trading_platform.simulator.seeded import SeededMarket
from trading_platform.simulator.server import running_exchange
from trading_platform.stores.postgres.database import execute
from trading_platform.stores.stores import Stores, open_stores

ASSETS = {f"{kind}_{timeframe}" for kind in ("ohlcv", "indicators") for timeframe in Timeframe} | {
    "features",
    "features_1h",
    "corporate_actions",
    "raw_news",
    "news_sentiment",
}
MAINTENANCE = {"audit_archive", "retention", "coverage", "source_health"}
TRADING = {"reconciliation"}
SYMBOLS = ("ADAUSD", "BTCUSD")
BARE = ("DAGSTER", "DATA_DIR", "DATABASE_URL", "REDIS_URL", "FEATURES_DIR", "LOGS_DIR", "KRAKEN")


# What every asset and job says of itself


def test_every_step_of_every_job_holds_the_lease_of_its_run():
    """The resource holds it; monitoring would take a run without it for one whose process has ended."""
    for job in defs.resolve_all_job_defs():
        assert job.all_node_defs
        for node in job.all_node_defs:
            assert "platform" in node.required_resource_keys, (job.name, node.name)


def test_every_asset_says_what_it_is():
    graph = defs.resolve_asset_graph()
    assert {key.to_user_string() for key in graph.get_all_asset_keys()} == ASSETS | MAINTENANCE | TRADING
    groups = {}
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        groups.setdefault(node.group_name, set()).add(key.to_user_string())
        assert node.description, key
        assert node.owners, key
        assert set(node.kinds) & {"postgres", "parquet"}, key
        if node.group_name == "maintenance":  # works on tables that other assets declare
            continue
        schema = node.metadata["dagster/column_schema"]
        first = {
            "corporate_actions": ["symbol", "ex_date"],
            "news": ["available_at", "symbol"],
            "trading": ["day", "broker"],
        }.get(str(node.group_name), ["time", "symbol"])
        assert [column.name for column in schema.columns][:2] == first, key
        assert all(column.description for column in schema.columns), [
            (key, column.name) for column in schema.columns if not column.description
        ]
    assert set(groups) == {"bars", "indicators", "features", "corporate_actions", "news", "maintenance", "trading"}
    assert groups["maintenance"] == MAINTENANCE


def test_every_job_resolves():
    jobs = {job.name for job in defs.resolve_all_job_defs() if not job.name.startswith("__")}
    assert jobs == {
        "intraday",
        "daily",
        "fetch_corporate_actions",
        "maintenance",
        "features_audit",
        "repair_outages",
        "repair_gaps",
        "indicators_live",
        "news",
        "reconcile",
    }
    covered = [
        key.to_user_string() for name in jobs for key in defs.resolve_job_def(name).asset_layer.selected_asset_keys
    ]
    assert sorted(covered) == sorted(ASSETS | MAINTENANCE | TRADING)


def test_only_what_keeps_order_runs_by_itself():
    repository = defs.get_repository_def()
    assert {found.name: found.execution_timezone for found in repository.schedule_defs} == {
        "eu_close": "Europe/Berlin",
        "us_close": "America/New_York",
        "crypto_close": "UTC",
        "intraday_refresh": "UTC",
        "corporate_actions_refresh": "America/New_York",
        "indicators_live": "UTC",
        "news_refresh": "UTC",
        "reconcile_daily": "UTC",
        "maintenance": "UTC",
        "features_audit": "UTC",
    }
    running = DefaultScheduleStatus.RUNNING
    assert {found.name for found in repository.schedule_defs if found.default_status is running} == {
        "maintenance",
        "features_audit",
    }
    for name in (
        "sync_symbol_partitions",
        "streamed_bars",
        "repair_outages",
        "recompute_stale",
        "repair_gaps",
        "backfill_new_symbols",
        "report_problems",
    ):
        assert defs.resolve_sensor_def(name).default_status is DefaultSensorStatus.RUNNING


# Dagster's own commands


@pytest.fixture(scope="module")
def checkout(new_settings: Callable[..., Settings]) -> tuple[Path, Settings]:
    """A copy of what is under version control, as a clone would have it."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode:
        pytest.skip("not a git checkout: what belongs to it is unknown")
    settings = new_settings()
    folder = settings.root / "checkout"
    for name in filter(None, listed.stdout.split("\0")):
        if (REPOSITORY / name).is_file() and not name.startswith("tests/"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / name, folder / name)
    return folder, new_settings(folder / "data")


def plain_environment(folder: Path) -> dict[str, str]:
    """Nothing of Dagster's or the platform's is set, and the copy is what gets imported."""
    kept = {name: value for name, value in environment().items() if not name.startswith(BARE)}
    scripts = str(Path(sys.executable).parent)
    return kept | {"PYTHONPATH": f"{folder}:{kept['PYTHONPATH']}", "PATH": f"{scripts}:{kept.get('PATH', '')}"}


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.parametrize("command", [["dg", "check", "defs"], ["dagster", "definitions", "validate"]])
def test_definitions_are_valid_from_a_clean_checkout(checkout: tuple[Path, Settings], command: list[str]):
    folder, _settings = checkout
    program = shutil.which(command[0], path=plain_environment(folder)["PATH"])
    assert program, f"{command[0]} is not installed beside {sys.executable}"
    response = subprocess.run(
        [program, *command[1:]],
        cwd=folder, env=plain_environment(folder), capture_output=True, text=True, check=False, timeout=LONG,
    )  # fmt: skip
    assert response.returncode == 0, response.stdout + response.stderr


@pytest.mark.exhaustive
@pytest.mark.slow
def test_the_ui_of_dagsters_own_command_answers_and_stops_whole(checkout: tuple[Path, Settings], tmp_path: Path):
    folder, _settings = checkout
    port = free_port()
    command = [sys.executable, "-m", "dagster", "dev", "--host", "127.0.0.1", "--port", str(port)]
    with (tmp_path / "dev.log").open("w") as log:
        server = subprocess.Popen(
            command, cwd=folder, env=plain_environment(folder), stdout=log, stderr=log, start_new_session=True
        )
    try:
        response = _ask_for_assets(port, server, deadline=time.monotonic() + LONG)
        assert {
            node["assetKey"]["path"][-1] for node in response["data"]["assetNodes"]
        } == ASSETS | MAINTENANCE | TRADING
    finally:
        os.killpg(server.pid, signal.SIGINT)
        try:
            server.wait(LONG)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)
    assert (folder / "data" / "dagster").is_dir()


def _ask_for_assets(port: int, server: subprocess.Popen[bytes], deadline: float) -> dict:
    question = json.dumps({"query": "{assetNodes {assetKey {path}}}"})
    while time.monotonic() < deadline:
        assert server.poll() is None, f"it ended with {server.returncode}"
        with suppress(OSError, http.client.HTTPException):
            visit = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            visit.request("POST", "/graphql", question, {"Content-Type": "application/json"})
            response = json.loads(visit.getresponse().read())
            if response["data"]["assetNodes"]:
                return response
        time.sleep(0.5)
    raise AssertionError(f"no answer on port {port}")


# Sensor and schedules


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[DagsterInstance]:
    with DagsterInstance.local_temp(str(tmp_path), overrides={"telemetry": {"enabled": False}}) as opened:
        yield opened


@pytest.fixture
def stores(database_url: str, tmp_path: Path) -> Iterator[Stores]:
    with open_stores(database_url, tmp_path / "features", may_upgrade=True) as opened:
        with opened.database.begin() as connection:
            execute(connection, "TRUNCATE config.instruments, market_data.bars_1d, market_data.indicators_1d")
            execute(
                connection, "TRUNCATE market_data.coverage, market_data.coverage_requests, market_data.input_versions"
            )
        yield opened


def add(stores: Stores, *symbols: str) -> None:
    for symbol in symbols:
        stores.instruments.add(Instrument(symbol, AssetClass.CRYPTO, "24/7", "kraken"))


def tick_sensor(instance: DagsterInstance, stores: Stores) -> bool:
    """One tick as the daemon does it: what it asked for is applied; returns whether that was anything."""
    sensor = defs.resolve_sensor_def("sync_symbol_partitions")
    platform = PlatformContext(stores, {})
    result = sensor.evaluate_tick(build_sensor_context(instance, resources={"platform": platform}))
    for request in result.dynamic_partitions_requests or ():
        name = request.partitions_def_name
        if type(request).__name__.startswith("Add"):
            instance.add_dynamic_partitions(name, list(request.partition_keys))
        else:
            for key in request.partition_keys:
                instance.delete_dynamic_partition(name, key)
    assert not result.run_requests
    return bool(result.dynamic_partitions_requests)


def present(instance: DagsterInstance) -> set[str]:
    return set(instance.get_dynamic_partitions(str(symbol_partitions.name)))


def test_the_partitions_follow_the_universe(instance: DagsterInstance, stores: Stores):
    assert not tick_sensor(instance, stores)
    add(stores, "BTCUSD", "ETHUSD")
    assert tick_sensor(instance, stores)
    assert present(instance) == {"BTCUSD", "ETHUSD"}
    assert not tick_sensor(instance, stores), "nothing changed, so there is nothing to do"
    stores.instruments.remove("BTCUSD")
    add(stores, "SOLUSD")
    tick_sensor(instance, stores)
    assert present(instance) == {"ETHUSD", "SOLUSD"}
    instance.delete_dynamic_partition(str(symbol_partitions.name), "SOLUSD")
    tick_sensor(instance, stores)
    assert present(instance) == {"ETHUSD", "SOLUSD"}, "what was deleted by hand comes back"


def test_a_tick_over_five_hundred_symbols_is_cheap(instance: DagsterInstance, stores: Stores):
    add(stores, *(f"S{number:03}" for number in range(500)))
    tick_sensor(instance, stores)
    assert len(present(instance)) == 500
    began = time.process_time()
    assert not tick_sensor(instance, stores)
    assert time.process_time() - began < 0.5


def tick_schedule(name: str, instance: DagsterInstance, timestamp: datetime) -> RunRequest | str:
    schedule = defs.resolve_schedule_def(name)
    result = schedule.evaluate_tick(build_schedule_context(instance, scheduled_execution_time=timestamp))
    if not result.run_requests:
        assert result.skip_message
        return result.skip_message
    (request,) = result.run_requests
    return request


def span(request: RunRequest | str) -> tuple[str, str]:
    assert isinstance(request, RunRequest), request
    return (
        request.tags["dagster/asset_partition_range_start"],
        request.tags["dagster/asset_partition_range_end"],
    )


@pytest.mark.parametrize("name", ["eu_close", "us_close", "crypto_close", "intraday_refresh"])
def test_a_schedule_without_symbols_says_so(name: str, instance: DagsterInstance):
    assert "no symbols" in str(tick_schedule(name, instance, datetime(2024, 3, 4, 12, tzinfo=UTC)))


NEW_YORK, BERLIN = ZoneInfo("America/New_York"), ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("name", "timestamp", "first", "last"),
    [
        ("eu_close", datetime(2024, 3, 4, 18, 30, tzinfo=BERLIN), "ADAUSD|2024", "BTCUSD|2024"),
        ("us_close", datetime(2024, 12, 31, 16, 30, tzinfo=NEW_YORK), "ADAUSD|2024", "BTCUSD|2024"),
        ("crypto_close", datetime(2024, 1, 1, 0, 10, tzinfo=UTC), "ADAUSD|2023", "BTCUSD|2024"),
        ("crypto_close", datetime(2024, 1, 2, 0, 10, tzinfo=UTC), "ADAUSD|2024", "BTCUSD|2024"),
        ("intraday_refresh", datetime(2024, 3, 15, 9, 5, tzinfo=UTC), "ADAUSD|2024-03", "BTCUSD|2024-03"),
        ("intraday_refresh", datetime(2024, 3, 1, 23, 5, tzinfo=UTC), "ADAUSD|2024-02", "BTCUSD|2024-03"),
        ("intraday_refresh", datetime(2024, 1, 1, 0, 5, tzinfo=UTC), "ADAUSD|2023-12", "BTCUSD|2024-01"),
    ],
)
def test_a_schedule_asks_for_all_symbols_and_the_present(
    name: str, timestamp: datetime, first: str, last: str, instance: DagsterInstance
):
    instance.add_dynamic_partitions(str(symbol_partitions.name), list(SYMBOLS))
    assert span(tick_schedule(name, instance, timestamp)) == (first, last)


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("present_timestamp", "years"),
    some_usual(
        [
            (datetime(2024, 3, 1, 0, 10, tzinfo=UTC), ("2024",)),
            (datetime(2024, 1, 1, 0, 10, tzinfo=UTC), ("2023", "2024")),
        ]
    ),
)
def test_what_a_schedule_asks_for_is_brought_up_to_date_in_one_run(
    present_timestamp: datetime, years: tuple[str, ...], instance: DagsterInstance, stores: Stores, tmp_path: Path
):
    add(stores, *SYMBOLS)
    instance.add_dynamic_partitions(str(symbol_partitions.name), list(SYMBOLS))
    request = tick_schedule("crypto_close", instance, present_timestamp)
    assert isinstance(request, RunRequest)
    with running_exchange(SeededMarket(7, SYMBOLS), clock=lambda: present_timestamp) as url:
        settings = Settings(_env_file=None, data_dir=tmp_path, kraken_api_url=url, kraken_requests_per_second=1000)  # type: ignore[call-arg]
        platform = PlatformContext(
            stores, build_sources(settings, lambda: present_timestamp), lambda: present_timestamp, force=True
        )
        job = build_definitions(resource_overrides={"platform": platform}).resolve_job_def("daily")
        result = job.execute_in_process(instance=instance, tags=request.tags, raise_on_error=False)
    assert result.success, [event.message for event in result.all_events if event.is_failure]
    for asset in ("ohlcv_1d", "indicators_1d", "features"):
        made = instance.get_materialized_partitions(AssetKey(asset))
        assert made == {f"{symbol}|{year}" for symbol in SYMBOLS for year in years}, asset
    whole = Window(datetime(int(years[0]), 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC))
    days = (present_timestamp - whole.start).days
    assert stores.bars.read(list(SYMBOLS), Timeframe.D1, whole).height == days * len(SYMBOLS)
