"""One backfill gives what a second one gives, whatever the order in which bars of symbols and years come."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from commands import Installation, installation
from polars.testing import assert_frame_equal

from trading_platform.cli.market_data.backfill import run_backfill
from trading_platform.cli.market_data.backfill_request import BackfillRequest, reach_of
from trading_platform.domain.derived.indicators import compute_indicators
from trading_platform.domain.features.compute import compute_features
from trading_platform.domain.market.calendars import sessions
from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.domain.time import Timeframe, Window
from trading_platform.embedded.stack import Endpoints
from trading_platform.resources.platform import PlatformContext, open_platform
from trading_platform.sources.files.content.options import ImportOptions
from trading_platform.sources.files.landing import LandingArea
from trading_platform.stores.market_data.checks import Scope
from trading_platform.workflows.backfill.backfill_bars import backfill_bars
from trading_platform.workflows.imports.import_files import import_files
from trading_platform.workflows.quality.check_results import Status
from trading_platform.workflows.quality.suites.verify import verify_asset

pytestmark = pytest.mark.slow

WHOLE = Window(datetime(2005, 1, 1, tzinfo=UTC), datetime(2020, 1, 1, tzinfo=UTC))


def write_bars(folder: Path, symbol: str, first: int, last: int) -> Path:
    """A file of daily bars of New York from one year to another, both included; the same prices in every file."""
    chance = random.Random(symbol)
    lines, close = ["date,open,high,low,close,volume"], 100.0
    for (session,) in sessions("XNYS", WHOLE).select("session").iter_rows():
        opened, close = close, round(close * math.exp(chance.gauss(0, 0.01)), 2)
        if first <= session.year <= last:
            high, low = max(opened, close) + 0.5, min(opened, close) - 0.5
            lines.append(f"{session:%Y-%m-%d},{opened},{high:.2f},{low:.2f},{close},{1000 + session.day}")
    file = folder / f"{symbol}_{first}_{last}.csv"
    file.write_text("\n".join(lines) + "\n")
    return file


@pytest.fixture
def ours(stack: Endpoints) -> Iterator[Installation]:
    with installation(stack.database_url) as made:
        yield made


@pytest.fixture
def platform(ours: Installation, monkeypatch: pytest.MonkeyPatch) -> Iterator[PlatformContext]:
    """An empty platform with five instruments of one sector and the benchmark MKT, which is one of them."""
    for name, value in ours.environment().items():
        monkeypatch.setenv(name, value)
    with open_platform(ours.settings()) as opened:
        for symbol in ("AAA", "BBB", "MKT", "NEW", "ZZZ"):
            opened.stores.instruments.add(
                Instrument(symbol, AssetClass.EQUITY, "XNYS", "file", sector="technology", benchmark="MKT")
            )
        yield opened


def load(platform: PlatformContext, ours: Installation, symbol: str, first: int, last: int) -> None:
    report = import_files(
        [write_bars(ours.data_dir, symbol, first, last)],
        ImportOptions(symbol=symbol),
        landing=LandingArea(ours.settings().imports_directory),
        quarantine=platform.stores.quarantine,
        coverage=platform.stores.coverage,
        instruments=platform.stores.instruments,
        clock=platform.clock,
    )
    assert [file.quarantined for file in report.files] == [0]


def backfill(platform: PlatformContext, *symbols: str, window: Window | None = None) -> int:
    """Runs the command's work over daily bars; returns the number of runs."""
    request = BackfillRequest(symbols, (Timeframe.D1,), window and window.start, window and window.end)
    _, runs = run_backfill(platform, reach_of(platform, request), window)
    assert [run.error for run in runs] == [None] * len(runs)
    return len(runs)


