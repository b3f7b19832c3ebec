"""What indicators and features do at a gap: no change across it counts, and long ones begin a series again."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from daily_bars import bars_of
from polars.testing import assert_frame_equal

from trading_platform.domain.derived.gaps import BRIDGED, lacking_before, segments
from trading_platform.domain.derived.indicators import INDICATOR_NAMES, compute_indicators
from trading_platform.domain.features.compute import compute_features
from trading_platform.domain.market.instruments import AssetClass, Instrument

CHANGES = {"rsi_14", "atr_14", "adx_14"}
"""Indicators of changes from bar to bar; the others are averages."""

UNIVERSE = {
    symbol: Instrument(symbol, AssetClass.CRYPTO, "24/7", "file", benchmark="MARKET") for symbol in ("TEST", "MARKET")
}


def walk(seed: int, size: int) -> pl.DataFrame:
    chance = random.Random(seed)
    close = [100.0]
    for _ in range(size - 1):
        close.append(close[-1] * math.exp(chance.gauss(0, 0.01)))
    return bars_of([round(value, 4) for value in close], "TEST" if seed else "MARKET", spread=0.01)


def without(bars: pl.DataFrame, row: int, count: int) -> tuple[pl.DataFrame, list[tuple[datetime, int]]]:
    """The bars with a gap of some bars before a row, and the gap."""
    left = pl.concat([bars[:row], bars[row + count :]])
    return left, [(left["time"][row], count)]


def test_gaps_are_counted_at_the_bar_after_them() -> None:
    times = walk(1, 10)["time"]
    gaps = [(times[0], 9), (times[3], 2), (times[7], 1), (datetime(2030, 1, 1, tzinfo=UTC), 4)]
    lacking = lacking_before(times, gaps)
    assert lacking.tolist() == [0, 0, 0, 2, 0, 0, 0, 1, 0, 0]
    assert segments(lacking, 0) == [slice(0, 3), slice(3, 7), slice(7, 10)]
    assert segments(lacking, 1) == [slice(0, 3), slice(3, 10)]
    assert segments(lacking_before(times[:0], gaps), 0) == []


@pytest.mark.parametrize("count", [1, BRIDGED, BRIDGED + 1, 400])
def test_indicators_of_changes_begin_again_and_averages_after_a_long_gap(count: int) -> None:
    bars, gaps = without(walk(1, 1000), 300, count)
    computed = compute_indicators(bars, gaps={"TEST": gaps})
    whole, after = compute_indicators(bars), compute_indicators(bars[300:])
    assert_frame_equal(computed[:300], whole[:300])
    for name in INDICATOR_NAMES:
        begins_again = name in CHANGES or count > BRIDGED
        expected = after[name] if begins_again else whole[name][300:]
        assert computed[name][300:].equals(expected), name


@pytest.mark.parametrize("count", [1, 30, 1500])
def test_returns_over_a_gap_are_null_and_what_is_made_of_them(count: int) -> None:
    bars, gaps = without(walk(1, 2000), 300, count)
    market = walk(0, 2000)
    both = pl.concat([market, bars])
    computed = compute_features(both, UNIVERSE, ["TEST"], gaps={"TEST": gaps})
    plain = compute_features(both, UNIVERSE, ["TEST"])
    for name, rows in (("returns_1d", 1), ("returns_5d", 5), ("returns_20d", 20), ("volatility_20d", 20)):
        inside = computed[name].to_numpy()[300 : 300 + rows]
        assert np.isnan(inside).all(), name
        assert computed[name][:300].equals(plain[name][:300]), name
        assert computed[name][300 + rows :].equals(plain[name][300 + rows :]), name
    close = dict(zip(bars["time"], bars["close"].cast(pl.Float64), strict=True))
    other = dict(zip(market["time"], market["close"].cast(pl.Float64), strict=True))
    days = market["time"].to_list()
    pairs = [
        (close[day] / close[before] - 1, other[day] / other[before] - 1)
        for before, day in pairwise(days)
        if before in close and day in close and day <= bars["time"][-1]
    ]
    mine, theirs = np.array(pairs[-60:]).T
    expected = np.cov(mine, theirs, ddof=0)[0, 1] / theirs.var()
    assert computed["market_beta_60d"][-1] == pytest.approx(expected, rel=1e-9)


def test_a_beta_has_no_pairs_from_before_a_long_gap() -> None:
    bars, gaps = without(walk(1, 2000), 300, 1500)
    computed = compute_features(pl.concat([walk(0, 2000), bars]), UNIVERSE, ["TEST"], gaps={"TEST": gaps})
    assert computed["market_beta_60d"][299] is not None
    assert computed["market_beta_60d"][300:360].null_count() == 60
    assert computed["market_beta_60d"][361] is not None


def test_a_gap_of_the_benchmark_gives_no_pair() -> None:
    market, gaps = without(walk(0, 400), 350, 1)
    bars = walk(1, 400)
    computed = compute_features(pl.concat([market, bars]), UNIVERSE, ["TEST"], gaps={"MARKET": gaps})
    spoiled = compute_features(pl.concat([market, bars]), UNIVERSE, ["TEST"])
    assert computed["market_beta_60d"][:351].equals(spoiled["market_beta_60d"][:351])
    assert computed["market_beta_60d"][351:352].to_list() != spoiled["market_beta_60d"][351:352].to_list()
