"""Parts of a feature store in which look-ahead of ten kinds is planted at random, and parts that are right.

Each plant is drawn from a generator of random numbers: where it is, in which feature, and how. The market is invented:
a symbol and a peer in New York, a peer and a benchmark that trade round the clock, a gap, a split, unknown volumes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from fractions import Fraction

import numpy as np
import polars as pl

from trading_platform.domain.derived.smoothing import Floats
from trading_platform.domain.features.audit.stored_part import StoredPart
from trading_platform.domain.features.built_in import BUILT_IN
from trading_platform.domain.features.compute import compute_features
from trading_platform.domain.features.cross_section import Series, latest_known, series_of
from trading_platform.domain.features.declaration import Definition, Feature, GapRule, Label
from trading_platform.domain.features.feature_set import FeatureSet
from trading_platform.domain.features.inputs import FeatureInputs, Input, bars, benchmark, feature, news, peers
from trading_platform.domain.features.trial.invented_market import SYMBOL, Market, invented_market
from trading_platform.domain.market.bars import BAR_SCHEMA, PRICES

ROWS, BEFORE = 260, 125
Random = np.random.Generator
Plant = Callable[[Random], tuple[StoredPart, str]]
"""Draws a part with a plant; returns it and the feature that has the plant."""

SHORT = ("returns_1d", "returns_5d", "returns_20d", "volatility_20d", "volume_ratio_20d")
OTHERS = ("sector_momentum", "market_beta_60d")
PRICE_MEAN = Feature(
    name="price_mean",
    category="technical",
    description="Mean of five closes",
    formula="mean(close, 5)",
    inputs=(bars("close"),),
    lookback_days=5,
    warm_up=4,
    compute=pl.col("close").rolling_mean(5),
    unit="price",
)
NEWS = Feature(
    name="mentions",
    category="sentiment",
    description="Number of articles",
    formula="number of articles first seen in a day",
    inputs=(news("mentions"),),
    lookback_days=1,
    warm_up=0,
    compute=None,
    awaits="no source is connected",
)


def declared(
    compute: pl.Expr | Callable[[FeatureInputs], pl.Series | Floats], *inputs: Input, gaps: GapRule = "break"
) -> Feature:
    """A feature named ``planted``."""
    return Feature(
        name="planted",
        category="technical",
        description="D",
        formula="F",
        inputs=inputs,
        lookback_days=5,
        warm_up=120,
        compute=compute,
        gaps=gaps,
    )


def drawn_market(random: Random) -> Market:
    """An invented market with a split of TEST and unknown volumes at random dates of the audited part."""
    market = invented_market(ROWS, int(random.integers(1 << 30)))
    own = market.bars.filter(symbol=SYMBOL)["time"]
    ratio = Fraction([2, 3, 7, Fraction(1, 10)][int(random.integers(4))])
    split = own[int(random.integers(BEFORE + 20, len(own) - 5))]
    unknown = [own[int(row)] for row in random.integers(BEFORE, len(own) - 2, 3)]
    volume = pl.when((pl.col("symbol") != SYMBOL) | ~pl.col("time").is_in(unknown)).then("volume")
    return replace(market, bars=market.bars.with_columns(volume=volume), splits={SYMBOL: [(split, ratio)]})


def part_of(market: Market, names: tuple[str, ...], *more: Definition, stored_from: Market | None = None) -> StoredPart:
    """The part of a store in which features of a market are stored; ``stored_from`` is what they were computed from."""
    definitions = FeatureSet([*BUILT_IN.features.values(), *more])
    start = market.bars.filter(symbol=SYMBOL)["time"][BEFORE]
    source = stored_from or market
    given = (source.bars, source.instruments, [SYMBOL], source.splits, source.gaps)
    rows = compute_features(*given, definitions=definitions, names=names, news=source.news)
    return StoredPart(market, {}, rows.filter(pl.col("time") >= start), start, definitions)


def changed(part: StoredPart, name: str, values: pl.Expr) -> StoredPart:
    """The part with other values of a stored feature."""
    return replace(part, rows=part.rows.with_columns(values.alias(name)), _kept={})


def one_of(random: Random, names: tuple[str, ...]) -> str:
    return names[int(random.integers(len(names)))]


def right(random: Random) -> StoredPart:
    """A part without a plant, with all features of the platform."""
    return part_of(drawn_market(random), (*BUILT_IN.names, "price_mean"), PRICE_MEAN)


def shifted_join(random: Random) -> tuple[StoredPart, str]:
    """Values joined to earlier rows than their own."""
    name, rows = one_of(random, (*SHORT, *OTHERS)), int(random.integers(1, 6))
    if random.random() < 0.5:
        return changed(part_of(drawn_market(random), (name,)), name, pl.col(name).shift(-rows)), name

    def joined(inputs: FeatureInputs) -> pl.Series:
        later = inputs.frame.select(pl.col("position") - rows, value="returns_1d")
        return inputs.frame.join(later, on="position", how="left", maintain_order="left")["value"]

    planted = declared(joined, feature("returns_1d"), gaps="span")
    return part_of(drawn_market(random), ("returns_5d", "planted"), planted), "planted"


def centred_window(random: Random) -> tuple[StoredPart, str]:
    """Statistics of a window around the row."""
    length, column = int(random.integers(3, 16)), one_of(random, ("close", "high", "low"))
    value = pl.col(column)
    kinds = [value.rolling_mean, value.rolling_max, value.rolling_std, value.rolling_median]
    rolled = kinds[int(random.integers(len(kinds)))](length, center=True)
    planted = declared(rolled / pl.col(column), bars(column))
    return part_of(drawn_market(random), ("returns_1d", "planted"), planted), "planted"


def full_series_normalisation(random: Random) -> tuple[StoredPart, str]:
    """Values in units of the whole series' mean and deviation, or of its range."""
    value = pl.col(one_of(random, ("returns_1d", "returns_5d", "returns_20d")))
    ranked = (value - value.min()) / (value.max() - value.min())
    normal = (value - value.mean()) / value.std()
    planted = declared(normal if random.random() < 0.5 else ranked, feature(*value.meta.root_names()), gaps="span")
    return part_of(drawn_market(random), ("returns_1d", "planted"), planted), "planted"


