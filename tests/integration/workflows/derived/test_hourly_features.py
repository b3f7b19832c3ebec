"""Hourly rows in their files: built by month, stale when something changed, and apart from the daily ones."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime

import polars as pl
import pytest
from definition_files import write
from hourly_market import DEFINITIONS, MONTHS, NOW, UNIVERSE, WHOLE, YEAR, Store, bars_of, loaded
from typer.testing import CliRunner, Result

from trading_platform.cli.main import app
from trading_platform.client import Platform
from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.features.hourly import MarketBars, compute_hourly_features
from trading_platform.domain.time import Timeframe
from trading_platform.stores.stores import open_stores
from trading_platform.workflows.bars.apply_retention import apply_retention
from trading_platform.workflows.derived.build_features import build_features
from trading_platform.workflows.derived.build_hourly_features import build_hourly_features, stale_hourly_features
from trading_platform.workflows.quality.check_results import Status
from trading_platform.workflows.quality.suites.verify import verify_asset


@pytest.fixture(scope="module")
def store(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = loaded(database_url, tmp_path_factory.mktemp("hourly"))
    assert store.build() == [(symbol, month) for symbol in ("AAA", "BBB") for month in (3, 4)]
    return store


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
    assert store.build(["AAA"], MONTHS[1:], force=True) == [("AAA", 4)]
    equal(store.rows("AAA"), before)
    assert before["returns_1h"].null_count() == 1
    assert before["sector_momentum"].count() > 200


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


@pytest.mark.exhaustive
def test_the_checks_hold(store: Store) -> None:
    with store.opened() as stores:
        results = verify_asset(stores, {}, "features_1h", clock=lambda: NOW)
    found = {each.check: each.status for each in results}
    assert found.pop("nan_share") in (Status.PASSED, Status.WARN)
    assert set(found.values()) == {Status.PASSED}, results


def test_a_changed_hour_makes_its_month_stale_of_all_that_use_it(store: Store) -> None:
    changed = bars_of("BBB").filter(pl.col("time") == datetime(2024, 4, 5, 6, tzinfo=UTC))
    changed = changed.with_columns(pl.col("open", "high", "low", "close") * 1.001)
    store.load("BBB", changed.with_columns(pl.col("open", "high", "low", "close").round(4)))
    with store.opened() as stores:
        (check,) = verify_asset(stores, {}, "features_1h", clock=lambda: NOW, only=["inputs_unchanged"])
        assert check.status is Status.FAILED
        assert check.failing_rows == 2
    assert store.build() == [("AAA", 4), ("BBB", 4)]
    assert store.build() == []


@pytest.mark.exhaustive
def test_a_changed_day_of_another_calendar_makes_hours_stale(store: Store) -> None:
    changed = bars_of("STOCK").filter(pl.col("time") == datetime(2024, 4, 4, tzinfo=UTC))
    store.load("STOCK", changed.with_columns(volume=pl.lit(12.5)))
    assert {month for _, month in store.build()} <= {3, 4}
    assert store.build() == []


@pytest.mark.exhaustive
def test_a_changed_definition_of_hours_is_computed_alone_and_leaves_daily_features(store: Store) -> None:
    before, stamps = store.rows("AAA"), []
    write(store.root / "definitions", "mine.py", DEFINITIONS.replace("warm_up=1,", "warm_up=1, version=2,"))
    try:
        with store.opened() as stores:
            fingerprint = stores.features.definitions.fingerprint
            stamps.append(stores.hourly_features.stamps("AAA", WHOLE)["2024-03"])
        assert len(store.build()) == 4
        with store.opened() as stores:
            stamps.append(stores.hourly_features.stamps("AAA", WHOLE)["2024-03"])
            assert stores.features.definitions.fingerprint == fingerprint
        assert {name for name in stamps[0] if stamps[0][name] != stamps[1][name]} == {"returns_1h"}
        assert store.rows("AAA").equals(before)
    finally:
        write(store.root / "definitions", "mine.py", DEFINITIONS)
        store.build()


@pytest.mark.exhaustive
def test_the_commands_compute_show_and_export_hourly_features(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "DATABASE_URL": store.url,
        "FEATURES_DIR": str(store.root / "features"),
        "FEATURE_DEFINITIONS": str(store.root / "definitions"),
        "DATA_DIR": str(store.root),
    }.items():
        monkeypatch.setenv(name, value)

    def run(*words: str) -> Result:
        return CliRunner().invoke(app, list(words))

    assert run("features", "backfill").exit_code == 0
    write(store.root / "definitions", "mine.py", DEFINITIONS.replace("warm_up=1,", "warm_up=1, version=3,"))
    done = run("features", "backfill", "--only", "returns_1h")
    assert "Computed returns_1h in 4 partitions" in done.output
    assert "Everything is up to date." in run("features", "backfill").output
    shown = " ".join(run("features", "show", "returns_1h", "-s", "AAA").output.split())
    hours = store.rows("AAA").height
    for said in ("a value an hour, of hourly bars; in hourly rows only", "warm-up 1 hourly bars", f"AAA {hours:,}"):
        assert said in shown
    values = json.loads(run("features", "show", "returns_1d", "--frequency", "1h", "--json").stdout)["values"]
    assert [(each["symbol"], each["rows"]) for each in values] == [("AAA", hours), ("BBB", hours)]
    assert isinstance(run("features", "show", "returns_1h", "--frequency", "1d").exception, InvalidRequest)
    file = store.root / "hours.parquet"
    asked = ("export", "features", str(file), "-s", "AAA", "--start", "2024-03-01", "--end", "2024-05-01", "-t")
    assert run(*asked, "1h").exit_code == 0
    assert pl.read_parquet(file)["returns_1h"].len() == hours
    assert isinstance(run(*asked, "5m").exception, InvalidRequest)


@pytest.mark.exhaustive
def test_what_was_computed_from_hours_that_are_dropped_by_now_stays(store: Store) -> None:
    before, later = store.rows("AAA"), datetime(2030, 1, 1, tzinfo=UTC)
    with store.opened() as stores:
        assert len(stale_hourly_features(stores, UNIVERSE, ["AAA"], MONTHS, NOW, force=True)["AAA"]) == 2
        apply_retention(stores, clock=lambda: later)
        assert stores.bars.read(["AAA"], Timeframe.H1, WHOLE).is_empty()
        report = build_hourly_features(stores, UNIVERSE, ["AAA"], MONTHS, clock=lambda: later, force=True)
    assert not report.rows
    assert store.rows("AAA").equals(before)
