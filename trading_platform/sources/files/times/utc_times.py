"""Converts the times in files to UTC.

:mod:`trading_platform.sources.files.recognition.formats` knows which column holds them; this module depends on no
file format.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache

import polars as pl

from trading_platform.domain.market.bars import TIME
from trading_platform.domain.rejection_reasons import Reason
from trading_platform.sources.files.content.options import DateOrder, FileRejected
from trading_platform.sources.files.times.date_orders import check_one_order
from trading_platform.sources.files.times.time_texts import common_zone, is_unusual, rewritten

_SAMPLE = 2_000
_HALVES = (" %I:%M:%S %p", " %I:%M:%S%p", " %I:%M %p", " %I:%M%p")
"""Clocks of twelve hours; :func:`rewritten` has made ``11:00 AM`` of ``11-AM``."""

_ISO_DAYS = ("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d")
_NAMED_MONTHS = (
    *("%b %d, %Y", "%B %d, %Y", "%b %d %Y", "%B %d %Y", "%b-%d-%Y"),
    *("%d-%b-%Y", "%d-%b-%y", "%d %b %Y", "%d %B %Y"),
)
_AWARE = (
    *(
        f"{day}{gap}{clock}"
        for day in ("%Y-%m-%d", "%Y/%m/%d")
        for gap in ("T", " ")
        for clock in ("%H:%M:%S%.f%#z", "%H:%M%#z", "%H:%M:%S%.f UTC", "%H:%M:%S%.f %z")
    ),
    *(
        f"{day} %H:%M:%S%.f{zone}"
        for day in ("%d.%m.%Y", "%Y.%m.%d", "%b %d %Y", "%d %b %Y")
        for zone in ("%#z", " UTC")
    ),
)
_NAIVE = (
    *(
        f"{day}{rest}"
        for day in _ISO_DAYS
        for rest in ("", "T%H:%M:%S%.f", " %H:%M:%S%.f", "T%H:%M", " %H:%M", *_HALVES)
    ),
    "%Y%m%d %H%M%S%3f",
    "%Y%m%d %H%M%S",
    "%Y%m%d%H%M%S",
    "%Y%m%d%H%M",
    *(
        f"{day}{rest}"
        for day in ("%d.%m.%Y", "%d.%m.%y", *_NAMED_MONTHS)
        for rest in ("", " %H:%M:%S%.f", " %H:%M", *_HALVES)
    ),
)
_RESTS = ("", " %H:%M:%S%.f", " %H:%M", *_HALVES)
_BY_ORDER = {
    DateOrder.MONTH_FIRST: tuple(f"%m{s}%d{s}{y}{rest}" for s in "/-" for y in ("%Y", "%y") for rest in _RESTS),
    DateOrder.DAY_FIRST: tuple(f"%d{s}%m{s}{y}{rest}" for s in "/-" for y in ("%Y", "%y") for rest in _RESTS),
}
_EPOCH = r"^\d{9,11}(?:\.\d+)?$|^\d{13}(?:\.0+)?$|^\d{16}$|^\d{19}$"
_EARLIEST_YEAR, _LATEST_YEAR = 1800, 2200
_NAIVE_TIME = pl.Datetime("us")
_DAY = timedelta(days=1)
_FRIDAY = 5


@dataclass(frozen=True)
class ReadTimes:
    """Times before their zone is applied.

    Attributes:
        wall: the local time, without zone, null if unreadable.
        utc: the time in UTC, if the text itself has it (zone or epoch); None for naive times.
        is_epoch: whether they are counts since 1970.
        zone: the zone that all naive times name, None if they name none.
    """

    wall: pl.Series
    utc: pl.Series | None
    is_epoch: bool = False
    zone: str | None = None

    @property
    def readable(self) -> pl.Series:
        """The times without a zone: in UTC where the file has it, else local; null if unreadable."""
        return self.wall if self.utc is None else self.utc.dt.replace_time_zone(None)

    @property
    def step(self) -> timedelta | None:
        """The commonest distance between neighbouring times; the shortest of equally common ones."""
        return commonest_step(self.readable)

    def at(self, positions: pl.Series) -> ReadTimes:
        """The times of some of the rows."""
        return replace(self, wall=self.wall[positions], utc=None if self.utc is None else self.utc[positions])


def commonest_step(*series: pl.Series) -> timedelta | None:
    """The commonest distance between neighbouring times of the same series, None if no series has two of them.

    From a Friday to a Monday is a day: a few daily bars may lie around one weekend.
    """
    steps = pl.concat([_steps(times) for times in series])
    if steps.is_empty():
        return None
    step: timedelta = steps.mode().min()  # type: ignore[assignment]
    return step


def _steps(times: pl.Series) -> pl.Series:
    frame = pl.DataFrame({"time": times.drop_nulls().unique().sort()})
    # A session of Monday that is stamped at its open in UTC may have begun on Sunday evening.
    weekday = (pl.col("time").shift(1) + timedelta(hours=4)).dt.weekday()
    step = pl.col("time").diff()
    over_weekend = (weekday == _FRIDAY) & (step == 3 * _DAY)
    return frame.select(step=pl.when(over_weekend).then(pl.lit(_DAY)).otherwise(step))["step"].drop_nulls()


def read_times(values: pl.Series, order: DateOrder | None) -> ReadTimes:
    """Reads times from a column of text, of counts since 1970, or of dates and times.

    Args:
        values: the column as in the file.
        order: order of day and month in dates like 01/03/2017, if the user gave it.

    Raises:
        FileRejected: if dates can be read both ways and the order was not given.
    """
    if isinstance(values.dtype, pl.Datetime):
        return _typed(values)
    if values.dtype == pl.Date:
        return ReadTimes(values.cast(_NAIVE_TIME), None)
    texts = _texts(values)
    sample = texts.filter(texts.fill_null("") != "").head(_SAMPLE)
    if not sample.is_empty() and (sample.str.contains(_EPOCH).sum() or 0) * 2 > sample.len():
        return _epoch(texts)
    zone = common_zone(texts) if common_zone(sample) else None
    if zone is not None or is_unusual(sample):
        texts, sample = rewritten(texts, zone), rewritten(sample, zone)
    return replace(_text(texts, sample, order), zone=zone)


def _texts(values: pl.Series) -> pl.Series:
    if values.dtype.is_float():
        values = values.cast(pl.Int64, strict=False)
    return values.cast(pl.String, strict=False).str.strip_chars()


def _typed(values: pl.Series) -> ReadTimes:
    zone = values.dtype.time_zone  # type: ignore[attr-defined]
    precise = values.cast(pl.Datetime("us", zone))
    if zone is None:
        return ReadTimes(precise, None)
    return ReadTimes(precise.dt.replace_time_zone(None), precise.dt.convert_time_zone("UTC"))


def _epoch(texts: pl.Series) -> ReadTimes:
    """Counts of seconds, milliseconds, microseconds or nanoseconds, distinguished by their size row by row.

    Binance's files changed from milliseconds to microseconds in 2025, so one history holds both.
    """
    digits = texts.str.extract(r"^(\d+)(?:\.\d*)?$").cast(pl.Int64, strict=False)
    fraction = (
        texts.str.extract(r"\.(\d+)$").fill_null("").str.pad_end(6, "0").str.slice(0, 6).cast(pl.Int64, strict=False)
    )
    frame = pl.DataFrame({"whole": digits, "fraction": fraction})
    whole = pl.col("whole")
    micros = (
        pl.when(whole < 10**11)
        .then(whole * 10**6 + pl.col("fraction").fill_null(0))
        .when(whole < 10**14)
        .then(whole * 1000)
        .when(whole < 10**17)
        .then(whole)
        .otherwise(whole // 1000)
    )
    utc = frame.select(time=micros.cast(_NAIVE_TIME).dt.replace_time_zone("UTC"))["time"]
    utc = _plausible(utc)
    return ReadTimes(utc.dt.replace_time_zone(None), utc, is_epoch=True)


def _text(texts: pl.Series, sample: pl.Series, order: DateOrder | None) -> ReadTimes:
    characters = frozenset("".join(sample))
    best_aware, aware_hits = _best(sample, characters, _AWARE)
    all_of_them = sample.len()  # a kind that has a format of all is the kind, and the others are not tried
    best_naive, naive_hits = _best(sample, characters, _NAIVE) if aware_hits < all_of_them else (_NAIVE[0], 0)
    by_order = (
        {which: _best(sample, characters, formats) for which, formats in _BY_ORDER.items()}
        if max(aware_hits, naive_hits) < all_of_them
        else {}
    )
    slashed = max((hits for _, hits in by_order.values()), default=0)
    if slashed > max(aware_hits, naive_hits):
        chosen = order or _order_of(texts, by_order)
        read, other = (
            _parse(texts, by_order[each][0], _BY_ORDER[each])
            for each in sorted(DateOrder, key=lambda each: each != chosen)
        )
        check_one_order(texts, read, other)
        return ReadTimes(read, None)
    if aware_hits >= naive_hits and aware_hits:
        utc = _parse(texts, best_aware, _AWARE, aware=True)
        wall = texts.str.replace(r"(?:Z|UTC|[+-]\d{2}:?\d{0,2})\s*$", "").str.strip_chars()
        return ReadTimes(
            _parse(wall, best_aware.removesuffix("%#z").removesuffix("%z").removesuffix("UTC").strip(), _NAIVE), utc
        )
    return ReadTimes(_parse(texts, best_naive, _NAIVE), None)


def _best(sample: pl.Series, characters: frozenset[str], formats: tuple[str, ...]) -> tuple[str, int]:
    """The format that parses most of a sample, which has these characters, and how many of it."""
    best, most = formats[0], 0
    for format_ in formats:
        if not _literals(format_) <= characters:
            continue
        count = sample.len() - _attempt(sample, format_).null_count()
        if count > most:
            best, most = format_, count
        if most == sample.len():
            break
    return best, most


@cache
def _literals(format_: str) -> frozenset[str]:
    """The characters without which no text has a format; blanks are optional."""
    return frozenset(re.sub(r"%(?:\.f|#z|3f|[A-Za-z])|\s", "", format_))


def _attempt(texts: pl.Series, format_: str) -> pl.Series:
    parsed = texts.str.to_datetime(format_, time_unit="us", strict=False)
    if parsed.dtype.time_zone is None and ("%z" in format_ or "UTC" in format_ or "%#z" in format_):  # type: ignore[attr-defined]
        parsed = parsed.dt.replace_time_zone("UTC")
    return _plausible(parsed)


def _plausible(times: pl.Series) -> pl.Series:
    """The same times, null outside the years with market data: ``%Y`` parses "17" as the year 17."""
    year = times.dt.year()
    return times.set(~year.is_between(_EARLIEST_YEAR, _LATEST_YEAR).fill_null(value=True), None)


def _parse(texts: pl.Series, best: str, formats: tuple[str, ...], *, aware: bool = False) -> pl.Series:
    """Parses ``texts`` by the best format; the rest by the other formats of its kind."""
    parsed = _attempt(texts, best)
    if aware:
        parsed = parsed.dt.convert_time_zone("UTC")
    left = parsed.is_null() & texts.fill_null("").ne("")
    if not left.any():
        return parsed
    characters = frozenset("".join(texts.filter(left)))
    for format_ in formats:
        if not left.any():
            break
        if not _literals(format_) <= characters:
            continue
        parsed = parsed.zip_with(~left, _attempt(texts.set(~left, None), format_).cast(parsed.dtype))
        left = parsed.is_null() & texts.fill_null("").ne("")
    return parsed


def _order_of(texts: pl.Series, by_order: dict[DateOrder, tuple[str, int]]) -> DateOrder:
    """Month or day first: the order that parses more of the column."""
    readable = {
        which: texts.len() - _parse(texts, best, _BY_ORDER[which]).null_count() for which, (best, _) in by_order.items()
    }
    month_first, day_first = readable[DateOrder.MONTH_FIRST], readable[DateOrder.DAY_FIRST]
    if month_first == day_first:
        raise FileRejected(
            Reason.UNSUPPORTED,
            "its dates can be read month first or day first; choose with --dates month-first or --dates day-first",
            rows=texts.len(),
        )
    return DateOrder.MONTH_FIRST if month_first > day_first else DateOrder.DAY_FIRST


@dataclass(frozen=True)
class UtcTimes:
    """Times in UTC.

    Attributes:
        time: UTC, null where there is none.
        nonexistent: true for rows with a local time that was skipped by a change of clocks.
        assumption: how the file's times were interpreted, in words.
        zone: the zone in which times without a zone were read; None for dates and for times with a zone of their own.
    """

    time: pl.Series
    nonexistent: pl.Series
    assumption: str
    zone: str | None = None


def settle(times: ReadTimes, *, daily: bool, ticks: bool, zone: Callable[[], tuple[str, str]]) -> UtcTimes:
    """Converts times to UTC.

    Args:
        times: the times read.
        daily: they are dates of daily bars: midnight UTC of the date, in any zone.
        ticks: equal times are normal (matters only where clocks were set back).
        zone: gives the zone of naive times and the reason in words, when needed.
    """
    none = pl.repeat(value=False, n=times.wall.len(), dtype=pl.Boolean, eager=True)
    if daily and not times.is_epoch and _mostly_midnights(times.wall):
        return UtcTimes(times.wall.dt.replace_time_zone("UTC").cast(TIME), none, "dates, stamped midnight UTC")
    if times.utc is not None:
        words = "counts since 1970, UTC" if times.is_epoch else "times with their zone"
        return UtcTimes(times.utc.cast(TIME), none, words)
    name, why = (times.zone, "which the times name") if times.zone else zone()
    if name == "UTC":
        return UtcTimes(
            times.wall.dt.replace_time_zone("UTC").cast(TIME),
            none,
            f"times without zone taken as UTC ({why})",
            zone=name,
        )
    return _localised(times.wall, name, why, ticks=ticks)


def _mostly_midnights(wall: pl.Series) -> bool:
    """Whether these are dates; a stray time among them is then rejected by the rules."""
    return bool(((wall.dt.truncate("1d") == wall).mean() or 0) > 0.5)  # type: ignore[operator]  # noqa: PLR2004


def _localised(wall: pl.Series, zone: str, why: str, *, ticks: bool) -> UtcTimes:
    earliest = wall.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    latest = wall.dt.replace_time_zone(zone, ambiguous="latest", non_existent="null")
    nonexistent = wall.is_not_null() & earliest.is_null()
    twice = (earliest != latest).fill_null(value=False)
    chosen = earliest
    words = f"times without zone taken as {zone} ({why})"
    if twice.any():
        chosen = earliest.zip_with(~(twice & _second_pass(wall, twice, ticks=ticks)), latest)
        words += (
            f"; {twice.sum()} in an hour that occurred twice: the first pass until the times step back, then the second"
        )
    return UtcTimes(chosen.dt.convert_time_zone("UTC").cast(TIME), nonexistent, words, zone=zone)


def _second_pass(wall: pl.Series, twice: pl.Series, *, ticks: bool) -> pl.Series:
    """The ambiguous rows of the second pass of the hour: those after a step back.

    Two bars cannot share a time, so for bars an equal time is a step back, too.
    """
    known = wall.drop_nulls()
    descending = known.len() > 1 and known[0] > known[-1]
    frame = pl.DataFrame({"wall": wall.set(~twice, None)}).with_row_index()
    ordered = frame.reverse() if descending else frame
    seen = pl.col("wall").cum_max().shift(1).over(pl.col("wall").dt.date())
    back = (pl.col("wall") < seen) if ticks else (pl.col("wall") <= seen)
    marked = ordered.with_columns(second=back.fill_null(value=False))
    return marked.sort("index")["second"]