def split_known_early(random: Random) -> tuple[StoredPart, str]:
    """A split in force some sessions early, used before it was announced, or prices in shares of a later split."""
    market = drawn_market(random)
    (date, ratio), kind = market.splits[SYMBOL][0], int(random.integers(3))
    if kind == 0:
        part = part_of(market, ("price_mean",), PRICE_MEAN)
        early = pl.when(pl.col("time") < date).then(pl.col("price_mean") / float(ratio)).otherwise("price_mean")
        return changed(part, "price_mean", early), "price_mean"
    name = one_of(random, ("returns_1d", "returns_5d", "returns_20d", "volatility_20d"))
    if kind == 1:
        late = date + timedelta(days=int(random.integers(2, 10)))
        part = replace(part_of(market, (name,)), split_known_at={(SYMBOL, date): late})
        is_there = part.rows.filter(time=date)[name].is_not_null().all()
        return (part, name) if is_there else split_known_early(random)  # without a value nothing is planted
    own = market.bars.filter(symbol=SYMBOL)["time"]
    sooner = own[int(own.search_sorted(date)) - int(random.integers(1, 11))]
    part = part_of(market, (name,), stored_from=replace(market, splits={SYMBOL: [(sooner, ratio)]}))
    if part.rows.equals(part_of(market, (name,)).rows):  # the values beside the split are NULL: nothing is planted
        return split_known_early(random)
    return part, name


def revised_bar(random: Random) -> tuple[StoredPart, str]:
    """Values of a bar that was corrected after they were computed."""
    market = drawn_market(random)
    symbol, name = SYMBOL, one_of(random, SHORT[:4])
    if random.random() < 0.4:
        symbol, name = [("PEER1", "sector_momentum"), ("PEER2", "sector_momentum"), ("BENCH", "market_beta_60d")][
            int(random.integers(3))
        ]
    dates = market.bars.filter(pl.col("symbol") == symbol, pl.col("volume").is_not_null())["time"]
    date = dates[len(dates) - int(random.integers(25, 75))]
    factor = 1 + float(random.uniform(0.01, 0.1)) * (1 if random.random() < 0.5 else -1)
    wrong = (pl.col("symbol") == symbol) & (pl.col("time") == date)
    revised = replace(
        market,
        bars=market.bars.with_columns(
            pl.when(wrong).then(pl.col(column).cast(pl.Float64) * factor).otherwise(pl.col(column)).alias(column)
            for column in (*PRICES, "volume")
        ).cast(BAR_SCHEMA),  # type: ignore[arg-type]
    )
    part = replace(part_of(market, (name,), stored_from=revised), revised=revised)
    if part.rows.equals(part_of(market, (name,)).rows):  # no row uses that bar: nothing is planted
        return revised_bar(random)
    return part, name


