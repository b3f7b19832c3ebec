"""Bars in time at which their market was closed: which of them nobody traded, and which reading of the times fits.

Vendors fill nights, weekends and holidays with bars at the last price; such a bar is no observation and is rejected.
Bars with trades outside the session are stored, as extended hours are. Where another reading of the times puts them
into the session, the file was read in the wrong time zone, or the instrument has the wrong calendar.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import NamedTuple

import polars as pl

from trading_platform.domain.market.calendars import ALWAYS_OPEN, FX_WEEK, in_session, timezone_of
from trading_platform.domain.quality.inactivity import customarily_inactive
from trading_platform.domain.quality.rules import REJECTED_SCHEMA
from trading_platform.domain.rejection_reasons import Reason
from trading_platform.domain.time import Timeframe

ZONES = (
    "America/New_York",
    "UTC",
    "Etc/GMT+5",  # New York without summer time, as in HistData's files
    "America/Chicago",
    "Europe/London",
    "Europe/Berlin",
    "Europe/Athens",  # servers of MetaTrader
    "Asia/Tokyo",
    "Asia/Hong_Kong",
    "Asia/Kolkata",
    "Australia/Sydney",
)
"""Time zones in which vendors write times without a zone, tried after the exchange's own."""

CALENDARS = ("XNYS", "XLON", "XETR", "XTKS", "XHKG", "XSHG", "XASX", FX_WEEK)
"""Calendars that are tried where no time zone fits the instrument's own."""

_SHIFTS = tuple(timedelta(minutes=30 * n) for n in sorted(range(-28, 29), key=abs) if n)
_DAYS = (timedelta(days=1), timedelta(days=-1))
_LARGEST_SAMPLE = 100_000
_FEWEST = 5  # bars that another reading has to put into the session to be worth a word
_SHARE_OF_ALL = 0.25
_SHARE_OF_OUTSIDE = 0.9
_SMALLEST_SHARE = 0.004  # an hour of a week of currencies is 0.8 %
_SHARE_OF_VOLUME = 0.1
_FEWEST_FOR_VOLUME = 60
_DAY = timedelta(days=1)
_LONGEST_QUIET = timedelta(hours=1)  # bars without a volume repeat their price for less in thin quotes, too


@dataclass(frozen=True)
class HoursFit:
    """How the times of some bars fit the hours of their market.

    Attributes:
        calendar: the market's calendar.
        bars: number of bars; bars that only repeat a price in closed time are left out.
        outside: how many of them lie outside the sessions.
        zone: the time zone in which the times would fit distinctly better; None if there is none.
        shift: how much later the bars would have to be to fit distinctly better; None if it is a zone or none.
        other: another calendar that fits the times as they are, where no zone makes them fit; None if there is none.
        outside_then: how many would lie outside in that reading.
        first: the clock time in the exchange's zone of the first bar of most days; None for daily bars.
        last: likewise, of the last bar.
    """

    calendar: str
    bars: int
    outside: int
    zone: str | None = None
    shift: timedelta | None = None
    other: str | None = None
    outside_then: int = 0
    first: str | None = None
    last: str | None = None

    @property
    def fits(self) -> bool:
        """Whether no other reading of the times fits distinctly better."""
        return self.zone is None and self.shift is None

    def as_text(self) -> str:
        """What the hours look like, and which reading fits; empty if all bars lie in the sessions."""
        if not self.outside:
            return ""
        text = f"{self.outside:,} of {self.bars:,} bars lie outside the sessions of {self.calendar}"
        if self.first is not None:
            text += f" (most days run from {self.first} to {self.last} {timezone_of(self.calendar).key})"
        if self.zone is not None:
            text += f"; with the times in {self.zone} {self.outside_then:,} would: --timezone {self.zone} reads them so"
        elif self.other is not None:
            text += f"; of those of {self.other} {self.outside_then:,} would: `instruments add` changes the calendar"
        elif self.shift is not None:
            text += f"; {_shift_text(self.shift)} {self.outside_then:,} would: check the times and the calendar"
        return text


