"""The features of the platform that need no news: their specifications, and their computation from bars.

Features of a single symbol are computed here, those that depend on other symbols in
:mod:`trading_platform.domain.derived.cross_section`. docs/features.md defines the conventions;
:mod:`trading_platform.stores.features.files` stores the files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from trading_platform.domain.derived.cross_section import BETA_LOOKBACK, Series, market_beta, sector_momentum
from trading_platform.domain.derived.gaps import BRIDGED, NO_GAPS, Counts, Gaps, lacking_before, segments
from trading_platform.domain.derived.indicators import STANDSTILL, WARM_UP, compute_indicators, runs
from trading_platform.domain.derived.smoothing import Floats, moving_deviation, moving_mean, returns
from trading_platform.domain.derived.splits import NO_SPLITS, Splits, shares_held
from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.market.bars import TIME
from trading_platform.domain.market.calendars import availability
from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.time import Timeframe


@dataclass(frozen=True)
class FeatureSpec:
    """The catalog entry of a feature.

    Attributes:
        name: its column.
        description: its meaning, one sentence.
        data_type: type of its values.
        category: ``technical`` or ``cross-sectional``.
        computation: its formula; t is the bar, t-n the bar n bars before.
        dependencies: features, indicators and bar columns it is computed from.
        lookback_days: window of the formula, in trading days, as the catalog lists it.
        warm_up: number of bars before the first one that a partition must load for it.
    """

    name: str
    description: str
    data_type: str
    category: str
    computation: str
    dependencies: tuple[str, ...]
    lookback_days: int
    warm_up: int


def _technical(
    name: str, description: str, computation: str, *, of: tuple[str, ...], lookback: int, warm_up: int
) -> FeatureSpec:
    return FeatureSpec(name, description, "float64", "technical", computation, of, lookback, warm_up)


def _return(bars: int) -> FeatureSpec:
    return _technical(
        f"returns_{bars}d",
        f"Simple return over {bars} bar{'s' if bars > 1 else ''}",
        f"close_t / close_(t-{bars}) - 1",
        of=("close",),
        lookback=bars,
        warm_up=bars,
    )


FEATURES: dict[str, FeatureSpec] = {
    spec.name: spec
    for spec in (
        _return(1),
        _return(5),
        _return(20),
        _technical(
            "volatility_20d",
            "Standard deviation of the last 20 daily returns, not annualised",
            "sample standard deviation (ddof = 1) of returns_1d over 20 bars",
            of=("returns_1d",),
            lookback=20,
            warm_up=20,
        ),
        _technical(
            "rsi_14", "Relative strength index", "indicator rsi_14", of=("close",), lookback=14, warm_up=WARM_UP
        ),
        _technical("macd_hist", "MACD histogram", "indicator macd_hist", of=("close",), lookback=26, warm_up=WARM_UP),
        _technical(
            "volume_ratio_20d",
            "Volume against its mean of 20 bars, this one included",
            "volume_t / mean(volume, 20); NULL where a volume is unknown or all are 0",
            of=("volume",),
            lookback=20,
            warm_up=19,
        ),
        _technical(
            "sma_ratio_50",
            "Close against its mean of 50 bars",
            "close_t / sma_50",
            of=("close", "sma_50"),
            lookback=50,
            warm_up=49,
        ),
        _technical(
            "atr_14",
            "Average true range, in price",
            "indicator atr_14",
            of=("high", "low", "close"),
            lookback=14,
            warm_up=WARM_UP,
        ),
        _technical(
            "bb_position",
            "Where the close stands between the Bollinger bands: 0 at the lower, 1 at the upper",
            "(close_t - bb_lower) / (bb_upper - bb_lower); NULL where the bands coincide",
            of=("close", "bb_lower", "bb_upper"),
            lookback=20,
            warm_up=19,
        ),
        _technical(
            "adx_14",
            "Strength of the trend",
            "indicator adx_14",
            of=("high", "low", "close"),
            lookback=14,
            warm_up=WARM_UP,
        ),
        FeatureSpec(
            "sector_momentum",
            "Return over 20 bars against the other members of the sector",
            "float64",
            "cross-sectional",
            "returns_20d - mean of the latest returns_20d of the sector's other members known at available_at",
            ("returns_20d",),
            20,
            20,
        ),
        FeatureSpec(
            "market_beta_60d",
            "Sensitivity of the daily return to that of the benchmark",
            "float64",
            "cross-sectional",
            "cov(r, r_m) / var(r_m) over the last 60 dates with both returns known at available_at",
            ("returns_1d",),
            60,
            BETA_LOOKBACK,
        ),
    )
}
"""All features by name, in the order of their columns."""

FEATURE_NAMES: tuple[str, ...] = tuple(FEATURES)

FEATURE_SCHEMA: dict[str, pl.DataType] = {
    "time": TIME,
    "symbol": pl.String(),
    "available_at": TIME,
    **dict.fromkeys(FEATURE_NAMES, pl.Float64()),
}
"""One row per daily bar. ``available_at`` is the close of that bar: the time from which the row
may be used. NULL, never NaN, where a feature is not defined."""

FEATURE_WARM_UP: int = max(spec.warm_up for spec in FEATURES.values())
"""Number of bars that a partition must load before its first one, for the symbol and every other symbol it needs."""


def compute_features(
    bars: pl.DataFrame,
    instruments: Mapping[str, Instrument],
    symbols: Sequence[str],
    splits: Splits = NO_SPLITS,
    gaps: Gaps = NO_GAPS,
) -> pl.DataFrame:
    """All features of each daily bar of the symbols, split-adjusted as of the bar's date.

    A return over a gap is NULL, and so is what is computed from it.

    Args:
        bars: raw daily bars, frame of ``BAR_SCHEMA`` sorted by (symbol, time), of the symbols, of the
            members of their sectors and of their benchmarks. A symbol without bars is not counted.
        instruments: the instrument of each symbol in ``bars``; it defines sector, benchmark and calendar.
        symbols: symbols to compute features for.
        splits: of every symbol in ``bars``, by date.
        gaps: of every symbol in ``bars``, between its bars.

    Returns:
        Frame of :data:`FEATURE_SCHEMA`, one row per bar of ``symbols``, sorted by (symbol, time).

    Raises:
        InvalidRequest: if a symbol is not among ``instruments``, or the bars are not daily or not sorted.
        QualityError: if a price is missing.
    """
    _check(bars, instruments, symbols)
    indicators = compute_indicators(bars, splits, gaps)
    rows = dict(runs(bars["symbol"]))
    held = {symbol: shares_held(bars["time"][own], splits.get(symbol, ())) for symbol, own in rows.items()}
    lacking = {symbol: lacking_before(bars["time"][own], gaps.get(symbol, ())) for symbol, own in rows.items()}
    series = {
        symbol: _series(bars[own], instruments[symbol], held[symbol], lacking[symbol]) for symbol, own in rows.items()
    }
    momentum = sector_momentum(series, instruments, symbols)
    frames = [
        _features(
            bars[own],
            indicators[own],
            series[symbol],
            momentum[symbol],
            market_beta(series[symbol], series.get(instruments[symbol].benchmark or "")),
            held[symbol],
            lacking[symbol],
        )
        for symbol, own in rows.items()
        if symbol in set(symbols)
    ]
    return pl.concat(frames) if frames else pl.DataFrame(schema=FEATURE_SCHEMA)


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


def _series(bars: pl.DataFrame, instrument: Instrument, held: Floats | None, lacking: Counts) -> Series:
    close = _worth(bars["close"], held)
    position = _positions(lacking)
    return Series(
        time=_microseconds(bars["time"]),
        available_at=_microseconds(availability(instrument.calendar, Timeframe.D1, bars.select("time"))),
        position=position,
        returns_1d=_returns(close, 1, position),
        returns_20d=_returns(close, 20, position),
    )


def _positions(lacking: Counts) -> Counts:
    """The number of each bar, lacking ones counted."""
    positions: Counts = np.arange(len(lacking)) + np.cumsum(lacking)
    return positions


def _returns(close: Floats, bars: int, position: Counts) -> Floats:
    """The return over a number of bars, NaN where any of them lacks."""
    result = returns(close, bars)
    result[bars:][position[bars:] - position[:-bars] != bars] = np.nan
    return result


def _worth(prices: pl.Series, held: Floats | None) -> Floats:
    values = prices.cast(pl.Float64).to_numpy()
    return values if held is None else values * held


def _microseconds(times: pl.Series) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return times.cast(TIME).to_physical().to_numpy()


def _features(
    bars: pl.DataFrame,
    indicators: pl.DataFrame,
    series: Series,
    momentum: Floats,
    beta: Floats,
    held: Floats | None,
    lacking: Counts,
) -> pl.DataFrame:
    close = bars["close"].cast(pl.Float64).to_numpy()
    values = {
        "returns_1d": series.returns_1d,
        "returns_5d": _returns(_worth(bars["close"], held), 5, series.position),
        "returns_20d": series.returns_20d,
        "volatility_20d": _volatility(series.returns_1d),
        "volume_ratio_20d": _volume_ratio(bars["volume"], held, lacking),
        "sma_ratio_50": close / indicators["sma_50"].to_numpy(),
        "bb_position": _bb_position(close, indicators),
        "sector_momentum": momentum,
        "market_beta_60d": beta,
    }
    computed = bars.select("time", "symbol").with_columns(
        pl.Series("available_at", series.available_at).cast(TIME),
        *(pl.Series(name, array) for name, array in values.items()),
        *(indicators[name] for name in ("rsi_14", "macd_hist", "atr_14", "adx_14")),
    )
    return computed.select(
        "time", "symbol", "available_at", *(pl.when(pl.col(name).is_finite()).then(name) for name in FEATURE_NAMES)
    )


def _volatility(returns_1d: Floats) -> Floats:
    volatility = np.full(len(returns_1d), np.nan)
    volatility[1:] = moving_deviation(returns_1d[1:], 20, ddof=1)
    return volatility


def _volume_ratio(volume: pl.Series, held: Floats | None, lacking: Counts) -> Floats:
    values = volume.cast(pl.Float64).to_numpy()
    if held is not None:
        values = values / held
    mean = np.concatenate([np.empty(0), *(moving_mean(values[rows], 20) for rows in segments(lacking, BRIDGED))])
    ratio = np.full(len(values), np.nan)
    np.divide(values, mean, out=ratio, where=mean > 0.0)
    return ratio


def _bb_position(close: Floats, indicators: pl.DataFrame) -> Floats:
    lower, middle, upper = (indicators[name].to_numpy() for name in ("bb_lower", "bb_middle", "bb_upper"))
    width = upper - lower
    position = np.full(len(close), np.nan)
    np.divide(close - lower, width, out=position, where=width > STANDSTILL * middle)
    return position
