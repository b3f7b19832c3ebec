"""Gaps repair themselves: lost rows, lying answers, sources that fail, as Dagster would do it and with nobody's help.

The local exchange is asked through the real client, with faults; a vendor of longer history is made up here. What is
called are sensors, jobs and assets, at the times of a clock that the test moves.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from dagster import DagsterInstance, Definitions, RunRequest, build_sensor_context, materialize
from redis import Redis
from repair_market import (
    DAY,
    HOUR,
    MINUTE,
    TABLES,
    Time,
    Vendor,
    bars_of,
    delete_windows,
    fill,
    opened_empty,
    qualities,
    rows_of,
    snapshot,
    stop_feed,
)

from trading_platform.assets.coverage import coverage
from trading_platform.checks.coverage_checks import no_gap_left
from trading_platform.definitions import build_definitions
from trading_platform.domain.market.calendars import expected_times
from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.domain.messages import AlertMessage
from trading_platform.domain.quality.gaps import CONFIRM_AFTER, SETTLE, Gap, SlotClass
from trading_platform.domain.time import Timeframe, Window, partition_windows
from trading_platform.partitions import symbols as symbol_partitions
from trading_platform.resources.platform import PlatformContext, build_sources
from trading_platform.settings import Settings
from trading_platform.simulator.faults import Fault, Faults
from trading_platform.simulator.seeded import SeededMarket
from trading_platform.simulator.server import running_exchange
from trading_platform.stores.market_data.completeness.outages import OutageState
from trading_platform.stores.redis.live import LiveStore
from trading_platform.stores.stores import Stores
from trading_platform.workflows.backfill.backfill_bars import backfill_bars
from trading_platform.workflows.gaps.detect_gaps import detect_gaps
from trading_platform.workflows.gaps.gap_report import gap_report
from trading_platform.workflows.gaps.repair_gaps import ATTEMPTS, GapRepair, repair_gaps
from trading_platform.workflows.gaps.verify_integrity import Proof

SCALE = int(os.environ.get("TEST_REPAIR_SCALE", "1"))
"""How much more of everything than a quick run has: 10 is a long one."""

PRESENT = datetime(2026, 11, 28, 12, tzinfo=UTC)


@pytest.fixture
def clock() -> Time:
    return Time(PRESENT)


@pytest.fixture
def stores(database_url: str, tmp_path: Path) -> Iterator[Stores]:
    with opened_empty(database_url, tmp_path / "features") as opened:
        yield opened


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as opened:
        yield opened


@dataclass
class Dagster:
    """Sensors as the daemon ticks them, runs as it starts them, and the nightly asset as its schedule does."""

    instance: DagsterInstance
    platform: PlatformContext
    clock: Time
    cursors: dict[str, str | None] = field(default_factory=dict)
    keys: set[str] = field(default_factory=set)
    loaded: tuple[PlatformContext, Definitions] | None = None

    def definitions(self) -> Definitions:
        """The platform's, loaded once for each open platform, as a code server loads them."""
        if self.loaded is None or self.loaded[0] is not self.platform:
            self.loaded = self.platform, build_definitions(resource_overrides={"platform": self.platform})
        return self.loaded[1]

    def tick(self, name: str) -> list[RunRequest]:
        """What a tick asks for and was not asked for before."""
        definitions = self.definitions()
        context = build_sensor_context(
            self.instance,
            cursor=self.cursors.get(name),
            definitions=definitions,
            resources={"platform": self.platform},
        )
        result = definitions.resolve_sensor_def(name).evaluate_tick(context)
        self.cursors[name] = result.cursor
        for request in result.dynamic_partitions_requests or ():
            self.instance.add_dynamic_partitions(request.partitions_def_name, request.partition_keys)
        found = [each for each in result.run_requests or () if each.run_key not in self.keys]
        self.keys |= {str(each.run_key) for each in found}
        return found

    def run(self, job: str, request: RunRequest) -> bool:
        return (
            self.definitions()
            .resolve_job_def(request.job_name or job)
            .execute_in_process(
                instance=self.instance, run_config=request.run_config, tags=request.tags, raise_on_error=False
            )
            .success
        )

    def night(self) -> dict[str, object]:
        """What the nightly run of ``coverage`` shows."""
        result = materialize([coverage], instance=self.instance, resources={"platform": self.platform})
        return {
            name: value.value for name, value in result.asset_materializations_for_node("coverage")[0].metadata.items()
        }

    def until_quiet(self, ticks: int = 60) -> int:
        """Ticks on, five minutes at a time, until nothing is listed as open; how many runs that took."""
        runs = 0
        for _ in range(ticks):
            for name in ("repair_outages", "repair_gaps"):
                for request in self.tick(name):
                    self.run(name, request)
                    runs += 1
            if not rows_of(self.platform.stores, "SELECT FROM market_data.gaps WHERE state = 'open'"):
                return runs
            self.clock.now += SETTLE
        left = rows_of(self.platform.stores, "SELECT * FROM market_data.gaps")
        raise AssertionError(f"still open: {left[:10]}")