def assert_as_from_scratch(platform: PlatformContext, symbols: list[str]) -> None:
    """Stored indicators and features equal those computed from all stored bars at once."""
    stores = platform.stores
    universe = stores.instruments.all()
    bars = stores.bars.read(sorted(universe), Timeframe.D1, WHOLE)
    expected = compute_features(bars, universe, symbols)
    assert_frame_equal(stores.features.read(symbols, WHOLE), expected, check_exact=False, rel_tol=1e-9, abs_tol=1e-12)
    indicators = compute_indicators(bars).filter(pl.col("symbol").is_in(symbols))
    stored = stores.indicators.read(symbols, Timeframe.D1, WHOLE).select(indicators.columns)
    assert_frame_equal(stored, indicators, check_exact=False, rel_tol=1e-9, abs_tol=1e-9)
    for asset in ("indicators_1d", "features"):
        (found,) = verify_asset(stores, platform.sources, asset, clock=platform.clock, only={"inputs_unchanged"})
        assert (found.status, found.failing_rows) == (Status.PASSED, 0), found.description


@pytest.mark.exhaustive
def test_unequal_years_of_one_sector_need_one_backfill(platform: PlatformContext, ours: Installation) -> None:
    """The benchmark comes last in the order of symbols, and every symbol has other years."""
    for symbol, first, last in (("AAA", 2011, 2012), ("BBB", 2012, 2013), ("MKT", 2010, 2013), ("ZZZ", 2011, 2012)):
        load(platform, ours, symbol, first, last)
    assert backfill(platform) > 1
    assert_as_from_scratch(platform, ["AAA", "BBB", "MKT", "ZZZ"])
    betas = platform.stores.features.read(["AAA"], WHOLE)["market_beta_60d"]
    assert betas.null_count() == 60
    assert backfill(platform) == 0


@pytest.mark.exhaustive
def test_earlier_years_of_one_symbol_reach_later_years_and_its_sector(
    platform: PlatformContext, ours: Installation
) -> None:
    for symbol in ("AAA", "MKT"):
        load(platform, ours, symbol, 2012, 2013)
    backfill(platform)
    load(platform, ours, "MKT", 2010, 2011)
    backfill(platform, "MKT", window=Window(datetime(2010, 1, 1, tzinfo=UTC), datetime(2012, 1, 1, tzinfo=UTC)))
    assert_as_from_scratch(platform, ["AAA", "MKT"])
    assert backfill(platform) == 0


@pytest.mark.exhaustive
def test_a_new_member_of_the_sector_reaches_the_others(platform: PlatformContext, ours: Installation) -> None:
    for symbol in ("AAA", "MKT"):
        load(platform, ours, symbol, 2012, 2013)
    backfill(platform)
    load(platform, ours, "NEW", 2011, 2012)
    backfill(platform, "NEW")
    assert_as_from_scratch(platform, ["AAA", "MKT", "NEW"])
    assert backfill(platform) == 0


@pytest.mark.exhaustive
def test_values_of_changed_inputs_are_named(platform: PlatformContext, ours: Installation) -> None:
    """Bars stored without what is computed from them: the check names the partitions, of peers too."""
    for symbol in ("AAA", "MKT"):
        load(platform, ours, symbol, 2012, 2013)
    backfill(platform)
    load(platform, ours, "MKT", 2010, 2011)
    universe = platform.stores.instruments.all()
    years = [Window(datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)) for year in (2010, 2011)]
    backfill_bars(platform.stores, platform.sources, [universe["MKT"]], Timeframe.D1, years, clock=platform.clock)

    def checked(asset: str, *scopes: Scope) -> tuple[Status, list[tuple[object, str]]]:
        (found,) = verify_asset(
            platform.stores,
            platform.sources,
            asset,
            scopes or (Scope(),),
            clock=platform.clock,
            only={"inputs_unchanged"},
        )
        return found.status, [(row["symbol"], str(row["partition"])[1:5]) for row in found.sample]

    own, peers = [("MKT", "2012"), ("MKT", "2013")], [("AAA", "2012"), ("AAA", "2013")]
    assert checked("features") == (Status.FAILED, peers + own)
    assert checked("indicators_1d") == (Status.FAILED, own)
    assert checked("indicators_1d", Scope(("AAA",))) == (Status.PASSED, [])
    backfill(platform)
    assert_as_from_scratch(platform, ["AAA", "MKT"])