def split_off_fillers(bars: pl.DataFrame, calendar: str, timeframe: Timeframe) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Separates the bars that only repeat a price while the market was closed.

    Such a bar has one price, and volume 0. Where the source has no volume, it has the close before it for an hour or
    longer. Bars of a market without official holidays on days when nobody quotes are among them.

    Args:
        bars: frame of ``BAR_SCHEMA``, one symbol, sorted.
        calendar: calendar of the bars.
        timeframe: length of the bars.

    Returns:
        The other bars, and the rejected ones as a frame of ``REJECTED_SCHEMA``: one row for each run of them.
    """
    rejected = pl.DataFrame(schema=REJECTED_SCHEMA)
    if bars.is_empty() or calendar == ALWAYS_OPEN:
        return bars, rejected
    marked = _with_fillers(bars, calendar, timeframe)
    if not marked["filler"].any():
        return bars, rejected
    runs = (
        marked.filter("filler")
        .group_by("run", maintain_order=True)
        .agg(time=pl.col("time").first(), last=pl.col("time").last(), row_count=pl.len(), price=pl.col("close").first())
        .with_columns(span=pl.format("{} to {}", _stamp("time"), _stamp("last")))
        .with_columns(
            line=None,
            reason=pl.lit(Reason.MARKET_CLOSED.value),
            detail=pl.format(
                "{} bars without volume or price change while {} was closed", "row_count", pl.lit(calendar)
            ),
            record=pl.format("{} at {}", "span", "price"),
            bar=None,
        )
    )
    return (
        marked.filter(~pl.col("filler")).select(bars.columns),
        runs.select(pl.col(name).cast(dtype) for name, dtype in REJECTED_SCHEMA.items()),
    )


def judge_hours(
    bars: pl.DataFrame, calendar: str, timeframe: Timeframe, *, zone: str | None = "UTC"
) -> HoursFit | None:
    """How the times of bars fit the hours of their market; None if the market never closes or there is no bar.

    Another reading fits distinctly better if it puts into the sessions nine tenths of the bars outside, a quarter of
    all bars, or a tenth of the volume.

    Args:
        bars: frame of ``BAR_SCHEMA``, one symbol, sorted; of a long one the last bars are judged.
        calendar: calendar of the bars.
        timeframe: length of the bars.
        zone: the zone in which their times were read; None if the times have a zone of their own, so that they can
            only be shifted.
    """
    if calendar == ALWAYS_OPEN:
        return None
    observed, _ = split_off_fillers(bars, calendar, timeframe)
    observed = observed.tail(_LARGEST_SAMPLE).select("time", "volume")
    if observed.is_empty():
        return None
    as_found = _measure(observed, observed["time"], calendar, timeframe)
    as_read = HoursFit(calendar, observed.height, as_found.outside)
    if not as_found.outside:
        return as_read
    if timeframe.is_intraday and calendar != FX_WEEK:
        first, last = _hours(observed["time"], calendar)
        as_read = replace(as_read, first=first, last=last)
    whole = _Measure(observed.height, float(observed["volume"].sum() or 0))
    best = as_read
    for named, shift, times in _readings(observed["time"], calendar, timeframe, zone):
        left = _measure(observed, times, calendar, timeframe)
        if (best.fits or left.outside < best.outside_then) and _is_better(whole, as_found, left):
            best = replace(as_read, zone=named, shift=shift, outside_then=left.outside)
    if best.shift is not None and timeframe.is_intraday:
        for other in CALENDARS:
            left = _measure(observed, observed["time"], other, timeframe)
            if left.outside <= best.outside_then and other != calendar:
                return replace(best, other=other, outside_then=left.outside)
    return best


class _Measure(NamedTuple):
    """Number and volume of some bars outside the sessions."""

    outside: int
    volume: float


def _measure(observed: pl.DataFrame, times: pl.Series, calendar: str, timeframe: Timeframe) -> _Measure:
    """What lies outside the sessions if the bars have those times; a time that does not exist does."""
    known = observed.with_columns(time=times).drop_nulls("time")
    inside = known.filter(in_session(calendar, timeframe, known["time"]))
    volume = float(observed["volume"].sum() or 0) - float(inside["volume"].sum() or 0)
    return _Measure(observed.height - inside.height, volume)


def _with_fillers(bars: pl.DataFrame, calendar: str, timeframe: Timeframe) -> pl.DataFrame:
    """The bars with columns ``filler`` and ``run``, the number of a run of equal ``filler``."""
    flat = (pl.col("open") == pl.col("close")) & (pl.col("high") == pl.col("low"))
    repeats = pl.col("volume").is_null() & (pl.col("close") == pl.col("close").shift(1))
    times = bars["time"]
    closed = ~in_session(calendar, timeframe, times) | times.is_in(customarily_inactive(calendar, times).implode())
    marked = bars.with_columns(filler=flat & ((pl.col("volume") == 0) | repeats).fill_null(value=False) & closed)
    counted = marked.with_columns(run=pl.col("filler").rle_id())
    fewest = max(1, _LONGEST_QUIET // timeframe.duration)
    long_enough = (pl.len().over("run") >= fewest) | pl.col("volume").is_not_null()
    return counted.with_columns(filler=pl.col("filler") & long_enough)


def _stamp(name: str) -> pl.Expr:
    return pl.col(name).dt.strftime("%Y-%m-%dT%H:%M:%SZ")


def _readings(
    times: pl.Series, calendar: str, timeframe: Timeframe, zone: str | None
) -> Iterator[tuple[str | None, timedelta | None, pl.Series]]:
    """Other readings of the times, the likeliest first: a zone or a shift, and the times in it."""
    if not timeframe.is_intraday:
        yield from ((None, shift, times + shift) for shift in _DAYS)
        return
    if zone is not None:
        wall = times.dt.convert_time_zone(zone).dt.replace_time_zone(None)
        own = "America/New_York" if calendar == FX_WEEK else timezone_of(calendar).key
        for named in dict.fromkeys((own, *ZONES)):
            if named != zone:
                local = wall.dt.replace_time_zone(named, ambiguous="earliest", non_existent="null")
                yield named, None, local.dt.convert_time_zone("UTC")
    yield from ((None, shift, times + shift) for shift in _SHIFTS if not shift % timeframe.duration)


def _is_better(whole: _Measure, as_found: _Measure, left: _Measure) -> bool:
    gain = as_found.outside - left.outside
    if gain < _FEWEST:
        return False
    if gain >= _SHARE_OF_ALL * whole.outside:
        return True
    if gain >= max(_SHARE_OF_OUTSIDE * as_found.outside, _SMALLEST_SHARE * whole.outside):
        return True
    gained_volume = as_found.volume - left.volume
    return whole.outside >= _FEWEST_FOR_VOLUME and gained_volume > _SHARE_OF_VOLUME * whole.volume


def _hours(times: pl.Series, calendar: str) -> tuple[str, str]:
    """The commonest first and last clock times of a day at the exchange."""
    local = pl.DataFrame({"time": times.dt.convert_time_zone(timezone_of(calendar).key)})
    days = local.group_by(pl.col("time").dt.date().alias("day")).agg(
        first=pl.col("time").min().dt.strftime("%H:%M"), last=pl.col("time").max().dt.strftime("%H:%M")
    )
    return str(days["first"].mode().min()), str(days["last"].mode().max())


def _shift_text(shift: timedelta) -> str:
    size = abs(shift)
    length = f"{size / timedelta(hours=1):g} hours" if size < _DAY else "a day"
    return f"{length} {'later' if shift > timedelta(0) else 'earlier'}"
