"""Computes features from daily bars, by their definitions.

A definition sees one symbol through columns of floats that do not jump at splits, with the bars between two gaps at a
time (:class:`~trading_platform.domain.features.declaration.Definition`, ``gaps``). docs/features.md has the
conventions; :mod:`trading_platform.stores.features.files` stores the values. Hourly rows are computed by
:mod:`trading_platform.domain.features.hourly` with the series of this module.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import polars as pl

from trading_platform.domain.derived.gaps import BRIDGED, NO_GAPS, Counts, Gaps, lacking_before, segments
from trading_platform.domain.derived.indicators import check_bars, indicator_values, runs
from trading_platform.domain.derived.smoothing import Floats
from trading_platform.domain.derived.splits import NO_SPLITS, Splits, shares_held
from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.features.built_in import BUILT_IN
from trading_platform.domain.features.cross_section import latest_known, series_of
from trading_platform.domain.features.declaration import DATA_TYPES, Definition, Label
from trading_platform.domain.features.feature_set import KEYS, FeatureSet
from trading_platform.domain.features.inputs import NO_NEWS, OF_OTHERS, FeatureInputs, InputKind
from trading_platform.domain.market.bars import PRICES, TIME
from trading_platform.domain.market.calendars import availability
from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.time import Timeframe

ENGINE_VERSION = 1
"""Increase it when the columns that definitions receive change their values: everything computed before is stale."""


def compute_features(
    bars: pl.DataFrame,
    instruments: Mapping[str, Instrument],
    symbols: Sequence[str],
    splits: Splits = NO_SPLITS,
    gaps: Gaps = NO_GAPS,
    *,
    definitions: FeatureSet = BUILT_IN,
    names: Sequence[str] | None = None,
    news: pl.DataFrame = NO_NEWS,
) -> pl.DataFrame:
    """The features of each daily bar of the symbols, split-adjusted as of the bar's date.

    Args:
        bars: raw daily bars, frame of ``BAR_SCHEMA`` sorted by (symbol, time), of the symbols, of the
            members of their sectors and of their benchmarks. A symbol without bars is not counted.
        instruments: the instrument of each symbol in ``bars``; it defines sector, benchmark and calendar.
        symbols: symbols to compute features for.
        splits: of every symbol in ``bars``, by date.
        gaps: of every symbol in ``bars``, between its bars.
        definitions: the definitions; those of hourly bars have no value of a day and are left out.
        names: which features; None means all.
        news: the scored news about the symbols (``NEWS_SCHEMA``), from a day before the first row on.

    Returns:
        Frame of the definitions' ``schema`` with the named features, one row per bar of ``symbols``, sorted by
        (symbol, time).

    Raises:
        InvalidRequest: if a symbol is not among ``instruments``, a feature is unknown, the bars are not daily or not
            sorted, or a definition does not give one value for each bar.
        QualityError: if a price is missing.
    """
    definitions = definitions.daily
    wanted = definitions.known(names)
    _check(bars, instruments, symbols)
    market = MarketSeries(daily_series(bars, instruments, splits, gaps, news), definitions)
    frames = [
        market.series[symbol].rows({name: market.value(symbol, definitions.features[name]) for name in wanted})
        for symbol in market.series
        if symbol in set(symbols)
    ]
    schema = {**KEYS, **{name: definitions.schema[name] for name in wanted}}
    return pl.concat(frames) if frames else pl.DataFrame(schema=schema)


def compute_labels(
    bars: pl.DataFrame,
    instruments: Mapping[str, Instrument],
    symbols: Sequence[str],
    splits: Splits = NO_SPLITS,
    gaps: Gaps = NO_GAPS,
    *,
    definitions: FeatureSet,
    name: str,
    news: pl.DataFrame = NO_NEWS,
) -> pl.DataFrame:
    """A label of each daily bar of the symbols.

    Args:
        bars: as for :func:`compute_features`.
        instruments: the instrument of each symbol in ``bars``.
        symbols: symbols to compute the label for.
        splits: of every symbol in ``bars``, by date.
        gaps: of every symbol in ``bars``, between its bars.
        definitions: the definitions.
        name: the label.
        news: as for :func:`compute_features`.

    Returns:
        ``time``, ``symbol``, ``available_at`` and the label, sorted by (symbol, time). ``available_at`` is the close of
        the last bar that the label looks at. Where that bar is not there yet, ``available_at`` and the label are NULL.

    Raises:
        InvalidRequest: if there is no such label, and as raised by :func:`compute_features`.
    """
    if name not in definitions.labels:
        raise InvalidRequest(
            f"There is no label {name!r}.",
            expected=f"one of {', '.join(definitions.labels) or 'the labels of a file of definitions; there is none'}",
            received=name,
            remedy="define it in a file of the folder FEATURE_DEFINITIONS",
        )
    _check(bars, instruments, symbols)
    label = definitions.labels[name]
    market = MarketSeries(daily_series(bars, instruments, splits, gaps, news), definitions)
    frames = []
    for symbol, series in market.series.items():
        if symbol in set(symbols):
            rows = series.rows({name: market.value(symbol, label)})
            known = pl.col("available_at").shift(-label.horizon)
            frames.append(rows.with_columns(known, pl.when(known.is_not_null()).then(pl.col(name)).alias(name)))
    return pl.concat(frames) if frames else pl.DataFrame(schema={**KEYS, name: DATA_TYPES[label.data_type]})


def _check(bars: pl.DataFrame, instruments: Mapping[str, Instrument], symbols: Sequence[str]) -> None:
    if not bars["timeframe"].is_in([Timeframe.D1.value]).all():
        raise InvalidRequest(
            "Features are computed from daily bars.",
            expected="timeframe 1d",
            received=", ".join(bars["timeframe"].unique().sort().to_list()),
            remedy="read the bars of timeframe 1d",
        )
    unknown = sorted({*bars["symbol"].unique(), *symbols} - set(instruments))
    if unknown:
        raise InvalidRequest(
            "Some of the symbols have no instrument.",
            expected="an instrument for every symbol",
            received=", ".join(unknown),
            remedy="register them with `trading-platform instruments add`",
        )
    check_bars(bars)


def news_by_symbol(news: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """The news about each symbol, without the column ``symbol``."""
    return {str(symbol): own for (symbol,), own in news.partition_by("symbol", as_dict=True, include_key=False).items()}


def daily_series(
    bars: pl.DataFrame,
    instruments: Mapping[str, Instrument],
    splits: Splits,
    gaps: Gaps,
    news: pl.DataFrame = NO_NEWS,
) -> dict[str, SymbolSeries]:
    """The series of the daily bars of each symbol."""
    found, about = {}, news_by_symbol(news)
    for symbol, own in runs(bars["symbol"]):
        rows = bars[own]
        held = shares_held(rows["time"], splits.get(symbol, ()))
        available_at = availability(instruments[symbol].calendar, Timeframe.D1, rows.select("time")).cast(TIME)
        lacking = lacking_before(rows["time"], gaps.get(symbol, ()))
        found[symbol] = SymbolSeries(
            instruments[symbol],
            rows["time"],
            available_at,
            continuous(rows, held),
            lacking,
            held,
            about.get(symbol, NO_NEWS),
        )
    return found


def continuous(bars: pl.DataFrame, held: Floats | None) -> dict[str, Floats]:
    """The columns of one symbol's bars as floats, continuous across splits.

    Args:
        bars: frame of ``BAR_SCHEMA``.
        held: shares of a holding of one share at the first bar; None where there was no split.
    """
    values = {name: bars[name].cast(pl.Float64).to_numpy() for name in (*PRICES, "volume")}
    if held is None:
        return values
    return {name: each / held if name == "volume" else each * held for name, each in values.items()}


@dataclass
class SymbolSeries:
    """The bars of one symbol, and what was computed of them.

    Attributes:
        instrument: its instrument.
        time: the open of each bar.
        available_at: when each bar was available.
        prices: the columns of its bars, continuous across splits.
        lacking: number of expected bars lacking before each.
        held: shares of a holding of one share at the first bar; None where there was no split.
        news: the scored news about the symbol.
        values: computed columns, in that holding's value where they are in units of price.
    """

    instrument: Instrument
    time: pl.Series
    available_at: pl.Series
    prices: Mapping[str, Floats]
    lacking: Counts
    held: Floats | None
    news: pl.DataFrame = field(default_factory=lambda: NO_NEWS)
    values: dict[str, pl.Series] = field(default_factory=dict)
    _columns: dict[tuple[InputKind, str], pl.Series] = field(default_factory=dict)

    @cached_property
    def indicators(self) -> dict[str, Floats]:
        """All indicators, continuous across splits."""
        return indicator_values(self.prices["high"], self.prices["low"], self.prices["close"], self.lacking)

    @cached_property
    def position(self) -> Counts:
        """The number of each bar, lacking ones counted."""
        positions: Counts = np.arange(len(self.lacking)) + np.cumsum(self.lacking)
        return positions

    def column(self, kind: InputKind, name: str) -> pl.Series:
        """A column of an input of the symbol itself."""
        if kind is InputKind.FEATURE:
            return self.values[name].alias(name)
        if (kind, name) not in self._columns:
            values = self.prices[name] if kind is InputKind.BARS else self.indicators[name]
            self._columns[kind, name] = pl.Series(name, values, nan_to_null=True)
        return self._columns[kind, name]

    @cached_property
    def times(self) -> list[pl.Series]:
        """``time``, ``available_at`` and ``position`` of each bar."""
        return [
            self.time.alias("time"),
            self.available_at.alias("available_at"),
            pl.Series("position", self.position, dtype=pl.Int64),
        ]

    def stretches(self, rule: str) -> Iterator[slice]:
        """The rows that a definition sees at a time, by its rule for gaps."""
        if rule == "span" or not self.lacking.any():
            yield slice(0, len(self.time))
        else:
            yield from segments(self.lacking, BRIDGED if rule == "bridge" else 0)

    def in_shares_of_the_day(self, each: Definition, values: pl.Series) -> pl.Series:
        """The values in shares of their row's date, where they are in units of price or volume."""
        if self.held is None or each.unit == "none":
            return values
        held = pl.Series(self.held)
        return values / held if each.unit == "price" else values * held

    def rows(self, columns: Mapping[str, pl.Series]) -> pl.DataFrame:
        """The rows of some features."""
        return pl.DataFrame([self.time.alias("time")]).with_columns(
            pl.lit(self.instrument.symbol).alias("symbol"),
            self.available_at.alias("available_at"),
            *(values.alias(name) for name, values in columns.items()),
        )


