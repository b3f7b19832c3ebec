"""Times as vendors and spreadsheets write them: read, or refused with what to do."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from user_file import days, read, refusal, table

PRICES = "open,high,low,close"
BAR = [1, 1.2, 0.9, 1.1]


def minutes(*times: str) -> list[list[object]]:
    return [[f'"{time}"', *BAR] for time in times]


@pytest.mark.parametrize(
    ("first", "second", "hour"),
    [
        ("20240109 14:30:00 US/Eastern", "20240109 14:31:00 US/Eastern", 19),
        ("2024-01-09 14:30 Europe/Berlin", "2024-01-09 14:31 Europe/Berlin", 13),
        ("2024-01-09T14:30:00-05:00[America/New_York]", "2024-01-09T14:31:00-05:00[America/New_York]", 19),
        ("Tue, 09 Jan 2024 14:30:00 GMT", "Tue, 09 Jan 2024 14:31:00 GMT", 14),
        ("Tue Jan 09 14:30:00 2024", "Tue Jan 09 14:31:00 2024", 14),
        ("09-Jan-2024 14:30:00", "09-Jan-2024 14:31:00", 14),
        ("9 January 2024 14:30", "9 January 2024 14:31", 14),
        ("Jan 09, 2024 2:30 PM", "Jan 09, 2024 2:31 PM", 14),
        ("14:30 09.01.2024", "14:31 09.01.2024", 14),
        ("2024-01-09, 14:30", "2024-01-09, 14:31", 14),
        ("20240109-14:30:00", "20240109-14:31:00", 14),
        ("09.01.24 14:30", "09.01.24 14:31", 14),
        ("2024-01-09 14:30:00,000", "2024-01-09 14:31:00,000", 14),
    ],
)
def test_a_time_in_another_form(first: str, second: str, hour: int) -> None:
    found = read("EURUSD.csv", table(f"time,{PRICES}", minutes(first, second)))["EURUSD"]
    assert found.bars["time"].to_list() == [datetime(2024, 1, 9, hour, minute, tzinfo=UTC) for minute in (30, 31)]


@pytest.mark.parametrize(
    ("name", "column", "hour"),
    [
        ("timestamp (UTC)", None, 14),
        ("Date (GMT)", None, 14),
        ("datetime_utc", None, 14),
        ("time", "timezone", 19),
        ("datetime", "tz", 19),
    ],
)
def test_a_zone_in_the_header_or_in_a_column(name: str, column: str | None, hour: int) -> None:
    zone = ["America/New_York"] if column else []
    rows = [[*row, *zone] for row in minutes("2024-01-09 14:30", "2024-01-09 14:31")]
    header = ",".join(filter(None, [name, PRICES, column]))
    assert read("SPY.csv", table(header, rows))["SPY"].bars["time"][0] == datetime(2024, 1, 9, hour, 30, tzinfo=UTC)


@pytest.mark.parametrize("name", ["timestamp (EST)", "Time (EET)", "datetime_est"])
def test_an_abbreviation_of_a_zone_is_asked_for(name: str) -> None:
    text = table(f"{name},{PRICES}", minutes("2024-07-09 14:30", "2024-07-09 14:31"))
    assert "--timezone" in refusal("SPY.csv", text)
    found = read("SPY.csv", text, timezone="America/New_York")["SPY"]
    assert found.bars["time"][0] == datetime(2024, 7, 9, 18, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("first", "second"), [("930", "931"), ("93000", "93100"), ("0930", "0931"), ("09:30", "09:31")]
)
def test_clocks_without_colons(first: str, second: str) -> None:
    text = table(f"Date,Time,{PRICES}", [["20240109", first, *BAR], ["20240109", second, *BAR]])
    assert read("SPY.csv", text)["SPY"].bars["time"][1] == datetime(2024, 1, 9, 9, 31, tzinfo=UTC)


@pytest.mark.parametrize(
    ("time", "advice"),
    [
        ("2024-01-09 14:30:00 EST", "--timezone America/New_York"),
        ("45299.60416", "spreadsheet's count of days"),
        ("638403978000000000", ".NET's ticks"),
        ("1.70481E+12", "format the column as a number"),
        ("14:30", "a column with the date beside it"),
        ("2024-01-09 24:00", "00:00 of the next one"),
    ],
)
def test_what_to_do_about_other_texts(time: str, advice: str) -> None:
    assert advice in refusal("SPY.csv", table(f"time,{PRICES}", minutes(time, time)))


@pytest.mark.parametrize(
    "dates",
    [
        ["10/01/2024", "11/01/2024", "12/01/2024", "01/15/2024", "01/16/2024"],
        ["01/10/2024", "01/11/2024", "01/12/2024", "15/01/2024", "16/01/2024"],
        ["29/05/2024", "30/05/2024", "31/05/2024", "06/01/2024", "06/02/2024"],
    ],
)
def test_dates_in_two_orders_are_refused(dates: list[str]) -> None:
    rows = [[date, *row[1:]] for date, row in zip(dates, days(100), strict=True)]
    assert "two orders" in refusal("BTCUSD.csv", table(f"Date,{PRICES},volume", rows))


@pytest.mark.parametrize(
    "dates",
    [
        ["28/05/2024", "29/05/2024", "30/05/2024", "31/05/2024", "01/06/2024"],
        ["01/29/2024", "01/30/2024", "01/31/2024", "02/01/2024", "02/02/2024"],
    ],
)
@pytest.mark.parametrize("newest_first", [False, True])
def test_dates_in_one_order_are_read(dates: list[str], *, newest_first: bool) -> None:
    rows = [[date, *row[1:]] for date, row in zip(dates, days(100), strict=True)]
    text = table(f"Date,{PRICES},volume", rows[::-1] if newest_first else rows)
    assert read("BTCUSD.csv", text)["BTCUSD"].accepted == 5
