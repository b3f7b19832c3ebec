"""Compares the prices of an import with what is stored of its instrument: a factor of a thousand is no market move.

Such a factor comes from a file of another instrument, of another unit, or from scaled prices read unscaled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from decimal import Decimal

import polars as pl

from trading_platform.domain.rejection_reasons import Reason
from trading_platform.domain.time import Timeframe, Window
from trading_platform.sources.files.content.options import FileRejected

StoredBars = Callable[[Timeframe, Window], pl.DataFrame]
"""Returns the stored bars of the instrument with ``time`` and ``close``: of the database or the landing area."""

_LARGEST_FACTOR = 1_000
"""Adjustment for splits explains factors of hundreds, a year's move of a coin even less."""

_NOTED_FACTOR = 10
_YEAR = timedelta(days=370)
_WEEK = timedelta(days=7)


def check_price_level(bars: pl.DataFrame, timeframe: Timeframe, stored: Iterable[StoredBars]) -> str:
    """Checks the prices of imported bars against those stored on the same dates, or near them.

    Args:
        bars: the imported bars, frame of ``BAR_SCHEMA``.
        timeframe: their length.
        stored: where to look for stored bars.

    Returns:
        A note if the prices of the same dates differ by a factor that an adjustment can explain, else nothing.

    Raises:
        FileRejected: if they differ by a factor that nothing explains.
    """
    own = _daily_closes(bars)
    if own.is_empty():
        return ""
    first, last = _ends(own)
    near = [Window(first - _WEEK, first + _WEEK), Window(last - _WEEK, last + _WEEK)]
    queries = {timeframe: near, Timeframe.D1: [Window(first - _YEAR, last + _YEAR)]}
    found = [
        _daily_closes(read(length, window))
        for read in stored
        for length, windows in queries.items()
        for window in windows
    ]
    known = pl.concat([frame for frame in found if not frame.is_empty()] or [own.clear()]).unique("date", keep="first")
    if known.is_empty():
        return ""
    same = own.join(known, on="date", suffix="_stored").sort("date")
    compared = same if same.height else _nearest(own, known)
    factor = _factor(compared)
    if factor is None or factor < _NOTED_FACTOR:
        return ""
    row = compared.row(0, named=True)
    prices = f"{row['close']} and {row['close_stored']} on {row['date']:%Y-%m-%d}"
    words = f"its prices and the stored ones differ by a factor of about {factor:,.0f} ({prices})"
    if factor >= _LARGEST_FACTOR:
        detail = f"{words}, which is no market move; another instrument or unit? --any-price-level imports it anyway"
        raise FileRejected(Reason.OUT_OF_RANGE, detail, rows=bars.height)
    return words if same.height else ""


def _daily_closes(bars: pl.DataFrame) -> pl.DataFrame:
    days = bars.select(date=pl.col("time").dt.truncate("1d"), close=pl.col("close"), time=pl.col("time")).sort("time")
    return days.group_by("date", maintain_order=True).agg(pl.col("close").last())


def _ends(closes: pl.DataFrame) -> tuple[datetime, datetime]:
    first, last = closes.select(first=pl.col("date").min(), last=pl.col("date").max()).row(0)
    return first, last


def _nearest(own: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """The stored close nearest to the first or the last imported one, beside it."""
    first, last = _ends(own)
    stored = known.with_columns(
        distance=pl.min_horizontal((pl.col("date") - first).abs(), (pl.col("date") - last).abs())
    ).sort("distance")
    date, close = stored.select("date", "close").row(0)
    beside = own.sort((pl.col("date") - date).abs()).head(1)
    return beside.with_columns(close_stored=pl.lit(close).cast(known["close"].dtype))


def _factor(compared: pl.DataFrame) -> float | None:
    pairs: list[tuple[Decimal, Decimal]] = list(compared.select("close", "close_stored").iter_rows())
    ratios = sorted(float(max(ours / theirs, theirs / ours)) for ours, theirs in pairs if ours > 0 and theirs > 0)
    return ratios[len(ratios) // 2] if ratios else None