def exchange_settings(tmp_path: Path, url: str) -> Settings:
    return Settings(_env_file=None, data_dir=tmp_path, kraken_api_url=url, kraken_requests_per_second=1000)


@pytest.mark.exhaustive
def test_deleted_windows_come_back_byte_for_byte_and_a_second_round_changes_nothing(
    stores: Stores, database_url: str, instance: DagsterInstance, clock: Time, tmp_path: Path
) -> None:
    vendors = Vendor(clock, since=PRESENT - 20 * SCALE * DAY)
    archive = Vendor(clock, since=PRESENT - 3650 * DAY, name="archive", timeframes=(Timeframe.D1,))
    instruments = [
        Instrument("BTCUSD", AssetClass.CRYPTO, "24/7", "kraken"),
        Instrument("MMM", AssetClass.EQUITY, "XNYS", "vendor"),
        Instrument("SAP", AssetClass.EQUITY, "XETR", "vendor"),
        *(Instrument(f"OLD{number}", AssetClass.EQUITY, "XNYS", "archive") for number in range(3 * SCALE)),
    ]
    for each in instruments:
        stores.instruments.add(each)
    faults = Faults(probability={Fault.SERVER_ERROR: 0.03, Fault.TRUNCATE: 0.03, Fault.DROP: 0.03}, seed=3)
    with running_exchange(SeededMarket(5, ["BTCUSD"]), faults, clock) as url:
        sources = {**build_sources(exchange_settings(tmp_path, url), clock), "vendor": vendors, "archive": archive}
        fill(stores, sources, instruments, clock)
        before, kinds = snapshot(stores), qualities(stores)
        assert all(before.values())
        clock.now += HOUR
        deleted = delete_windows(database_url, 0.01, seed=11)
        stop_feed(stores, "BTCUSD", "kraken", Window(PRESENT - 5 * HOUR, PRESENT - 4 * HOUR))
        vendors.lies = [Window(vendors.since, PRESENT)]  # the next answer is empty, whatever it is for
        lost = set(kinds) - set(qualities(stores))
        assert min(deleted.values()) >= 3
        dagster = Dagster(instance, PlatformContext(stores, sources, clock), clock)
        night = dagster.night()
        assert night["periods missing or modified"] > 0
        assert all("▒" in str(night[name]) for name in ("1m by month", "1d by year"))
        assert dagster.until_quiet() > 0
        assert vendors.lies == []
        assert [each.state for each in stores.outages.all()] == [OutageState.REPAIRED]
        found = snapshot(stores)
        assert {table: found[table] == before[table] for table in TABLES} == dict.fromkeys(TABLES, True)
        after = qualities(stores)
        assert {key: quality for key, quality in after.items() if key not in lost} == {
            key: quality for key, quality in kinds.items() if key not in lost
        }, "nothing else was touched"
        for key in lost:
            length, symbol, _ = key
            (_, was), (_, now) = kinds[key], after[key]
            rolled_up = length in ("5m", "1h") or (length == "1d" and symbol in ("MMM", "SAP"))
            assert now == (was if rolled_up or was == "no_trade" else "repaired"), key
        assert not rows_of(stores, "SELECT FROM market_data.gaps")
        versions = rows_of(stores, "SELECT max(id) FROM market_data.coverage_requests")
        night = dagster.night()
        maps = [str(night[name]) for name in ("1m by month", "5m by month", "1h by month", "1d by year")]
        assert all("| BTCUSD |" in drawn and "| 100 |" in drawn and "▒" not in drawn for drawn in maps)
        assert dagster.until_quiet() == 0
        assert snapshot(stores) == before
        assert qualities(stores) == after
        assert rows_of(stores, "SELECT max(id) FROM market_data.coverage_requests") == versions


# A source that says that there was nothing


@pytest.fixture
def vendor(clock: Time) -> Vendor:
    """A vendor of ten days of minutes of a market that never closes."""
    return Vendor(clock, since=PRESENT - 10 * DAY)


