"""Bars in closed time: fillers of vendors, and which reading of the times fits the market's hours."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from properties import some_usual

from trading_platform.domain.market.bars import BAR_SCHEMA
from trading_platform.domain.quality.closed_time import judge_hours, split_off_fillers
from trading_platform.domain.time import Timeframe

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
MONDAY = date(2026, 11, 9)
WEEK = [MONDAY + n * DAY for n in range(5)]


def walls(days: Iterable[date], first: str, last: str, step: timedelta = MINUTE) -> list[datetime]:
    """Local times from ``first`` to ``last``, both included, without a zone."""
    found = []
    for day in days:
        at, end = (datetime.combine(day, time.fromisoformat(text)) for text in (first, last))
        while at <= end:
            found.append(at)
            at += step
    return found


def bars(
    times: list[datetime], zone: str, volumes: list[int | None] | None = None, *, flat: bool = False
) -> pl.DataFrame:
    """Bars of local times that are read in a zone."""
    volumes = volumes or [10] * len(times)
    rows = [
        (at.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC), "S", "1m", *_prices(n, flat=flat), volume, "file", "traded")
        for n, (at, volume) in enumerate(zip(times, volumes, strict=True))
    ]
    return pl.DataFrame(rows, schema=BAR_SCHEMA, orient="row").sort("time")


def _prices(n: int, *, flat: bool) -> list[Decimal]:
    return [Decimal(100)] * 4 if flat else [Decimal(100 + n % 2), Decimal(102), Decimal(99), Decimal(101)]


@pytest.mark.parametrize(
    ("calendar", "written", "read", "first", "last"),
    some_usual(
        [
            ("XNYS", "America/New_York", "UTC", "09:30", "15:59"),
            ("XNYS", "America/New_York", "UTC", "04:00", "19:59"),  # with extended hours
            ("XNYS", "America/New_York", "Europe/London", "09:30", "15:59"),
            ("XTKS", "Asia/Tokyo", "UTC", "09:00", "15:29"),
            ("XETR", "Europe/Berlin", "America/New_York", "09:00", "17:29"),
            ("XASX", "Australia/Sydney", "UTC", "10:00", "15:59"),
            ("XNYS", "UTC", "America/New_York", "14:30", "20:59"),
        ],
        usual=3,
    ),
)
def test_a_wrong_zone_is_named(calendar: str, written: str, read: str, first: str, last: str) -> None:
    times = walls(WEEK, first, last)
    if calendar == "XTKS":
        times = [at for at in times if not time(11, 30) <= at.time() < time(12, 30)]
    volumes: list[int | None] = [100 if time(9, 30) <= at.time() < time(16) else 1 for at in times]
    wrong = judge_hours(bars(times, read, volumes), calendar, Timeframe.M1, zone=read)
    assert wrong is not None
    assert (wrong.zone, wrong.fits) == (written, False)
    assert f"--timezone {written}" in wrong.as_text()
    right = judge_hours(bars(times, written, volumes), calendar, Timeframe.M1, zone=written)
    assert right is not None
    assert right.fits


def test_the_hours_of_new_york_read_as_utc_are_told() -> None:
    two_days = walls([date(2026, 11, 23), date(2026, 11, 24)], "09:30", "15:59")
    found = judge_hours(bars(two_days, "UTC"), "XNYS", Timeframe.M1)
    assert found is not None
    assert (found.bars, found.outside, found.outside_then) == (780, 600, 0)
    assert (found.first, found.last) == ("04:30", "10:59")
    assert found.as_text() == (
        "600 of 780 bars lie outside the sessions of XNYS (most days run from 04:30 to 10:59 America/New_York); with "
        "the times in America/New_York 0 would: --timezone America/New_York reads them so"
    )


def test_currencies_in_new_yorks_winter_time_read_as_utc() -> None:
    """HistData's files: the week runs from Sunday 17:00 to Friday 16:59, without summer time."""
    sunday = date(2026, 11, 8)
    times = walls([sunday], "17:00", "23:59") + walls(WEEK[:4], "00:00", "23:59") + walls([WEEK[4]], "00:00", "16:59")
    found = judge_hours(bars(times, "UTC", [None] * len(times)), "FX", Timeframe.M1)
    assert found is not None
    assert (found.zone, found.outside, found.outside_then) == ("America/New_York", 300, 0)


@pytest.mark.exhaustive
def test_times_with_a_zone_of_their_own_can_only_be_shifted_or_be_of_another_market() -> None:
    shifted = judge_hours(bars(walls(WEEK, "11:37", "18:06"), "America/New_York"), "XNYS", Timeframe.M1, zone=None)
    assert shifted is not None
    assert (shifted.zone, shifted.shift, shifted.other) == (None, timedelta(hours=-2), None)
    assert "2 hours earlier" in shifted.as_text()
    tokyo = judge_hours(bars(walls(WEEK, "09:00", "11:29"), "Asia/Tokyo"), "XNYS", Timeframe.M1, zone=None)
    assert tokyo is not None
    assert tokyo.other == "XTKS"


