"""The times of a table's rows, and the length of its bars."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, datetime, timedelta

import polars as pl

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.rejection_reasons import Reason
from trading_platform.domain.time import Timeframe
from trading_platform.sources.files.content.options import FileRejected, ImportOptions
from trading_platform.sources.files.content.tables import Table
from trading_platform.sources.files.recognition.formats import Kind, Layout
from trading_platform.sources.files.recognition.lean import NEW_YORK
from trading_platform.sources.files.recognition.names import FileName
from trading_platform.sources.files.times.stamps import are_midnights
from trading_platform.sources.files.times.utc_times import ReadTimes, commonest_step, read_times

_DAY_IN_MS = 86_400_000


def times_of(table: Table, layout: Layout, name: FileName, options: ImportOptions) -> ReadTimes:
    """The times of the rows, before their zone is applied."""
    column = table.frame[layout.roles["time"]]
    if layout.since_midnight and name.lean_day is not None:
        return _since_midnight(column, name.lean_day)
    if "clock" in layout.roles:
        column = column.cast(pl.String) + " " + _clocks(table.frame[layout.roles["clock"]].cast(pl.String))
    times = read_times(column, options.dates)
    if times.wall.null_count() == times.wall.len():
        example = column.cast(pl.String, strict=False).drop_nulls().head(1).to_list()
        detail = (
            f"none of its rows has a readable time{f' ({example[0]!r})' if example else ''}; "
            f"{_advice(example[0]) if example else _KNOWN}"
        )
        raise FileRejected(Reason.UNREADABLE_TIME, detail, rows=table.height)
    return times


def _clocks(texts: pl.Series) -> pl.Series:
    """Clocks with colons; those without, such as TradeStation's 930 and MetaStock's 93000, get them."""
    bare = texts.str.strip_chars()
    digits = bare.filter(bare.str.contains(r"^\d{1,6}$"))
    longest = digits.str.len_chars().max()
    if longest not in (3, 4, 5, 6):
        return texts
    padded = bare.str.zfill(4 if longest in (3, 4) else 6)
    return padded.str.replace(r"^(\d{2})(\d{2})$", "${1}:${2}").str.replace(
        r"^(\d{2})(\d{2})(\d{2})$", "${1}:${2}:${3}"
    )


_KNOWN = (
    "known are ISO 8601, 2024-01-02 09:30:00, with or without -05:00, 01/02/2024 9:30 AM, 2 Jan 2024, 20240102 093000 "
    "and counts since 1970"
)
_ADVICE = (
    (
        r"\s[A-Z]{2,5}$",
        "leave the zone's abbreviation out, which may mean several zones, and give --timezone America/New_York, say",
    ),
    (
        r"^\d{5}(?:\.\d+)?$",
        "it looks like a spreadsheet's count of days: format the column as a date, and save the file again",
    ),
    (r"^6[0-9]{17}$", "it looks like .NET's ticks: write it as 2024-01-02 09:30:00"),
    (r"^\d(?:\.\d+)?[eE]\+?\d+$", "a spreadsheet has cut it: format the column as a number, or as text"),
    (r"^\d{1,2}:\d{2}", "a time of day needs a column with the date beside it, called 'date'"),
    (r"\s24:00", "the end of a day is 00:00 of the next one"),
)
"""What to do about texts that look like times and are not read."""


def _advice(example: str) -> str:
    return next((words for pattern, words in _ADVICE if re.search(pattern, example)), _KNOWN)


def _since_midnight(column: pl.Series, day: date) -> ReadTimes:
    """Milliseconds of a day; a few files run over its end, none by more than a day."""
    elapsed = column.cast(pl.String).str.strip_chars().cast(pl.Int64, strict=False)
    plausible = elapsed.set(~elapsed.is_between(0, 2 * _DAY_IN_MS), None)
    midnight = datetime.combine(day, datetime.min.time())
    frame = pl.DataFrame({"elapsed": plausible})
    wall = frame.select(wall=(pl.lit(midnight) + pl.duration(milliseconds="elapsed")).cast(pl.Datetime("us")))
    return ReadTimes(wall["wall"], None)


def timeframe_of(layout: Layout, series: Sequence[ReadTimes], name: FileName, options: ImportOptions) -> Timeframe:
    """The timeframe: as given, as in the file's name, or the commonest step between its times.

    Args:
        layout: the layout of the rows.
        series: the times of each instrument in the file.
        name: name of the file.
        options: the user's options.

    Raises:
        FileRejected: if the distance of the rows fits no stored timeframe.
        InvalidRequest: if it is neither given nor recognised.
    """
    if layout.kind in (Kind.TRADES, Kind.QUOTES):
        return _tick_timeframe(options)
    rows = sum(times.wall.len() for times in series)
    step = commonest_step(*(times.readable for times in series))
    if options.timeframe is not None:
        if step is not None and step < options.timeframe.duration:
            detail = f"its rows are {_step_text(step)} apart, too close for {options.timeframe.value} bars"
            raise FileRejected(Reason.UNSUPPORTED, detail, rows=rows)
        return options.timeframe
    if layout.session_midnights and all(are_midnights(times.readable, NEW_YORK) for times in series):
        return Timeframe.D1
    if layout.interval_named:
        step = _kraken_interval(name) or step
    if step is None:
        return _named_timeframe(name)
    for timeframe in Timeframe:
        if timeframe.duration == step:
            return timeframe
    stored = ", ".join(Timeframe)
    raise FileRejected(Reason.UNSUPPORTED, f"its rows are {_step_text(step)} apart; stored are {stored}", rows=rows)


def _tick_timeframe(options: ImportOptions) -> Timeframe:
    timeframe = options.timeframe or Timeframe.M1
    if not timeframe.is_intraday:
        raise InvalidRequest(
            "Ticks cannot be imported as daily bars.",
            expected="1m, 5m or 1h",
            received=timeframe.value,
            remedy="leave --timeframe out: ticks become 1m bars, and longer bars are rolled up from those",
        )
    return timeframe


def _kraken_interval(name: FileName) -> timedelta | None:
    return timedelta(minutes=name.kraken_minutes) if name.kraken_minutes else None


def _named_timeframe(name: FileName) -> Timeframe:
    if name.timeframe is None:
        raise InvalidRequest(
            f"{name.names[0]} has a single time, so the length of its bars is unknown.",
            expected="at least two times, or a name such as SPY_daily.csv or ETH_BTC-5m.feather",
            received=name.stem,
            remedy="give the length with --timeframe",
        )
    return name.timeframe


def _step_text(step: timedelta) -> str:
    if step.days:
        return f"{step.days} days" if step.days > 1 else "a day"
    return f"{step.total_seconds():g} s"
