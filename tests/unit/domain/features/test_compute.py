"""Features against definitions written out row by row in plain Python, and their invariants."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from daily_bars import EPOCH, bars_of, read_daily
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_features import (
    Values,
    adx,
    atr,
    bb_position,
    beta,
    macd_hist,
    momentum,
    returns,
    rsi,
    sma_ratio,
    volatility,
    volume_ratio,
)
from properties import examples, some_usual

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.features.built_in import BUILT_IN
from trading_platform.domain.features.compute import compute_features
from trading_platform.domain.market.bars import empty_bars
from trading_platform.domain.market.calendars import sessions
from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.domain.time import Window


def instrument(
    symbol: str, calendar: str = "XNYS", *, sector: str | None = "funds", benchmark: str | None = "SPY"
) -> Instrument:
    return Instrument(symbol, AssetClass.EQUITY, calendar, "file", sector=sector, benchmark=benchmark)


FILES = {
    "AAPL": "AAPL_lean_daily",
    "GOOG": "GOOG_2004-2013",
    "IWM": "IWM_lean_daily",
    "SPY": "SPY_lean_daily",
}


@pytest.fixture(scope="module")
def bars(test_data: Path) -> pl.DataFrame:
    start, end = datetime(2005, 1, 1, tzinfo=UTC), datetime(2013, 1, 1, tzinfo=UTC)
    everything = pl.concat(read_daily(test_data / "daily" / f"{file}.csv", symbol) for symbol, file in FILES.items())
    return everything.filter(pl.col("time").is_between(start, end, closed="left"))


@pytest.fixture(scope="module")
def universe() -> dict[str, Instrument]:
    members = {symbol: instrument(symbol) for symbol in ("AAPL", "IWM", "SPY")}
    return {**members, "GOOG": instrument("GOOG", "XNAS", sector=None)}


@pytest.fixture(scope="module")
def computed(bars: pl.DataFrame, universe: dict[str, Instrument]) -> pl.DataFrame:
    return compute_features(bars, universe, list(universe))


def columns_of(bars: pl.DataFrame, symbol: str) -> dict[str, list[float]]:
    own = bars.filter(symbol=symbol)
    return {name: [float(value) for value in own[name]] for name in ("high", "low", "close", "volume")}


def by_date(bars: pl.DataFrame, symbol: str, n: int) -> dict[datetime, float]:
    dated = zip(bars.filter(symbol=symbol)["time"], returns(columns_of(bars, symbol)["close"], n), strict=True)
    return {date: value for date, value in dated if value is not None}


def expect(bars: pl.DataFrame, symbol: str, sector: list[str]) -> dict[str, Values]:
    own, dates = columns_of(bars, symbol), bars.filter(symbol=symbol)["time"].to_list()
    close, high, low = own["close"], own["high"], own["low"]
    return {
        "returns_1d": returns(close, 1),
        "returns_5d": returns(close, 5),
        "returns_20d": returns(close, 20),
        "volatility_20d": volatility(close),
        "rsi_14": rsi(close),
        "macd_hist": macd_hist(close),
        "volume_ratio_20d": volume_ratio(own["volume"]),
        "sma_ratio_50": sma_ratio(close),
        "atr_14": atr(high, low, close),
        "bb_position": bb_position(close),
        "adx_14": adx(high, low, close),
        "sector_momentum": momentum(dates, close, [by_date(bars, peer, 20) for peer in sector if peer != symbol]),
        "market_beta_60d": beta(dates, close, by_date(bars, "SPY", 1)),
        "news_sentiment_24h": [None] * len(close),
        "social_volume_7d": [None] * len(close),
    }


def assert_close(actual: list[float | None], expected: Values, name: str, scale: float = 1.0) -> None:
    assert len(actual) == len(expected)
    for row, (mine, theirs) in enumerate(zip(actual, expected, strict=True)):
        assert (mine is None) == (theirs is None), f"{name}[{row}]: {mine} against {theirs}"
        if mine is not None and theirs is not None:
            assert math.isclose(mine, theirs, rel_tol=1e-9, abs_tol=1e-12 * scale), f"{name}[{row}]: {mine} != {theirs}"


@pytest.mark.parametrize("symbol", some_usual(["SPY", "GOOG", "IWM", "AAPL"], usual=2))
def test_every_feature_equals_its_definition(symbol: str, bars: pl.DataFrame, computed: pl.DataFrame) -> None:
    sector = [] if symbol == "GOOG" else ["AAPL", "IWM", "SPY"]
    expected = expect(bars, symbol, sector)
    assert set(expected) == set(BUILT_IN.names)
    price = max(columns_of(bars, symbol)["close"])
    for name, values in expected.items():
        scale = price if name == "macd_hist" else 1.0
        assert_close(computed.filter(symbol=symbol)[name].to_list(), values, name, scale)


def test_shape(bars: pl.DataFrame, computed: pl.DataFrame) -> None:
    assert dict(computed.schema) == BUILT_IN.schema
    assert computed.select("time", "symbol").equals(bars.select("time", "symbol"))
    assert not computed.select(pl.any_horizontal(pl.col(BUILT_IN.names).is_nan().any())).item()
    assert (computed.filter(symbol="SPY")["market_beta_60d"].drop_nulls() == 1.0).all()


def test_available_at_the_close_of_the_session(computed: pl.DataFrame) -> None:
    rows = computed.filter(symbol="SPY").select("time", "available_at")
    at = dict(rows.iter_rows())
    assert at[datetime(2012, 7, 2, tzinfo=UTC)] == datetime(2012, 7, 2, 20, tzinfo=UTC)
    assert at[datetime(2012, 7, 3, tzinfo=UTC)] == datetime(2012, 7, 3, 17, tzinfo=UTC), "an early close"
    assert at[datetime(2012, 12, 3, tzinfo=UTC)] == datetime(2012, 12, 3, 21, tzinfo=UTC), "winter time"


def test_every_year_alone_equals_the_full_history(
    bars: pl.DataFrame, universe: dict[str, Instrument], computed: pl.DataFrame
) -> None:
    for year in range(2005, 2013):
        start, end = datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)
        before = bars.filter(pl.col("time") < start).group_by("symbol", maintain_order=True).tail(BUILT_IN.warm_up)
        inside = bars.filter(pl.col("time").is_between(start, end, closed="left"))
        loaded = pl.concat([before.select(inside.columns), inside]).sort("symbol", "time")
        alone = compute_features(loaded, universe, list(universe)).filter(pl.col("time") >= start)
        expected = computed.filter(pl.col("time").is_between(start, end, closed="left"))
        assert alone.select("time", "symbol", "available_at").equals(expected.select("time", "symbol", "available_at"))
        for name in BUILT_IN.names:
            assert_close(alone[name].to_list(), expected[name].to_list(), f"{name} in {year}", 1000.0)


# --- alignment of calendars ---------------------------------------------------------------------------------


def walk(size: int, seed: int) -> list[float]:
    return (100 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, 0.02, size)))).round(4).tolist()


def on_sessions(bars: pl.DataFrame, calendar: str) -> pl.DataFrame:
    dates = sessions(calendar, Window(EPOCH, EPOCH + timedelta(days=bars.height)))["session"]
    return bars.filter(pl.col("time").is_in(dates.implode()))


def test_a_benchmark_that_closes_later_is_used_a_bar_later() -> None:
    """BTCUSD's day ends at midnight, after New York: its return of today is known only tomorrow."""
    universe = {
        "AAPL": instrument("AAPL", sector=None, benchmark="BTCUSD"),
        "BTCUSD": instrument("BTCUSD", "24/7", sector=None, benchmark=None),
    }
    crypto = bars_of(walk(200, 1), "BTCUSD")
    stock = on_sessions(bars_of(walk(200, 2), "AAPL"), "XNYS")
    bars = pl.concat([stock, crypto])
    betas = compute_features(bars, universe, ["AAPL"])["market_beta_60d"].to_list()
    same_day = beta(stock["time"].to_list(), columns_of(bars, "AAPL")["close"], by_date(bars, "BTCUSD", 1))
    assert_close(betas, [None, *same_day[:-1]], "market_beta_60d")


