"""Features and indicators across splits: against prices adjusted again for every single day, and without look-ahead."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import numpy as np
import polars as pl
import pytest
from daily_bars import EPOCH, bars_of, read_daily
from hypothesis import given, settings
from hypothesis import strategies as st
from properties import examples

from trading_platform.domain.derived.indicators import INDICATOR_NAMES, INDICATORS, compute_indicators
from trading_platform.domain.derived.splits import Splits, fingerprint, shares_held
from trading_platform.domain.features.built_in import BUILT_IN
from trading_platform.domain.features.compute import compute_features
from trading_platform.domain.market.adjustment import Adjustment, adjust_bars
from trading_platform.domain.market.corporate_actions import ActionKind, CorporateAction
from trading_platform.domain.market.instruments import AssetClass, Instrument

UNIVERSE = {
    symbol: Instrument(symbol, AssetClass.EQUITY, "XNYS", "file", sector=sector, benchmark="SPY")
    for symbol, sector in (("AAPL", "tech"), ("IWM", "tech"), ("SPY", None))
}


def walk(seed: int, size: int, symbol: str = "AAPL") -> pl.DataFrame:
    """Daily bars of two decimals that wander, before any split."""
    chance = np.random.default_rng(seed)
    close = np.round(200 * np.exp(np.cumsum(chance.normal(0, 0.02, size))), 2)
    return bars_of(close.tolist(), symbol, spread=0.01, volume=chance.integers(1000, 9000, size).astype(float).tolist())


def as_traded(bars: pl.DataFrame, splits: Sequence[tuple[datetime, Fraction]]) -> pl.DataFrame:
    """What would have been traded: from each split on, prices divided and volumes multiplied."""
    for timestamp, ratio in splits:
        after = pl.col("time") >= timestamp
        price, volume = 1 / float(ratio), float(ratio)
        bars = bars.with_columns(
            *(
                pl.when(after).then(pl.col(name).cast(pl.Float64) * price).otherwise(name).cast(bars.schema[name])
                for name in ("open", "high", "low", "close")
            ),
            pl.when(after)
            .then(pl.col("volume").cast(pl.Float64) * volume)
            .otherwise("volume")
            .cast(bars.schema["volume"]),
        )
    return bars


def as_seen_at(bars: pl.DataFrame, splits: Splits, timestamp: datetime) -> pl.DataFrame:
    """The bars until a day, adjusted for the splits until it."""
    actions = [
        CorporateAction(symbol, when, ActionKind.SPLIT, when, "file", ratio=ratio)
        for symbol, known in splits.items()
        for when, ratio in known
    ]
    until = bars.filter(pl.col("time") <= timestamp)
    return adjust_bars(until, actions, {}, Adjustment.SPLIT, timestamp, lambda action: action.ex_date)


def same(ours: pl.DataFrame, theirs: pl.DataFrame, names: Sequence[str], tolerance: float = 1e-9) -> None:
    """Every value within the tolerance of the other, relative to it or to 1, and NULL in the same rows."""
    assert ours.select("time", "symbol").equals(theirs.select("time", "symbol"))
    for name in names:
        mine, other = ours[name].to_numpy(), theirs[name].to_numpy()
        assert np.array_equal(np.isnan(mine), np.isnan(other)), name
        assert np.nanmax(np.abs(mine - other) / np.maximum(1, np.abs(other)), initial=0) <= tolerance, name


def test_each_day_is_computed_from_prices_as_they_looked_that_day():
    plain = pl.concat([walk(1, 90), walk(2, 90, "IWM"), walk(3, 90, "SPY")])
    splits = {
        "AAPL": [(EPOCH + timedelta(days=40), Fraction(4)), (EPOCH + timedelta(days=70), Fraction(1, 2))],
        "IWM": [(EPOCH + timedelta(days=60), Fraction(2))],
        "SPY": [(EPOCH + timedelta(days=75), Fraction(5))],
    }
    raw = pl.concat(
        [as_traded(part, splits[str(key[0])]) for key, part in plain.group_by("symbol", maintain_order=True)]
    )
    ours = compute_features(raw, UNIVERSE, ["AAPL", "IWM"], splits)
    ours_indicators = compute_indicators(raw, splits)
    for row in (20, 39, 40, 41, 55, 60, 61, 70, 71, 76, 89):  # before, at and after each split
        timestamp = EPOCH + timedelta(days=row)
        seen = as_seen_at(raw, splits, timestamp)
        theirs = compute_features(seen, UNIVERSE, ["AAPL", "IWM"]).filter(pl.col("time") == timestamp)
        same(ours.filter(pl.col("time") == timestamp), theirs, BUILT_IN.names)
        indicators = compute_indicators(seen).filter(pl.col("time") == timestamp)
        same(ours_indicators.filter(pl.col("time") == timestamp), indicators, INDICATOR_NAMES)


@given(
    seed=st.integers(0, 99),
    first=st.integers(1, 60),
    second=st.integers(1, 60),
    ratio=st.sampled_from([Fraction(7), Fraction(1, 3), Fraction(3, 2)]),
)
@settings(max_examples=examples(15))
def test_a_later_split_changes_no_earlier_row_to_the_bit(seed, first, second, ratio):
    bars = pl.concat([walk(seed, 62), walk(seed + 1, 62, "IWM"), walk(seed + 2, 62, "SPY")])
    early, late = sorted((EPOCH + timedelta(days=first), EPOCH + timedelta(days=second, hours=1)))
    known: Splits = {"AAPL": [(early, Fraction(2))], "SPY": [(early, Fraction(2))]}
    more: Splits = {name: [(early, Fraction(2)), (late, ratio)] for name in ("AAPL", "SPY")}
    before = pl.col("time") < late
    unchanged = compute_features(bars, UNIVERSE, ["AAPL"], known).filter(before)
    assert compute_features(bars, UNIVERSE, ["AAPL"], more).filter(before).equals(unchanged)
    unchanged = compute_indicators(bars, known).filter(before)
    assert compute_indicators(bars, more).filter(before).equals(unchanged)


@pytest.fixture(scope="module")
def market(test_data) -> tuple[pl.DataFrame, Splits]:
    """Raw bars of ten years with a real split each of a share and of its peer."""
    names = {"AAPL": "AAPL_lean_daily.csv", "IWM": "IWM_lean_daily.csv", "SPY": "SPY_lean_daily.csv"}
    bars = pl.concat([read_daily(test_data / "daily" / file, symbol) for symbol, file in names.items()])
    splits = {
        "AAPL": [(datetime(2014, 6, 9, tzinfo=UTC), Fraction(7))],
        "IWM": [(datetime(2005, 6, 9, tzinfo=UTC), Fraction(2))],
    }
    return bars.filter(pl.col("time").dt.year().is_between(2004, 2016)), splits


def test_a_real_split_is_no_return(market):
    bars, splits = market
    day = pl.col("time") == datetime(2014, 6, 9, tzinfo=UTC)
    naive = compute_features(bars, UNIVERSE, ["AAPL"]).filter(day).row(0, named=True)
    right = compute_features(bars, UNIVERSE, ["AAPL"], splits).filter(day).row(0, named=True)
    assert naive["returns_1d"] < -0.8
    assert right["returns_1d"] == pytest.approx(93.70 * 7 / 645.57 - 1, abs=1e-4)
    assert abs(right["returns_20d"]) < 0.2
    assert 0.5 < right["volume_ratio_20d"] < 2
    assert 1 < right["sma_ratio_50"] < 1.3
    assert 0.5 < right["atr_14"] < 3, "in the new shares"


def test_any_partition_alone_equals_the_full_history_across_splits(market):
    bars, splits = market
    full = compute_features(bars, UNIVERSE, ["AAPL", "IWM"], splits)
    for year in (2006, 2014, 2015, 2016):
        start = datetime(year, 1, 1, tzinfo=UTC)
        end = start.replace(year=year + 1)
        loaded = pl.concat(
            pl.concat(
                [part.filter(pl.col("time") < start).tail(BUILT_IN.warm_up), part.filter(pl.col("time") >= start)]
            )
            for part in bars.filter(pl.col("time") < end).partition_by("symbol", maintain_order=True)
        )
        alone = compute_features(loaded, UNIVERSE, ["AAPL", "IWM"], splits)
        inside = pl.col("time").is_between(start, end, closed="left")
        same(alone.filter(inside), full.filter(inside), BUILT_IN.names)


def test_symbols_without_splits_are_computed_as_ever(market):
    bars, splits = market
    untouched = compute_indicators(bars).filter(pl.col("symbol") == "SPY")
    assert compute_indicators(bars, splits).filter(pl.col("symbol") == "SPY").equals(untouched)
    times = bars.filter(pl.col("symbol") == "AAPL")["time"]
    assert shares_held(times, []) is None
    assert shares_held(times, [(times[0], Fraction(2))]) is None, "all bars are in new shares"
    assert shares_held(times, [(times[-1] + timedelta(days=1), Fraction(2))]) is None, "all are in old ones"
    assert shares_held(times.clear(), splits["AAPL"]) is None


def test_percentages_are_no_prices():
    assert {name for name, spec in INDICATORS.items() if not spec.is_price} == {"rsi_14", "adx_14"}


def test_fingerprints_tell_splits_apart():
    one, other = (EPOCH, Fraction(2)), (EPOCH + timedelta(days=1), Fraction(2))
    known = [{}, {"A": [one]}, {"B": [one]}, {"A": [other]}, {"A": [one, other]}, {"A": [(EPOCH, Fraction(3))]}]
    assert len({fingerprint(splits) for splits in known}) == len(known)
    assert fingerprint({}) == fingerprint({"A": []}) == ""
    assert fingerprint({"A": [one, other]}) == fingerprint({"A": [other, one]})
