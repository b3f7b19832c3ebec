"""Hourly rows in their files: built by month, stale when something changed, and apart from the daily ones."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from definition_files import write

from trading_platform.client import Platform
from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.features.hourly import MarketBars, compute_hourly_features
from trading_platform.domain.market.calendars import expected_times
from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.domain.time import Timeframe, Window, month_window
from trading_platform.sources.files.content.options import ImportOptions
from trading_platform.sources.files.landing import LandingArea
from trading_platform.sources.files.source import FileSource
from trading_platform.stores.features.definitions import load_definitions
from trading_platform.stores.stores import Stores, open_stores
from trading_platform.workflows.backfill.backfill_bars import backfill_bars
from trading_platform.workflows.bars.apply_retention import apply_retention
from trading_platform.workflows.derived.build_features import build_features
from trading_platform.workflows.derived.build_hourly_features import build_hourly_features, stale_hourly_features
from trading_platform.workflows.imports.import_files import import_files
from trading_platform.workflows.quality.check_results import Status
from trading_platform.workflows.quality.verify import verify_asset

NOW = datetime(2024, 4, 20, tzinfo=UTC)
MONTHS = [month_window(datetime(2024, month, 1, tzinfo=UTC)) for month in (2, 3, 4)]
WHOLE = Window(MONTHS[0].start, MONTHS[-1].end)
HOURS = Window(datetime(2024, 2, 10, 7, tzinfo=UTC), datetime(2024, 4, 19, 18, tzinfo=UTC))
CALENDARS = {"AAA": "24/7", "BBB": "24/7", "STOCK": "FX"}
UNIVERSE = {
    symbol: Instrument(symbol, AssetClass.CRYPTO, calendar, "file", sector="coins", benchmark="BBB")
    for symbol, calendar in CALENDARS.items()
}

YEAR = Window(datetime(2024, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC))

DEFINITIONS = """import polars as pl
from trading_platform.domain.features import Feature, bars

