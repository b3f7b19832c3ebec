"""Hourly rows against days of 24 hours that are cut out and computed row by row in plain Python."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from daily_bars import bars_of
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

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.features import Feature, FeatureInputs, bars, benchmark, feature, indicator, peers
from trading_platform.domain.features.built_in import BUILT_IN
from trading_platform.domain.features.compute import compute_features
from trading_platform.domain.features.feature_set import FeatureSet
from trading_platform.domain.features.hourly import NO_BARS, MarketBars, compute_hourly_features
from trading_platform.domain.features.trial.invented_market import invented_market
from trading_platform.domain.features.trial.try_definition import try_definition
from trading_platform.domain.market.bars import BAR_SCHEMA, PRICES, roll_up
from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.domain.time import Timeframe

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
START = datetime(2024, 3, 1, 5, tzinfo=UTC)


def instrument(symbol: str, calendar: str = "24/7", benchmark: str | None = None) -> Instrument:
    return Instrument(symbol, AssetClass.CRYPTO, calendar, "file", sector="coins", benchmark=benchmark)


def invented(symbol: str, hours: int, seed: int, start: datetime = START) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    close = np.round(100 * np.exp(np.cumsum(random.normal(0, 0.01, hours))), 4)
    volume = np.round(random.lognormal(5, 1, hours), 2)
    return bars_of(close.tolist(), symbol, spread=0.002, volume=volume.tolist(), start=start, step=HOUR, timeframe="1h")


def market(*frames: pl.DataFrame) -> MarketBars:
    return MarketBars(pl.concat(frames).sort("symbol", "time"), {}, {})


# --- days of 24 hours that end with a row, cut out one by one -----------------------------------------------------


def days_until(hours: dict[datetime, dict[str, float]], end: datetime, first: datetime) -> list[dict[str, float]]:
    """The days that end at ``end``, 24 hours before it and so on, oldest first; days without any hour are none."""
    found: list[dict[str, float]] = []
    while end - DAY >= first:
        inside = [hours[hour] for hour in (end - DAY + step * HOUR for step in range(24)) if hour in hours]
        if inside:
            day = {"open": inside[0]["open"], "close": inside[-1]["close"], "time": (end - DAY).timestamp()}
            day |= {"high": max(hour["high"] for hour in inside), "low": min(hour["low"] for hour in inside)}
            found.append(day | {"volume": math.fsum(hour["volume"] for hour in inside)})
        end -= DAY
    return found[::-1]


def plainly(days: list[dict[str, float]]) -> dict[str, Values]:
    close, high, low = ([day[name] for day in days] for name in ("close", "high", "low"))
    return {
        **{f"returns_{length}d": returns(close, length) for length in (1, 5, 20)},
        "volatility_20d": volatility(close),
        "rsi_14": rsi(close),
        "macd_hist": macd_hist(close),
        "volume_ratio_20d": volume_ratio([day["volume"] for day in days]),
        "sma_ratio_50": sma_ratio(close),
        "atr_14": atr(high, low, close),
        "bb_position": bb_position(close),
        "adx_14": adx(high, low, close),
    }


def by_time(frame: pl.DataFrame) -> dict[datetime, dict[str, float]]:
    rows = frame.select("time", *(pl.col(name).cast(pl.Float64) for name in (*PRICES, "volume")))
    return {row.pop("time"): row for row in rows.iter_rows(named=True)}


@pytest.fixture(scope="module")
def real(test_data: Path) -> pl.DataFrame:
    """Hours of a currency for ten months, as of an instrument that is never closed: its weekends traded nothing."""
    raw = pl.read_csv(test_data / "hourly" / "EURUSD_1h_2017-2018.csv", infer_schema=False)
    raw = raw.rename({raw.columns[0]: "time"}).rename(str.lower)
    return raw.select(
        pl.col("time").str.to_datetime("%Y-%m-%d %H:%M:%S", time_unit="us", time_zone="UTC"),
        pl.lit("COIN").alias("symbol"),
        pl.lit("1h").alias("timeframe"),
        *PRICES,
        "volume",
        pl.lit("file").alias("source"),
        pl.lit("traded").alias("quality"),
    ).cast(BAR_SCHEMA)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def computed(real: pl.DataFrame) -> pl.DataFrame:
    return compute_hourly_features(market(real), NO_BARS, {"COIN": instrument("COIN")}, ["COIN"])


def test_every_feature_equals_its_definition_on_days_that_end_with_the_row(
    real: pl.DataFrame, computed: pl.DataFrame
) -> None:
    hours, first = by_time(real), real["time"][0]
    assert computed["time"].equals(real["time"])
    for row in (*range(15, 60, 4), 1500, 2600, 3711, *range(4976, 5000, 3)):
        end = real["time"][row] + HOUR
        days = days_until(hours, end, first)
        expected = (
            plainly(days)
            if len(days) > 60
            else {f"returns_{n}d": returns([d["close"] for d in days], n) for n in (1, 5)}
        )
        for name, values in expected.items():
            last = values[-1] if values else None
            actual = computed[name][row]
            assert (actual is None) == (last is None), (name, row)
            assert last is None or math.isclose(actual, last, rel_tol=1e-9, abs_tol=1e-12), (name, row, actual, last)


def test_a_row_is_available_when_its_hour_has_ended(computed: pl.DataFrame) -> None:
    assert (computed["available_at"] - computed["time"] == HOUR).all()


def test_the_row_before_midnight_has_the_values_of_the_daily_row() -> None:
    midnight = START.replace(hour=0)
    coins = {symbol: invented(symbol, 24 * 90, seed, midnight) for seed, symbol in enumerate(("AAA", "BBB"))}
    universe = {symbol: instrument(symbol, benchmark="BBB") for symbol in coins}
    hourly = compute_hourly_features(market(*coins.values()), NO_BARS, universe, ["AAA"])
    rolled = pl.concat([roll_up(frame, Timeframe.D1) for frame in coins.values()]).sort("symbol", "time")
    daily = compute_features(rolled, universe, ["AAA"])
    last = hourly.filter(pl.col("time").dt.hour() == 23)
    assert last["available_at"].equals(daily["available_at"])
    for name in BUILT_IN.names:
        both = zip(last[name], daily[name], strict=True)
        assert all((a is None) == (b is None) and (a is None or math.isclose(a, b, rel_tol=1e-9)) for a, b in both)
    assert daily["market_beta_60d"].count() > 20
    assert daily["sector_momentum"].count() > 50


def test_no_row_changes_with_what_comes_later() -> None:
    coins = {symbol: invented(symbol, 24 * 34, seed) for seed, symbol in enumerate(("AAA", "BBB"))}
    stock = bars_of(
        [50 + day % 7 for day in range(70)], "STOCK", spread=0.01, volume=[9.0] * 70, start=START.replace(hour=0)
    )
    stock = stock.filter(pl.col("time").dt.weekday() <= 5)
    universe = {name: instrument(name, benchmark="BBB") for name in coins} | {"STOCK": instrument("STOCK", "FX")}
    full = compute_hourly_features(market(*coins.values()), market(stock), universe, ["AAA"])
    for hours in (24 * 25 + 7, 24 * 32 + 20):
        now = START + hours * HOUR
        closed = compute_features(stock, universe, ["STOCK"]).filter(pl.col("available_at") <= now)["time"]
        cut = compute_hourly_features(
            market(*(frame.filter(pl.col("time") + HOUR <= now) for frame in coins.values())),
            market(stock.filter(pl.col("time").is_in(closed.implode()))),
            universe,
            ["AAA"],
        )
        assert cut.equals(full.filter(pl.col("available_at") <= now))


@pytest.mark.exhaustive
def test_a_peer_on_an_exchange_counts_from_its_close_on() -> None:
    coin = invented("AAA", 24 * 60, 3, datetime(2024, 3, 1, tzinfo=UTC))
    stock = bars_of([50.0 + day for day in range(60)], "STOCK", spread=0.01, start=datetime(2024, 3, 1, tzinfo=UTC))
    stock = stock.filter((pl.col("time").dt.weekday() <= 5) & (pl.col("time") != datetime(2024, 3, 29, tzinfo=UTC)))
    universe = {"AAA": instrument("AAA"), "STOCK": instrument("STOCK", "XNYS")}
    found = compute_hourly_features(market(coin), market(stock), universe, ["AAA"])
    of_stock = compute_features(stock, universe, ["STOCK"])
    for row in found.filter(pl.col("returns_20d").is_not_null()).sample(40, seed=1).iter_rows(named=True):
        known = of_stock.filter(pl.col("available_at") <= row["available_at"])["returns_20d"]
        expected = None if not len(known) or known[-1] is None else row["returns_20d"] - known[-1]
        assert row["sector_momentum"] == pytest.approx(expected, rel=1e-12) if expected is not None else True


@pytest.mark.exhaustive
def test_plain_momentum_and_beta_of_coins() -> None:
    coins = {symbol: invented(symbol, 24 * 90, seed) for seed, symbol in enumerate(("AAA", "BBB"), start=5)}
    universe = {symbol: instrument(symbol, benchmark="BBB") for symbol in coins}
    found = compute_hourly_features(market(*coins.values()), NO_BARS, universe, ["AAA"])
    for row in (24 * 70 + 3, 24 * 85 + 16):
        end = found["available_at"][row]
        mine, theirs = (days_until(by_time(frame), end, START) for frame in coins.values())
        dates = [datetime.fromtimestamp(day["time"], UTC) for day in mine]
        close, other = ([day["close"] for day in days] for days in (mine, theirs))
        known = [dict(zip(dates, returns(other, n), strict=True)) for n in (20, 1)]
        of_peer, of_market = ({date: value for date, value in each.items() if value is not None} for each in known)
        assert found["sector_momentum"][row] == pytest.approx(momentum(dates, close, [of_peer])[-1], rel=1e-9)
        assert found["market_beta_60d"][row] == pytest.approx(beta(dates, close, of_market)[-1], rel=1e-9)


def test_a_day_with_a_lacking_hour_is_lacking_and_empty_hours_are_not() -> None:
    coin = invented("AAA", 24 * 12, 4)
    gone = START + 24 * 6 * HOUR + 3 * HOUR
    absent = coin.filter(pl.col("time") != gone)
    universe = {"AAA": instrument("AAA")}
    empty = compute_hourly_features(market(absent), NO_BARS, universe, ["AAA"])
    lacking = compute_hourly_features(MarketBars(absent, {}, {"AAA": [(gone + HOUR, 1)]}), NO_BARS, universe, ["AAA"])
    concerned = (pl.col("time") > gone) & (pl.col("time") < gone + 2 * DAY)
    assert empty.filter(pl.col("time") >= START + 47 * HOUR)["returns_1d"].null_count() == 0
    nulls = lacking.filter(pl.col("time") >= START + 47 * HOUR).filter(pl.col("returns_1d").is_null())
    assert nulls.equals(lacking.filter(concerned)), "days with the hour, and the step from such a day to the next"
    assert lacking.filter(~concerned)["returns_1d"].equals(empty.filter(~concerned)["returns_1d"])


def test_a_split_in_the_middle_of_a_day_changes_no_ratio_and_gives_prices_in_shares_of_the_row() -> None:
    coin = invented("AAA", 24 * 30, 6)
    when = START + 24 * 20 * HOUR + 11 * HOUR
    split = coin.with_columns(
        *(
            pl.when(pl.col("time") < when).then(pl.col(name).cast(pl.Float64) * 4).otherwise(name).alias(name)
            for name in PRICES
        ),
        volume=pl.when(pl.col("time") < when).then(pl.col("volume").cast(pl.Float64) / 4).otherwise("volume"),
    ).cast(BAR_SCHEMA)  # type: ignore[arg-type]
    universe = {"AAA": instrument("AAA")}
    plain = compute_hourly_features(market(coin), NO_BARS, universe, ["AAA"])
    found = compute_hourly_features(MarketBars(split, {"AAA": [(when, Fraction(4))]}, {}), NO_BARS, universe, ["AAA"])
    factor = pl.when(pl.col("time") < when).then(4.0).otherwise(1.0)
    for name, each in BUILT_IN.features.items():
        expected = plain.select(pl.col(name) * factor if each.unit == "price" else pl.col(name)).to_series()
        both = zip(found[name], expected, strict=True)
        assert all((a is None) == (b is None) and (a is None or math.isclose(a, b, rel_tol=1e-6)) for a, b in both)


def range_of_hours(inputs: FeatureInputs) -> pl.Series:
    """A function of hourly bars and of a feature of days."""
    return (inputs.frame["high"] - inputs.frame["low"]) / inputs.frame["close"] / inputs.frame["volatility_20d"]


def hourly(name: str, compute: object, *inputs: object, warm_up: int = 0, **values: object) -> Feature:
    given = {"frequency": "1h", "category": "technical", "description": "Of hours", "formula": "-", "lookback_days": 1}
    return Feature(name=name, inputs=inputs, compute=compute, warm_up=warm_up, **{**given, **values})  # type: ignore[arg-type]


def test_features_of_hourly_bars_beside_those_of_days() -> None:
    own = FeatureSet(
        [
            *BUILT_IN.features.values(),
            hourly("returns_1h", pl.col("close").pct_change(), bars("close", timeframe="1h"), warm_up=1),
            hourly("rsi_of_hours", pl.col("rsi_14"), indicator("rsi_14", timeframe="1h"), warm_up=14, gaps="span"),
            hourly(
                "range_of_hours",
                range_of_hours,
                bars("high", "low", "close", timeframe="1h"),
                feature("volatility_20d"),
                warm_up=503,
            ),
            hourly(
                "ahead_of_others",
                pl.col("returns_1h") - pl.col("peers.returns_1h").list.mean() + pl.col("benchmark.returns_5d"),
                feature("returns_1h"),
                peers("returns_1h"),
                benchmark("returns_5d"),
                warm_up=143,
                gaps="span",
            ),
        ]
    )
    coins = {symbol: invented(symbol, 24 * 40, seed) for seed, symbol in enumerate(("AAA", "BBB"), start=8)}
    universe = {symbol: instrument(symbol, benchmark="BBB") for symbol in coins}
    given = (market(*coins.values()), NO_BARS, universe)
    found = compute_hourly_features(*given, ["AAA"], definitions=own)
    close = coins["AAA"]["close"].cast(pl.Float64).to_list()
    other = coins["BBB"]["close"].cast(pl.Float64).to_list()
    assert found["returns_1h"].to_list() == pytest.approx(returns(close, 1))
    assert found["rsi_of_hours"][14:].to_list() == pytest.approx(rsi(close)[14:])
    row = 24 * 35 + 4
    spread = float(coins["AAA"]["high"][row] - coins["AAA"]["low"][row]) / close[row]
    assert found["range_of_hours"][row] == pytest.approx(spread / found["volatility_20d"][row])
    expected = returns(close, 1)[row] - returns(other, 1)[row] + (other[row] / other[row - 120] - 1)  # type: ignore[operator]
    assert found["ahead_of_others"][row] == pytest.approx(expected)
    alone = compute_hourly_features(*given, ["AAA"], definitions=own, names=["ahead_of_others"])
    assert alone["ahead_of_others"].equals(found["ahead_of_others"])
    assert own.daily.names == BUILT_IN.names


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        (lambda: hourly("x", pl.col("close"), bars("close")), "bars and indicators of the timeframe 1h"),
        (lambda: hourly("x", pl.col("close"), bars("close", timeframe="5m")), "one of the timeframes 1d, 1h"),
        (lambda: hourly("x", pl.col("close"), bars("close", timeframe="1h"), frequency="2h"), "frequency to be one of"),
    ],
)
def test_declarations_that_do_not_fit(declared: object, said: str) -> None:
    with pytest.raises(InvalidRequest) as failure:
        declared()  # type: ignore[operator]
    assert said in str(failure.value)


def test_a_daily_feature_cannot_need_an_hourly_one() -> None:
    base = hourly("returns_1h", pl.col("close").pct_change(), bars("close", timeframe="1h"), warm_up=1)
    wrong = Feature(
        name="doubled", category="technical", description="-", formula="-", inputs=[feature("returns_1h")],  # type: ignore[arg-type]
        lookback_days=1, warm_up=1, compute=pl.col("returns_1h") * 2,
    )  # fmt: skip
    with pytest.raises(InvalidRequest, match="has no daily value"):
        FeatureSet([base, wrong])
    short = hourly("scaled", pl.col("returns_20d"), feature("returns_20d"), warm_up=20)
    with pytest.raises(InvalidRequest, match="503 of returns_20d"):
        FeatureSet([*BUILT_IN.features.values(), short])


def test_bars_of_other_lengths_and_calendars_are_refused() -> None:
    coin = invented("AAA", 48, 1)
    with pytest.raises(InvalidRequest, match="1h bars of instruments of the calendar 24/7"):
        compute_hourly_features(market(coin), NO_BARS, {"AAA": instrument("AAA", "XNYS")}, ["AAA"])
    with pytest.raises(InvalidRequest, match="1d bars of the others"):
        compute_hourly_features(NO_BARS, market(coin), {"AAA": instrument("AAA")}, ["AAA"])


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("compute", "fails"),
    [
        (pl.col("close") / pl.col("close").shift(3) - 1, set()),
        (pl.col("close").shift(-1) / pl.col("close") - 1, {"look-ahead"}),
        (pl.col("close") / pl.col("close").shift(6) - 1, {"first value", "warm-up"}),
    ],
)
def test_a_trial_of_hourly_features_is_on_hours(compute: pl.Expr, fails: set[str]) -> None:
    tried = hourly("tried", compute, bars("close", timeframe="1h"), warm_up=3)
    own = FeatureSet([*BUILT_IN.features.values(), tried])
    found = try_definition(own, "tried", invented_market(200, 1, Timeframe.H1), seed=1, timer=lambda: 0.0)
    assert {each.check for each in found if each.verdict == "failed"} == fails
    assert {"splits", "look-ahead"} <= {each.check for each in found}
