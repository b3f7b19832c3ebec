"""Imported bars as a ``BarSource``: what ``trading-platform backfill`` asks for instruments of source ``file``."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from trading_platform.domain.bars import Quality, empty_bars
from trading_platform.domain.instruments import Instrument
from trading_platform.domain.quality import empty_refused
from trading_platform.domain.time import Timeframe, Window
from trading_platform.sources.base import BarAnswer
from trading_platform.sources.files.landing import LandedFile, LandingArea, damaged, scan
from trading_platform.sources.files.reading import SOURCE

_DAY = timedelta(days=1)


class FileSource:
    """The landing area, asked like any other source.

    Args:
        imports_directory: where the landing area is; it need not exist.
    """

    name = SOURCE

    def __init__(self, imports_directory: Path) -> None:
        self._directory = imports_directory
        self._landing = LandingArea(imports_directory)

    def reach(self, instrument: Instrument, timeframe: Timeframe) -> Window | None:
        """From the first imported bar to the end of the last; None if nothing was imported."""
        files = self._landing.files(instrument.symbol, timeframe)
        if not files:
            return None
        return Window(min(file.bars.start for file in files), max(file.bars.end for file in files))

    def bars(self, instrument: Instrument, timeframe: Timeframe, window: Window) -> BarAnswer:
        """The imported bars of a window; of several imports of a time the latest wins.

        Answered is what the files speak for. Of intraday files that is, within their span, the UTC
        days on which they have a bar: they often hold scattered days. Refused rows are in the
        quarantine since the import.

        Raises:
            StoreError: if the landing area is damaged or cannot be read.
        """
        symbol = instrument.symbol
        files = [file for file in self._landing.files(symbol, timeframe) if file.span.intersect(window)]
        found = _collect(files, symbol, timeframe, _whole_days(window))
        bars = (
            found.filter(pl.col("time").is_between(window.start, window.end, closed="left"))
            .unique("time", keep="last", maintain_order=True)
            .sort("time")
            .drop("rank")
        )
        answered = Window.merge(
            part for rank, file in enumerate(files) for part in _answered(file, rank, found, timeframe, window)
        )
        origin = f"{self._directory}: {len(files)} imported files of {symbol} {timeframe.value}"
        note = None if answered == [window] else "no imported file speaks for the rest"
        return BarAnswer(bars, empty_refused(), tuple(answered), origin, note)


def _whole_days(window: Window) -> Window:
    start = window.start.replace(hour=0, minute=0, second=0, microsecond=0)
    end = window.end.replace(hour=0, minute=0, second=0, microsecond=0)
    return Window(start, end if end == window.end else end + _DAY)


def _collect(files: list[LandedFile], symbol: str, timeframe: Timeframe, window: Window) -> pl.DataFrame:
    """Bars of all the files, in the order of import; ``rank`` is the position of the file."""
    if not files:
        return empty_bars().with_columns(rank=pl.lit(0, dtype=pl.Int32))
    inside = pl.col("time").is_between(window.start, window.end, closed="left")
    scans = [
        scan(file, symbol, timeframe, SOURCE, Quality.TRADED.value)
        .filter(inside)
        .with_columns(rank=pl.lit(rank, dtype=pl.Int32))
        for rank, file in enumerate(files)
    ]
    try:
        return pl.concat(scans).collect()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise damaged(files[0].path.parent, error) from None


def _answered(
    file: LandedFile, rank: int, found: pl.DataFrame, timeframe: Timeframe, window: Window
) -> Iterable[Window]:
    spoken_for = file.span.intersect(window)
    if spoken_for is None:
        return []
    if not timeframe.is_intraday:
        return [spoken_for]
    days = found.filter(pl.col("rank") == rank)["time"].dt.truncate("1d").unique()
    parts = (spoken_for.intersect(_day_window(day)) for day in days)
    return [part for part in parts if part is not None]


def _day_window(day: datetime) -> Window:
    start = day.astimezone(UTC)
    return Window(start, start + _DAY)