@pytest.mark.parametrize("off", [DAY, -DAY])
def test_daily_bars_of_the_day_before_or_after(off: timedelta) -> None:
    days = [datetime.combine(day + off, time()) for n in range(4) for day in (each + 7 * n * DAY for each in WEEK)]
    days = [day for day in days if (day - off).date() != date(2026, 11, 26)]  # Thanksgiving
    found = judge_hours(bars(days, "UTC"), "XNYS", Timeframe.D1)
    assert found is not None
    assert found.shift == -off


@pytest.mark.parametrize(
    ("calendar", "zone", "first", "last"),
    [("XNYS", "America/New_York", "04:00", "19:59"), ("XNYS", "America/New_York", "00:00", "23:59"),
     ("XNYS", "America/New_York", "09:30", "16:00"), ("XTKS", "Asia/Tokyo", "09:00", "15:30")],
)  # fmt: skip
def test_extended_hours_and_closing_auctions_are_no_doubt(calendar: str, zone: str, first: str, last: str) -> None:
    times = walls(WEEK, first, last)
    found = judge_hours(bars(times, zone), calendar, Timeframe.M1, zone=zone)
    assert found is not None
    assert found.fits
    assert found.outside > 0
    assert "most days run from" in found.as_text()


def test_a_market_that_never_closes_has_no_hours() -> None:
    assert judge_hours(bars(walls(WEEK, "00:00", "23:59"), "UTC"), "24/7", Timeframe.M1) is None


# Fillers


@pytest.mark.parametrize(
    ("calendar", "timeframe", "times", "volume"),
    [
        ("FX", Timeframe.M1, walls([date(2026, 11, 14)], "00:00", "23:59"), 0),  # a Saturday
        ("FX", Timeframe.M1, walls([date(2026, 11, 14)], "00:00", "23:59"), None),
        ("FX", Timeframe.D1, walls([date(2026, 11, 14)], "00:00", "00:00"), 0),
        ("FX", Timeframe.D1, walls([date(2025, 12, 25)], "00:00", "00:00"), 0),  # Christmas, a Thursday
        ("XNYS", Timeframe.D1, walls([date(2026, 11, 26)], "00:00", "00:00"), 0),  # Thanksgiving
        ("XNYS", Timeframe.H1, walls([date(2026, 11, 13)], "22:00", "23:00", timedelta(hours=1)), 0),
        ("XTKS", Timeframe.M1, walls([date(2026, 11, 13)], "02:30", "03:29"), 0),  # lunch
    ],
)
def test_a_repeated_price_in_closed_time_is_rejected(
    calendar: str, timeframe: Timeframe, times: list[datetime], volume: int | None
) -> None:
    before = [times[0] - 5 * DAY]
    given = bars([*before, *times], "UTC", [1, *[volume] * len(times)], flat=True)
    kept, rejected = split_off_fillers(given, calendar, timeframe)
    assert kept["time"].to_list() == [before[0].replace(tzinfo=UTC)]
    assert rejected["row_count"].sum() == len(times)
    assert rejected["reason"].to_list() == ["market_closed"]
    assert rejected["time"].to_list() == [times[0].replace(tzinfo=UTC)]


def test_what_may_have_been_traded_stays() -> None:
    """With volume, with a range, in open time, or a price without volume that repeats for less than an hour."""
    saturday, friday = walls([date(2026, 11, 14)], "10:00", "10:29"), walls([date(2026, 11, 13)], "15:00", "15:29")
    for given in (
        bars(saturday, "UTC", [1] * 30, flat=True),
        bars(saturday, "UTC", [0] * 30),
        bars(saturday, "UTC", [None] * 30, flat=True),
        bars(friday, "UTC", [0] * 30, flat=True),
    ):
        kept, rejected = split_off_fillers(given, "XNYS", Timeframe.M1)
        assert kept.equals(given)
        assert rejected.is_empty()


def test_each_run_is_one_rejected_row() -> None:
    days = walls([date(2026, 11, 14), date(2026, 11, 15)], "00:00", "09:59")
    given = bars(days, "UTC", [0] * 600 + [5] + [0] * 599, flat=True)
    kept, rejected = split_off_fillers(given, "XNYS", Timeframe.M1)
    assert kept.height == 1
    assert rejected["row_count"].to_list() == [600, 599]
    assert rejected["record"].n_unique() == 2
