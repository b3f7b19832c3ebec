"""When markets are open, against published facts and a minute-by-minute definition."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.market.calendars import (
    SESSION_SCHEMA,
    availability,
    check_calendar,
    expected_times,
    last_closed,
    session_dates,
    sessions,
    timezone_of,
)
from trading_platform.domain.time import Timeframe, Window

NEW_YORK = ZoneInfo("America/New_York")
YEAR = Window(datetime(2024, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC))
DAY = timedelta(days=1)

# https://www.nyse.com/markets/hours-calendars, 2024
HOLIDAYS = {
    date(2024, *day)
    for day in ((1, 1), (1, 15), (2, 19), (3, 29), (5, 27), (6, 19), (7, 4), (9, 2), (11, 28), (12, 25))
}
EARLY_CLOSES = {date(2024, 7, 3), date(2024, 11, 29), date(2024, 12, 24)}


def timestamp(text: str) -> datetime:
    return datetime.fromisoformat(text + "+00:00")


def day_window(day: date) -> Window:
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return Window(midnight, midnight + DAY)


def test_new_york_of_2024_has_the_sessions_that_the_exchange_published() -> None:
    found = sessions("XNYS", YEAR)
    weekdays = {date(2024, 1, 1) + number * DAY for number in range(366)}
    weekdays = {day for day in weekdays if day.weekday() < 5}
    assert found.height == 252
    assert {row.date() for row in found["session"]} == weekdays - HOLIDAYS
    assert dict(found.schema) == SESSION_SCHEMA


def test_every_session_of_2024_keeps_the_hours_of_new_york_summer_and_winter() -> None:
    for session, opens, closes in sessions("XNYS", YEAR).iter_rows():
        assert opens.astimezone(NEW_YORK).date() == session.date()
        assert opens.astimezone(NEW_YORK).time() == time(9, 30)
        close = time(13) if session.date() in EARLY_CLOSES else time(16)
        assert closes.astimezone(NEW_YORK).time() == close


@pytest.mark.parametrize(
    ("day", "opens"),
    [
        ("2024-03-08", "14:30"),  # the last session before summer time
        ("2024-03-11", "13:30"),
        ("2024-11-01", "13:30"),  # the last one of it
        ("2024-11-04", "14:30"),
    ],
)
def test_both_changes_of_the_clock_move_the_open(day: str, opens: str) -> None:
    times = expected_times("XNYS", Timeframe.M1, day_window(date.fromisoformat(day)))
    assert times[0] == timestamp(f"{day}T{opens}")
    assert times.len() == 390


@pytest.mark.parametrize(
    ("day", "minutes", "fives", "hours"),
    [("2024-06-28", 390, 78, 7), ("2024-07-03", 210, 42, 4), ("2024-07-04", 0, 0, 0), ("2024-07-06", 0, 0, 0)],
)
def test_a_full_day_a_half_day_a_holiday_and_a_weekend(day: str, minutes: int, fives: int, hours: int) -> None:
    window = day_window(date.fromisoformat(day))
    counts = [
        expected_times("XNYS", timeframe, window).len() for timeframe in (Timeframe.M1, Timeframe.M5, Timeframe.H1)
    ]
    assert counts == [minutes, fives, hours]
    assert expected_times("XNYS", Timeframe.D1, window).len() == (minutes > 0)


def test_the_first_hour_of_a_session_is_the_hour_it_begins_in() -> None:
    times = expected_times("XNYS", Timeframe.H1, day_window(date(2024, 6, 28)))
    assert [stamp.hour for stamp in times] == [13, 14, 15, 16, 17, 18, 19]
    assert {stamp.minute for stamp in times} == {0}


@pytest.mark.parametrize(
    ("sunday", "turn"),
    [
        ("2024-03-03", 22),  # winter
        ("2024-03-10", 21),  # New York's clock moved on this morning
        ("2024-10-27", 21),
        ("2024-11-03", 22),
    ],
)
def test_the_fx_week_turns_at_five_in_new_york(sunday: str, turn: int) -> None:
    opening = day_window(date.fromisoformat(sunday))
    (row,) = sessions("FX", opening).iter_rows()
    assert row == (opening.start, opening.start + timedelta(hours=turn), opening.end)
    friday = opening.start - 2 * DAY
    (closing,) = sessions("FX", Window(friday, friday + DAY)).iter_rows()
    assert closing[1] == friday
    assert closing[2].astimezone(NEW_YORK).time() == time(17)
    assert sessions("FX", Window(friday + DAY, friday + 2 * DAY)).is_empty()


def fx_is_open(at: datetime) -> bool:
    local = at.astimezone(NEW_YORK)
    if local.weekday() == 5:
        return False
    if local.weekday() == 4:
        return local.time() < time(17)
    return local.weekday() != 6 or local.time() >= time(17)


@given(st.integers(0, 366 * 24 * 60), st.integers(1, 3 * 24 * 60))
def test_the_minutes_of_the_fx_week_are_those_of_its_definition(first: int, length: int) -> None:
    start = YEAR.start + timedelta(minutes=first)
    window = Window(start, start + timedelta(minutes=length))
    every = [start + timedelta(minutes=number) for number in range(length)]
    assert expected_times("FX", Timeframe.M1, window).to_list() == [at for at in every if fx_is_open(at)]


@given(st.integers(0, 366 * 24 * 60), st.integers(1, 2 * 24 * 60), st.sampled_from(Timeframe))
def test_a_market_without_pause_has_every_bar_of_the_grid(first: int, length: int, timeframe: Timeframe) -> None:
    start = YEAR.start + timedelta(minutes=first)
    window = Window(start, start + timedelta(minutes=length))
    every = (start + timedelta(minutes=number) for number in range(length))
    on_grid = [at for at in every if (at - YEAR.start) % timeframe.duration == timedelta(0)]
    assert expected_times("24/7", timeframe, window).to_list() == on_grid


@given(st.integers(0, 365), st.integers(1, 20), st.sampled_from(["XNYS", "FX", "24/7"]), st.sampled_from(Timeframe))
def test_what_is_expected_of_neighbouring_windows_adds_up(
    first: int, length: int, calendar: str, timeframe: Timeframe
) -> None:
    start = YEAR.start + first * DAY + timedelta(hours=15, minutes=7)
    middle, end = start + timedelta(hours=3 * length), start + timedelta(hours=7 * length)
    parts = [
        *expected_times(calendar, timeframe, Window(start, middle)),
        *expected_times(calendar, timeframe, Window(middle, end)),
    ]
    assert expected_times(calendar, timeframe, Window(start, end)).to_list() == parts


def test_a_daily_bar_of_an_exchange_is_known_at_the_close_of_its_session() -> None:
    days = [timestamp("2024-07-02T00:00"), timestamp("2024-07-03T00:00"), timestamp("2024-11-04T00:00")]
    known = availability("XNYS", Timeframe.D1, pl.DataFrame({"time": days}))
    assert known.to_list() == [
        timestamp("2024-07-02T20:00"),
        timestamp("2024-07-03T17:00"),
        timestamp("2024-11-04T21:00"),
    ]


def test_a_daily_bar_without_a_session_is_known_at_the_end_of_its_day() -> None:
    holiday = timestamp("2024-07-04T00:00")
    for calendar in ("XNYS", "FX", "24/7"):
        known = availability(calendar, Timeframe.D1, pl.DataFrame({"time": [holiday]}))
        assert known.to_list() == [holiday + DAY]


@pytest.mark.parametrize("timeframe", [Timeframe.M1, Timeframe.M5, Timeframe.H1])
def test_an_intraday_bar_is_known_at_its_end(timeframe: Timeframe) -> None:
    opens = timestamp("2024-07-02T19:00")
    assert availability("XNYS", timeframe, pl.DataFrame({"time": [opens]})).to_list() == [opens + timeframe.duration]


def test_bars_are_final_when_their_session_or_day_has_ended() -> None:
    tuesday, wednesday = timestamp("2024-07-02T00:00"), timestamp("2024-07-03T00:00")
    assert last_closed("XNYS", Timeframe.D1, timestamp("2024-07-02T19:59")) == tuesday
    assert last_closed("XNYS", Timeframe.D1, timestamp("2024-07-02T20:00")) == wednesday
    assert last_closed("24/7", Timeframe.D1, timestamp("2024-07-02T23:59")) == tuesday
    assert last_closed("24/7", Timeframe.D1, wednesday) == wednesday
    assert last_closed("FX", Timeframe.H1, timestamp("2024-07-02T10:59")) == timestamp("2024-07-02T10:00")
    assert last_closed("FX", Timeframe.M5, timestamp("2024-07-02T10:59")) == timestamp("2024-07-02T10:55")


def test_friday_s_fx_bar_is_final_when_the_week_has_ended() -> None:
    friday = timestamp("2024-07-05T00:00")
    assert last_closed("FX", Timeframe.D1, friday + timedelta(hours=20, minutes=59)) == friday


def test_a_day_is_rolled_up_by_sessions_only_where_there_is_an_exchange() -> None:
    window = day_window(date(2024, 7, 3))
    assert session_dates("24/7", window) is None
    assert session_dates("FX", window) is None
    found = session_dates("XNYS", window)
    assert found is not None
    assert window.start in found["session"].to_list()


def test_calendars_are_known_or_refused() -> None:
    assert [check_calendar(name) for name in ("24/7", "FX", "XNYS", "XLON")] == ["24/7", "FX", "XNYS", "XLON"]
    with pytest.raises(InvalidRequest, match="There is no calendar 'NYSEX'"):
        check_calendar("NYSEX")
    assert timezone_of("XNYS").key == "America/New_York"
    assert timezone_of("FX").key == timezone_of("24/7").key == "UTC"
