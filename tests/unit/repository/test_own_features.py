"""The how-to of a feature of one's own does what it says: its file passes the trial, its values are those it states."""

from __future__ import annotations

import math
import re
from pathlib import Path

import polars as pl
import pytest
from daily_bars import read_daily
from typer.testing import CliRunner

from trading_platform.cli.main import app
from trading_platform.domain.features.compute import compute_features, compute_labels
from trading_platform.domain.features.hourly import NO_BARS, MarketBars, compute_hourly_features
from trading_platform.domain.features.trial.invented_market import invented_market
from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.domain.time import Timeframe
from trading_platform.stores.features.definitions import Definitions, load_files

PAGE = Path(__file__).parents[3] / "docs" / "own-features.md"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The page's blocks of Python, in order, as one file."""
    written = tmp_path / "mine.py"
    written.write_text("\n\n".join(BLOCK.findall(PAGE.read_text(encoding="utf-8"))))
    return written


@pytest.fixture
def definitions(file: Path) -> Definitions:
    found = load_files([file])
    assert not found.errors
    return found


@pytest.mark.exhaustive
def test_the_file_passes_its_trial(file: Path) -> None:
    done = CliRunner().invoke(app, ["features", "test", str(file)])
    assert done.exit_code == 0, done.output
    assert "mine.py passed" in done.output
    for name in ("overnight_gap", "range_volatility_20d", "relative_strength_20d", "forward_return_5d", "range_24h"):
        assert name in done.output


def test_its_values_on_real_bars_are_what_its_formulas_say(definitions: Definitions, test_data: Path) -> None:
    spy = read_daily(test_data / "daily" / "SPY_2008-2018_yahoo.csv", "SPY")
    own = read_daily(test_data / "daily" / "AAPL_2004-2018_yahoo.csv", "AAPL").tail(1_500)
    bars = own.vstack(spy).sort("symbol", "time")
    universe = {name: Instrument(name, AssetClass.EQUITY, "XNYS", "file", benchmark="SPY") for name in ("AAPL", "SPY")}
    names = ["overnight_gap", "range_volatility_20d", "relative_strength_20d"]
    found = compute_features(bars, universe, ["AAPL"], definitions=definitions.features, names=names)
    rows = own.sort("time")
    dates = rows["time"].to_list()
    opened, high, low, close = ([float(value) for value in rows[name]] for name in ("open", "high", "low", "close"))
    market = dict(zip(spy["time"].to_list(), map(float, spy["close"]), strict=True))
    sessions = sorted(market)
    for t in range(30, len(dates)):
        ranges = [math.log(high[s] / low[s]) ** 2 for s in range(t - 19, t + 1)]
        at = sessions.index(dates[t]) if dates[t] in market else None
        expected = {
            "overnight_gap": opened[t] / close[t - 1] - 1,
            "range_volatility_20d": math.sqrt(math.fsum(ranges) / 20 / (4 * math.log(2))),
            "relative_strength_20d": None
            if at is None or at < 20
            else close[t] / close[t - 20] - market[sessions[at]] / market[sessions[at - 20]],
        }
        for name, value in expected.items():
            if value is not None:
                assert math.isclose(found[name][t], value, rel_tol=1e-9, abs_tol=1e-12), (name, dates[t])
    label = compute_labels(bars, universe, ["AAPL"], definitions=definitions.features, name="forward_return_5d")
    for t in range(0, len(dates) - 5, 7):
        assert math.isclose(label["forward_return_5d"][t], close[t + 5] / close[t] - 1, rel_tol=1e-9, abs_tol=1e-12)
        assert label["available_at"][t] == found["available_at"][t + 5]
    assert label["forward_return_5d"].tail(5).null_count() == 5
    assert label["available_at"].tail(5).null_count() == 5


def test_its_feature_of_hours_is_what_its_formula_says(definitions: Definitions) -> None:
    market = invented_market(200, 1, Timeframe.H1)
    hours = MarketBars(market.bars, {}, {})
    names = ["range_24h"]
    found = compute_hourly_features(
        hours, NO_BARS, market.instruments, ["BENCH"], definitions=definitions.features, names=names
    )
    own = market.bars.filter(symbol="BENCH").select("high", "low", "close").cast({pl.Decimal: pl.Float64}).rows()
    for t in range(23, len(own)):
        high, low = max(row[0] for row in own[t - 23 : t + 1]), min(row[1] for row in own[t - 23 : t + 1])
        assert math.isclose(found["range_24h"][t], (high - low) / own[t][2], rel_tol=1e-12)
    assert found["range_24h"].null_count() == 23