@dataclass
class Watched:
    """One instrument, its sources, and Dagster over them."""

    dagster: Dagster
    stores: Stores
    clock: Time
    vendor: Vendor
    other: Vendor
    sources: dict[str, object]
    instrument: Instrument

    def classes(self, timeframe: Timeframe = Timeframe.M1) -> list[tuple[SlotClass, Window]]:
        found = gap_report(self.stores, self.sources, self.instrument, timeframe, clock=self.clock)
        return [(each.what, each.window) for each in found]

    def find(self, **options: object) -> list[Gap]:
        given = {"clock": self.clock, "publish": self.dagster.platform.publish, **options}
        return detect_gaps(self.stores, self.sources, list(self.stores.instruments.all().values()), **given).gaps

    def repair(self, numbers: list[int]) -> list[GapRepair]:
        """As ``trading-platform repair`` does it, due or not."""
        publish = self.dagster.platform.publish
        return repair_gaps(self.stores, self.sources, clock=self.clock, only=numbers, whatever=True, publish=publish)

    def bars(self) -> pl.DataFrame:
        return self.stores.bars.read([self.instrument.symbol], Timeframe.M1, Window(self.vendor.since, self.clock()))


@pytest.fixture
def watched(stores: Stores, instance: DagsterInstance, clock: Time, vendor: Vendor) -> Watched:
    other = Vendor(clock, since=vendor.since, name="other")
    instrument = Instrument("ADAUSD", AssetClass.CRYPTO, "24/7", "vendor")
    stores.instruments.add(instrument)
    sources: dict[str, object] = {"vendor": vendor, "other": other}
    dagster = Dagster(instance, PlatformContext(stores, sources, clock), clock)
    return Watched(dagster, stores, clock, vendor, other, sources, instrument)


def at(hours: float) -> datetime:
    return PRESENT - 5 * DAY + hours * HOUR


def asked_of(vendor: Vendor, window: Window) -> int:
    return sum(asked.intersect(window) is not None for _, _, asked in vendor.asked)


@pytest.mark.exhaustive
def test_an_empty_answer_of_a_source_that_lies_is_not_believed(watched: Watched) -> None:
    lie, quiet = Window(at(0), at(2)), at(-20)
    watched.vendor.lies, watched.vendor.quiet = [lie], {quiet}
    truth = bars_of(
        "ADAUSD", Timeframe.M1, [*expected_times("24/7", Timeframe.M1, Window(watched.vendor.since, PRESENT))], "vendor"
    )
    truth = truth.filter(pl.col("time") != quiet)
    fill(watched.stores, watched.sources, [watched.instrument], watched.clock)
    minute = Window(quiet, quiet + MINUTE)
    assert watched.classes() == [(SlotClass.NO_TRADES, minute), (SlotClass.PENDING_CONFIRMATION, lie)]
    asked = len(watched.vendor.asked)
    fill(watched.stores, watched.sources, [watched.instrument], watched.clock)
    assert len(watched.vendor.asked) == asked, "a backfill leaves it to its repair"
    watched.dagster.tick("repair_gaps")
    watched.clock.now += CONFIRM_AFTER - MINUTE
    assert watched.dagster.tick("repair_gaps") == []
    assert watched.dagster.until_quiet() == 1
    assert watched.classes() == [(SlotClass.NO_TRADES, minute)]
    assert watched.bars().drop("quality").equals(truth.drop("quality"))
    marked = watched.bars().filter(pl.col("quality") == "repaired")["time"]
    assert (marked[0], marked[-1], marked.len()) == (lie.start, lie.end - MINUTE, 120)
    longer = watched.stores.bars.times(["ADAUSD"], Timeframe.M5, lie)
    assert longer.height == 24, "what waited for the minutes was made"


@pytest.mark.exhaustive
def test_a_silence_that_is_said_twice_is_proven(watched: Watched) -> None:
    silence = Window(at(0), at(1))
    watched.vendor.quiet = set(expected_times("24/7", Timeframe.M1, silence))
    fill(watched.stores, watched.sources, [watched.instrument], watched.clock)
    assert watched.classes() == [(SlotClass.PENDING_CONFIRMATION, silence)]
    watched.dagster.tick("repair_gaps")
    watched.clock.now += CONFIRM_AFTER
    assert watched.dagster.until_quiet() == 1
    assert watched.classes() == [(SlotClass.NO_TRADES, silence)]
    assert asked_of(watched.vendor, silence) == 2
    assert rows_of(watched.stores, "SELECT FROM audit.system_events") == []


