"""Rolls up the minutes of a stream: determines which longer bars a commit may have completed, and computes them.

The rule is that of :mod:`trading_platform.workflows.bars.roll_up_bars`, which has nothing to change afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl

from trading_platform.domain.market.bars import BAR_SCHEMA, empty_bars, roll_up
from trading_platform.domain.market.calendars import ALWAYS_OPEN, open_spans, session_dates
from trading_platform.domain.time import Timeframe, Window
from trading_platform.stores.market_data.bars import bars_table
from trading_platform.stores.market_data.completeness.coverage import ROLLED_UP, multirange
from trading_platform.stores.postgres.database import execute, read_frame
from trading_platform.stores.postgres.sql import query

if TYPE_CHECKING:
    from sqlalchemy import Connection

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Candidate:
    """A longer bar that has ended and may be complete.

    Attributes:
        symbol: its symbol.
        timeframe: its length.
        calendar: of the instrument; None for one outside the universe.
        bar: its interval; for a daily bar, the UTC day of its timestamp.
        minutes: intervals of the 1m bars that it needs, in order; for a daily bar of a market with sessions, the spans
            in which its session is open, which may begin on the day before.
    """

    symbol: str
    timeframe: Timeframe
    calendar: str | None
    bar: Window
    minutes: tuple[Window, ...]


def candidates(
    calendars: Mapping[str, str | None], touched: Mapping[str, Sequence[Window]], until: datetime
) -> list[Candidate]:
    """The longer bars that contain a touched minute and end at ``until`` or before.

    Args:
        calendars: the calendar of each symbol; None for one outside the universe, which gets no daily bars.
        touched: for each symbol, the windows in which minutes may have changed.
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
) -> Iterable[tuple[Window, tuple[Window, ...]]]:
    """The interval of each longer bar and those of its minutes."""
    if timeframe is Timeframe.D1 and calendar is None:
        return
    if timeframe is Timeframe.D1 and calendar != ALWAYS_OPEN:
        around = Window(window.start - _DAY, window.end + _DAY)
        days: dict[datetime, list[Window]] = {}
        for session, opens, closes in open_spans(str(calendar), around).iter_rows():
            days.setdefault(session, []).append(Window(opens, closes))
        for session, spans in days.items():
            if spans[-1].end <= until and window.intersect(Window(spans[0].start, spans[-1].end)):
                yield Window(session, session + _DAY), tuple(spans)
        return
    length = timeframe.duration.total_seconds()
    start = datetime.fromtimestamp(window.start.timestamp() // length * length, UTC)
    while start < window.end and start + timeframe.duration <= until:
        bar = Window(start, start + timeframe.duration)
        yield bar, (bar,)
        start = bar.end


def roll_up_candidates(
    connection: Connection, possible: Sequence[Candidate]
) -> dict[Timeframe, tuple[pl.DataFrame, dict[str, list[Window]]]]:
    """Computes those candidates for which coverage of all minutes is complete.

    Args:
        connection: the transaction that has stored the minutes.
        possible: the candidates.

    Returns:
        For each timeframe the bars, a frame of ``BAR_SCHEMA`` sorted by (symbol, time), and for each symbol
        the complete intervals; one without a bar in it is confirmed empty.
    """
    complete = _complete(connection, possible)
    if not complete:
        return {}
    minutes = _minutes(connection, complete)
    rolled_up = {}
    for timeframe in (Timeframe.M5, Timeframe.H1, Timeframe.D1):
        of_length = [each for each in complete if each.timeframe is timeframe]
        if of_length:
            whole: dict[str, list[Window]] = {}
            for each in of_length:
                whole.setdefault(each.symbol, []).append(each.bar)
            rolled_up[timeframe] = _rolled_up(minutes, timeframe, of_length), whole
    return rolled_up


def _complete(connection: Connection, possible: Sequence[Candidate]) -> list[Candidate]:
    if not possible:
        return []
    parameters = {
        "symbols": [each.symbol for each in possible],
        "timeframes": [each.timeframe.value for each in possible],
        "opens": [each.bar.start for each in possible],
        "ends": [each.bar.end for each in possible],
        "minutes": [multirange(each.minutes) for each in possible],
        "rolled_up": ROLLED_UP,
    }
    return [possible[number - 1] for (number,) in execute(connection, query("market_data/stream/complete"), parameters)]


def _minutes(connection: Connection, complete: Sequence[Candidate]) -> pl.DataFrame:
    """The 1m bars in a span that includes those of the given longer bars."""
    parameters = {
        "symbols": sorted({each.symbol for each in complete}),
        "start": min(each.minutes[0].start for each in complete),
        "end": max(each.minutes[-1].end for each in complete),
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
        rolled_up = [roll_up(minutes, timeframe)]
    else:
        days = Window(min(each.bar.start for each in complete), max(each.bar.end for each in complete))
        symbols: dict[str, set[str]] = {}
        for each in complete:
            symbols.setdefault(str(each.calendar), set()).add(each.symbol)
        rolled_up = [
            roll_up(minutes.filter(pl.col("symbol").is_in(names)), timeframe, session_dates(calendar, days))
            for calendar, names in symbols.items()
        ]
    return pl.concat([empty_bars(), *rolled_up]).join(wanted, on=["symbol", "time"], how="semi").sort("symbol", "time")
