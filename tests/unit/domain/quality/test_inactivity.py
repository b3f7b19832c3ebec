"""Which silence is believed at once and which has to be confirmed, against counting by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_platform.domain.market.bars import TIME
from trading_platform.domain.market.calendars import expected_times
from trading_platform.domain.quality.inactivity import (
    ALWAYS_USUAL,
    TIMES_USUAL,
    customarily_inactive,
    customary_breaks,
    longest_inactivity,
    suspect_inactivity,
    usual_inactivity,
)
from trading_platform.domain.time import Timeframe, Window

START = datetime(2024, 3, 4, tzinfo=UTC)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


def minutes(*numbers: int) -> pl.Series:
    return pl.Series("time", [START + number * MINUTE for number in numbers], dtype=TIME)


def by_hand(count: int, traded: set[int], usual: int) -> list[tuple[int, int]]:
    """Runs of silent minutes after the first traded one, longer than allowed; first and one past the last."""
    longest = max(ALWAYS_USUAL[Timeframe.M1], TIMES_USUAL * usual)
    found, run = [], []
    for number in range(count + 1):
        if number < count and number not in traded and traded and number > min(traded):
            run.append(number)
            continue
        if len(run) > longest:
            found.append((run[0], run[-1] + 1))
        run = []
    return found


@given(st.sets(st.integers(0, 199)), st.integers(0, 8))
def test_doubtful_is_what_counting_minute_by_minute_finds(traded: set[int], usual: int) -> None:
    slots = minutes(*range(200))
    since = START + min(traded, default=0) * MINUTE
    found = suspect_inactivity(Timeframe.M1, slots, minutes(*sorted(traded)), since=since, usual=usual)
    if traded:
        expected = [Window(START + a * MINUTE, START + b * MINUTE) for a, b in by_hand(200, traded, usual)]
        assert found == expected
    runs, run = [0], 0
    for number in range(200):
        run = 0 if number in traded else run + 1
        runs.append(run)
    assert longest_inactivity(slots, minutes(*sorted(traded))) == max(runs)


def test_a_thin_coin_s_usual_silence_is_believed_and_a_busy_one_s_is_not() -> None:
    slots = minutes(*range(3000))
    busy = minutes(*(number for number in range(3000) if not 1000 <= number < 1015))
    assert usual_inactivity(busy, slots) == 0
    gap = [Window(START + 1000 * MINUTE, START + 1015 * MINUTE)]
    assert suspect_inactivity(Timeframe.M1, slots, busy, since=START, usual=0) == gap
    thin = minutes(*range(0, 3000, 8))
    assert usual_inactivity(thin, slots) == 7
    assert suspect_inactivity(Timeframe.M1, slots, thin, since=START, usual=7) == []


def test_one_quiet_minute_is_believed_and_one_session_without_a_bar_is_not() -> None:
    slots = minutes(*range(60))
    traded = minutes(*(number for number in range(60) if number != 30))
    assert suspect_inactivity(Timeframe.M1, slots, traded, since=START, usual=0) == []
    days = expected_times("XNYS", Timeframe.D1, Window(START, START + 28 * DAY))
    missing = days[7]
    found = suspect_inactivity(Timeframe.D1, days, days.filter(days != missing), since=days[0], usual=0)
    assert found == [Window(missing, missing + DAY)]


def test_the_night_is_no_silence() -> None:
    week = Window(START, START + 5 * DAY)
    slots = expected_times("XNYS", Timeframe.M1, week)
    assert usual_inactivity(slots, slots) == 0
    assert longest_inactivity(slots, slots) == 0


def test_before_it_was_first_seen_an_instrument_has_no_habits() -> None:
    slots = minutes(*range(100))
    since = START + 60 * MINUTE
    found = suspect_inactivity(Timeframe.M1, slots, minutes(60), since=since, usual=0)
    assert found == [Window(START + 61 * MINUTE, START + 100 * MINUTE)]


@pytest.mark.parametrize(
    ("day", "silent"),
    [("2017-12-25", True), ("2018-01-01", True), ("2017-12-24", True), ("2018-12-24", False), ("2018-12-26", False)],
)
def test_currencies_rest_on_christmas_and_new_year(day: str, silent: bool) -> None:  # noqa: FBT001
    timestamp = datetime.fromisoformat(f"{day}T00:00:00+00:00")
    slots = expected_times("FX", Timeframe.D1, Window(timestamp, timestamp + DAY))
    assert slots.len() == 1
    assert (customarily_inactive("FX", slots).len() == 1) is silent
    assert customarily_inactive("XNYS", slots).is_empty()


def test_a_rest_at_the_same_time_of_each_day_is_customary_and_a_long_one_is_not() -> None:
    """A metal rests from 17:00 to 18:00 in New York; one from 9 to 17 lacks the rest of the day."""
    week = expected_times("FX", Timeframe.M1, Window(START, START + 5 * DAY))
    local = week.dt.convert_time_zone("America/New_York").dt.hour()
    rests = customary_breaks("America/New_York", Timeframe.M1, week, week.filter(local != 17))
    assert rests.to_list() == week.filter(local == 17).to_list()
    office = week.filter(local.is_between(9, 16))
    assert customary_breaks("America/New_York", Timeframe.M1, week, office).is_empty()
    one_day = week.filter((local != 17) | (week >= START + DAY))
    assert customary_breaks("America/New_York", Timeframe.M1, week, one_day).is_empty(), "once is not each day"


def test_the_rest_keeps_its_local_time_over_the_change_of_clocks() -> None:
    weeks = expected_times("FX", Timeframe.M1, Window(START, START + 14 * DAY))  # the clocks change on 10 March
    local = weeks.dt.convert_time_zone("America/New_York")
    awake = weeks.filter((local.dt.hour() != 17) | (local.dt.weekday() == 7))
    rests = customary_breaks("America/New_York", Timeframe.M1, weeks, awake)
    assert set(rests) == set(weeks) - set(awake)


def test_of_daily_bars_only_weekends_are_customarily_without_one() -> None:
    days = expected_times("FX", Timeframe.D1, Window(START, START + 70 * DAY))
    weekday = days.dt.weekday()
    without_sundays = days.filter(weekday <= 5)
    assert customary_breaks("UTC", Timeframe.D1, days, without_sundays).to_list() == days.filter(weekday == 7).to_list()
    without_fridays = days.filter(weekday != 5)
    assert customary_breaks("UTC", Timeframe.D1, days, without_fridays).is_empty()