class MarketSeries:
    """The series of all symbols; a feature of a symbol is computed when it is first needed.

    Args:
        series: the series of each symbol.
        definitions: the definitions.
    """

    def __init__(self, series: Mapping[str, SymbolSeries], definitions: FeatureSet) -> None:
        self.series = series
        self._definitions = definitions
        self._others: dict[tuple[str, tuple[str, ...]], pl.DataFrame] = {}

    def value(self, symbol: str, each: Definition) -> pl.Series:
        """The values of a feature or label, as they are stored: in shares of the row's date, NULL where not defined."""
        return self.series[symbol].in_shares_of_the_day(each, self.continuous(symbol, each))

    def continuous(self, symbol: str, each: Definition) -> pl.Series:
        """The same, without a jump at a split."""
        own = self.series[symbol]
        return own.values[each.name] if each.name in own.values else self._computed(own, each)

    def _computed(self, own: SymbolSeries, each: Definition) -> pl.Series:
        for name in self._definitions.in_order(each.names_of(InputKind.FEATURE)):
            if name not in own.values:
                self._computed(own, self._definitions.features[name])
        values = self._values(own, each)
        if not isinstance(each, Label):
            own.values[each.name] = values
        return values

    def _values(self, own: SymbolSeries, each: Definition) -> pl.Series:
        peers = self._peers(own.instrument.symbol, each)
        benchmark = self._benchmark(own.instrument.symbol, each)
        columns = [
            own.column(declared.kind, name)
            for declared in each.inputs
            if declared.kind not in OF_OTHERS and declared.kind is not InputKind.NEWS
            for name in declared.names
        ]
        if isinstance(each.compute, pl.Expr):
            columns += _aligned(pl.DataFrame(own.times), each, peers, benchmark)
        frame = pl.DataFrame([*own.times, *columns])
        parts = [
            _evaluated(each, FeatureInputs(frame[rows], peers, benchmark, own.news), own.instrument.symbol)
            for rows in own.stretches(each.gaps)
        ]
        return pl.concat(parts).alias(each.name) if parts else pl.Series(each.name, [], DATA_TYPES[each.data_type])

    def _peers(self, symbol: str, each: Definition) -> dict[str, pl.DataFrame]:
        names, sector = each.names_of(InputKind.PEERS), self.series[symbol].instrument.sector
        if not names or sector is None:
            return {}
        members = (name for name, other in self.series.items() if name != symbol and other.instrument.sector == sector)
        return {name: self._other(name, names) for name in members}

    def _benchmark(self, symbol: str, each: Definition) -> pl.DataFrame | None:
        names, benchmark = each.names_of(InputKind.BENCHMARK), self.series[symbol].instrument.benchmark
        if not names or benchmark is None or benchmark not in self.series:
            return None
        return self._other(benchmark, names)

    def _other(self, symbol: str, names: tuple[str, ...]) -> pl.DataFrame:
        """Features of another symbol with the times they were available."""
        if (symbol, names) not in self._others:
            values = {name: self.value(symbol, self._definitions.features[name]) for name in names}
            times = self.series[symbol].times[:2]
            self._others[symbol, names] = pl.DataFrame([*times, *(value.alias(name) for name, value in values.items())])
        return self._others[symbol, names]


