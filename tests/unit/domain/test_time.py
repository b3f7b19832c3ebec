"""Windows against a naive model of sets of minutes; moments, timeframes and partitions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.time import (
    Timeframe,
    Window,
    month_window,
    parse_timestamp,
    partition_windows,
    utc_now,
    year_window,
)

EPOCH = datetime(2024, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def window_of(span: tuple[int, int]) -> Window:
    return Window(EPOCH + span[0] * MINUTE, EPOCH + span[1] * MINUTE)


def minutes_of(window: Window | None) -> set[int]:
    if window is None:
        return set()
    return set(range((window.start - EPOCH) // MINUTE, (window.end - EPOCH) // MINUTE))


spans = st.tuples(st.integers(0, 60), st.integers(1, 20)).map(lambda pair: (pair[0], pair[0] + pair[1]))
windows = spans.map(window_of)
timestamps = st.integers(0, 110 * 365 * 86_400).map(
    lambda seconds: datetime(1990, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
)


@given(windows, windows)
def test_the_intersection_is_what_both_hold(one: Window, other: Window) -> None:
    assert minutes_of(one.intersect(other)) == minutes_of(one) & minutes_of(other)


@given(windows, st.lists(windows, max_size=6))
def test_what_is_subtracted_is_gone_and_nothing_else(whole: Window, others: list[Window]) -> None:
    left = whole.subtract(others)
    assert set().union(*map(minutes_of, left)) == minutes_of(whole).difference(*map(minutes_of, others))
    assert sum(len(minutes_of(part)) for part in left) == len(set().union(*map(minutes_of, left)))
    assert left == sorted(left)


@given(st.lists(windows, max_size=8))
def test_merged_windows_hold_the_same_minutes_and_do_not_touch(given_windows: list[Window]) -> None:
    merged = Window.merge(given_windows)
    assert set().union(*map(minutes_of, merged)) == set().union(*map(minutes_of, given_windows))
    assert all(before.end < after.start for before, after in pairwise(merged))


@given(windows, st.integers(-5, 90))
def test_the_end_of_a_window_is_not_in_it(window: Window, minute: int) -> None:
    assert (EPOCH + minute * MINUTE in window) == (minute in minutes_of(window))


@pytest.mark.parametrize("end", [EPOCH, EPOCH - MINUTE])
def test_a_window_ends_after_it_starts(end: datetime) -> None:
    with pytest.raises(InvalidRequest, match="must end after it starts") as caught:
        Window(EPOCH, end)
    assert caught.value.received == end.isoformat()
    assert not caught.value.retryable


def test_a_window_wants_a_time_zone() -> None:
    naive = EPOCH.replace(tzinfo=None)
    with pytest.raises(InvalidRequest, match="The start of a window has no time zone"):
        Window(naive, EPOCH)
    with pytest.raises(InvalidRequest, match="The end of a window has no time zone"):
        Window(EPOCH, naive)


def test_a_window_is_kept_in_utc() -> None:
    india = timezone(timedelta(hours=5, minutes=30))
    window = Window(datetime(2024, 1, 1, 5, 30, tzinfo=india), datetime(2024, 1, 2, tzinfo=india))
    assert window.start == EPOCH
    assert window.start.tzinfo is UTC
    assert str(window) == "[2024-01-01T00:00Z, 2024-01-01T18:30Z)"


@given(timestamps)
def test_months_and_years_hold_their_moment_and_follow_each_other(timestamp: datetime) -> None:
    for of, length in ((month_window, (28, 31)), (year_window, (365, 366))):
        window = of(timestamp)
        assert timestamp in window
        assert window.start.day == window.end.day == 1
        assert length[0] <= (window.end - window.start).days <= length[1]
        assert of(window.end).start == window.end
        assert of(window.start - timedelta(microseconds=1)).end == window.start


@given(timestamps, st.timedeltas(MINUTE, timedelta(days=1200)), st.sampled_from(Timeframe))
def test_partitions_cover_a_window_without_hole_or_surplus(
    start: datetime, length: timedelta, timeframe: Timeframe
) -> None:
    window = Window(start, start + length)
    partitions = partition_windows(timeframe, window)
    assert [partition.end for partition in partitions[:-1]] == [partition.start for partition in partitions[1:]]
    assert all(partition.intersect(window) for partition in partitions)
    assert Window.merge(partitions)[0].intersect(window) == window


@pytest.mark.parametrize(
    ("text", "timestamp"),
    [
        ("2024-02-29", datetime(2024, 2, 29, tzinfo=UTC)),
        ("2024-01-31T14:30:00Z", datetime(2024, 1, 31, 14, 30, tzinfo=UTC)),
        ("2024-01-31T09:30:00-05:00", datetime(2024, 1, 31, 14, 30, tzinfo=UTC)),
        ("2024-01-31T14:30:00.123456+00:00", datetime(2024, 1, 31, 14, 30, 0, 123456, tzinfo=UTC)),
    ],
)
def test_moments_are_read(text: str, timestamp: datetime) -> None:
    assert parse_timestamp(text) == timestamp
    assert parse_timestamp(text).tzinfo is UTC


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2024-02-30", "2024-13-01", "2024-01-31T14:30:00", "31.01.2024", "2024-01-31T25:00Z", "0"]
)
def test_what_is_no_moment_is_refused_with_the_right_form(text: str) -> None:
    with pytest.raises(InvalidRequest, match="is not a timestamp") as caught:
        parse_timestamp(text)
    assert "2024-01-31T14:30:00Z" in str(caught.value.expected)
    assert caught.value.received == repr(text)


@given(st.text(max_size=40))
def test_no_text_breaks_the_reading_of_moments(text: str) -> None:
    try:
        timestamp = parse_timestamp(text)
    except InvalidRequest:
        return
    assert timestamp.tzinfo is UTC


def test_timeframes_have_their_length() -> None:
    assert [Timeframe.parse(text).duration // MINUTE for text in ("1m", "5m", "1h", "1d")] == [1, 5, 60, 1440]
    assert [timeframe.is_intraday for timeframe in Timeframe] == [True, True, True, False]


@pytest.mark.parametrize("text", ["1M", "2D", "2m", "", "1 d", "day"])
def test_an_unknown_timeframe_is_refused_with_the_known_ones(text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        Timeframe.parse(text)
    assert caught.value.expected == "one of 1m, 5m, 1h, 1d"


def test_the_clock_tells_utc() -> None:
    assert utc_now().tzinfo is UTC
    assert abs(utc_now() - datetime.now(UTC)) < timedelta(seconds=10)
