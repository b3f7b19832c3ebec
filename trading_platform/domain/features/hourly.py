"""Hourly rows of features, for instruments that trade round the clock.

There is a row for each hourly bar, available when the hour has ended. A feature of the frequency ``1d`` is computed,
by the same definition, from days of 24 hours of which the last one ends with the row: ``returns_1d`` of the row of
09:00 is the return from 10:00 of the day before to 10:00. So no day is ever open, every hour changes the values, and
the row of 23:00 has the values of the daily row. A feature of the frequency ``1h`` is computed from the hourly bars
themselves, and from features of either frequency.

A day of which an hour lacks (missing, pending confirmation or rejected) is lacking itself; hours that are confirmed
empty are not. Symbols of other calendars, as peers or benchmark, have their daily bars
(:mod:`trading_platform.domain.features.compute`), each used from its close on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from trading_platform.domain.derived.gaps import NO_GAPS, Gaps, lacking_before
from trading_platform.domain.derived.indicators import check_bars, runs
from trading_platform.domain.derived.smoothing import Floats
from trading_platform.domain.derived.splits import NO_SPLITS, Splits, shares_held
from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.features.built_in import BUILT_IN
from trading_platform.domain.features.compute import (
    MarketSeries,
    SymbolSeries,
    continuous,
    daily_series,
    news_by_symbol,
)
from trading_platform.domain.features.declaration import DATA_TYPES, HOURS_OF_DAY, Feature
from trading_platform.domain.features.feature_set import KEYS, FeatureSet
from trading_platform.domain.features.inputs import NO_NEWS, OF_OTHERS
from trading_platform.domain.market.bars import PRICES, empty_bars
from trading_platform.domain.market.calendars import ALWAYS_OPEN
from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.time import Timeframe

_HOUR = timedelta(hours=1)
_HOUR_MICROSECONDS = _HOUR // timedelta(microseconds=1)

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class MarketBars:
    """Bars of one timeframe, and what interrupts them.

    Attributes:
        bars: raw, frame of ``BAR_SCHEMA`` sorted by (symbol, time).
        splits: of these symbols, with the time from which bars are in new shares.
        gaps: of these symbols, between the bars.
    """

    bars: pl.DataFrame
    splits: Splits
    gaps: Gaps


NO_BARS = MarketBars(empty_bars(), NO_SPLITS, NO_GAPS)


def has_hourly_rows(instrument: Instrument) -> bool:
    """Whether an instrument has hourly rows of features: it trades round the clock, so that no close ends its day."""
    return instrument.calendar == ALWAYS_OPEN


def compute_hourly_features(
    hours: MarketBars,
    days: MarketBars,
    instruments: Mapping[str, Instrument],
    symbols: Sequence[str],
    *,
    definitions: FeatureSet = BUILT_IN,
    names: Sequence[str] | None = None,
    news: pl.DataFrame = NO_NEWS,
) -> pl.DataFrame:
    """The features of each hourly bar of the symbols, split-adjusted as of the bar.

    Args:
        hours: hourly bars of the symbols, of the members of their sectors and of their benchmarks, as far as they
            trade round the clock.
        days: daily bars of the members and benchmarks that do not.
        instruments: the instrument of each symbol with bars; it defines sector, benchmark and calendar.
        symbols: symbols to compute features for; those that do not trade round the clock have no rows.
        definitions: the definitions.
        names: which features; None means all.
        news: the scored news about the symbols (``NEWS_SCHEMA``), from a day before the first row on.

    Returns:
        Frame of the definitions' ``schema`` with the named features, one row per hourly bar of ``symbols``, sorted by
        (symbol, time).

    Raises:
        InvalidRequest: if the bars are not of the stated length or not sorted, a symbol is not among ``instruments``, a
            feature is unknown, or a definition does not give one value for each bar.
        QualityError: if a price is missing.
    """
    wanted = definitions.known(names)
    _check(hours.bars, Timeframe.H1, instruments)
    _check(days.bars, Timeframe.D1, instruments)
    about = news_by_symbol(news)
    every = {
        symbol: _Hours.of(instruments[symbol], hours.bars[own], hours, about.get(symbol, NO_NEWS))
        for symbol, own in runs(hours.bars["symbol"])
    }
    chosen = [symbol for symbol in every if symbol in set(symbols)]
    _fill_daily(every, daily_series(days.bars, instruments, days.splits, days.gaps, news), chosen, definitions, wanted)
    market = MarketSeries({symbol: each.series for symbol, each in every.items()}, definitions)
    schema = {**KEYS, **{name: definitions.schema[name] for name in wanted}}
    frames = [
        market.series[symbol].rows({name: market.value(symbol, definitions.features[name]) for name in wanted})
        for symbol in chosen
    ]
    return pl.concat(frames) if frames else pl.DataFrame(schema=schema)


def _check(bars: pl.DataFrame, timeframe: Timeframe, instruments: Mapping[str, Instrument]) -> None:
    others = bars.filter(pl.col("timeframe") != timeframe.value)["timeframe"].unique().sort().to_list()
    unknown = sorted(set(bars["symbol"].unique()) - set(instruments))
    continuous_market = timeframe is Timeframe.H1
    wrong = [
        symbol
        for symbol in bars["symbol"].unique().sort()
        if symbol in instruments and has_hourly_rows(instruments[symbol]) != continuous_market
    ]
    if others or unknown or wrong:
        raise InvalidRequest(
            "Hourly rows of features cannot be computed from these bars.",
            expected="1h bars of instruments of the calendar 24/7, 1d bars of the others, and an instrument for each",
            received=", ".join([*others, *unknown, *wrong]),
            remedy="read the bars of each symbol in the length that its calendar asks for",
        )
    check_bars(bars)


def _fill_daily(
    every: Mapping[str, _Hours],
    others: Mapping[str, SymbolSeries],
    chosen: Sequence[str],
    definitions: FeatureSet,
    wanted: Sequence[str],
) -> None:
    """Computes the features of days that are wanted, or that others need, into the series of hours."""
    needed = _needed_daily(definitions, wanted)
    of_peers = _needed_daily(definitions, _of_others(definitions, wanted))
    needs = {symbol: [*needed, *of_peers] if symbol in set(chosen) else of_peers for symbol in every}
    needs = {symbol: list(dict.fromkeys(names)) for symbol, names in needs.items() if names}
    if not needs:
        return
    _compute_others(others, definitions)
    found: dict[tuple[str, str], list[tuple[Rows, pl.Series]]] = {}
    for begin in range(HOURS_OF_DAY):
        days = {symbol: each.days(begin) for symbol, each in every.items()}
        series = {symbol: own for symbol, (_, own) in days.items() if len(own.time)}
        series |= {symbol: replace(own, time=own.time + begin * _HOUR) for symbol, own in others.items()}
        market = MarketSeries(series, definitions)
        for symbol, names in needs.items():
            for name in names if symbol in series else ():
                values = market.continuous(symbol, definitions.features[name])
                found.setdefault((symbol, name), []).append((days[symbol][0], values))
    for symbol, names in needs.items():
        for name in names:
            dtype = DATA_TYPES[definitions.features[name].data_type]
            every[symbol].series.values[name] = every[symbol].at_rows(name, dtype, found.get((symbol, name), []))


def _needed_daily(definitions: FeatureSet, names: Iterable[str]) -> list[str]:
    """The features of days among some features and what these are computed from, of the same symbol."""
    asked = [name for name in names if not definitions.features[name].is_hourly]
    needed = definitions.in_order([name for name in names if definitions.features[name].is_hourly])
    return list(dict.fromkeys([*asked, *(name for name in needed if not definitions.features[name].is_hourly)]))


def _of_others(definitions: FeatureSet, names: Sequence[str]) -> list[str]:
    """The features of other symbols that hourly ones among some features, or their inputs, are computed from."""
    hourly: list[Feature] = [definitions.features[name] for name in definitions.in_order(names)]
    return [name for each in hourly if each.is_hourly for name in each.names_of(*OF_OTHERS)]


def _compute_others(others: Mapping[str, SymbolSeries], definitions: FeatureSet) -> None:
    """Computes what is needed of symbols of other calendars, once for all hours."""
    market = MarketSeries(others, definitions)
    for symbol in others:
        for name in definitions.of_others:
            if not definitions.features[name].is_hourly:
                market.continuous(symbol, definitions.features[name])


@dataclass
class _Hours:
    """The hourly bars of a symbol, on a grid of all hours from the first to the last one.

    Attributes:
        series: the bars and their features.
        row: the hour of the grid of each bar.
        first: hour of the day of the grid's first hour.
        lacks: whether each hour of the grid lies in a gap.
    """

    series: SymbolSeries
    row: Rows
    first: int
    lacks: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, instrument: Instrument, bars: pl.DataFrame, market: MarketBars, news: pl.DataFrame) -> _Hours:
        """The hours of one symbol's bars, with the news about it."""
        symbol, time = instrument.symbol, bars["time"]
        held = shares_held(time, market.splits.get(symbol, ()))
        lacking = lacking_before(time, market.gaps.get(symbol, ()))
        numbers = time.to_physical().to_numpy() // _HOUR_MICROSECONDS
        row: Rows = numbers - numbers[0]
        lacks = np.zeros(row[-1] + 1, dtype=np.bool_)
        for after in np.flatnonzero(lacking):  # which hours between two bars lack is not known: all of them count
            lacks[row[after - 1] + 1 : row[after]] = True
        series = SymbolSeries(instrument, time, time + _HOUR, continuous(bars, held), lacking, held, news)
        return cls(series, row, int(numbers[0] % HOURS_OF_DAY), lacks)

    def days(self, begin: int) -> tuple[Rows, SymbolSeries]:
        """The days that begin at an hour of the day, complete ones only, and the last hour of each on the grid."""
        start = HOURS_OF_DAY - 1 + (begin - self.first) % HOURS_OF_DAY
        last: Rows = np.arange(start, len(self.lacks), HOURS_OF_DAY, dtype=np.int64)
        windows = last - (HOURS_OF_DAY - 1)
        lacking, present = self._rolled["lacking"][windows] > 0, self._rolled["present"][windows] > 0
        complete = present & ~lacking
        before = np.cumsum(lacking)[complete]
        rows, windows = last[complete], windows[complete]
        own = self.series
        opens = own.time.to_physical()[0] + (rows - (HOURS_OF_DAY - 1)) * _HOUR_MICROSECONDS
        time = pl.Series("time", opens, dtype=pl.Int64).cast(own.time.dtype)
        return rows, SymbolSeries(
            own.instrument,
            time,
            time + HOURS_OF_DAY * _HOUR,
            {name: self._rolled[name][windows] for name in (*PRICES, "volume")},
            np.diff(before, prepend=before[:1]).astype(np.int64),
            None if own.held is None else own.held[self._latest[rows]],
            own.news,
        )

    def at_rows(self, name: str, dtype: pl.DataType, parts: Sequence[tuple[Rows, pl.Series]]) -> pl.Series:
        """Values of days at the bars that end them; NULL where the day of a bar is lacking."""
        if not parts:
            return pl.Series(name, [None] * len(self.row), dtype=dtype)
        position = np.full(len(self.lacks), -1)
        position[np.concatenate([rows for rows, _ in parts])] = np.arange(sum(len(rows) for rows, _ in parts))
        taken = position[self.row]
        values = pl.concat([values.cast(dtype) for _, values in parts])
        return values.gather(pl.Series(taken).replace(-1, None)).alias(name)

    @cached_property
    def _latest(self) -> Rows:
        """The number of the last bar at or before each hour of the grid."""
        number: Rows = np.zeros(len(self.lacks), dtype=np.int64)
        number[self.row] = np.arange(len(self.row))
        return np.maximum.accumulate(number)

    @cached_property
    def _rolled(self) -> dict[str, Floats]:
        """Each 24 hours of the grid, by their first hour: prices, volume, and how many hours are present and lack."""
        size = len(self.lacks)
        if size < HOURS_OF_DAY:
            return dict.fromkeys((*PRICES, "volume", "present", "lacking"), np.empty(0))
        present = np.zeros(size)
        present[self.row] = 1.0
        prices = self.series.prices
        later = np.minimum.accumulate(np.where(present > 0, np.arange(size), size)[::-1])[::-1]
        first = np.minimum(later[: size - HOURS_OF_DAY + 1], size - 1)

        def windows(values: Floats, absent: float) -> npt.NDArray[np.float64]:
            grid = np.full(size, absent)
            grid[self.row] = values
            view: npt.NDArray[np.float64] = np.lib.stride_tricks.sliding_window_view(grid, HOURS_OF_DAY)
            return view

        return {
            "open": prices["open"][self._latest[first]],
            "high": windows(prices["high"], -np.inf).max(axis=1),
            "low": windows(prices["low"], np.inf).min(axis=1),
            "close": prices["close"][self._latest[HOURS_OF_DAY - 1 :]],
            "volume": windows(prices["volume"], 0.0).sum(axis=1),
            "present": np.lib.stride_tricks.sliding_window_view(present, HOURS_OF_DAY).sum(axis=1),
            "lacking": np.lib.stride_tricks.sliding_window_view(self.lacks.astype(np.float64), HOURS_OF_DAY).sum(
                axis=1
            ),
        }
