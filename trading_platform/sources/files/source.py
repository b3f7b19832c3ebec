"""Imported bars as a ``BarSource``: the source of ``trading-platform backfill`` for instruments of source ``file``."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import polars as pl

from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.quality.rules import empty_rejected
from trading_platform.domain.time import Timeframe, Window
from trading_platform.sources.base import BarResponse
from trading_platform.sources.files.landing import LandedFile, LandingArea, collect, damaged
from trading_platform.sources.files.reading import SOURCE

_DAY = timedelta(days=1)

LONGEST_GAP = timedelta(days=7)
"""A longer interval without a bar separates two recordings in an intraday file, which covers none of the
time between them. A shorter one is part of a recording and confirmed empty, such as holidays and outages."""


class FileSource:
    """The landing area as a source of bars.

    Args:
        imports_directory: directory of the landing area; it need not exist.
    """

    name = SOURCE
    recorded = True  # imported files return the same each time

    def __init__(self, imports_directory: Path) -> None:
        self._directory = imports_directory
        self._landing = LandingArea(imports_directory)
        self._recordings: dict[LandedFile, list[Window]] = {}

    def longest_request(self, timeframe: Timeframe) -> timedelta:
        """Years of daily bars, a month of intraday ones: a transaction of tens of thousands of rows."""
        return timedelta(days=31) if timeframe.is_intraday else timedelta(days=36_600)

    def available_history(self, instrument: Instrument, timeframe: Timeframe) -> tuple[Window, ...]:
        """The windows that the imported files cover; none if nothing was imported."""
        files = self._landing.files(instrument.symbol, timeframe)
        return tuple(Window.merge(part for file in files for part in self._covered(file, timeframe)))

    def bars(self, instrument: Instrument, timeframe: Timeframe, window: Window) -> BarResponse:
        """The imported bars of a window; of several imports of a time the latest wins.

        The response covers what the files cover: daily files their whole span, intraday files each
        recording in them. Rejected rows have been in the quarantine since the import.

        Raises:
            StoreError: if the landing area is damaged or cannot be read.
        """
        symbol = instrument.symbol
        files = [file for file in self._landing.files(symbol, timeframe) if file.span.intersect(window)]
        found = collect(files, symbol, timeframe, _whole_days(window), SOURCE)
        bars = (
            found.filter(pl.col("time").is_between(window.start, window.end, closed="left"))
            .unique("time", keep="last", maintain_order=True)
            .sort("time")
            .drop("rank")
        )
        answered = Window.merge(
            part for file in files for covered in self._covered(file, timeframe) if (part := covered.intersect(window))
        )
        origin = f"{self._directory}: {len(files)} imported files of {symbol} {timeframe.value}"
        note = None if answered == [window] else "no imported file covers the rest"
        return BarResponse(bars, empty_rejected(), tuple(answered), origin, note)

    def _covered(self, file: LandedFile, timeframe: Timeframe) -> list[Window]:
        if not timeframe.is_intraday:
            return [file.span]
        if file not in self._recordings:
            try:
                times = pl.scan_parquet(file.path).select("time").collect()["time"]
            except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
                raise damaged(file.path, error) from None
            self._recordings[file] = _recordings(times, file.span)
        return self._recordings[file]


def _whole_days(window: Window) -> Window:
    start = window.start.replace(hour=0, minute=0, second=0, microsecond=0)
    end = window.end.replace(hour=0, minute=0, second=0, microsecond=0)
    return Window(start, end if end == window.end else end + _DAY)


def _recordings(times: pl.Series, span: Window) -> list[Window]:
    """The UTC days that have bars, joined across short gaps, within a span."""
    days = times.dt.truncate("1d").unique().sort()
    begins = days.diff().fill_null(timedelta.max) > LONGEST_GAP + _DAY
    grouped = pl.DataFrame({"day": days, "recording": begins.cum_sum()}).group_by("recording", maintain_order=True)
    bounds = grouped.agg(first=pl.col("day").min(), last=pl.col("day").max())
    whole = (Window(first, last + _DAY) for first, last in bounds.select("first", "last").iter_rows())
    return [part for window in whole if (part := window.intersect(span))]