def _aligned(
    frame: pl.DataFrame, each: Definition, peers: Mapping[str, pl.DataFrame], benchmark: pl.DataFrame | None
) -> list[pl.Series]:
    """The columns of other symbols for an expression: of each the latest value that was available by then."""

    def latest(other: pl.DataFrame, name: str) -> pl.Series:
        return pl.Series(latest_known(series_of(frame, "time"), series_of(other, name)), nan_to_null=True)

    aligned = []
    for name in each.names_of(InputKind.PEERS):
        columns = [latest(peer, name).alias(symbol) for symbol, peer in peers.items()]
        lists = (
            pl.select(pl.concat_list(columns).list.drop_nulls()).to_series()
            if columns
            else pl.Series([[]] * frame.height, dtype=pl.List(pl.Float64))
        )
        aligned.append(lists.alias(f"{InputKind.PEERS}.{name}"))
    for name in each.names_of(InputKind.BENCHMARK):
        nothing = pl.Series([None] * frame.height, dtype=pl.Float64)
        values = nothing if benchmark is None else latest(benchmark, name)
        aligned.append(values.alias(f"{InputKind.BENCHMARK}.{name}"))
    return aligned


def _evaluated(each: Definition, inputs: FeatureInputs, symbol: str) -> pl.Series:
    """The values of a definition, in its type; NULL where they are not finite.

    Raises:
        InvalidRequest: if it fails, or does not give one value of its type for each row.
    """
    compute = each.compute
    try:
        if compute is None:
            values = pl.Series([None] * inputs.frame.height, dtype=DATA_TYPES[each.data_type])
        elif isinstance(compute, pl.Expr):
            values = inputs.frame.select(compute.alias(each.name)).to_series()
        else:
            values = pl.Series(each.name, compute(inputs))
    except Exception as error:  # whatever the code of a definition raises, it is said of that definition
        raise _cannot_be_computed(each, symbol, _words(error, inputs.frame)) from error
    if len(values) != inputs.frame.height:
        raise _cannot_be_computed(each, symbol, f"{len(values)} values for {inputs.frame.height} rows")
    declared = DATA_TYPES[each.data_type]
    is_number = values.dtype.is_numeric() or values.dtype == pl.Null
    if is_number != (declared != pl.Boolean()) and values.dtype not in (pl.Null, declared):
        raise _cannot_be_computed(each, symbol, f"values of type {values.dtype}")
    if values.dtype == pl.Float64 and declared == pl.Float64:
        numbers = values.to_numpy()
        return pl.Series(each.name, np.where(np.isfinite(numbers), numbers, np.nan), nan_to_null=True)
    if values.dtype.is_float():
        values = pl.select(pl.when(values.is_finite()).then(values)).to_series()
    cast = values.cast(declared, strict=False)
    if is_number and not cast.cast(pl.Float64).equals(values.cast(pl.Float64)):  # nothing is cut off silently
        raise _cannot_be_computed(each, symbol, f"values of type {values.dtype} that are no {each.data_type}")
    return cast


def _words(error: Exception, frame: pl.DataFrame) -> str:
    if isinstance(error, pl.exceptions.ColumnNotFoundError):
        name, present = str(error).splitlines()[0], ", ".join(frame.columns)
        return f"a column that is not among its declared inputs: {name}; it has {present}"
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"


def _cannot_be_computed(each: Definition, symbol: str, received: str) -> InvalidRequest:
    return InvalidRequest(
        f"The {each.kind} {each.name} of {symbol} cannot be computed.",
        expected=f"one value of type {each.data_type} for each row of the frame",
        received=received,
        remedy=f"correct the definition of {each.name}; `trading-platform features test FILE` tries it",
    )
