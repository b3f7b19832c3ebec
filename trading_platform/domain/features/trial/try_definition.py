"""Tries a definition before it is used: does it compute, does it keep its warm-up, and does it look ahead?

Look-ahead is found by truncation: at random times everything that was not available yet is cut off, or replaced by
other bars, and no value of before may change. What cannot be found so, such as a value that is wrong at once, is for
the definition's own test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from fractions import Fraction

import numpy as np
import polars as pl

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.features.compute import compute_features, compute_labels
from trading_platform.domain.features.declaration import Definition, Feature, Label
from trading_platform.domain.features.feature_set import FeatureSet
from trading_platform.domain.features.hourly import NO_BARS, MarketBars, compute_hourly_features
from trading_platform.domain.features.trial.invented_market import Market
from trading_platform.domain.features.trial.known_market import closes_of, known_by
from trading_platform.domain.market.bars import BAR_SCHEMA, PRICES
from trading_platform.domain.time import Timeframe

MOMENTS = 20
"""Number of random times at which look-ahead is looked for."""

STARTS = 5
"""Number of random rows at which a partition begins to examine the warm-up."""

NULL_SHARE = 0.10
"""Share of values after the warm-up that may be NULL before it is a warning."""

ROUNDING = 1e-12
"""Relative difference that is rounding; a partition may differ by :data:`_PARTITION` from the full history."""

_PARTITION = 1e-9
_SPLIT = Fraction(3)
_UNKNOWN = 3  # rows without a volume beside which look-ahead is looked for
_SHORTEST = 60  # rows without which nothing can be said

Timer = Callable[[], float]


class Verdict(StrEnum):
    """Result of one examination."""

    PASSED = "passed"
    WARN = "warn"
    FAILED = "failed"


@dataclass(frozen=True)
class Finding:
    """What one examination of a definition found.

    Attributes:
        name: the feature or label.
        check: the examination: computes, values, first value, warm-up, look-ahead, splits, speed.
        verdict: its result.
        detail: the result in words.
    """

    name: str
    check: str
    verdict: Verdict
    detail: str


def rows_to_try(definitions: FeatureSet, names: list[str]) -> int:
    """Number of bars that a market to try these definitions on should have."""
    features = [definitions.features[name].warm_up for name in names if name in definitions.features]
    labels = [definitions.labels[name].horizon for name in names if name in definitions.labels]
    return max([*features, *labels, 0]) + 600


def try_definition(definitions: FeatureSet, name: str, market: Market, *, seed: int, timer: Timer) -> list[Finding]:
    """Examines one feature or label on a market.

    Args:
        definitions: the definitions, this one among them.
        name: the feature or label.
        market: bars to compute it from.
        seed: begins the choice of random times.
        timer: returns seconds, such as ``time.perf_counter``.
    """
    each: Definition = definitions.features[name] if name in definitions.features else definitions.labels[name]
    if isinstance(each, Feature) and each.awaits is not None:
        return [Finding(name, "computes", Verdict.WARN, f"all values are NULL: {each.awaits}")]
    trial = _Trial(definitions, each, market, np.random.default_rng(seed))
    began = timer()
    try:
        full = trial.values(market)
    except InvalidRequest as error:
        return [Finding(name, "computes", Verdict.FAILED, f"{error.message} Received: {error.received}")]
    seconds = timer() - began
    kind = f"{full.height:,} values of type {each.data_type} on {market.name}"
    found = [Finding(name, "computes", Verdict.PASSED, kind)]
    for check in (trial.value_share, trial.warm_up, trial.look_ahead, trial.splits):
        try:
            found += check(full)
        except InvalidRequest as error:
            what = check.__name__.replace("_", "-")
            found.append(Finding(name, what, Verdict.FAILED, f"{error.message} Received: {error.received}"))
    rate = full.height / max(seconds, 1e-9)
    return [*found, Finding(name, "speed", Verdict.PASSED, f"{rate:,.0f} bars a second, with all that it needs")]


class _Trial:
    """The examinations of one definition; each yields what it found."""

    def __init__(self, definitions: FeatureSet, each: Definition, market: Market, random: np.random.Generator) -> None:
        self._definitions = definitions
        self._each = each
        self._market = market
        self._random = random
        self._closes = closes_of(market)

    def values(self, market: Market) -> pl.DataFrame:
        """``time``, ``available_at`` and ``value`` of each bar of the symbol."""
        given = (market.bars, market.instruments, [market.symbol], market.splits, market.gaps)
        name, news = self._each.name, market.news
        if isinstance(self._each, Label):
            frame = compute_labels(*given, definitions=self._definitions, name=name, news=news)
        elif market.timeframe is Timeframe.H1:
            hours = MarketBars(market.bars, market.splits, market.gaps)
            instruments, own = market.instruments, [market.symbol]
            frame = compute_hourly_features(
                hours, NO_BARS, instruments, own, definitions=self._definitions, names=[name], news=news
            )
        else:
            frame = compute_features(*given, definitions=self._definitions, names=[name], news=news)
        return frame.select("time", "available_at", value=pl.col(name).cast(pl.Float64))

    def value_share(self, full: pl.DataFrame) -> Iterator[Finding]:
        """How many values there are after the warm-up, and whether the first comes when it is declared to come."""
        if isinstance(self._each, Feature):
            first = self._each.rows_before_first
            defined = full["value"].is_not_null().arg_true()
            if len(defined):
                said = f"the first value is in row {defined[0]}; declared are {first} rows before it"
                yield self._finding("first value", said, holds=defined[0] <= first)
            else:
                alone = len(self._market.instruments) == 1  # others that it may need are not there
                said = "there is no value" + (": the symbol has no sector and no benchmark with bars" if alone else "")
                yield Finding(self._each.name, "first value", Verdict.WARN if alone else Verdict.FAILED, said)
            after = full["value"][first:]
        else:
            after = full.filter(pl.col("available_at").is_not_null())["value"]
        share = after.null_count() / max(len(after), 1)
        verdict = Verdict.PASSED if share <= NULL_SHARE else Verdict.WARN
        yield Finding(
            self._each.name, "values", verdict, f"{share:.1%} of {len(after):,} values after the warm-up are NULL"
        )

    def warm_up(self, full: pl.DataFrame) -> Iterator[Finding]:
        """Whether a partition with the declared warm-up equals the full history."""
        if not isinstance(self._each, Feature):
            return
        needed = self._each.warm_up
        room = full.height - needed - 1
        if room < _SHORTEST:
            yield Finding(
                self._each.name,
                "warm-up",
                Verdict.WARN,
                f"{full.height:,} bars are too few to examine a warm-up of {needed:,}",
            )
            return
        for row in sorted(self._random.choice(room, STARTS, replace=False) + needed + 1):
            start: datetime = full["time"][int(row) - needed]
            own = pl.col("symbol") == self._market.symbol
            alone = self.values(replace(self._market, bars=self._market.bars.filter(~own | (pl.col("time") >= start))))
            differing = _differing(full[int(row) :], alone, _PARTITION)
            if differing.height:
                time, theirs, mine = differing.row(0)
                yield self._finding(
                    "warm-up",
                    f"with {needed} bars before it {time:%Y-%m-%d} has {mine}, with all of them {theirs}: "
                    "declare a longer warm_up",
                    holds=False,
                )
                return
        said = f"{STARTS} partitions with {needed} bars before them equal the full history"
        yield self._finding("warm-up", said, holds=True)

    def look_ahead(self, full: pl.DataFrame) -> Iterator[Finding]:
        """Whether a value changes with what was not available when it was, by cutting and by changing the future."""
        known = full.filter(pl.col("available_at").is_not_null())
        if known.height < _SHORTEST:
            said = f"{known.height:,} values that are available are too few to look for look-ahead"
            yield Finding(self._each.name, "look-ahead", Verdict.WARN, said)
            return
        depends = isinstance(self._each, Feature)
        for row in self._rows_to_cut(known):
            moment: datetime = known["available_at"][row]
            known_then = known_by(self._market, self._closes, moment)
            for what, market in (("cut off", known_then), ("changed", self._changed(moment))):
                then = self.values(market)
                differing = _differing(known.filter(pl.col("available_at") <= moment), then, ROUNDING)
                if differing.height:
                    time, before, after = differing.row(-1)
                    yield self._finding(
                        "look-ahead",
                        f"when everything after {moment:%Y-%m-%d %H:%M} is {what}, the value of {time:%Y-%m-%d} "
                        f"changes from {before} to {after}: it uses what was not known",
                        holds=False,
                    )
                    return
                open_still = full.filter(
                    self._ended(moment) & ~(pl.col("available_at") <= moment).fill_null(value=False)
                )
                depends = depends or (what == "changed" and _differing(open_still, then, ROUNDING).height > 0)
        if not depends:
            yield self._finding("look-ahead", "it does not look ahead: declare it as a Feature", holds=False)
            return
        said = f"no value changes with the future, cut off and changed at {MOMENTS} random times and beside each gap"
        yield self._finding("look-ahead", said, holds=True)

    def splits(self, full: pl.DataFrame) -> Iterator[Finding]:
        """Whether a split leaves the values as they are, but for those in units of price or volume."""
        row = int(self._random.integers(full.height // 3, 2 * full.height // 3))
        date: datetime = full["time"][row]
        earlier = (pl.col("symbol") == self._market.symbol) & (pl.col("time") < date)
        ratio = float(_SPLIT)
        bars = self._market.bars.with_columns(
            *(
                pl.when(earlier).then(pl.col(name).cast(pl.Float64) * ratio).otherwise(pl.col(name)).alias(name)
                for name in PRICES
            ),
            volume=pl.when(earlier).then(pl.col("volume").cast(pl.Float64) / ratio).otherwise(pl.col("volume")),
        ).cast(BAR_SCHEMA)  # type: ignore[arg-type]
        own = sorted([*self._market.splits.get(self._market.symbol, ()), (date, _SPLIT)])
        split = self.values(replace(self._market, bars=bars, splits={**self._market.splits, self._market.symbol: own}))
        factor = {"none": 1.0, "price": ratio, "volume": 1 / ratio}[self._each.unit]
        expected = full.with_columns(
            value=pl.when(pl.col("time") < date).then(pl.col("value") * factor).otherwise("value")
        )
        tolerance = 1e-6  # prices have eight decimals
        differing = _differing(expected, split, tolerance)
        if differing.height:
            time, before, after = differing.row(0)
            yield self._finding(
                "splits",
                f"with a split of 3 for 1 on {date:%Y-%m-%d} the value of {time:%Y-%m-%d} is {after} instead of "
                f'{before}: declare unit="price" or "volume" for a value that scales with it, or compute a ratio',
                holds=False,
            )
            return
        yield self._finding("splits", "a split changes no value but its unit", holds=True)

    def _rows_to_cut(self, known: pl.DataFrame) -> list[int]:
        """Random rows, and some where values begin: after the start, after gaps and where a volume is unknown."""
        last = known.height - 1
        rows = [int(row) for row in self._random.choice(last, min(MOMENTS, last), replace=False)]
        first = self._each.rows_before_first if isinstance(self._each, Feature) else 0
        rows += [int(row) for row in self._random.integers(1, first + 5, 4)]
        times = known["time"]
        own = self._market.bars.filter(symbol=self._market.symbol)
        begun = [time for time, _ in self._market.gaps.get(self._market.symbol, ())]
        unknown = own.filter(pl.col("volume").is_null())["time"].to_list()[:_UNKNOWN]
        rows += [int(times.search_sorted(time)) + int(self._random.integers(0, 4)) for time in begun]
        rows += [int(times.search_sorted(time)) for time in unknown]
        return sorted({row for row in rows if row <= last})

    def _finding(self, check: str, detail: str, *, holds: bool) -> Finding:
        return Finding(self._each.name, check, Verdict.PASSED if holds else Verdict.FAILED, detail)

    def _ended(self, moment: datetime) -> pl.Expr:
        """Whether the row's own bar had closed."""
        times = self._closes.filter((pl.col("symbol") == self._market.symbol) & (pl.col("closed") <= moment))["time"]
        return pl.col("time").is_in(times.implode())

    def _later(self, moment: datetime) -> pl.Series:
        """Whether each bar closed after a moment."""
        return self._closes["closed"] > moment

    def _changed(self, moment: datetime) -> Market:
        """Later bars at other prices, each bar by a factor of its own."""
        later = self._later(moment)
        factor = pl.Series(self._random.uniform(0.5, 2.0, self._market.bars.height))
        bars = self._market.bars.with_columns(
            pl.when(later).then(pl.col(name).cast(pl.Float64) * factor).otherwise(pl.col(name)).alias(name)
            for name in (*PRICES, "volume")
        ).cast(BAR_SCHEMA)  # type: ignore[arg-type]
        return replace(self._market, bars=bars)


def _differing(expected: pl.DataFrame, actual: pl.DataFrame, tolerance: float) -> pl.DataFrame:
    """``time`` and both values of the rows of ``expected`` that ``actual`` does not have so."""
    mine, theirs = pl.col("value"), pl.col("value_right")
    limit = tolerance * pl.max_horizontal(mine.abs(), theirs.abs(), pl.lit(1e-6))
    return (
        expected.join(actual.select("time", "value"), on="time", how="left", maintain_order="left")
        .filter((mine.is_null() != theirs.is_null()) | ((mine - theirs).abs() > limit))
        .select("time", "value", "value_right")
    )
