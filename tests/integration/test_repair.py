"""Gaps repair themselves: lost rows, lying answers, sources that fail, as Dagster would do it and with nobody's help.

The local exchange is asked through the real client, with faults; a vendor of longer history is made up here. What is
called are sensors, jobs and assets, at the times of a clock that the test moves.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import psycopg
import pytest
from dagster import DagsterInstance, RunRequest, build_sensor_context, materialize

from trading_platform.assets.coverage import coverage
from trading_platform.definitions import build_definitions
from trading_platform.domain.bars import BAR_SCHEMA
from trading_platform.domain.calendars import expected_times
from trading_platform.domain.errors import SourceRejected, SourceUnavailable
from trading_platform.domain.gaps import SETTLE
from trading_platform.domain.instruments import AssetClass, Instrument
from trading_platform.domain.quality import empty_refused
from trading_platform.domain.time import Timeframe, Window, partition_windows
from trading_platform.resources.platform import PlatformContext, build_sources
from trading_platform.settings import Settings
from trading_platform.simulator.faults import Fault, Faults
from trading_platform.simulator.seeded import SeededMarket
from trading_platform.simulator.server import running_exchange
from trading_platform.sources.base import BarAnswer
from trading_platform.stores.bundle import Stores, open_stores
from trading_platform.workflows.backfill_bars import backfill_bars
from trading_platform.workflows.build_features import build_features
from trading_platform.workflows.compute_indicators import compute_indicators_of

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
SCALE = int(os.environ.get("REPAIR_SCALE", "1"))
"""How much more of everything than a quick run has: 10 is a long one."""

PRESENT = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - 2 * DAY
TABLES = [f"{kind}_{length}" for kind in ("bars", "indicators") for length in ("1m", "5m", "1h", "1d")]


@dataclass
class Time:
    """A clock that stands until it is moved."""

    now: datetime = PRESENT

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Vendor:
    """The far side of a network: a vendor of bars that can be away, lie and have holes.

    Every expected bar of every instrument has a price that follows from its time, but for ``quiet`` ones.
    """

    name: str = "vendor"
    since: datetime = PRESENT - 30 * DAY
    timeframes: tuple[Timeframe, ...] = (Timeframe.M1,)
    quiet: set[datetime] = field(default_factory=set)
    holes: list[Window] = field(default_factory=list)
    lies: list[Window] = field(default_factory=list)
    away: bool = False
    clock: Time = field(default_factory=Time)
    asked: list[tuple[str, Timeframe, Window]] = field(default_factory=list)

    def longest_request(self, timeframe: Timeframe) -> timedelta:
        return timedelta(days=31) if timeframe.is_intraday else timedelta(days=3660)

    def reach(self, instrument: Instrument, timeframe: Timeframe) -> tuple[Window, ...]:
        del instrument
        return (Window(self.since, self.clock().replace(second=0)),) if timeframe in self.timeframes else ()

    def bars(self, instrument: Instrument, timeframe: Timeframe, window: Window) -> BarAnswer:
        self.asked.append((instrument.symbol, timeframe, window))
        if self.away:
            raise SourceUnavailable("The vendor does not answer.")
        if timeframe not in self.timeframes or any(hole.intersect(window) for hole in self.holes):
            raise SourceRejected("The vendor has nothing of that window.")
        lies = [lie for lie in self.lies if lie.intersect(window)]
        for lie in lies:
            self.lies.remove(lie)
        times = [
            time
            for time in expected_times(instrument.calendar, timeframe, window)
            if time not in self.quiet and not any(time in lie for lie in lies)
        ]
        return BarAnswer(bars_of(instrument.symbol, timeframe, times, self.name), empty_refused(), (window,), "a test")


def bars_of(symbol: str, timeframe: Timeframe, times: Sequence[datetime], source: str) -> pl.DataFrame:
    seed = sum(map(ord, symbol))
    steps = [int(time.timestamp() // 60) for time in times]
    price = [Decimal(100_00 + (step * 7919 + seed) % 997) / 100 for step in steps]
    return pl.DataFrame(
        {
            "time": list(times),
            "symbol": [symbol] * len(times),
            "timeframe": [timeframe.value] * len(times),
            "open": price,
            "high": [value + 1 for value in price],
            "low": [value - 1 for value in price],
            "close": [value + Decimal((step * 31) % 100 - 50) / 100 for value, step in zip(price, steps, strict=True)],
            "volume": [Decimal(step % 1000) for step in steps],
            "source": [source] * len(times),
            "quality": ["traded"] * len(times),
        },
        schema=BAR_SCHEMA,
    )


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture
def stores(database_url: str, tmp_path: Path) -> Iterator[Stores]:
    with open_stores(database_url, tmp_path / "features", may_upgrade=True) as opened:
        with psycopg.connect(database_url) as connection:
            tables = ", ".join(f"market_data.{table}" for table in TABLES)
            connection.execute(
                f"TRUNCATE {tables}, market_data.coverage, market_data.coverage_requests, market_data.derivations,"  # type: ignore[arg-type]
                " market_data.fingerprints, market_data.gaps, market_data.outages, market_data.stream_positions,"
                " market_data.quarantine, config.instruments, audit.system_events"
            )
        yield opened


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[DagsterInstance]:
    with DagsterInstance.local_temp(str(tmp_path), overrides={"telemetry": {"enabled": False}}) as opened:
        yield opened


@dataclass
class Dagster:
    """Sensors as the daemon ticks them, runs as it starts them, and the nightly asset as its schedule does."""

    instance: DagsterInstance
    platform: PlatformContext
    clock: Time
    cursors: dict[str, str | None] = field(default_factory=dict)
    keys: set[str] = field(default_factory=set)

    def tick(self, name: str) -> list[RunRequest]:
        """What a tick asks for and was not asked for before."""
        definitions = build_definitions(resource_overrides={"platform": self.platform})
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
        definitions = build_definitions(resource_overrides={"platform": self.platform})
        return (
            definitions.resolve_job_def(request.job_name or job)
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
            for name, job in (("outages", "repair_outage"), ("gaps", "repair_gaps")):
                for request in self.tick(name):
                    self.run(job, request)
                    runs += 1
            if not rows_of(self.platform.stores, "SELECT FROM market_data.gaps WHERE state = 'open'"):
                return runs
            self.clock.now += SETTLE
        raise AssertionError(f"still open: {rows_of(self.platform.stores, 'SELECT * FROM market_data.gaps')[:10]}")


def rows_of(stores: Stores, statement: str) -> list[tuple[object, ...]]:
    return stores.database.rows(statement)


def snapshot(stores: Stores) -> dict[str, list[str]]:
    """Every row of bars and indicators as text, but for the quality, which :func:`qualities` has."""
    found = {}
    for table in TABLES:
        drop = " - 'quality'" if table.startswith("bars") else ""
        statement = f"SELECT (to_jsonb(t){drop})::text FROM market_data.{table} AS t ORDER BY symbol, time"
        found[table] = [text for (text,) in rows_of(stores, statement)]
    return found


def qualities(stores: Stores) -> dict[tuple[str, str, datetime], tuple[str, str]]:
    """Source and quality of every bar."""
    statement = " UNION ALL ".join(
        f"SELECT timeframe, symbol, time, source, quality FROM market_data.bars_{length}"
        for length in ("1m", "5m", "1h", "1d")
    )
    return {tuple(key): (source, quality) for *key, source, quality in rows_of(stores, statement)}  # type: ignore[misc]


def fill(stores: Stores, sources: dict[str, object], instruments: Sequence[Instrument], clock: Time) -> None:
    """What the jobs ``intraday`` and ``daily`` do, with what the sources have."""
    symbols = [instrument.symbol for instrument in instruments]
    for timeframe in Timeframe:
        for instrument in instruments:
            own = sources[instrument.source]
            reach = own.reach(instrument, timeframe) or own.reach(instrument, Timeframe.M1)  # type: ignore[attr-defined]
            if not reach:
                continue
            parts = partition_windows(timeframe, Window(reach[0].start, reach[-1].end))
            report = backfill_bars(stores, sources, [instrument], timeframe, parts, clock=clock)  # type: ignore[arg-type]
            assert not report.failures
            compute_indicators_of(stores, [instrument.symbol], timeframe, parts, clock=clock)
    universe = stores.instruments.all()
    build_features(
        stores, universe, symbols, partition_windows(Timeframe.D1, Window(PRESENT - 3650 * DAY, PRESENT)), clock=clock
    )


def delete_windows(url: str, share: float, seed: int) -> dict[str, int]:
    """Deletes that share of the rows of every table, in random windows scattered over symbols and time."""
    chance = random.Random(seed)
    deleted = {}
    with psycopg.connect(url) as connection:
        for table in TABLES:
            stored = connection.execute(
                f"SELECT symbol, time FROM market_data.{table} ORDER BY symbol, time"  # type: ignore[arg-type]
            ).fetchall()
            wanted, gone = max(3, int(len(stored) * share)), 0
            while gone < wanted:
                first = chance.randrange(len(stored))
                symbol, start = stored[first]
                last = min(first + chance.randrange(1, max(2, wanted // 4)), len(stored)) - 1
                end = stored[last][1] if stored[last][0] == symbol else start
                cursor = connection.execute(
                    f"DELETE FROM market_data.{table} WHERE symbol = %s AND time BETWEEN %s AND %s",  # type: ignore[arg-type]
                    (symbol, start, end),
                )
                gone += cursor.rowcount
            deleted[table] = gone
    return deleted


@dataclass
class Installation:
    """A full database with two kinds of sources behind it."""

    dagster: Dagster
    stores: Stores
    vendor: Vendor
    clock: Time


def exchange_settings(tmp_path: Path, url: str) -> Settings:
    return Settings(_env_file=None, data_dir=tmp_path, kraken_api_url=url, kraken_requests_per_second=1000)  # type: ignore[call-arg]


def test_deleted_windows_come_back_byte_for_byte_and_a_second_round_changes_nothing(
    stores: Stores, database_url: str, instance: DagsterInstance, clock: Time, tmp_path: Path
) -> None:
    vendors = Vendor(clock=clock, since=PRESENT - 20 * SCALE * DAY)
    archive = Vendor("archive", since=PRESENT - 3650 * DAY, timeframes=(Timeframe.D1,), clock=clock)
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
        lost = set(kinds) - set(qualities(stores))
        assert min(deleted.values()) >= 3
        dagster = Dagster(instance, PlatformContext(stores, sources, clock), clock)
        night = dagster.night()
        assert night["periods not as committed"] > 0
        assert dagster.until_quiet() > 0
        found = snapshot(stores)
        assert {table: found[table] == before[table] for table in TABLES} == dict.fromkeys(TABLES, True)
        after = qualities(stores)
        assert {key: quality for key, quality in after.items() if key not in lost} == {
            key: quality for key, quality in kinds.items() if key not in lost
        }, "nothing else was touched"
        for key in lost:
            (source, was), (_, now) = kinds[key], after[key]
            assert now == (was if source == "ohlcv_1m" or was == "no_trade" else "repaired")
        assert not rows_of(stores, "SELECT FROM market_data.gaps")
        versions = rows_of(stores, "SELECT max(id) FROM market_data.coverage_requests")
        dagster.night()
        assert dagster.until_quiet() == 0
        assert snapshot(stores) == before
        assert qualities(stores) == after
        assert rows_of(stores, "SELECT max(id) FROM market_data.coverage_requests") == versions