def test_a_benchmark_that_closes_earlier_is_used_the_same_day() -> None:
    universe = {
        "BTCUSD": instrument("BTCUSD", "24/7", sector=None),
        "SPY": instrument("SPY", sector=None, benchmark=None),
    }
    crypto = bars_of(walk(200, 1), "BTCUSD")
    stock = on_sessions(bars_of(walk(200, 2), "SPY"), "XNYS")
    bars = pl.concat([crypto, stock])
    features = compute_features(bars, universe, ["BTCUSD", "SPY"])
    expected = beta(crypto["time"].to_list(), columns_of(bars, "BTCUSD")["close"], by_date(bars, "SPY", 1))
    assert_close(features.filter(symbol="BTCUSD")["market_beta_60d"].to_list(), expected, "market_beta_60d")
    assert features.filter(symbol="SPY")["market_beta_60d"].null_count() == stock.height, "it has no benchmark"


def test_a_peer_that_closes_later_counts_with_its_day_before() -> None:
    universe = {
        "EARLY": instrument("EARLY", "XETR", sector="x", benchmark=None),
        "LATE": instrument("LATE", "24/7", sector="x", benchmark=None),
    }
    early, late = on_sessions(bars_of(walk(100, 3), "EARLY"), "XETR"), bars_of(walk(100, 4), "LATE")
    bars = pl.concat([early, late])
    momenta = compute_features(bars, universe, ["EARLY", "LATE"])
    own, peer = by_date(bars, "EARLY", 20), by_date(bars, "LATE", 20)
    day = timedelta(days=1)
    of_early = dict(momenta.filter(symbol="EARLY").select("time", "sector_momentum").iter_rows())
    of_late = dict(momenta.filter(symbol="LATE").select("time", "sector_momentum").iter_rows())
    compared = [date for date in own if date - day in peer]
    assert len(compared) > 40
    for date in compared:
        assert of_early[date] == pytest.approx(own[date] - peer[date - day], rel=1e-12)
        assert of_late[date] == pytest.approx(peer[date] - own[date], rel=1e-12)


