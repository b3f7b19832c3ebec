"""Trading breaks: the hours that exchanges publish, minute by minute, and who has to know them."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from trading_platform.domain.market.calendars import OpeningHours, expected_times, open_spans, sessions
from trading_platform.domain.quality.feed_watchdog import FeedWatchdog
from trading_platform.domain.time import Timeframe, Window

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
ZONES = {
    "XTKS": ZoneInfo("Asia/Tokyo"),
    "XHKG": ZoneInfo("Asia/Hong_Kong"),
    "XSHG": ZoneInfo("Asia/Shanghai"),
    "XASX": ZoneInfo("Australia/Sydney"),
    "CMES": ZoneInfo("America/Chicago"),
}
TOKYO_BEFORE = [("09:00", "11:30"), ("12:30", "15:00")]  # https://www.jpx.co.jp/english/equities/trading/domestic
TOKYO = [("09:00", "11:30"), ("12:30", "15:30")]  # since 5 November 2024
HONG_KONG = [("09:30", "12:00"), ("13:00", "16:00")]  # https://www.hkex.com.hk, securities market
SHANGHAI = [("09:30", "11:30"), ("13:00", "15:00")]
MORNING = [("09:30", "12:00")]

PUBLISHED = [
    ("XTKS", date(2024, 11, 1), TOKYO_BEFORE),
    ("XTKS", date(2024, 11, 5), TOKYO),
    ("XTKS", date(2026, 11, 17), TOKYO),
    ("XHKG", date(2026, 11, 17), HONG_KONG),
    ("XHKG", date(2024, 12, 24), MORNING),  # Christmas Eve and New Year's Eve end at noon, without a break
    ("XHKG", date(2024, 12, 31), MORNING),
    ("XHKG", date(2025, 1, 28), MORNING),  # the eve of the lunar new year
    ("XSHG", date(2026, 11, 17), SHANGHAI),
    ("XASX", date(2026, 11, 10), [("10:00", "16:00")]),
]


def minutes_of(calendar: str, day: date, spans: list[tuple[str, str]]) -> list[datetime]:
    found = []
    for opens, closes in spans:
        at = datetime.combine(day, time.fromisoformat(opens), ZONES[calendar])
        while at.time() < time.fromisoformat(closes):
            found.append(at.astimezone(UTC))
            at += MINUTE
    return found


@pytest.mark.parametrize(("calendar", "day", "spans"), PUBLISHED)
def test_minutes_are_expected_in_the_published_hours_only(
    calendar: str, day: date, spans: list[tuple[str, str]]
) -> None:
    midnight = datetime.combine(day, time(), ZONES[calendar]).astimezone(UTC)
    published = minutes_of(calendar, day, spans)
    assert expected_times(calendar, Timeframe.M1, Window(midnight, midnight + DAY)).to_list() == published
    hours = OpeningHours(calendar)
    around = [midnight + number * MINUTE for number in range(24 * 60)]
    assert [at for at in around if hours.is_open(at)] == published


def test_an_hour_inside_the_break_is_not_expected_and_one_that_overlaps_it_is() -> None:
    day = Window(datetime(2026, 11, 17, tzinfo=UTC), datetime(2026, 11, 18, tzinfo=UTC))
    hours = {name: [t.hour for t in expected_times(name, Timeframe.H1, day)] for name in ("XTKS", "XHKG", "XSHG")}
    assert hours == {"XTKS": [0, 1, 2, 3, 4, 5, 6], "XHKG": [1, 2, 3, 5, 6, 7], "XSHG": [1, 2, 3, 5, 6]}


def test_a_session_with_a_break_is_one_session() -> None:
    week = Window(datetime(2026, 11, 16, tzinfo=UTC), datetime(2026, 11, 21, tzinfo=UTC))
    for calendar in ("XTKS", "XHKG", "XSHG"):
        whole, parts = sessions(calendar, week), open_spans(calendar, week)
        assert (whole.height, parts.height) == (5, 10)
        assert parts["session"].unique().sort().to_list() == whole["session"].to_list()
        assert parts.group_by("session", maintain_order=True).first()["open"].to_list() == whole["open"].to_list()
        assert parts.group_by("session", maintain_order=True).last()["close"].to_list() == whole["close"].to_list()


def test_every_session_of_thirty_years_keeps_its_order() -> None:
    years = Window(datetime(1991, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC))
    for calendar in ("XTKS", "XHKG", "XSHG", "XASX", "XNYS", "CMES"):
        parts = open_spans(calendar, years)
        ends = [at for _, opens, closes in parts.iter_rows() for at in (opens, closes)]
        assert ends == sorted(ends), calendar
        assert set(parts["session"]) == set(sessions(calendar, years)["session"]), calendar


def test_futures_of_chicago_open_on_the_day_before() -> None:
    chicago = ZONES["CMES"]
    monday = datetime(2026, 11, 16, tzinfo=UTC)
    found = list(open_spans("CMES", Window(monday, monday + DAY)).iter_rows())
    assert [(session, opens.astimezone(chicago)) for session, opens, _ in found] == [
        (monday, datetime(2026, 11, 15, 17, tzinfo=chicago))
    ]
    hours = OpeningHours("CMES")
    assert hours.is_open(datetime(2026, 11, 15, 17, tzinfo=chicago).astimezone(UTC))
    assert not hours.is_open(datetime(2026, 11, 15, 16, 59, tzinfo=chicago).astimezone(UTC))


@pytest.mark.parametrize(
    ("calendar", "day", "hours"),
    [
        ("XTKS", date(2026, 11, 17), TOKYO),
        ("XHKG", date(2026, 11, 17), HONG_KONG),
        ("XHKG", date(2024, 12, 24), MORNING),
    ],
)
def test_the_feed_is_silent_at_lunch_and_nothing_is_reported(
    calendar: str, day: date, hours: list[tuple[str, str]]
) -> None:
    """A trade each minute in the published hours: no second of the day is one of inactivity."""
    trades = {*minutes_of(calendar, day, hours)}
    opening, watchdog = OpeningHours(calendar), FeedWatchdog()
    at = datetime.combine(day, time(8), ZONES[calendar]).astimezone(UTC)
    reported = []
    for _ in range(10 * 60 * 6):
        if at in trades:
            watchdog.seen("7203", at)
        reported += watchdog.judge(at, ["7203"] if opening.is_open(at) else [])
        at += timedelta(seconds=10)
    assert reported == []


def test_silence_after_lunch_is_reported_from_the_reopening_on() -> None:
    opening, watchdog = OpeningHours("XTKS"), FeedWatchdog()
    at = datetime(2026, 11, 17, 0, tzinfo=UTC)
    reported = []
    while at < datetime(2026, 11, 17, 3, 40, tzinfo=UTC):
        if at < datetime(2026, 11, 17, 2, 30, tzinfo=UTC):
            watchdog.seen("7203", at)
        reported += watchdog.judge(at, ["7203"] if opening.is_open(at) else [])
        at += timedelta(seconds=10)
    assert [each.since for each in reported] == [datetime(2026, 11, 17, 3, 30, tzinfo=UTC)]
