"""When a market is open, and which bars an instrument is therefore expected to have.

No other module decides whether a market was open. Exchanges come from the library ``exchange_calendars``
(loaded on first use, because it imports pandas); markets without an exchange are computed here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.market.bars import TIME
from trading_platform.domain.texts import shown
from trading_platform.domain.time import Timeframe, Window, shifted

ALWAYS_OPEN = "24/7"
FX_WEEK = "FX"

_STARTS = ("1990-01-02", "1991-01-02", "1997-01-02", None)
"""Sessions are computed from 1990 on, or from the first year the library supports for an exchange."""

_MARKET_CODE = re.compile(r"X[A-Z]{3}|ARCX|OOTC|BVMF")
"""Codes of ISO 10383 among the names of ``exchange_calendars``."""

_NEW_YORK = ZoneInfo("America/New_York")
_FRIDAY, _SATURDAY, _SUNDAY = 5, 6, 7
_FX_WEEK_TURNS = 17  # o'clock in New York: the FX week runs from Sunday 17:00 to Friday 17:00

SESSION_SCHEMA: dict[str, pl.DataType] = {"session": TIME, "open": TIME, "close": TIME}
"""One trading session: ``session`` is midnight UTC of its date, ``open`` and ``close`` are UTC."""

ZONE_SCHEMA: dict[str, pl.DataType] = {"zone": pl.String()}
"""The time zone of an exchange, one row."""


SessionStore = Callable[[str, Callable[[], pl.DataFrame]], pl.DataFrame]
"""Returns the frame kept under a name, or else what the function computes. The domain opens no file."""

_stores: list[SessionStore] = []  # the last one is used

_LOOK_AHEAD = timedelta(days=12)  # longer than any market is closed


def check_calendar(name: str) -> str:
    """The calendar's own name, if the calendar exists: ``XNYS`` for ``NYSE``, ``nyse`` or ``xnys``.

    A code of ISO 10383 stays as it is, also where the exchange keeps the hours of another: ``XNAS``.

    Raises:
        InvalidRequest: if neither the platform nor ``exchange_calendars`` has it.
    """
    if name.upper() in (ALWAYS_OPEN, FX_WEEK):
        return name.upper()
    import exchange_calendars

    own = name.upper()
    if own in exchange_calendars.get_calendar_names(include_aliases=True) and not _MARKET_CODE.fullmatch(own):
        own = str(exchange_calendars.resolve_alias(own))
    _exchange_sessions(own)
    return own


def timezone_of(calendar: str) -> ZoneInfo:
    """The time zone of an exchange; UTC for markets without an exchange."""
    if calendar in (ALWAYS_OPEN, FX_WEEK):
        return ZoneInfo("UTC")
    return _exchange_zone(calendar)


def day_begins(calendar: str, date: datetime) -> datetime:
    """When bars begin to belong to a date: midnight at the exchange, or the session's open if that is earlier.

    Trading before and after hours belongs to the date it happens on.

    Args:
        calendar: calendar of the bars.
        date: midnight UTC of the date.
    """
    if calendar in (ALWAYS_OPEN, FX_WEEK):
        return date
    timestamps: list[datetime] = sessions(calendar, Window(date, date + timedelta(days=1)))["open"].to_list()
    return min(date.replace(tzinfo=timezone_of(calendar)).astimezone(UTC), *timestamps)


def next_session(calendar: str, date: datetime) -> datetime:
    """The first session after a date, both as midnight UTC; the next day where the calendar ends before it."""
    following = sessions(calendar, Window(date + timedelta(days=1), date + 2 * _LOOK_AHEAD))["session"]
    return date + timedelta(days=1) if following.is_empty() else following.to_list()[0]


def sessions(calendar: str, window: Window) -> pl.DataFrame:
    """The sessions whose date (as midnight UTC) lies in ``window``.

    For ``24/7`` a session is a UTC day. For ``FX`` it is a UTC day cut to the FX week, so that
    Sunday's is short and Saturday has none.

    Returns:
        Frame of :data:`SESSION_SCHEMA`, in order.
    """
    if calendar == ALWAYS_OPEN:
        frame = _utc_days(window)
    elif calendar == FX_WEEK:
        frame = _fx_days(window)
    else:
        frame = _exchange_sessions(calendar)
    return frame.filter(pl.col("session").is_between(window.start, window.end, closed="left"))


def open_spans(calendar: str, window: Window) -> pl.DataFrame:
    """The spans in which the market is open, of the sessions whose date (as midnight UTC) lies in ``window``.

    A session with a trading break, such as Tokyo's lunch, has two of them; every other session has one.

    Returns:
        Frame of :data:`SESSION_SCHEMA`, in order; several rows may have the same session.
    """
    if calendar in (ALWAYS_OPEN, FX_WEEK):
        return sessions(calendar, window)
    spans = _exchange_spans(calendar)
    return spans.filter(pl.col("session").is_between(window.start, window.end, closed="left"))


def session_dates(calendar: str, window: Window) -> pl.DataFrame | None:
    """The sessions by which daily bars are rolled up, or None if a day is a UTC day."""
    if calendar in (ALWAYS_OPEN, FX_WEEK):
        return None
    margin = timedelta(days=1)
    return sessions(calendar, Window(shifted(window.start, -margin), shifted(window.end, margin)))


class OpeningHours:
    """When the market of a calendar is open.

    Args:
        calendar: its name.
    """

    def __init__(self, calendar: str) -> None:
        self._calendar = calendar
        self._known: Window | None = None
        self._spans: list[tuple[datetime, datetime]] = []

    def is_open(self, timestamp: datetime) -> bool:
        """Whether it is open at ``timestamp``; the opening time counts as open, the closing time does not.

        A trading break counts as closed, as the night does.
        """
        if self._calendar == ALWAYS_OPEN:
            return True
        if self._known is None or timestamp not in self._known:
            around = Window(timestamp - timedelta(days=3), timestamp + _LOOK_AHEAD)
            self._spans = list(open_spans(self._calendar, around).select("open", "close").iter_rows())
            self._known = Window(timestamp - timedelta(days=1), timestamp + _LOOK_AHEAD - timedelta(days=2))
        return any(start <= timestamp < end for start, end in self._spans)


def expected_times(calendar: str, timeframe: Timeframe, window: Window) -> pl.Series:
    """The opens of all bars of that timeframe that the market can have in ``window``, in order.

    An intraday bar is expected if its interval overlaps a span in which the market is open, so none is expected in a
    trading break; grid and stamps are UTC.
    """
    if timeframe is Timeframe.D1:
        return sessions(calendar, window)["session"].alias("time")
    margin = timedelta(days=2)
    if calendar == ALWAYS_OPEN:
        past_grid = (window.start - datetime(1970, 1, 1, tzinfo=UTC)) % timeframe.duration
        first = shifted(window.start, timeframe.duration - past_grid if past_grid else timedelta(0))
        return pl.datetime_range(first, window.end, timeframe.value, closed="left", time_unit="us", eager=True).alias(
            "time"
        )
    spans = open_spans(calendar, Window(shifted(window.start, -margin), shifted(window.end, margin)))
    times = (
        spans.select(
            time=pl.datetime_ranges(
                pl.col("open").dt.truncate(timeframe.value),
                "close",
                timeframe.value,
                closed="left",
                time_unit="us",
            )
        )
        .explode("time")
        .drop_nulls()
        .unique()
        .sort("time")
    )["time"]
    return times.filter(times.is_between(window.start, window.end, closed="left"))


def in_session(calendar: str, timeframe: Timeframe, times: pl.Series) -> pl.Series:
    """Whether the market can have a bar of that timeframe at each of some times, as in :func:`expected_times`.

    Args:
        calendar: the calendar.
        timeframe: length of the bars.
        times: opens of bars on the grid of the timeframe, UTC, in any order, without nulls.
    """
    if calendar == ALWAYS_OPEN or times.is_empty():
        return pl.repeat(value=True, n=times.len(), dtype=pl.Boolean, eager=True)
    margin = timedelta(days=2)
    first, last = times.min(), times.max()
    spans = open_spans(calendar, Window(first - margin, last + margin))  # type: ignore[operator,arg-type]
    if timeframe is Timeframe.D1:
        return times.is_in(spans["session"].implode())
    begins = spans.select(begin=pl.col("open").dt.truncate(timeframe.value), close="close").sort("begin")
    asked = pl.DataFrame({"time": times}).with_row_index().sort("time")
    joined = asked.join_asof(begins, left_on="time", right_on="begin").sort("index")
    return joined.select(inside=(pl.col("time") < pl.col("close")).fill_null(value=False))["inside"]


def availability(calendar: str, timeframe: Timeframe, times: pl.DataFrame) -> pl.Series:
    """When each bar is first available: at its close.

    Args:
        calendar: calendar of the bars.
        timeframe: length of the bars.
        times: frame with a column ``time`` (bar opens), sorted.

    Returns:
        A series of UTC times, one per row: the session's close for daily bars of an exchange, else
        the end of the bar's interval.
    """
    ends = times.select(end=pl.col("time") + timeframe.duration)["end"]
    if timeframe.is_intraday or calendar in (ALWAYS_OPEN, FX_WEEK) or times.is_empty():
        return ends.alias("available_at")
    window = Window(times["time"].min(), times["time"].max() + timedelta(days=1))  # type: ignore[arg-type,operator]
    closes = sessions(calendar, window)
    joined = times.select("time").join(closes, left_on="time", right_on="session", how="left")
    return joined["close"].fill_null(ends).alias("available_at")


def _utc_days(window: Window) -> pl.DataFrame:
    first = window.start.replace(hour=0, minute=0, second=0, microsecond=0)
    days = pl.datetime_range(first, window.end, "1d", closed="left", time_unit="us", eager=True)
    return pl.DataFrame({"session": days}).with_columns(
        open=pl.col("session"), close=pl.col("session") + timedelta(days=1)
    )


def _fx_days(window: Window) -> pl.DataFrame:
    days = _utc_days(window)
    weekday = pl.col("session").dt.weekday()
    turn = pl.col("session").dt.replace_time_zone(None).dt.replace(hour=_FX_WEEK_TURNS)
    turn_utc = turn.dt.replace_time_zone(_NEW_YORK.key).dt.convert_time_zone("UTC")
    return days.filter(weekday != _SATURDAY).with_columns(
        open=pl.when(weekday == _SUNDAY).then(turn_utc).otherwise("open"),
        close=pl.when(weekday == _FRIDAY).then(turn_utc).otherwise("close"),
    )


def keep_sessions(store: SessionStore) -> None:
    """From now on this process takes the sessions of exchanges from a store where that has them."""
    _stores.append(store)


@lru_cache(maxsize=32)
def _exchange_sessions(calendar: str) -> pl.DataFrame:
    return _kept(calendar, lambda: _computed_sessions(calendar))


@lru_cache(maxsize=32)
def _exchange_spans(calendar: str) -> pl.DataFrame:
    return _kept(f"{calendar}_spans", lambda: _computed_spans(calendar))


@lru_cache(maxsize=32)
def _exchange_zone(calendar: str) -> ZoneInfo:
    kept = _kept(f"{calendar}_zone", lambda: pl.DataFrame({"zone": [str(_exchange(calendar).tz)]}, schema=ZONE_SCHEMA))
    return ZoneInfo(kept["zone"].item())


def _kept(name: str, compute: Callable[[], pl.DataFrame]) -> pl.DataFrame:
    return _stores[-1](name, compute) if _stores else compute()


def _computed_sessions(calendar: str) -> pl.DataFrame:
    schedule = _exchange(calendar).schedule
    return pl.DataFrame(
        {
            "session": [timestamp.to_pydatetime().replace(tzinfo=UTC) for timestamp in schedule.index],
            "open": [timestamp.to_pydatetime() for timestamp in schedule["open"]],
            "close": [timestamp.to_pydatetime() for timestamp in schedule["close"]],
        },
        schema=SESSION_SCHEMA,
    )


def _computed_spans(calendar: str) -> pl.DataFrame:
    """The sessions of an exchange, those with a break in two parts; half days often have none."""
    schedule = _exchange(calendar).schedule
    breaks = pl.DataFrame(
        {
            name: [timestamp.to_pydatetime() for timestamp in times]
            for name, times in ((name, schedule[name].dropna()) for name in ("break_start", "break_end"))
        },
        schema={"break_start": TIME, "break_end": TIME},
    )
    whole = _exchange_sessions(calendar)
    joined = whole.join_asof(breaks, left_on="open", right_on="break_start", strategy="forward")
    parted = joined.filter(pl.col("break_start") < pl.col("close"))
    if parted.is_empty():
        return whole
    before = parted.select("session", "open", close="break_start")
    after = parted.select("session", open="break_end", close="close")
    return pl.concat([whole.join(parted, on="session", how="anti"), before, after]).sort("open")


@lru_cache(maxsize=32)
def _exchange(calendar: str) -> Any:
    import exchange_calendars
    from exchange_calendars.errors import InvalidCalendarName

    failure: Exception | None = None
    for start in _STARTS:
        try:
            return exchange_calendars.get_calendar(calendar, start=start)
        except InvalidCalendarName:
            raise InvalidRequest(
                f"There is no calendar {calendar!r}.",
                expected="24/7, FX, or an exchange code (ISO 10383) such as XNYS, XNAS, XETR, XLON",
                received=shown(calendar),
                remedy="correct the instrument's calendar",
            ) from None
        except (ValueError, NotImplementedError) as error:
            failure = error  # the library has no data of this exchange that far back
    raise InvalidRequest(
        f"The calendar {calendar!r} cannot be computed by the installed exchange_calendars.",
        expected="a calendar that the library can compute",
        received=f"{type(failure).__name__}: {str(failure)[:150]}",
        remedy="choose another calendar for the instrument, such as that of its main listing",
    )


def last_closed(calendar: str, timeframe: Timeframe, now: datetime) -> datetime:
    """The end of the window in which every bar is final at ``now``; nothing later may be stored."""
    if timeframe.is_intraday:
        return datetime.fromtimestamp(
            now.timestamp() // timeframe.duration.total_seconds() * timeframe.duration.total_seconds(), UTC
        )
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if calendar in (ALWAYS_OPEN, FX_WEEK):
        return today
    closed = sessions(calendar, Window(today - timedelta(days=1), today + timedelta(days=1))).filter(
        pl.col("close") <= now
    )
    if closed.is_empty():
        return today
    last: datetime = closed["session"].max()  # type: ignore[assignment]
    return max(today, last + timedelta(days=1))
