"""Values that stay the same for too long, and days that are the copy of another day."""

from __future__ import annotations

import polars as pl

from trading_platform.domain.market.bars import PRICES, Quality
from trading_platform.domain.market.calendars import in_session
from trading_platform.domain.quality.plausibility.findings import Finding
from trading_platform.domain.suspicions import Suspicion
from trading_platform.domain.time import Timeframe

_LONGEST_FLAT = {Timeframe.M1: 120, Timeframe.M5: 48, Timeframe.H1: 12, Timeframe.D1: 5}
"""So many bars with one unchanged price are no surprise, however often the instrument trades."""
_TIMES_USUAL = 5
_USUAL = 0.999
_LONGEST_REPEATED = 2
"""So many repetitions of a bar with different prices and a volume are chance."""
_FEWEST_BARS_OF_DAY = 5
_SHARE_OF_DAY = 0.8
_MOST_COPIES = 20

_FROZEN = "The source has repeated its last value: it was down, or the rows were filled up. Request them again"
_COPIED = "A day was written twice under two dates: request both again"


def find_frozen(bars: pl.DataFrame, calendar: str, timeframe: Timeframe) -> list[Finding]:
    """Runs of bars with the same prices that are longer than usual for the instrument, while it could be traded.

    Args:
        bars: frame of ``BAR_SCHEMA``, one symbol, sorted.
        calendar: calendar of the instrument.
        timeframe: length of the bars.
    """
    observed = pl.col("volume").fill_null(0) > 0
    open_bars = bars.filter(in_session(calendar, timeframe, bars["time"]) | observed)
    open_bars = open_bars.filter(
        pl.col("quality") != Quality.NO_TRADE.value
    )  # a quiet instrument repeats its price by definition
    if open_bars.height <= _LONGEST_FLAT[timeframe]:
        return []
    same = pl.all_horizontal(pl.col(name) == pl.col(name).shift(1) for name in PRICES).fill_null(value=False)
    traded = (pl.col("volume") == pl.col("volume").shift(1)).fill_null(value=False) & (pl.col("volume") > 0)
    runs = (
        open_bars.with_columns(same=same, copied=same & traded & (pl.col("high") > pl.col("low")))
        .with_columns(run=(~pl.col("same")).cum_sum())
        .group_by("run", maintain_order=True)
        .agg(
            first=pl.col("time").first(),
            last=pl.col("time").last(),
            bars=pl.len(),
            copies=pl.col("copied").sum(),
            price=pl.col("close").first(),
        )
    )
    usual = float(runs["bars"].quantile(_USUAL, "lower") or 1) if runs.height > 1 / (1 - _USUAL) else 1.0
    longest = max(_LONGEST_FLAT[timeframe], _TIMES_USUAL * usual)
    found = runs.filter((pl.col("bars") > longest) | (pl.col("copies") > _LONGEST_REPEATED))
    return [
        Finding(
            Suspicion.FROZEN,
            first,
            last,
            count,
            f"{count:,} bars in a row have the same prices, with the close {price.normalize():f}; usual is {usual:.0f}",
            _FROZEN,
        )
        for first, last, count, price in found.select("first", "last", "bars", "price").iter_rows()
    ]


def find_repeated_days(bars: pl.DataFrame, timeframe: Timeframe) -> list[Finding]:
    """Days whose bars are those of an earlier day.

    Args:
        bars: frame of ``BAR_SCHEMA``, one symbol, sorted.
        timeframe: length of the bars.
    """
    told_apart = pl.col("high") > pl.col("low")
    if not timeframe.is_intraday:
        told_apart = told_apart & (pl.col("volume") > 0)
    rows = bars.filter(told_apart).select(
        day=pl.col("time").dt.date(),
        key=pl.struct(pl.col("time").dt.time(), *PRICES, "volume").hash(),
    )
    rows = rows.filter(pl.len().over("key").is_between(2, _MOST_COPIES))
    if rows.is_empty():
        return []
    sizes = bars.group_by(day=pl.col("time").dt.date()).agg(bars=pl.len())
    pairs = (
        rows.join(rows, on="key", suffix="_earlier")
        .filter(pl.col("day_earlier") < pl.col("day"))
        .group_by("day", "day_earlier")
        .agg(equal=pl.len())
        .join(sizes, on="day")
        .filter(pl.col("equal") >= _SHARE_OF_DAY * pl.col("bars"))
        .sort("day", "day_earlier")
        .unique("day", keep="first", maintain_order=True)
    )
    if timeframe.is_intraday:
        pairs = pairs.filter(pl.col("equal") >= _FEWEST_BARS_OF_DAY)
    else:
        pairs = pairs.filter((pl.col("day") - pl.col("day_earlier")).dt.total_days() > 1)
    found = []
    for day, earlier, equal, count in pairs.select("day", "day_earlier", "equal", "bars").iter_rows():
        own = bars.filter(pl.col("time").dt.date() == day)["time"]
        words = f"{equal:,} of {count:,} bars of {day} are those of {earlier}"
        found.append(Finding(Suspicion.REPEATED_DAY, own[0], own[-1], count, words, _COPIED))
    return found