def test_a_peer_without_bars_for_over_a_week_is_not_counted() -> None:
    universe = {name: instrument(name, "24/7", sector="x", benchmark=None) for name in ("GONE", "HERE")}
    bars = pl.concat([bars_of(walk(40, 5), "GONE"), bars_of(walk(60, 6), "HERE")])
    values = compute_features(bars, universe, ["HERE"])["sector_momentum"].to_list()
    assert [value is not None for value in values] == [20 <= t <= 39 + 7 for t in range(60)]


# --- what is not defined is NULL -----------------------------------------------------------------------------


def features_of(bars: pl.DataFrame, **kwargs: str | None) -> pl.DataFrame:
    return compute_features(bars, {"TEST": instrument("TEST", "24/7", **kwargs)}, ["TEST"])


def test_a_flat_series() -> None:
    flat = features_of(bars_of([50_000.1] * 900), benchmark="TEST")[750:]
    for name in ("rsi_14", "bb_position", "sector_momentum", "market_beta_60d"):
        assert flat[name].null_count() == flat.height, name
    for name in ("returns_1d", "volatility_20d", "atr_14", "adx_14"):
        assert (flat[name] == 0.0).all(), name
    assert ((flat["sma_ratio_50"] - 1.0).abs() < 1e-14).all()


def test_a_benchmark_that_stands_still_has_no_variance() -> None:
    universe = {"FLAT": instrument("FLAT", "24/7"), "TEST": instrument("TEST", "24/7", benchmark="FLAT")}
    bars = pl.concat([bars_of([0.3] * 100, "FLAT"), bars_of(walk(100, 7))])
    assert compute_features(bars, universe, ["TEST"])["market_beta_60d"].null_count() == 100