def peers_later_close(random: Random) -> tuple[StoredPart, str]:
    """Another symbol's bar of the same date, which closes hours later."""
    market = drawn_market(random)
    if random.random() < 0.4:
        same = {name: replace(each, calendar="XNYS") for name, each in market.instruments.items()}
        name = one_of(random, OTHERS)
        return part_of(market, (name,), stored_from=replace(market, instruments=same)), name
    of_peer, value = random.random() < 0.5, one_of(random, SHORT[:3])

    def of_the_date(inputs: FeatureInputs) -> pl.Series:
        other = inputs.peers["PEER2"] if of_peer else inputs.benchmark
        assert other is not None
        return inputs.frame.join(other.select("time", value=value), on="time", how="left", maintain_order="left")[
            "value"
        ]

    planted = declared(of_the_date, (peers if of_peer else benchmark)(value), gaps="span")
    return part_of(market, ("returns_1d", "planted"), planted), "planted"


def news_by_publish_time(random: Random) -> tuple[StoredPart, str]:
    """What came from outside used by its own stamp, not by when it was first seen; or news that nobody can have."""
    market = drawn_market(random)
    if random.random() < 0.3:
        counts = pl.Series(np.where(random.random(ROWS) < 0.2, random.integers(1, 9, ROWS), np.nan), nan_to_null=True)
        part = part_of(market, ("returns_1d", "mentions"), NEWS)
        return changed(part, "mentions", pl.lit(counts).gather(pl.int_range(pl.len()))), "mentions"
    value, sooner = one_of(random, SHORT[:3]), int(random.integers(0, 20)) * 3_600_000_000

    def by_stamp(inputs: FeatureInputs) -> Floats:
        assert inputs.benchmark is not None
        item = series_of(inputs.benchmark, value)
        stamped = Series(item.time, item.time + sooner, item.values)
        return latest_known(series_of(inputs.frame.with_columns(pl.lit(0.0).alias(value)), value), stamped)

    planted = declared(by_stamp, benchmark(value), gaps="span")
    return part_of(market, ("returns_1d", "planted"), planted), "planted"


def wrong_calendar(random: Random) -> tuple[StoredPart, str]:
    """Values and times by the calendar of another market."""
    market = drawn_market(random)
    symbol, calendar = [(SYMBOL, "XLON"), (SYMBOL, "24/7"), ("PEER2", "XNYS"), ("BENCH", "XNYS")][
        int(random.integers(4))
    ]
    wrong = {**market.instruments, symbol: replace(market.instruments[symbol], calendar=calendar)}
    name = "market_beta_60d" if symbol == "BENCH" else "sector_momentum"
    part = part_of(market, (name,), stored_from=replace(market, instruments=wrong))
    return part, "available_at" if calendar == "XLON" else name


def filled_from_behind(random: Random) -> tuple[StoredPart, str]:
    """Values that are not there, filled with the next ones; or rows of dates without a bar."""
    market, kind = drawn_market(random), int(random.integers(3))
    if kind == 0:
        name = one_of(random, ("returns_1d", "returns_5d", "volume_ratio_20d"))
        return changed(part_of(market, (name,)), name, pl.col(name).fill_null(strategy="backward")), name
    if kind == 1:
        filled = pl.col("volume").fill_null(strategy="backward") / pl.col("volume").shift(1)
        return part_of(market, ("returns_1d", "planted"), declared(filled, bars("volume"))), "planted"
    part = part_of(market, ("returns_1d",))
    after, _ = market.gaps[SYMBOL][-1]
    row = part.rows.filter(time=after).with_columns(pl.col("time", "available_at") - timedelta(days=1))
    return replace(part, rows=pl.concat([part.rows, row]).sort("time"), _kept={}), "time"


def label_as_feature(random: Random) -> tuple[StoredPart, str]:
    """What a model shall predict, stored as what it may use."""
    horizon = int(random.integers(1, 11))
    ahead = pl.col("close").shift(-horizon) / pl.col("close") - 1
    if random.random() < 0.5:
        planted = declared(ahead, bars("close"))
        return part_of(drawn_market(random), ("returns_1d", "planted"), planted), "planted"
    name, market = one_of(random, SHORT), drawn_market(random)
    label = Label(name="ahead", description="D", formula="F", inputs=(bars("close"),), horizon=horizon, compute=ahead)
    part = part_of(market, (name,), label)
    known: dict[datetime, float | None] = dict(part.labels()["ahead"])
    values = [known.get(time) for time in part.rows["time"].to_list()]
    return changed(part, name, pl.lit(pl.Series(values, dtype=pl.Float64))), name


PLANTS: dict[str, Plant] = {
    "shifted join": shifted_join,
    "centred window": centred_window,
    "full-series normalisation": full_series_normalisation,
    "split known early": split_known_early,
    "revised bar": revised_bar,
    "peer's later close": peers_later_close,
    "news by publish time": news_by_publish_time,
    "wrong calendar": wrong_calendar,
    "filled from behind": filled_from_behind,
    "label as feature": label_as_feature,
}