@pytest.mark.exhaustive
def test_silence_takes_no_stored_bar_away(watched: Watched) -> None:
    fill(watched.stores, watched.sources, [watched.instrument], watched.clock)
    before = watched.bars()
    watched.vendor.lies = [Window(at(0), at(3))]
    parts = partition_windows(Timeframe.M1, Window(at(0), at(3)))
    backfill_bars(
        watched.stores,
        watched.sources,
        [watched.instrument],
        Timeframe.M1,
        parts,
        clock=watched.clock,
        force=True,
    )
    assert watched.vendor.lies == [], "the wrong response was sent"
    assert watched.bars().equals(before)
    assert watched.classes() == []


@pytest.mark.exhaustive
def test_a_second_source_exposes_the_lie_at_once_and_its_bars_say_whose_they_are(watched: Watched) -> None:
    lie = Window(at(0), at(2))
    watched.vendor.quiet = set(expected_times("24/7", Timeframe.M1, lie))
    instrument = Instrument("ADAUSD", AssetClass.CRYPTO, "24/7", "vendor", fallback_sources=("other",))
    watched.stores.instruments.add(instrument)
    fill(watched.stores, watched.sources, [instrument], watched.clock)
    watched.dagster.tick("repair_gaps")
    watched.clock.now += CONFIRM_AFTER / 2
    (listed,) = watched.find(timeframes=[Timeframe.M1])
    (done,) = watched.repair([listed.id])
    assert done.state == "repaired"
    found = watched.bars().filter(pl.col("time").is_between(lie.start, lie.end, closed="left"))
    assert set(zip(found["source"], found["quality"], strict=True)) == {("other", "repaired")}
    assert found.height == 120
    assert watched.stores.coverage.answered("ADAUSD", Timeframe.M1)["other"] == [lie], "only what it was asked for"
    fill(watched.stores, watched.sources, [instrument], watched.clock)
    assert watched.bars().filter(pl.col("source") == "other").height == 120


# A source that fails


@pytest.mark.exhaustive
def test_what_cannot_be_had_is_given_up_told_once_and_told_again_when_it_is_over(
    watched: Watched, redis_url: str, instance: DagsterInstance
) -> None:
    gap = Window(at(0), at(2))
    fill(watched.stores, watched.sources, [watched.instrument], watched.clock)
    with watched.stores.database.begin() as connection:
        statement = "DELETE FROM market_data.bars_1m WHERE time >= %s AND time < %s"
        connection.exec_driver_sql(statement, (gap.start, gap.end))
    watched.vendor.away = True
    live = LiveStore(redis_url)
    alerting = PlatformContext(
        watched.stores,
        watched.sources,
        watched.clock,
        publish=lambda timestamp, alert: live.publish_alert(timestamp, alert.model_dump_json()) and None,
    )
    watched.dagster.platform = alerting
    watched.dagster.night()
    runs = watched.dagster.until_quiet()
    assert runs == ATTEMPTS
    assert asked_of(watched.vendor, gap) == 1 + ATTEMPTS
    assert watched.classes() == [(SlotClass.FAILED_PERMANENTLY, gap)]
    watched.dagster.night()
    assert watched.dagster.until_quiet() == 0, "nobody tries it again by itself"
    result = materialize([coverage, no_gap_left], instance=instance, resources={"platform": alerting})
    (check,) = result.get_asset_check_evaluations()
    assert not check.passed
    assert check.metadata["failed permanently"].value == 1
    with Redis.from_url(redis_url, decode_responses=True) as redis:
        first = [AlertMessage.model_validate_json(each["message"]).payload for _, each in redis.xrange("alerts")]
        assert [(alert.event_type, alert.over) for alert in first] == [("gaps_failed_permanently", False)]
        watched.vendor.away = False
        watched.repair([number for (number,) in rows_of(watched.stores, "SELECT id FROM market_data.gaps")])
        both = [AlertMessage.model_validate_json(each["message"]).payload for _, each in redis.xrange("alerts")]
    live.close()
    assert [(alert.incident, alert.over) for alert in both] == [(first[0].incident, False), (first[0].incident, True)]
    assert watched.classes() == []


