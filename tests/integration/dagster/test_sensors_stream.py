"""Dagster beside the live path: it takes notice of bars hourly and of gaps at once, and repairs what is over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import psycopg
import pytest
from dagster import (
    AssetKey,
    AssetMaterialization,
    AssetObservation,
    DagsterInstance,
    RunRequest,
    SensorEvaluationContext,
    build_sensor_context,
)

from trading_platform.definitions import build_definitions
from trading_platform.domain.market.bars import BAR_SCHEMA
from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.domain.time import Timeframe, Window, month_window
from trading_platform.partitions import symbols as symbol_partitions
from trading_platform.resources.platform import PlatformContext, build_sources
from trading_platform.settings import Settings
from trading_platform.simulator.seeded import SeededMarket
from trading_platform.simulator.server import running_exchange
from trading_platform.stores.market_data.completeness.outages import OutageState
from trading_platform.stores.stores import Stores, open_stores
from trading_platform.workflows.derived.compute_indicators import compute_indicators_of
from trading_platform.workflows.gaps.repair_outages import FIRST_WAIT

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
START = datetime(2026, 10, 27, tzinfo=UTC)
MONTH = f"{START:%Y-%m}"
NOWHERE = "http://127.0.0.1:9"
UNIVERSE = ("BTCUSD", "ETHUSD")


@dataclass
class Time:
    """A clock that stands until it is moved."""

    now: datetime = START + 3 * HOUR

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as opened:
        opened.add_dynamic_partitions(str(symbol_partitions.name), list(UNIVERSE))
        yield opened


@pytest.fixture
def stores(database_url: str, tmp_path: Path) -> Iterator[Stores]:
    with open_stores(database_url, tmp_path / "features", may_upgrade=True) as opened:
        with psycopg.connect(database_url) as connection:
            connection.execute(
                "TRUNCATE config.instruments, market_data.bars_1m, market_data.bars_5m, market_data.bars_1h,"
                " market_data.indicators_1m, market_data.indicators_5m, market_data.indicators_1h,"
                " market_data.coverage, market_data.coverage_requests, market_data.input_versions,"
                " market_data.stream_positions, market_data.outages"
            )
        for symbol in UNIVERSE:
            opened.instruments.add(Instrument(symbol, AssetClass.CRYPTO, "24/7", "kraken"))
        yield opened


def stream(stores: Stores, first: int, end: int, symbols: tuple[str, ...] = UNIVERSE) -> None:
    """Minutes of a price that moves, as the live path stores them."""
    window = Window(START + first * MINUTE, START + end * MINUTE)
    bars = pl.DataFrame(
        [
            (START + n * MINUTE, symbol, "1m", *[Decimal(100 + n * n % 11)] * 4, Decimal(1), "kraken", "traded")
            for symbol in symbols
            for n in range(first, end)
        ],
        schema=BAR_SCHEMA,
        orient="row",
    )
    stores.stream.commit(
        "live",
        "kraken",
        bars=bars,
        answered={symbol: [window] for symbol in symbols},
        until=window.end,
        position={"offset": end},
        now=window.end,
    )


@dataclass
class Daemon:
    """One sensor as the daemon ticks it: the cursor is kept, run keys are asked for once."""

    name: str
    instance: DagsterInstance
    platform: PlatformContext
    cursor: str | None = None

    def tick(self) -> list[AssetMaterialization | AssetObservation | RunRequest]:
        definitions = build_definitions(resource_overrides={"platform": self.platform})
        context: SensorEvaluationContext = build_sensor_context(
            self.instance, cursor=self.cursor, definitions=definitions, resources={"platform": self.platform}
        )
        result = definitions.resolve_sensor_def(self.name).evaluate_tick(context)
        self.cursor = result.cursor
        for event in result.asset_events:
            self.instance.report_runless_asset_event(event)
        return [*result.asset_events, *(result.run_requests or ())]


def named(found: list[AssetMaterialization | AssetObservation | RunRequest]) -> list[tuple[str, str]]:
    return [(type(event).__name__, str(event.partition)) for event in found if not isinstance(event, RunRequest)]


# Taking notice


def test_bars_are_recorded_hourly_without_a_run(stores: Stores, instance: DagsterInstance, clock: Time) -> None:
    daemon = Daemon("streamed_bars", instance, PlatformContext(stores, {}, clock))
    assert daemon.tick() == []
    stream(stores, 0, 30)
    assert daemon.tick() == [], "once an hour"
    clock.now += HOUR
    materialized = [("AssetMaterialization", f"{symbol}|{MONTH}") for symbol in UNIVERSE]
    assert sorted(named(daemon.tick())) == materialized
    assert instance.get_materialized_partitions(AssetKey("ohlcv_1m")) == {f"{symbol}|{MONTH}" for symbol in UNIVERSE}
    assert instance.get_runs_count() == 0
    assert daemon.tick() == []
    clock.now += HOUR
    assert daemon.tick() == [], "nothing was written since"
    stream(stores, 30, 31, ("BTCUSD",))
    clock.now += HOUR
    found = daemon.tick()
    assert named(found) == [("AssetMaterialization", f"BTCUSD|{MONTH}")]
    assert isinstance(found[0], AssetMaterialization)
    assert found[0].metadata["last"].value == (START + 31 * MINUTE).isoformat()


def test_a_gap_is_recorded_at_once(stores: Stores, instance: DagsterInstance, clock: Time) -> None:
    daemon = Daemon("streamed_bars", instance, PlatformContext(stores, {}, clock))
    daemon.tick()
    stores.outages.opened("kraken", ["BTCUSD", "GONE"], START, "silent for 5 s")
    (found,) = daemon.tick()
    assert isinstance(found, AssetObservation)
    assert (found.partition, found.metadata["reason"].value) == (f"BTCUSD|{MONTH}", "silent for 5 s")
    assert daemon.tick() == []


def test_much_is_taken_notice_of_in_several_ticks(
    stores: Stores, instance: DagsterInstance, clock: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trading_platform.sensors.streamed_bars.DAYS_A_TICK", 1)
    daemon = Daemon("streamed_bars", instance, PlatformContext(stores, {}, clock))
    stream(stores, 0, 5)
    seen = [named(daemon.tick()) for _ in range(3)]
    assert sorted(event for tick in seen for event in tick) == [
        ("AssetMaterialization", f"{symbol}|{MONTH}") for symbol in UNIVERSE
    ]
    assert [len(each) for each in seen] == [1, 1, 0]


# Repair


def down(stores: Stores, first: int, end: int, symbols: tuple[str, ...] = UNIVERSE) -> None:
    stores.outages.opened("kraken", symbols, START + first * MINUTE, "cut")
    stores.outages.closed("kraken", symbols, START + end * MINUTE)


def numbers(request: object) -> list[int]:
    assert isinstance(request, RunRequest)
    found: list[int] = request.run_config["ops"]["repair_outages_op"]["config"]["outages"]
    return found


def keyed(requests: list[AssetMaterialization | AssetObservation | RunRequest]) -> list[tuple[str | None, list[int]]]:
    return [(request.run_key, numbers(request)) for request in requests if isinstance(request, RunRequest)]


def test_a_disconnection_is_one_run_and_each_attempt_has_its_key(
    stores: Stores, instance: DagsterInstance, clock: Time
) -> None:
    daemon = Daemon("repair_outages", instance, PlatformContext(stores, {}, clock))
    assert daemon.tick() == []
    down(stores, 10, 12)
    down(stores, 30, 31, ("BTCUSD",))
    stores.outages.opened("kraken", ["ETHUSD"], START + 50 * MINUTE, "goes on")
    first, second = keyed(daemon.tick())
    assert [len(each) for each in (first[1], second[1])] == [2, 1]
    assert keyed(daemon.tick()) == [first, second], "the daemon knows these keys"
    (number,) = second[1]
    outage = stores.outages.begin(number, clock(), HOUR)
    assert outage is not None
    assert keyed(daemon.tick()) == [first]
    stores.outages.failed(outage, "away", clock())
    force = keyed(daemon.tick())[-1]
    assert force[1] == [number]
    assert force[0] != second[0]


def test_an_outage_that_goes_on_again_is_asked_for_again(
    stores: Stores, instance: DagsterInstance, clock: Time
) -> None:
    daemon = Daemon("repair_outages", instance, PlatformContext(stores, {}, clock))
    down(stores, 10, 12)
    before = keyed(daemon.tick())
    down(stores, 10, 20)
    after = keyed(daemon.tick())
    assert [each for _, each in after] == [each for _, each in before]
    assert after[0][0] != before[0][0]


def test_a_tick_asks_for_few_runs(stores: Stores, instance: DagsterInstance, clock: Time) -> None:
    for number in range(20):
        down(stores, 2 * number, 2 * number + 1)
    requests = Daemon("repair_outages", instance, PlatformContext(stores, {}, clock)).tick()
    assert len(requests) == 5
    assert sum(len(numbers(request)) for request in requests) == 10


def run(request: RunRequest, instance: DagsterInstance, platform: PlatformContext):
    job = build_definitions(resource_overrides={"platform": platform}).resolve_job_def("repair_outages")
    return job.execute_in_process(instance=instance, run_config=request.run_config, raise_on_error=False)


def test_the_run_repairs_and_the_next_tick_finds_nothing(
    stores: Stores, instance: DagsterInstance, clock: Time, tmp_path: Path
) -> None:
    down(stores, 10, 12)
    with running_exchange(SeededMarket(7, UNIVERSE), clock=clock) as url:
        settings = Settings(_env_file=None, data_dir=tmp_path, kraken_api_url=url, kraken_requests_per_second=1000)  # type: ignore[call-arg]
        platform = PlatformContext(stores, build_sources(settings, clock), clock)
        daemon = Daemon("repair_outages", instance, platform)
        (request,) = daemon.tick()
        assert run(request, instance, platform).success
    assert {each.state for each in stores.outages.all()} == {OutageState.REPAIRED}
    assert stores.bars.read(list(UNIVERSE), Timeframe.M1, month_window(START)).height == 4
    assert daemon.tick() == []


def test_a_run_that_could_not_repair_fails_and_comes_again(
    stores: Stores, instance: DagsterInstance, clock: Time
) -> None:
    stores.instruments.remove("BTCUSD")
    stores.instruments.add(Instrument("BTCUSD", AssetClass.CRYPTO, "24/7", "nobody"))
    down(stores, 10, 12, ("BTCUSD",))
    platform = PlatformContext(stores, {}, clock)
    daemon = Daemon("repair_outages", instance, platform)
    (request,) = daemon.tick()
    result = run(request, instance, platform)
    assert not result.success
    assert "1 of 1 outages are not repaired" in str(result.all_events)
    assert daemon.tick() == []
    clock.now += FIRST_WAIT
    (force,) = daemon.tick()
    assert force.run_key != request.run_key
    assert numbers(force) == numbers(request)


# Indicators


def test_new_bars_have_their_indicators_as_the_whole_month_would_give_them(
    stores: Stores, instance: DagsterInstance, clock: Time
) -> None:
    platform = PlatformContext(stores, {}, clock)
    job = build_definitions(resource_overrides={"platform": platform}).resolve_job_def("indicators_live")
    window = Window(START, START + 3 * HOUR)
    for first, end in ((0, 60), (60, 65), (65, 180)):
        stream(stores, first, end)
        clock.now = START + end * MINUTE
        assert job.execute_in_process(instance=instance).success
    live = {each: stores.indicators.read(list(UNIVERSE), each, window) for each in (Timeframe.M1, Timeframe.M5)}
    assert live[Timeframe.M1].height == 2 * 180
    assert live[Timeframe.M5].height == 2 * 36
    for timeframe, found in live.items():
        month = [month_window(START)]
        report = compute_indicators_of(stores, UNIVERSE, timeframe, month, clock=clock)
        assert len(report.rows) == 2, "what was computed live does not hide a partition that is stale"
        whole = stores.indicators.read(list(UNIVERSE), timeframe, window)
        assert whole.select("symbol", "time").equals(found.select("symbol", "time"))
        for name in whole.columns[3:]:
            assert (whole[name] - found[name]).abs().max() in (None, pytest.approx(0, abs=1e-9))
            assert whole[name].null_count() == found[name].null_count()