returns_1h = Feature(
    name="returns_1h", category="technical", description="Return of an hour", formula="close_t / close_(t-1) - 1",
    inputs=[bars("close", timeframe="1h")], lookback_days=1, warm_up=1, frequency="1h",
    compute=pl.col("close") / pl.col("close").shift(1) - 1,
)
"""


def length_of(symbol: str) -> Timeframe:
    return Timeframe.H1 if CALENDARS[symbol] == "24/7" else Timeframe.D1


def bars_of(symbol: str) -> pl.DataFrame:
    times = expected_times(CALENDARS[symbol], length_of(symbol), HOURS)
    random = np.random.default_rng(sum(map(ord, symbol)))
    close = pl.Series("close", np.round(100 * np.exp(np.cumsum(random.normal(0, 0.01, len(times)))), 4))
    frame = pl.DataFrame({"time": times, "open": close, "high": close * 1.01, "low": close * 0.99, "close": close})
    volume = pl.Series(np.round(random.lognormal(5, 1, len(times)), 2))
    return frame.with_columns(pl.col("high", "low").round(4), volume=volume)


@dataclass
class Store:
    """A database with ten weeks of hours of two coins and of days of a third instrument."""

    url: str
    root: Path

    @contextmanager
    def opened(self) -> Iterator[Stores]:
        definitions = load_definitions(self.root / "definitions")
        with open_stores(self.url, self.root / "features", may_upgrade=True, definitions=definitions) as stores:
            yield stores

    def load(self, symbol: str, bars: pl.DataFrame) -> None:
        with self.opened() as stores:
            file = self.root / f"{symbol}{len(list(self.root.glob('*.csv')))}.csv"
            bars.with_columns(pl.col("time").dt.strftime("%Y-%m-%dT%H:%M:%SZ")).write_csv(file)
            import_files(
                [file],
                ImportOptions(symbol=symbol, timeframe=length_of(symbol)),
                landing=LandingArea(self.root / "imports"),
                quarantine=stores.quarantine,
                coverage=stores.coverage,
                instruments=stores.instruments,
                clock=lambda: NOW,
            )
            source = {"file": FileSource(self.root / "imports")}
            windows = MONTHS if length_of(symbol) is Timeframe.H1 else [YEAR]
            backfill_bars(stores, source, [UNIVERSE[symbol]], length_of(symbol), windows, clock=lambda: NOW)

    def build(
        self, symbols: list[str] | None = None, months: list[Window] | None = None, *, force: bool = False
    ) -> list[tuple[str, int]]:
        """Builds what is stale; returns symbol and month of each partition that was built."""
        with self.opened() as stores:
            report = build_hourly_features(
                stores, UNIVERSE, symbols or list(UNIVERSE), months or MONTHS, clock=lambda: NOW, force=force
            )
        return sorted((symbol, window.start.month) for symbol, window in report.rows)

    def rows(self, symbol: str) -> pl.DataFrame:
        with self.opened() as stores:
            return stores.hourly_features.read([symbol], WHOLE)


@pytest.fixture(scope="module")
def store(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Store:
    root = tmp_path_factory.mktemp("hourly")
    (root / "definitions").mkdir()
    loaded = Store(database_url, root)
    write(root / "definitions", "mine.py", DEFINITIONS)
    with loaded.opened() as stores:
        for each in UNIVERSE.values():
            stores.instruments.add(each)
    for symbol in UNIVERSE:
        loaded.load(symbol, bars_of(symbol))
    assert loaded.build() == [(symbol, month) for symbol in ("AAA", "BBB") for month in (2, 3, 4)]
    return loaded


def equal(found: pl.DataFrame, expected: pl.DataFrame) -> None:
    assert found.columns == expected.columns
    assert found.select("time", "symbol", "available_at").equals(expected.select("time", "symbol", "available_at"))
    for name in found.columns[3:]:
        both = zip(found[name], expected[name], strict=True)
        for a, b in both:
            assert (a is None) == (b is None), name
            assert a is None or math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12), name


def test_the_files_have_what_is_computed_from_all_bars(store: Store) -> None:
    with store.opened() as stores:
        hours = stores.bars.read(["AAA", "BBB"], Timeframe.H1, WHOLE)
        days = stores.bars.read(["STOCK"], Timeframe.D1, WHOLE)
        definitions = stores.definitions.features
    given = MarketBars(hours, {}, {}), MarketBars(days, {}, {}), UNIVERSE
    equal(store.rows("AAA"), compute_hourly_features(*given, ["AAA"], definitions=definitions))
    assert store.build() == []
    before = store.rows("AAA")
    assert store.build(["AAA"], MONTHS[2:], force=True) == [("AAA", 4)]
    equal(store.rows("AAA"), before)
    assert before["returns_1h"].null_count() == 1
    assert before["sector_momentum"].count() > 300


def test_readers_of_daily_rows_get_daily_rows_only(store: Store) -> None:
    with store.opened() as stores:
        build_features(stores, UNIVERSE, ["STOCK"], [YEAR], clock=lambda: NOW)
        agent = Platform(stores, clock=lambda: NOW)
        daily = agent.features(["AAA", "STOCK"], "2024-01-01", "2025-01-01")
        assert set(daily["symbol"]) == {"STOCK"}
        assert "returns_1h" not in daily.columns
        with pytest.raises(InvalidRequest, match="returns_1h"):
            agent.features(["STOCK"], "2024-01-01", "2025-01-01", ["returns_1h"])
        names = ["returns_1h", "returns_1d"]
        hourly = agent.features(["AAA", "STOCK"], "2024-04-01", "2024-05-01", names, frequency="1h")
        assert set(hourly["symbol"]) == {"AAA"}
        known = agent.features("AAA", "2024-04-01", "2024-05-01", names, "2024-04-02T10:30:00Z", frequency="1h")
        assert known["time"][-1] == datetime(2024, 4, 2, 9, tzinfo=UTC), "the row of 09:00 was available at 10:00"
        with pytest.raises(InvalidRequest, match="no features of 5m bars"):
            agent.features("AAA", "2024-04-01", "2024-05-01", frequency="5m")  # type: ignore[arg-type]
        catalog = {row["feature_name"]: row["frequency"] for row in agent.feature_catalog().iter_rows(named=True)}
        assert catalog["returns_1h"] == "1h"
        assert catalog["returns_1d"] == "1d"
    folder = store.root / "features" / "symbol=AAA" / "2024-04"
    assert [file.name for file in folder.iterdir()] == ["features_1h.parquet"]
    said = json.loads((store.root / "features" / "_metadata" / "feature_catalog.json").read_text())["features"]
    assert {each["feature_name"]: each["frequency"] for each in said} == catalog
    with open_stores(store.url, store.root / "features") as without_users:
        assert "returns_1h" in without_users.hourly_features.schema, "from the catalog beside the files"
        assert "returns_1h" not in without_users.features.schema


def test_the_checks_hold(store: Store) -> None:
    with store.opened() as stores:
        results = verify_asset(stores, {}, "features_1h", clock=lambda: NOW)
    found = {each.check: each.status for each in results}
    assert found.pop("nan_share") in (Status.PASSED, Status.WARN)
    assert set(found.values()) == {Status.PASSED}, results


def test_a_changed_hour_makes_its_month_and_later_ones_stale_of_all_that_use_it(store: Store) -> None:
    changed = bars_of("BBB").filter(pl.col("time") == datetime(2024, 3, 5, 6, tzinfo=UTC))
    changed = changed.with_columns(pl.col("open", "high", "low", "close") * 1.001)
    store.load("BBB", changed.with_columns(pl.col("open", "high", "low", "close").round(4)))
    with store.opened() as stores:
        (check,) = verify_asset(stores, {}, "features_1h", clock=lambda: NOW, only=["inputs_unchanged"])
        assert check.status is Status.FAILED
        assert check.failing_rows == 4
    assert store.build() == [("AAA", 3), ("AAA", 4), ("BBB", 3), ("BBB", 4)]
    assert store.build() == []


def test_a_changed_day_of_another_calendar_makes_hours_stale(store: Store) -> None:
    changed = bars_of("STOCK").filter(pl.col("time") == datetime(2024, 4, 4, tzinfo=UTC))
    store.load("STOCK", changed.with_columns(volume=pl.lit(12.5)))
    assert {month for _, month in store.build()} <= {2, 3, 4}
    assert store.build() == []


def test_a_changed_definition_of_hours_is_computed_alone_and_leaves_daily_features(store: Store) -> None:
    before, stamps = store.rows("AAA"), []
    write(store.root / "definitions", "mine.py", DEFINITIONS.replace("warm_up=1,", "warm_up=1, version=2,"))
    try:
        with store.opened() as stores:
            fingerprint = stores.features.definitions.fingerprint
            stamps.append(stores.hourly_features.stamps("AAA", WHOLE)["2024-03"])
        assert len(store.build()) == 6
        with store.opened() as stores:
            stamps.append(stores.hourly_features.stamps("AAA", WHOLE)["2024-03"])
            assert stores.features.definitions.fingerprint == fingerprint
        assert {name for name in stamps[0] if stamps[0][name] != stamps[1][name]} == {"returns_1h"}
        assert store.rows("AAA").equals(before)
    finally:
        write(store.root / "definitions", "mine.py", DEFINITIONS)
        store.build()


def test_what_was_computed_from_hours_that_are_dropped_by_now_stays(store: Store) -> None:
    before, later = store.rows("AAA"), datetime(2030, 1, 1, tzinfo=UTC)
    with store.opened() as stores:
        assert len(stale_hourly_features(stores, UNIVERSE, ["AAA"], MONTHS, NOW, force=True)["AAA"]) == 3
        apply_retention(stores, clock=lambda: later)
        assert stores.bars.read(["AAA"], Timeframe.H1, WHOLE).is_empty()
        report = build_hourly_features(stores, UNIVERSE, ["AAA"], MONTHS, clock=lambda: later, force=True)
    assert not report.rows
    assert store.rows("AAA").equals(before)
