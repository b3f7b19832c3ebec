"""The audit over a real store: what the pipeline stored is right, and what was planted in it is found."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path

import polars as pl
import pytest
from dagster import AssetCheckSeverity, AssetKey, DagsterInstance
from daily_bars import session_days
from definition_files import GAP, write
from typer.testing import CliRunner

from trading_platform.checks.feature_audit_check import NO_LOOK_AHEAD
from trading_platform.cli.main import app
from trading_platform.definitions import build_definitions
from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.features.audit.causes import Cause
from trading_platform.domain.market.corporate_actions import ActionKind, CorporateAction
from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.domain.time import Timeframe, Window, year_window
from trading_platform.partitions import symbols as symbol_partitions
from trading_platform.resources.platform import PlatformContext
from trading_platform.sources.files.content.options import ImportOptions
from trading_platform.sources.files.landing import LandingArea
from trading_platform.sources.files.source import FileSource
from trading_platform.stores.features.definitions import load_files
from trading_platform.stores.features.files import FeatureStore
from trading_platform.stores.postgres.database import execute
from trading_platform.stores.stores import Stores, open_stores
from trading_platform.workflows.backfill.backfill_bars import backfill_bars
from trading_platform.workflows.derived.build_features import build_features
from trading_platform.workflows.features.audit import AuditReport, audit_features
from trading_platform.workflows.imports.import_files import import_files

CALENDARS = {"AAA": "XNYS", "BBB": "24/7"}
YEAR = year_window(datetime(2013, 6, 1, tzinfo=UTC))
WHOLE = Window(datetime(2012, 6, 1, tzinfo=UTC), YEAR.end)
YEARS = [year_window(WHOLE.start), YEAR]
REVISED = datetime(2013, 6, 12, tzinfo=UTC)


class Store:
    """A database with bars and features of a share and of a member of its sector that trades round the clock."""

    def __init__(self, stores: Stores, url: str, root: Path) -> None:
        self.stores = stores
        self.url = url
        self.root = root

    def load(self, symbol: str, name: str, *, revised: float = 0.0) -> None:
        """Imports and stores the bars of a symbol; the one of REVISED has another close."""
        dates = session_days(WHOLE.start, WHOLE.end, CALENDARS[symbol])
        step = 7 if symbol == "AAA" else 11
        rows = ["date,open,high,low,close,volume"]
        for number, date in enumerate(dates):
            price = 100 + number * step % 41 * 0.25 + (revised if date == REVISED else 0.0)
            rows.append(f"{date:%Y-%m-%d},{price},{price + 1},{price - 1},{price + 0.5},{1000 + number * step % 97}")
        file = self.root / f"{name}.csv"
        file.write_text("\n".join(rows))
        stores = self.stores
        import_files(
            [file],
            ImportOptions(symbol=symbol, timeframe=Timeframe.D1),
            landing=LandingArea(self.root / "imports"),
            quarantine=stores.quarantine,
            coverage=stores.coverage,
            instruments=stores.instruments,
            clock=self.now,
        )
        sources = {"file": FileSource(self.root / "imports")}
        instrument = stores.instruments.all()[symbol]
        backfill_bars(stores, sources, [instrument], Timeframe.D1, YEARS, clock=self.now, force=True)

    def now(self) -> datetime:
        found: datetime = self.stores.database.rows("SELECT clock_timestamp()")[0][0]
        return found

    def build(self) -> None:
        build_features(self.stores, self.stores.instruments.all(), list(CALENDARS), YEARS, clock=self.now, force=True)

    def audit(self, symbol: str = "AAA", seed: int = 1) -> AuditReport:
        universe = self.stores.instruments.all()
        return audit_features(
            self.stores, universe, clock=self.now, seed=seed, symbols=[symbol], samples=10, partitions=YEARS
        )

    def plant(self, change: pl.Expr) -> None:
        """Stores other values of AAA."""
        features = self.stores.features
        rows = features.read(["AAA"], YEAR, list(self.stores.definitions.features.names))
        features.replace(rows.with_columns(change), "AAA", YEAR)

    def age(self) -> None:
        """Lets an hour pass: what was recorded and computed until now was so an hour earlier."""
        with self.stores.database.begin() as connection:
            execute(connection, "UPDATE market_data.revisions_kept SET since = since - interval '1 hour'")
            for statement in (
                "UPDATE market_data.bars_1d SET recorded_at = recorded_at - interval '1 hour'",
                "UPDATE market_data.bar_revisions SET recorded_at = recorded_at - interval '1 hour'",
                "UPDATE market_data.bar_revisions SET replaced_at = replaced_at - interval '1 hour'",
                "UPDATE market_data.corporate_actions SET changed_at = changed_at - interval '1 hour'",
                "UPDATE market_data.input_versions SET computed_at = computed_at - interval '1 hour'",
            ):
                execute(connection, statement)


@pytest.fixture(scope="module")
def loaded(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    root = tmp_path_factory.mktemp("audit")
    with open_stores(database_url, root / "features", may_upgrade=True) as stores:
        store = Store(stores, database_url, root)
        for symbol, calendar in CALENDARS.items():
            stores.instruments.add(Instrument(symbol, AssetClass.EQUITY, calendar, "file", sector="s", benchmark="BBB"))
            store.load(symbol, symbol)
        date = datetime(2013, 3, 13, tzinfo=UTC)
        stores.corporate_actions.save(
            [CorporateAction("AAA", date, ActionKind.SPLIT, date, "file", ratio=Fraction(2))], store.now()
        )
        store.build()
        yield store


@pytest.fixture
def store(loaded: Store) -> Store:
    """With features that are right."""
    loaded.build()
    return loaded


@pytest.mark.exhaustive
def test_what_the_pipeline_stored_is_right(store: Store) -> None:
    report = store.audit()
    assert report.findings == []
    assert (report.partitions, report.times, report.not_audited) == (2, 10, {})
    assert report.values > 10 * 15 * 60
    assert store.audit() == report, "the same seed draws the same sample"


def test_the_command_names_what_is_planted(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "DATABASE_URL": store.url,
        "FEATURES_DIR": str(store.root / "features"),
        "DATA_DIR": str(store.root),
    }.items():
        monkeypatch.setenv(name, value)
    right = CliRunner().invoke(app, ["features", "audit", "--seed", "4", "--samples", "5"])
    assert right.exit_code == 0, right.output
    assert "seed 4: all are what could be known" in " ".join(right.output.split())
    store.plant(pl.col("returns_1d").shift(-1))
    found = CliRunner().invoke(
        app, ["features", "audit", "--symbols", "aaa,bbb", "--samples", "20", "--only", "returns_1d", "--json"]
    )
    assert found.exit_code == 1
    report = json.loads(found.stdout)
    assert {each["feature"] for each in report["findings"]} == {"returns_1d"}
    assert {(each["symbol"], each["cause"]) for each in report["findings"]} == {("AAA", "a later row")}
    table = CliRunner().invoke(app, ["features", "audit", "-s", "AAA"]).output
    assert "returns_1d  AAA     a later row" in table
    unknown = CliRunner().invoke(app, ["features", "audit", "--only", "returns_2d"])
    assert isinstance(unknown.exception, InvalidRequest)


@pytest.mark.exhaustive
def test_the_nightly_check_fails_until_the_features_are_right_again(store: Store) -> None:
    platform = PlatformContext(store.stores, {}, clock=store.now)
    job = build_definitions(resource_overrides={"platform": platform}).resolve_job_def("features_audit")

    def run() -> tuple[bool, object, str]:
        with DagsterInstance.ephemeral() as instance:
            instance.add_dynamic_partitions(symbol_partitions.name, list(CALENDARS))
            result = job.execute_in_process(instance=instance)
        found = {each.check_name: each for each in result.get_asset_check_evaluations()}["no_look_ahead"]
        return found.passed, found.severity, found.description or ""

    store.plant((pl.col("atr_14") / 2).alias("atr_14"))
    passed, severity, description = run()
    assert (passed, severity) == (False, AssetCheckSeverity.ERROR)
    assert "first atr_14 of AAA on 2013" in description
    store.build()
    passed, _, description = run()
    assert passed
    assert "compared values are what could be known" in description


@pytest.mark.exhaustive
def test_a_run_of_partitions_audits_these(store: Store) -> None:
    platform = PlatformContext(store.stores, {}, clock=store.now)
    job = (
        build_definitions(resource_overrides={"platform": platform})
        .resolve_implicit_global_asset_job_def()
        .get_subset(asset_selection={AssetKey("features")}, asset_check_selection={NO_LOOK_AHEAD})
    )
    with DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(symbol_partitions.name, list(CALENDARS))
        result = job.execute_in_process(instance=instance, partition_key="BBB|2013")
    (found,) = result.get_asset_check_evaluations()
    assert found.passed
    assert (found.metadata["partitions"].value, found.metadata["times"].value) == (1, 5)


@pytest.mark.exhaustive
def test_a_revision_is_no_look_ahead_until_it_is_used_before_it_was_known(store: Store) -> None:
    store.age()
    versions = store.stores.input_versions
    times = versions.computed_at("features", ["AAA"])
    before = {key: (derived, times[key]) for key, derived in versions.read("features", ["AAA"]).items()}
    store.load("AAA", "corrected", revised=5.0)
    stale = store.audit()
    assert stale.findings == [], "computed from the bars of that time"
    assert stale.not_audited == {}
    store.build()
    assert store.audit().findings == [], "computed from the present bars"
    with store.stores.database.begin() as connection:  # as if the values had been computed before the correction
        for (symbol, start), (derived, computed_at) in before.items():
            window = year_window(start)
            versions.record(connection, "features", {(symbol, window): (derived, 1)}, computed_at)
    found = store.audit().findings
    assert {each.cause for each in found} == {Cause.REVISED}
    assert REVISED in {each.time for each in found}
    assert min(each.time for each in found) == REVISED


@pytest.mark.exhaustive
def test_a_split_that_was_announced_late_is_found(store: Store) -> None:
    date = datetime(2013, 9, 4, tzinfo=UTC)
    late = CorporateAction("AAA", date, ActionKind.SPLIT, date + timedelta(days=6), "file", ratio=Fraction(3))
    store.stores.corporate_actions.save([late], store.now())
    store.build()
    found = store.audit().findings
    assert {each.cause for each in found} == {Cause.SPLIT}
    assert min(each.time for each in found) == date
    store.stores.corporate_actions.remove("AAA", date, ActionKind.SPLIT)


@pytest.mark.exhaustive
def test_what_cannot_be_compared_is_counted(store: Store) -> None:
    for file in (store.root / "features" / "symbol=BBB").glob("*/*"):
        file.unlink()
    report = store.audit("BBB")
    assert (report.partitions, report.not_audited) == (0, {"no rows stored": 2})
    mine = load_files([write(store.root / "mine", "mine.py", f"gap = {GAP}\n")])
    FeatureStore(store.root / "features", definitions=mine).write_catalog()
    assert store.audit("BBB").not_audited == {
        "features whose definition is not known here": 1,
        "no rows stored": 2,
    }
