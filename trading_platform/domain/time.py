"""Timeframes, half-open windows and the clock.

Every time in the platform is an aware datetime in UTC; a bar is stamped at its open.
:mod:`trading_platform.domain.market.calendars` defines trading days and the stamps an instrument is expected to have.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.texts import shown

Clock = Callable[[], datetime]
"""Returns the present time, aware, in UTC. Passed as an argument so that tests control time."""

Sleep = Callable[[float], None]
"""Waits that many seconds. Passed as an argument for the same reason."""

EARLIEST, LATEST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
"""The first and the last time there is; the latter ends the month and the year that it lies in."""

INTRADAY_START = datetime(2013, 1, 1, tzinfo=UTC)
"""From when intraday bars are stored: 500 symbols stay below Dagster's limit of 100,000 partitions per asset."""

DAILY_START = datetime(1990, 1, 1, tzinfo=UTC)
"""From when daily bars are stored: where the exchange calendars begin."""

AsyncSleep = Callable[[float], Awaitable[None]]
"""The asynchronous :data:`Sleep`."""


def utc_now() -> datetime:
    """The wall clock, in UTC."""
    return datetime.now(UTC)


def in_utc(timestamp: datetime, name: str) -> datetime:
    """An aware timestamp in UTC.

    Raises:
        InvalidRequest: if it is before the year 1 or after the year 9999 there.
    """
    try:
        return timestamp.astimezone(UTC)
    except OverflowError:
        raise InvalidRequest(
            f"The {name} is outside of the calendar.",
            expected="a time from the year 1 to the year 9999, in UTC",
            received=timestamp.isoformat(),
            remedy=f"give another {name}",
        ) from None


def shifted(timestamp: datetime, by: timedelta) -> datetime:
    """A timestamp plus a span, within the calendar."""
    try:
        return timestamp + by
    except OverflowError:
        return LATEST if by > timedelta(0) else EARLIEST


def check_recorded(recorded_as_of: datetime, now: datetime) -> None:
    """Refuses a state of stored data that is still to come.

    Raises:
        InvalidRequest: if the time is in the future.
    """
    if recorded_as_of > now:
        raise InvalidRequest(
            "Nobody knows what will have been recorded in the future.",
            received=f"recorded_as_of {recorded_as_of.isoformat()}, and it is {now.isoformat()}",
            remedy="Use a time until now, or leave recorded_as_of out for what is stored now.",
        )


def rfc3339(timestamp: datetime) -> str:
    """An aware timestamp as ``2024-12-15T14:30:00.000000Z``; of constant length, so that texts sort like timestamps."""
    if timestamp.tzinfo is not UTC:
        timestamp = timestamp.astimezone(UTC)
    return timestamp.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


class Timeframe(StrEnum):
    """The four bar lengths the platform stores."""

    M1 = "1m"
    M5 = "5m"
    H1 = "1h"
    D1 = "1d"

    @property
    def duration(self) -> timedelta:
        """Length of one bar."""
        return _DURATIONS[self]

    @property
    def is_intraday(self) -> bool:
        """True for everything shorter than a day."""
        return self is not Timeframe.D1

    @property
    def stored_from(self) -> datetime:
        """From when its bars are stored; there is no partition before."""
        return INTRADAY_START if self.is_intraday else DAILY_START

    @classmethod
    def parse(cls, text: str) -> Timeframe:
        """The timeframe of that name, in small letters or capitals: ``1d`` or ``1D``; ``1M`` is a month elsewhere.

        Raises:
            InvalidRequest: if there is none.
        """
        try:
            return cls(text if text == "1M" else text.lower())
        except (ValueError, AttributeError, TypeError):
            month = text == "1M"
            raise InvalidRequest(
                f"There is no timeframe {shown(text)}.",
                expected=f"one of {', '.join(cls)}",
                received=f"{text!r}, which many use for a month" if month else shown(text),
                remedy="write 1m for minutes" if month else "choose one of the listed timeframes",
            ) from None


_DURATIONS = {
    Timeframe.M1: timedelta(minutes=1),
    Timeframe.M5: timedelta(minutes=5),
    Timeframe.H1: timedelta(hours=1),
    Timeframe.D1: timedelta(days=1),
}