@pytest.mark.exhaustive
def test_another_source_takes_the_place_of_one_that_keeps_failing(watched: Watched) -> None:
    gap = Window(at(0), at(1))
    instrument = Instrument("ADAUSD", AssetClass.CRYPTO, "24/7", "vendor", fallback_sources=("other",))
    watched.stores.instruments.add(instrument)
    fill(watched.stores, watched.sources, [instrument], watched.clock)
    watched.stores.coverage.withdraw("ADAUSD", Timeframe.M1, "vendor", [gap])
    watched.vendor.away = True
    watched.dagster.tick("repair_gaps")
    watched.clock.now += SETTLE
    assert watched.dagster.until_quiet() == 3
    assert asked_of(watched.other, gap) == 1
    assert watched.classes() == []


@pytest.mark.exhaustive
def test_an_outage_is_its_own_repair_s_until_that_gives_up(watched: Watched) -> None:
    gap = Window(at(0), at(1))
    fill(watched.stores, watched.sources, [watched.instrument], watched.clock)
    watched.stores.coverage.withdraw("ADAUSD", Timeframe.M1, "vendor", [gap])
    watched.stores.outages.opened("vendor", ["ADAUSD"], gap.start, "cut")
    watched.stores.outages.closed("vendor", ["ADAUSD"], gap.end)
    watched.find()
    assert rows_of(watched.stores, "SELECT FROM market_data.gaps") == []
    with watched.stores.database.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE market_data.outages SET state = 'failed_permanently', next_attempt_at = NULL"
        )
    watched.clock.now += HOUR
    watched.dagster.tick("repair_gaps")
    watched.clock.now += SETTLE
    assert watched.dagster.until_quiet() == 1
    assert watched.classes() == []
    assert [each.state for each in watched.stores.outages.all()] == [OutageState.FAILED_PERMANENTLY]


# New symbols


@pytest.mark.exhaustive
def test_a_new_symbol_backfills_itself_once(watched: Watched) -> None:
    dagster = watched.dagster
    assert dagster.tick("backfill_new_symbols") == [], "it is no partition yet"
    dagster.tick("sync_symbol_partitions")
    jobs = []
    while requests := dagster.tick("backfill_new_symbols"):
        assert dagster.tick("backfill_new_symbols") == [], "each is asked for once"
        for request in requests:
            jobs.append(request.job_name)
            assert dagster.run("", request)
    assert jobs == ["intraday", "daily"]
    days = watched.stores.bars.times(["ADAUSD"], Timeframe.D1, Window(watched.vendor.since, PRESENT))
    assert days.height == 9, "made of the minutes"
    assert watched.bars().height == (PRESENT - watched.vendor.since) // MINUTE
    assert watched.classes() == []
    assert dagster.tick("backfill_new_symbols") == []
    assert dagster.instance.get_dynamic_partitions(str(symbol_partitions.name)) == ["ADAUSD"]


# What was committed


@pytest.mark.exhaustive
def test_rows_that_vanish_while_their_neighbours_are_written_are_noticed_all_the_same(watched: Watched) -> None:
    fill(watched.stores, watched.sources, [watched.instrument], watched.clock)
    lost, next_to_it = at(0.25), Window(at(0.5), at(0.75))
    with watched.stores.database.begin() as connection:
        connection.exec_driver_sql("DELETE FROM market_data.bars_1m WHERE time = %s", (lost,))
        watched.stores.bars.replace(connection, "ADAUSD", Timeframe.M1, next_to_it, watched.bars().clear())
    (found,) = watched.stores.fingerprints.differing(["ADAUSD"], Timeframe.M1, Window(at(0), at(1)), watched.clock())
    assert (found.window, found.committed, found.stored) == (Window(at(0), at(1)), 45, 44)


def test_a_changed_and_an_extra_bar_are_noticed(watched: Watched) -> None:
    fill(watched.stores, watched.sources, [watched.instrument], watched.clock)
    before = watched.bars()
    with watched.stores.database.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE market_data.bars_1m SET close = close + 0.00000001 WHERE time = %s", (at(0),)
        )
        connection.exec_driver_sql(
            "INSERT INTO market_data.bars_1m SELECT time + interval '30 seconds', symbol, timeframe, open, high, low,"
            " close, volume, source, quality FROM market_data.bars_1m WHERE time = %s",
            (at(5),),
        )
    found = detect_gaps(watched.stores, watched.sources, [watched.instrument], clock=watched.clock, proof=Proof.ALL)
    assert [each.window.start for each in found.missing_or_modified] == [at(0), at(5)]
    watched.clock.now += SETTLE
    watched.dagster.until_quiet()
    assert watched.bars().drop("quality").equals(before.drop("quality"))
    differs = watched.bars().filter(pl.col("quality") != before["quality"])
    assert list(differs.select("time", "quality").iter_rows()) == [(at(0), "repaired")]
