"""Longer bars of what a stream stores: which may have ended with a commit, and what they are then.

The rule is that of :mod:`trading_platform.workflows.bars.roll_up_bars`, which finds nothing to change afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl

from trading_platform.domain.market.bars import BAR_SCHEMA, empty_bars, roll_up
from trading_platform.domain.market.calendars import ALWAYS_OPEN, session_dates, sessions
from trading_platform.domain.time import Timeframe, Window
from trading_platform.stores.market_data.bars import bars_table
from trading_platform.stores.market_data.coverage import ROLLED_UP
from trading_platform.stores.postgres.database import execute, read_frame
from trading_platform.stores.postgres.sql import query

if TYPE_CHECKING:
    from sqlalchemy import Connection

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Candidate:
    """A longer bar that has ended and may be made.

    Attributes:
        symbol: whose.
        timeframe: its length.
        calendar: of the instrument; None for one outside the universe.
        bar: its interval; of a daily bar the UTC day that it is stamped with.
        minutes: in which its 1m bars are; of a daily bar of a market that closes the session, which may begin on
            the day before.
    """

    symbol: str
    timeframe: Timeframe
    calendar: str | None
    bar: Window
    minutes: Window


def candidates(
    calendars: Mapping[str, str | None], touched: Mapping[str, Sequence[Window]], until: datetime
) -> list[Candidate]:
    """The longer bars that hold a touched minute and whose last minute is before ``until``.

    Args:
        calendars: the calendar of each symbol; None for one that has no daily bars because nobody knows it.
        touched: for each symbol, where minutes may have changed.
        until: all minutes before this are final.
    """
    alike: dict[tuple[str | None, tuple[Window, ...]], list[str]] = {}
    for symbol, windows in touched.items():
        alike.setdefault((calendars.get(symbol), tuple(windows)), []).append(symbol)
    found = []
    for (calendar, windows), symbols in alike.items():
        for timeframe in (Timeframe.M5, Timeframe.H1, Timeframe.D1):
            intervals = {each for window in windows for each in _intervals(calendar, timeframe, window, until)}
            found += [Candidate(symbol, timeframe, calendar, *each) for symbol in symbols for each in sorted(intervals)]
    return found


def _intervals(
    calendar: str | None, timeframe: Timeframe, window: Window, until: datetime
) -> Iterable[tuple[Window, Window]]:
    """Of each longer bar its own interval and that of its minutes."""
    if timeframe is Timeframe.D1 and calendar is None:
        return
    if timeframe is Timeframe.D1 and calendar != ALWAYS_OPEN:
        around = Window(window.start - _DAY, window.end + _DAY)
        for session, opens, closes in sessions(str(calendar), around).iter_rows():
            if closes <= until and window.intersect(Window(opens, closes)):
                yield Window(session, session + _DAY), Window(opens, closes)
        return
    length = timeframe.duration.total_seconds()
    start = datetime.fromtimestamp(window.start.timestamp() // length * length, UTC)
    while start < window.end and start + timeframe.duration <= until:
        bar = Window(start, start + timeframe.duration)
        yield bar, bar
        start = bar.end


def roll_up_candidates(
    connection: Connection, possible: Sequence[Candidate]
) -> dict[Timeframe, tuple[pl.DataFrame, dict[str, list[Window]]]]:
    """Makes those of some longer bars whose minutes have all been answered for.

    Args:
        connection: the transaction that has stored the minutes.
        possible: which.

    Returns:
        For each timeframe the bars, a frame of ``BAR_SCHEMA`` sorted by (symbol, time), and for each symbol
        the intervals that are complete; one without a bar in it is proven empty.
    """
    complete = _complete(connection, possible)
    if not complete:
        return {}
    minutes = _minutes(connection, complete)
    made = {}
    for timeframe in (Timeframe.M5, Timeframe.H1, Timeframe.D1):
        of_length = [each for each in complete if each.timeframe is timeframe]
        if of_length:
            whole: dict[str, list[Window]] = {}
            for each in of_length:
                whole.setdefault(each.symbol, []).append(each.bar)
            made[timeframe] = _rolled_up(minutes, timeframe, of_length), whole
    return made


def _complete(connection: Connection, possible: Sequence[Candidate]) -> list[Candidate]:
    if not possible:
        return []
    parameters = {
        "symbols": [each.symbol for each in possible],
        "timeframes": [each.timeframe.value for each in possible],
        "opens": [each.bar.start for each in possible],
        "ends": [each.bar.end for each in possible],
        "minutes_from": [each.minutes.start for each in possible],
        "minutes_until": [each.minutes.end for each in possible],
        "rolled_up": ROLLED_UP,
    }
    return [possible[number - 1] for (number,) in execute(connection, query("market_data/stream/complete"), parameters)]


def _minutes(connection: Connection, complete: Sequence[Candidate]) -> pl.DataFrame:
    """The 1m bars that some longer bars are made of, and some more."""
    parameters = {
        "symbols": sorted({each.symbol for each in complete}),
        "start": min(each.minutes.start for each in complete),
        "end": max(each.minutes.end for each in complete),
    }
    return read_frame(
        connection, query("market_data/bars/read").replace("{table}", bars_table(Timeframe.M1)), parameters, BAR_SCHEMA
    )


def _rolled_up(minutes: pl.DataFrame, timeframe: Timeframe, complete: Sequence[Candidate]) -> pl.DataFrame:
    wanted = pl.DataFrame(
        [(each.symbol, each.bar.start) for each in complete],
        schema={"symbol": pl.String, "time": BAR_SCHEMA["time"]},
        orient="row",
    )
    if timeframe.is_intraday:
        made = [roll_up(minutes, timeframe)]
    else:
        days = Window(min(each.bar.start for each in complete), max(each.bar.end for each in complete))
        symbols: dict[str, set[str]] = {}
        for each in complete:
            symbols.setdefault(str(each.calendar), set()).add(each.symbol)
        made = [
            roll_up(minutes.filter(pl.col("symbol").is_in(names)), timeframe, session_dates(calendar, days))
            for calendar, names in symbols.items()
        ]
    return pl.concat([empty_bars(), *made]).join(wanted, on=["symbol", "time"], how="semi").sort("symbol", "time")
