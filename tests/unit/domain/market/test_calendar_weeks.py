"""Every bar of the weeks in which clocks change and of the short days, from the exchanges' own hours.

The definition here knows nothing of the platform's: hours on the wall of the exchange, days off as the exchanges
published them, and the bars counted one by one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from trading_platform.domain.market.calendars import expected_times
from trading_platform.domain.time import Timeframe, Window

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
LENGTHS = {Timeframe.M1: 1, Timeframe.M5: 5, Timeframe.H1: 60}


@dataclass(frozen=True)
class Exchange:
    """What an exchange says of its hours, in the time on its own wall."""

    zone: str
    opens: time
    closes: time
    days_off: frozenset[date]
    short_days: dict[date, time] = field(default_factory=dict)

    def session(self, day: date) -> tuple[datetime, datetime] | None:
        if day.weekday() >= 5 or day in self.days_off:
            return None
        zone = ZoneInfo(self.zone)
        closes = self.short_days.get(day, self.closes)
        return (
            datetime.combine(day, self.opens, zone).astimezone(UTC),
            datetime.combine(day, closes, zone).astimezone(UTC),
        )


def days(*written: str) -> frozenset[date]:
    return frozenset(date.fromisoformat(each) for each in written)


EXCHANGES = {
    # https://www.nyse.com/markets/hours-calendars
    "XNYS": Exchange(
        "America/New_York",
        time(9, 30),
        time(16),
        days("2024-03-29", "2024-07-04", "2024-11-28", "2024-12-25", "2025-01-01"),
        {date(2024, 7, 3): time(13), date(2024, 11, 29): time(13), date(2024, 12, 24): time(13)},
    ),
    # https://www.xetra.com, trading calendar: no trading on 24, 26 and 31 December; the last day of the year ends early
    "XETR": Exchange(
        "Europe/Berlin",
        time(9),
        time(17, 30),
        days("2024-03-29", "2024-04-01", "2024-12-24", "2024-12-25", "2024-12-26", "2024-12-31", "2025-01-01"),
        {date(2024, 12, 30): time(14)},
    ),
    # https://www.asx.com.au, trading hours; Sydney's clock goes back on 7 April and on again on 6 October 2024
    "XASX": Exchange("Australia/Sydney", time(10), time(16), days("2024-03-29", "2024-04-01", "2024-04-25")),
}
WEEKS = {
    "XNYS": ["2024-03-04", "2024-03-11", "2024-07-01", "2024-10-28", "2024-11-04", "2024-11-25", "2024-12-23"],
    "XETR": ["2024-03-25", "2024-04-01", "2024-10-21", "2024-10-28", "2024-12-23", "2024-12-30"],
    "XASX": ["2024-04-01", "2024-04-08", "2024-09-30", "2024-10-07"],
}


def bars_of(session: tuple[datetime, datetime], minutes: int) -> Iterator[datetime]:
    """The bars on the UTC grid that hold a minute of the session."""
    opens, closes = session
    seen: set[datetime] = set()
    at = opens
    while at < closes:
        midnight = at.replace(hour=0, minute=0)
        bar = midnight + (at - midnight) // (minutes * MINUTE) * (minutes * MINUTE)
        if bar not in seen:
            seen.add(bar)
            yield bar
        at += MINUTE


@pytest.mark.parametrize(("exchange", "monday"), [(name, week) for name, weeks in WEEKS.items() for week in weeks])
def test_a_week_bar_by_bar(exchange: str, monday: str) -> None:
    first = date.fromisoformat(monday)
    sessions = {day: EXCHANGES[exchange].session(day) for day in (first + number * DAY for number in range(5))}
    # From midday of the Sunday before: in Sydney Monday has begun by then.
    start = datetime(first.year, first.month, first.day, tzinfo=UTC) - timedelta(hours=12)
    window = Window(start, start + 6 * DAY)
    for timeframe, minutes in LENGTHS.items():
        expected = [bar for session in sessions.values() if session for bar in bars_of(session, minutes)]
        assert expected_times(exchange, timeframe, window).to_list() == sorted(set(expected))
    dates = [datetime(day.year, day.month, day.day, tzinfo=UTC) for day, session in sessions.items() if session]
    assert expected_times(exchange, Timeframe.D1, window).to_list() == dates


@pytest.mark.parametrize("monday", ["2024-03-04", "2024-03-11", "2024-03-25", "2024-10-28", "2024-11-04"])
def test_a_week_of_currencies_bar_by_bar(monday: str) -> None:
    """Around the changes of New York's clock, and of Europe's, which do not matter."""
    zone = ZoneInfo("America/New_York")
    first = date.fromisoformat(monday)
    opens = datetime.combine(first - DAY, time(17), zone).astimezone(UTC)
    closes = datetime.combine(first + 4 * DAY, time(17), zone).astimezone(UTC)
    window = Window(opens - DAY, closes + DAY)
    for timeframe, minutes in LENGTHS.items():
        assert expected_times("FX", timeframe, window).to_list() == sorted(bars_of((opens, closes), minutes))
    dates = [opens.replace(hour=0) + number * DAY for number in range(6)]
    assert expected_times("FX", Timeframe.D1, window).to_list() == dates


def test_a_market_that_never_closes_has_every_bar_over_a_change_of_clocks() -> None:
    window = Window(datetime(2024, 3, 30, tzinfo=UTC), datetime(2024, 4, 2, tzinfo=UTC))
    for timeframe, minutes in {**LENGTHS, Timeframe.D1: 1440}.items():
        assert expected_times("24/7", timeframe, window).to_list() == sorted(
            bars_of((window.start, window.end), minutes)
        )


def test_new_york_had_252_sessions_in_2024() -> None:
    window = Window(datetime(2024, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC))
    assert expected_times("XNYS", Timeframe.D1, window).len() == 252
