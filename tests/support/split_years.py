"""Years of daily bars with splits and dividends, for tests: actions, what is derived from them, what differs."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import numpy as np
import polars as pl

from trading_platform.domain.market.corporate_actions import ActionKind, CorporateAction
from trading_platform.domain.time import Timeframe, Window, month_window, year_window
from trading_platform.resources.platform import PlatformContext
from trading_platform.workflows.derived.build_features import build_features
from trading_platform.workflows.derived.compute_indicators import compute_indicators_of

SYMBOLS = ["AAPL", "IWM", "SPY"]
YEARS = [year_window(datetime(year, 1, 1, tzinfo=UTC)) for year in range(2010, 2019)]
SPLIT = datetime(2014, 6, 9, tzinfo=UTC)
MINUTES = "minute/SPY_1m_2013-10_trade.csv.gz"
OCTOBER = month_window(datetime(2013, 10, 1, tzinfo=UTC))


def split(symbol: str, ex_date: datetime, ratio: int) -> CorporateAction:
    return CorporateAction(symbol, ex_date, ActionKind.SPLIT, ex_date, "file", ratio=Fraction(ratio))


def dividend(symbol: str, ex_date: str, amount: str) -> CorporateAction:
    day = datetime.fromisoformat(ex_date).replace(tzinfo=UTC)
    return CorporateAction(symbol, day, ActionKind.DIVIDEND, day, "file", amount=Decimal(amount))


def derive(platform: PlatformContext) -> tuple[set[tuple[str, Window]], set[tuple[str, Window]]]:
    """Makes what is stale; says which partitions of features and of indicators that was."""
    stores, universe = platform.stores, platform.stores.instruments.all()
    features = build_features(stores, universe, SYMBOLS, YEARS, clock=platform.clock)
    indicators = compute_indicators_of(stores, SYMBOLS, Timeframe.D1, YEARS, clock=platform.clock)
    return set(features.rows), set(indicators.rows)


def features_of(platform: PlatformContext) -> pl.DataFrame:
    return platform.stores.features.read(SYMBOLS, Window(YEARS[0].start, YEARS[-1].end))


def differing(before: pl.DataFrame, after: pl.DataFrame, names: list[str], tolerance: float) -> set[tuple[str, int]]:
    """Symbols and years with a value that differs by more than the tolerance, relative to it or to 1."""
    assert before.select("symbol", "time").equals(after.select("symbol", "time"))
    found = set()
    for name in names:
        old, new = before[name].to_numpy(), after[name].to_numpy()
        apart = np.abs(old - new) > tolerance * np.maximum(1, np.abs(new))
        apart |= np.isnan(old) != np.isnan(new)
        found |= set(after.filter(apart).select("symbol", pl.col("time").dt.year()).iter_rows())
    return found


def loads_across(platform: PlatformContext, symbol: str, bars: int, timestamp: datetime) -> set[int]:
    """The years that load bars on both sides of a moment: the given number before their first one, and their own."""
    times = platform.stores.bars.times([symbol], Timeframe.D1, Window(YEARS[0].start, YEARS[-1].end))["time"].sort()
    found = set()
    for year in YEARS:
        loaded = [
            *times.filter(times < year.start).tail(bars),
            *times.filter((times >= year.start) & (times < year.end)),
        ]
        if loaded and loaded[0] < timestamp <= loaded[-1]:
            found.add(year.start.year)
    return found
