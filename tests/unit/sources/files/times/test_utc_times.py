"""Local times around the changes of clocks, and the assumptions made about times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from trading_platform.domain.time import Timeframe
from trading_platform.sources.files.content.contents import FileContent
from trading_platform.sources.files.content.options import ImportOptions
from trading_platform.sources.files.reading import FileReading, read_content


def read(times: list[str], *, column: str = "time_local", timezone: str | None = None) -> FileReading:
    text = "\n".join([f"{column},open,high,low,close", *(f"{time},1,1,1,1" for time in times)])
    content = FileContent(Path("KO.csv"), None, text.encode)
    options = ImportOptions(timezone=timezone, timeframe=Timeframe.H1)
    return read_content(
        content, options, now=datetime(2026, 1, 1, tzinfo=UTC), zone_of=lambda _symbol: "America/New_York"
    )


def hours(day: str, *clock: int) -> list[str]:
    return [f"{day}T{hour:02}:00:00" for hour in clock]


def test_hour_that_never_was_is_refused() -> None:
    reading = read(hours("2021-03-14", 0, 1, 2, 3, 4))
    assert reading.rejected.select("line", "reason").rows() == [(4, "unreadable_time")]
    assert "set forward" in reading.rejected["detail"][0]
    assert [timestamp.hour for timestamp in reading.bars["time"]] == [5, 6, 7, 8]


@pytest.mark.parametrize("backwards", [False, True])
def test_hour_that_came_twice_is_both_hours(*, backwards: bool) -> None:
    clock = hours("2021-11-07", 0, 1, 1, 2)
    reading = read(clock[::-1] if backwards else clock)
    assert [timestamp.hour for timestamp in reading.bars["time"]] == [4, 5, 6, 7]
    assert reading.quarantined == 0
    assert "2 in an hour that occurred twice" in reading.assumption


def test_ambiguous_hour_given_once_is_the_first() -> None:
    reading = read(hours("2021-11-07", 0, 1, 2))
    assert [timestamp.hour for timestamp in reading.bars["time"]] == [4, 5, 7]


def test_naive_times_are_utc_unless_the_column_or_the_user_says_otherwise() -> None:
    clock = hours("2021-06-01", 9, 10)
    plain = read(clock, column="datetime")
    assert [timestamp.hour for timestamp in plain.bars["time"]] == [9, 10]
    assert "UTC" in plain.assumption
    given = read(clock, column="datetime", timezone="Europe/Berlin")
    assert [timestamp.hour for timestamp in given.bars["time"]] == [7, 8]
    assert "Europe/Berlin (as given)" in given.assumption
    local = read(clock)
    assert [timestamp.hour for timestamp in local.bars["time"]] == [13, 14]
    assert "America/New_York" in local.assumption


def test_seconds_milliseconds_microseconds_in_one_column() -> None:
    start = datetime(2024, 12, 31, 22, tzinfo=UTC)
    stamps = [int((start + timedelta(hours=hour)).timestamp()) for hour in range(4)]
    mixed = [str(stamps[0] * 1000), str(stamps[1] * 1000), str(stamps[2] * 10**6), str(stamps[3] * 10**9)]
    assert read(mixed, column="open_time").bars["time"].to_list() == [
        start + timedelta(hours=hour) for hour in range(4)
    ]


def test_impossible_times_are_refused_row_by_row() -> None:
    reading = read([*hours("2021-06-01", 9, 10), "2021-06-31T11:00:00", "never", "", "0017-01-01T00:00:00"])
    assert reading.accepted == 2
    assert reading.rejected["reason"].to_list() == ["unreadable_time"] * 4