def test_volume_that_is_zero_or_unknown() -> None:
    volume: list[float | None] = [0.0] * 30 + [10.0] * 30
    volume[50] = None
    ratio = features_of(bars_of(walk(60, 8), volume=volume))["volume_ratio_20d"].to_list()
    assert ratio[:30] == [None] * 30
    assert ratio[30] == pytest.approx(20.0)
    assert ratio[49] == pytest.approx(1.0)
    assert ratio[50:] == [None] * 10


def test_fewer_than_sixty_pairs_or_pairs_too_far_apart() -> None:
    universe = {
        "SPARSE": instrument("SPARSE", "24/7", benchmark=None),
        "TEST": instrument("TEST", "24/7", benchmark="SPARSE"),
    }
    market = bars_of(walk(400, 9), "SPARSE")
    bars = pl.concat([market.gather_every(3), bars_of(walk(400, 10))])
    assert compute_features(bars, universe, ["TEST"])["market_beta_60d"].null_count() == 400
    every_other = pl.concat([market.gather_every(2), bars_of(walk(400, 10))])
    assert compute_features(every_other, universe, ["TEST"])["market_beta_60d"].null_count() < 400


def test_an_unknown_benchmark_and_no_bars() -> None:
    assert features_of(bars_of(walk(100, 11)), benchmark="NOBODY")["market_beta_60d"].null_count() == 100
    assert compute_features(empty_bars(), {}, []).equals(pl.DataFrame(schema=BUILT_IN.schema))


@pytest.mark.parametrize(
    ("bars", "message"),
    [
        (lambda: bars_of([1.0], "WHO"), "WHO"),
        (lambda: bars_of([1.0], "TEST", timeframe="1h"), "1h"),
        (lambda: bars_of([1.0, 2.0], "TEST").reverse(), "order"),
    ],
)
def test_bars_that_cannot_have_features_are_refused(bars: Callable[[], pl.DataFrame], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        compute_features(bars(), {"TEST": instrument("TEST", "24/7")}, ["TEST"])


# --- no look-ahead -------------------------------------------------------------------------------------------

CALENDARS = ["24/7", "FX", "XNYS", "XETR", "XHKG"]


@settings(max_examples=examples(40), deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    cut=st.integers(1, 139),
    calendars=st.tuples(*[st.sampled_from(CALENDARS)] * 3),
    hour=st.integers(0, 23),
)
def test_what_comes_later_changes_nothing(seed: int, cut: int, calendars: tuple[str, str, str], hour: int) -> None:
    """Rows available at a moment are the same with and without all bars, of anybody, that close after it."""
    names = ("AAA", "BBB", "CCC")
    universe = {
        name: instrument(name, calendar, sector="x", benchmark="BBB")
        for name, calendar in zip(names, calendars, strict=True)
    }
    bars = pl.concat(bars_of(walk(140, seed + index), name) for index, name in enumerate(names))
    full = compute_features(bars, universe, names)
    timestamp = EPOCH + timedelta(days=cut, hours=hour)
    known = full.filter(pl.col("available_at") <= timestamp)
    then = bars.join(known.select("symbol", "time"), on=["symbol", "time"], how="semi")
    assert compute_features(then, universe, names).equals(known)


LOOKBACK = {"rsi_14": 14, "macd_hist": 26, "sma_ratio_50": 50, "atr_14": 14, "adx_14": 14, "market_beta_60d": 60}
LOOKBACK |= {"news_sentiment_24h": 1, "social_volume_7d": 7}
"""The document's table, where it says neither 20 nor what is in the name of a return."""


def test_catalog_is_complete() -> None:
    assert len(BUILT_IN.features) == 15
    for name, spec in BUILT_IN.features.items():
        horizon = int(name[8:-1]) if name.startswith("returns_") else 20
        assert spec.lookback_days == LOOKBACK.get(name, horizon)
        assert spec.name == name
        assert all((spec.formula, spec.dependencies, spec.description))
        assert spec.warm_up <= BUILT_IN.warm_up
    assert [name for name, spec in BUILT_IN.features.items() if spec.awaits] == ["social_volume_7d"]
