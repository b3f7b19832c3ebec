"""A changed definition makes just its own feature stale; it is named, and it alone is computed again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from definition_files import declared, label, write
from typer.testing import CliRunner

from trading_platform.cli.main import app
from trading_platform.client import Platform
from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.features.built_in import BUILT_IN
from trading_platform.domain.features.compute import compute_features
from trading_platform.domain.market.calendars import sessions
from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.domain.time import Timeframe, Window, year_window
from trading_platform.sources.files.content.options import ImportOptions
from trading_platform.sources.files.landing import LandingArea
from trading_platform.sources.files.source import FileSource
from trading_platform.stores.features.definitions import load_definitions
from trading_platform.stores.stores import Stores, open_stores
from trading_platform.workflows.backfill.backfill_bars import backfill_bars
from trading_platform.workflows.derived.build_features import build_features, stale_features
from trading_platform.workflows.imports.import_files import import_files
from trading_platform.workflows.quality.check_results import CheckResult, Severity
from trading_platform.workflows.quality.suites.verify import verify

NOW = datetime(2024, 6, 1, tzinfo=UTC)
SYMBOLS = ["AAA", "BBB"]
YEARS = [year_window(datetime(year, 6, 1, tzinfo=UTC)) for year in (2012, 2013)]
WHOLE = Window(YEARS[0].start, YEARS[-1].end)

MOMENTUM = declared("momentum", 'pl.col("close") / pl.col("close").shift(3) - 1')
DOUBLE = declared("double_momentum", 'pl.col("momentum") * 2', 'feature("momentum")')
OTHER = declared("other", 'pl.col("high") / pl.col("low")', 'bars("high", "low")', warm_up=0)


def bars_of(symbol: str) -> pl.DataFrame:
    times = sessions("XNYS", WHOLE)["session"].alias("time")
    seed = 7 if symbol == "AAA" else 11
    close = pl.Series("close", [100 + (number * seed % 41) * 0.25 for number in range(len(times))])
    frame = pl.DataFrame({"time": times, "open": close, "high": close + 1, "low": close - 1, "close": close})
    return frame.with_columns(volume=pl.lit(1000))


@dataclass
class Store:
    """A database with two years of bars of two symbols, and a folder of definitions."""

    url: str
    root: Path

    @contextmanager
    def opened(self) -> Iterator[Stores]:
        definitions = load_definitions(self.root / "definitions")
        with open_stores(self.url, self.root / "features", may_upgrade=True, definitions=definitions) as stores:
            yield stores

    def define(self, text: str, name: str = "mine.py") -> None:
        write(self.root / "definitions", name, text)

    def build(self, names: list[str] | None = None, *, force: bool = False) -> int:
        """Builds what is stale; returns the number of partitions."""
        with self.opened() as stores:
            universe = stores.instruments.all()
            return len(
                build_features(stores, universe, SYMBOLS, YEARS, clock=lambda: NOW, names=names, force=force).rows
            )

    def values(self) -> pl.DataFrame:
        with self.opened() as stores:
            return stores.features.read(SYMBOLS, WHOLE)

    def check(self) -> CheckResult:
        with self.opened() as stores:
            results = verify(stores, {}, timeframes=[Timeframe.D1], clock=lambda: NOW)
        (found,) = (each for each in results if (each.asset, each.check) == ("features", "inputs_unchanged"))
        return found

    def stale(self) -> int:
        with self.opened() as stores:
            found = stale_features(stores, stores.instruments.all(), SYMBOLS, YEARS)
            return sum(map(len, found.values()))


@pytest.fixture(scope="module")
def loaded(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Store:
    root = tmp_path_factory.mktemp("changed")
    (root / "definitions").mkdir()
    store = Store(database_url, root)
    with store.opened() as stores:
        for symbol in SYMBOLS:
            file = root / f"{symbol}.csv"
            bars_of(symbol).with_columns(pl.col("time").dt.strftime("%Y-%m-%dT%H:%M:%SZ")).write_csv(file)
            stores.instruments.add(Instrument(symbol, AssetClass.EQUITY, "XNYS", "file", sector="s", benchmark="AAA"))
            import_files(
                [file],
                ImportOptions(symbol=symbol, timeframe=Timeframe.D1),
                landing=LandingArea(root / "imports"),
                quarantine=stores.quarantine,
                coverage=stores.coverage,
                instruments=stores.instruments,
                clock=lambda: NOW,
            )
            source = {"file": FileSource(root / "imports")}
            universe = stores.instruments.all()
            backfill_bars(stores, source, [universe[symbol]], Timeframe.D1, YEARS, clock=lambda: NOW)
    store.build()
    return store


@pytest.fixture
def store(loaded: Store) -> Store:
    """With the definitions of the platform alone, all up to date."""
    for file in (loaded.root / "definitions").iterdir():
        if file.is_file():
            file.unlink()
    loaded.build()
    assert loaded.stale() == 0
    return loaded


@pytest.mark.exhaustive
def test_a_new_feature_is_the_only_one_computed(store: Store) -> None:
    before = store.values()
    store.define(MOMENTUM + OTHER)
    found = store.check()
    assert (found.passed, found.severity, found.failing_rows) == (False, Severity.ERROR, 4)
    assert {(row["inputs"], row["features"]) for row in found.sample} == {("definition changed", "momentum, other")}
    assert store.build() == 4
    after = store.values()
    assert after.drop("momentum", "other").equals(before)
    for symbol in SYMBOLS:
        close = after.filter(symbol=symbol).join(bars_of(symbol), on="time")["close"]
        assert after.filter(symbol=symbol)["momentum"].to_list() == (close / close.shift(3) - 1).to_list()
    assert store.check().passed
    assert store.build() == 0


def test_a_changed_definition_makes_itself_and_what_needs_it_stale(store: Store) -> None:
    store.define(MOMENTUM + DOUBLE + OTHER)
    store.build()
    before = store.values()
    store.define(MOMENTUM.replace("shift(3)", "shift(4)") + DOUBLE + OTHER)
    assert {row["features"] for row in store.check().sample} == {"momentum, double_momentum"}
    store.build()
    after = store.values()
    assert after.drop("momentum", "double_momentum").equals(before.drop("momentum", "double_momentum"))
    assert not after["momentum"].equals(before["momentum"])
    assert after["double_momentum"].to_list() == (after["momentum"] * 2).to_list()
    assert store.check().passed


@pytest.mark.exhaustive
def test_only_one_is_computed_and_the_others_stay_stale(store: Store) -> None:
    store.define(MOMENTUM + OTHER)
    store.build()
    before = store.values()
    store.define(MOMENTUM.replace("shift(3)", "shift(4)") + OTHER.replace("/", "-"))
    assert store.build(["momentum"]) == 4
    assert store.build(["momentum"]) == 0
    after = store.values()
    assert after.drop("momentum").equals(before.drop("momentum"))
    assert not after["momentum"].equals(before["momentum"])
    assert {row["features"] for row in store.check().sample} == {"other"}
    assert store.build() == 4
    assert store.check().passed
    with pytest.raises(InvalidRequest, match="no feature 'absent'"):
        store.build(["absent"])


@pytest.mark.exhaustive
def test_forced_with_a_name_computes_it_again_and_leaves_the_rest(store: Store) -> None:
    store.define(OTHER)
    store.build()
    with store.opened() as stores:
        spoiled = stores.features.read(SYMBOLS[:1], WHOLE).with_columns(other=pl.lit(9.0), rsi_14=pl.lit(9.0))
        stores.features.replace(spoiled, "AAA", WHOLE)
    assert store.build(["other"], force=True) == 4
    after = store.values().filter(symbol="AAA")
    assert after["other"].n_unique() > 1
    assert after["rsi_14"].unique().to_list() == [9.0]
    assert store.build(force=True) == 4
    assert store.values().filter(symbol="AAA")["rsi_14"].n_unique() > 9


@pytest.mark.exhaustive
def test_a_file_that_was_removed_is_computed_whole(store: Store) -> None:
    before = store.values()
    month = store.root / "features" / "symbol=AAA" / "2012-05" / "features.parquet"
    month.unlink()
    store.define(OTHER)
    store.build()
    assert store.values().drop("other").equals(before)


@pytest.mark.exhaustive
def test_a_broken_file_is_a_warning_and_its_values_stay(store: Store) -> None:
    store.define(MOMENTUM)
    store.build()
    before = store.values()
    store.define(MOMENTUM + "wrong wrong\n")
    found = store.check()
    assert (found.passed, found.severity, found.failing_rows) == (False, Severity.WARN, 1)
    assert "line 5: no Python code" in str(found.sample[0]["error"])
    assert store.build() == 0
    with store.opened() as stores:
        assert stores.catalog.read().filter(feature_name="momentum").height == 1
        assert stores.features.read(SYMBOLS, WHOLE, ["momentum"])["momentum"].equals(before["momentum"])
    store.define(MOMENTUM)
    assert store.stale() == 0
    assert store.values().equals(before)


@pytest.mark.exhaustive
def test_a_removed_definition_takes_its_column_along(store: Store) -> None:
    before = store.values()
    store.define(MOMENTUM)
    store.build()
    (store.root / "definitions" / "mine.py").unlink()
    assert {row["features"] for row in store.check().sample} == {"columns without a definition"}
    assert store.build() == 4
    assert store.values().equals(before)
    with store.opened() as stores:
        assert "momentum" not in stores.catalog.read()["feature_name"].to_list()


@pytest.mark.exhaustive
def test_agents_read_a_users_feature_without_its_code(store: Store) -> None:
    store.define(MOMENTUM + label("ahead", 5, 'pl.col("close").shift(-5)'))
    store.build()
    with open_stores(store.url, store.root / "features") as stores:
        platform = Platform(stores)
        read = platform.features(SYMBOLS, "2012-02-01", "2012-03-01", names=["momentum", "rsi_14"])
        assert read.columns == ["time", "symbol", "available_at", "momentum", "rsi_14"]
        assert read["momentum"].null_count() == 0
        assert "momentum" in platform.features(SYMBOLS, "2012-02-01", "2012-03-01").columns
        entry = platform.feature_catalog().filter(feature_name="momentum").row(0, named=True)
        assert (entry["defined_in"], entry["dependencies"]) == ("mine.py", ["bars.close"])
        assert "ahead" not in platform.feature_catalog()["feature_name"].to_list()
        assert stores.catalog.read().filter(kind="label")["horizon_bars"].to_list() == [5]
        with pytest.raises(InvalidRequest, match="ahead is a label: it looks 5 bars ahead"):
            platform.features(SYMBOLS, "2012-02-01", "2012-03-01", names=["ahead"])
        with pytest.raises(InvalidRequest, match="did you mean rsi_14"):
            platform.features(SYMBOLS, "2012-02-01", "2012-03-01", names=["rsi_1"])


@pytest.mark.exhaustive
def test_partitions_equal_the_full_history_whatever_was_computed_when(store: Store) -> None:
    """Features computed one after the other, by years, are those of one computation over everything."""
    store.define(MOMENTUM + DOUBLE)
    store.build(["momentum"])
    store.build()
    stored = store.values()
    with store.opened() as stores:
        universe = stores.instruments.all()
        bars = stores.bars.read(SYMBOLS, Timeframe.D1, WHOLE)
        computed = compute_features(bars, universe, SYMBOLS, definitions=stores.definitions.features)
    for name in (*BUILT_IN.names, "momentum", "double_momentum"):
        assert stored[name].is_null().equals(computed[name].is_null()), name
        assert ((stored[name] - computed[name]).abs().max() or 0.0) < 1e-9, name


@pytest.mark.exhaustive
def test_the_commands_compute_and_try_on_stored_bars(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "DATABASE_URL": store.url,
        "FEATURES_DIR": str(store.root / "features"),
        "FEATURE_DEFINITIONS": str(store.root / "definitions"),
        "DATA_DIR": str(store.root),
    }.items():
        monkeypatch.setenv(name, value)
    store.define(MOMENTUM + OTHER)
    runner = CliRunner()
    first = runner.invoke(app, ["features", "backfill", "--only", "other"])
    assert first.exit_code == 0, first.output
    assert "Computed other in 4 partitions" in first.output
    assert store.values()["other"].null_count() == 0
    rest = runner.invoke(app, ["features", "backfill", "aaa", "--json"])
    assert json.loads(rest.stdout) == {"partitions": 2, "rows": store.values().height // 2, "errors": []}
    assert runner.invoke(app, ["features", "backfill"]).exit_code == 0
    assert "Everything is up to date." in runner.invoke(app, ["features", "backfill"]).output
    unknown = runner.invoke(app, ["features", "backfill", "--only", "othre"])
    assert isinstance(unknown.exception, InvalidRequest)
    assert unknown.exception.remedy == "did you mean other?"
    tried = runner.invoke(app, ["features", "test", str(store.root / "definitions" / "mine.py"), "-s", "AAA"])
    assert tried.exit_code == 0, tried.output
    assert "the stored bars of AAA" in " ".join(tried.output.split())


@pytest.mark.exhaustive
def test_a_process_without_the_setting_leaves_users_features_alone(store: Store) -> None:
    store.define(MOMENTUM)
    store.build()
    before = store.values()
    with open_stores(store.url, store.root / "features") as stores:
        universe = stores.instruments.all()
        assert build_features(stores, universe, SYMBOLS, YEARS, clock=lambda: NOW).rows == {}
        assert len(build_features(stores, universe, SYMBOLS, YEARS, clock=lambda: NOW, force=True).rows) == 4
        assert stores.features.read(SYMBOLS, WHOLE).equals(before)
    assert store.stale() == 0
    assert store.values().equals(before)
    (store.root / "definitions" / "mine.py").unlink()
    store.build()
    assert "momentum" not in store.values().columns