@dataclass(frozen=True, order=True)
class Window:
    """A half-open interval ``[start, end)`` of aware UTC datetimes.

    Raises:
        InvalidRequest: if a bound is naive, or the end is not after the start.
    """

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        for name, value in (("start", self.start), ("end", self.end)):
            if value.tzinfo is None:
                raise InvalidRequest(
                    f"The {name} of a window has no time zone.",
                    expected="an aware datetime",
                    received=value.isoformat(),
                    remedy="give the time with its zone, for example 2024-01-02T00:00:00Z",
                )
        object.__setattr__(self, "start", in_utc(self.start, "start"))
        object.__setattr__(self, "end", in_utc(self.end, "end"))
        if self.end <= self.start:
            raise InvalidRequest(
                "A window must end after it starts.",
                expected=f"an end after {self.start.isoformat()}",
                received=self.end.isoformat(),
                remedy="swap start and end, or move the end; the end itself is not included",
            )

    def __str__(self) -> str:
        return f"[{self.start:%Y-%m-%dT%H:%MZ}, {self.end:%Y-%m-%dT%H:%MZ})"

    def __contains__(self, timestamp: datetime) -> bool:
        return self.start <= timestamp < self.end

    def intersect(self, other: Window) -> Window | None:
        """The common part, or None."""
        start, end = max(self.start, other.start), min(self.end, other.end)
        return Window(start, end) if start < end else None

    def subtract(self, others: Iterable[Window]) -> list[Window]:
        """The parts of this window that none of ``others`` covers, in order."""
        left: list[Window] = []
        cursor = self.start
        for other in sorted(others):
            if other.end <= cursor or other.start >= self.end:
                continue
            if other.start > cursor:
                left.append(Window(cursor, other.start))
            cursor = max(cursor, other.end)
            if cursor >= self.end:
                break
        if cursor < self.end:
            left.append(Window(cursor, self.end))
        return left

    @staticmethod
    def merge(windows: Iterable[Window]) -> list[Window]:
        """The union of ``windows``, as few disjoint windows as possible, in order."""
        merged: list[Window] = []
        for window in sorted(windows):
            if merged and window.start <= merged[-1].end:
                merged[-1] = Window(merged[-1].start, max(merged[-1].end, window.end))
            else:
                merged.append(window)
        return merged


def within(windows: Iterable[Window], whole: Window) -> list[Window]:
    """The parts of some windows that lie in another one."""
    return [part for window in windows if (part := window.intersect(whole))]


def month_window(timestamp: datetime) -> Window:
    """The calendar month, in UTC, that holds ``timestamp``."""
    start = timestamp.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    if (start.year, start.month) == (LATEST.year, LATEST.month):
        return Window(start, LATEST)
    return Window(start, (start + timedelta(days=32)).replace(day=1))


def year_window(timestamp: datetime) -> Window:
    """The calendar year, in UTC, that holds ``timestamp``."""
    start = datetime(timestamp.astimezone(UTC).year, 1, 1, tzinfo=UTC)
    return Window(start, LATEST if start.year == LATEST.year else start.replace(year=start.year + 1))


def partition_windows(timeframe: Timeframe, window: Window) -> list[Window]:
    """The whole partitions that ``window`` touches: months for intraday bars, years for daily ones.

    docs/architecture.md (partitions) gives the reasons for these lengths.
    """
    of = month_window if timeframe.is_intraday else year_window
    found = [of(window.start)]
    while found[-1].end < window.end:
        found.append(of(found[-1].end))
    return found


def parse_timestamp(text: str) -> datetime:
    """Parses a date or an ISO 8601 time to an aware UTC datetime; a date means its midnight in UTC.

    Raises:
        InvalidRequest: if the text is neither, or has a time of day without a zone.
    """
    try:
        if len(text) == len("2024-01-31"):
            day = date.fromisoformat(text)
            return datetime(day.year, day.month, day.day, tzinfo=UTC)
        timestamp = datetime.fromisoformat(text)
    except ValueError:
        timestamp = None
    if timestamp is None or timestamp.tzinfo is None:
        raise InvalidRequest(
            f"{shown(text)} is not a timestamp the platform can read.",
            expected="a date (2024-01-31) or an ISO 8601 time with its zone (2024-01-31T14:30:00Z)",
            received=shown(text),
            remedy="write it in one of these two forms",
        )
    return in_utc(timestamp, "timestamp")
