"""Clocks and stamps of vendors: read where their meaning is certain, else named with what to do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.domain.time import Timeframe
from trading_platform.sources.files.content.contents import FileContent
from trading_platform.sources.files.content.options import ImportOptions
from trading_platform.sources.files.reading import FileReading, read_content

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KNOWN = {
    "SONY": Instrument("SONY", AssetClass.EQUITY, "XTKS", "file"),
    "SAP": Instrument("SAP", AssetClass.EQUITY, "XETR", "file"),
}


def read(name: str, text: str, **said: object) -> FileReading:
    content = FileContent(Path(name), None, text.encode)
    return read_content(
        content,
        ImportOptions(**said),  # type: ignore[arg-type]
        now=NOW,
        zone_of=lambda _: "America/New_York",
        registered=KNOWN.get,
    )


def times(reading: FileReading) -> list[str]:
    return [f"{time:%Y-%m-%d %H:%M}" for time in reading.bars["time"]]


def bars(stamps: list[str], header: str = "time,open,high,low,close,volume") -> str:
    return "\n".join([header, *(f"{stamp},5,6,4,5,10" for stamp in stamps)])


HOURS = ["2019-10-17 09:00", "2019-10-17 11:00", "2019-10-17 12:00", "2019-10-17 13:00"]


@pytest.mark.parametrize(
    "stamps",
    [
        ["2019-10-17 09-AM", "2019-10-17 11-AM", "2019-10-17 12-PM", "2019-10-17 01-PM"],
        ["2019-10-17 9 AM", "2019-10-17 11 AM", "2019-10-17 12 PM", "2019-10-17 1 PM"],
        ["10/17/2019 09:00 AM", "10/17/2019 11:00 AM", "10/17/2019 12:00 PM", "10/17/2019 01:00 PM"],
        ["17.10.2019 09:00:00 AM", "17.10.2019 11:00:00 AM", "17.10.2019 12:00:00 PM", "17.10.2019 01:00:00 PM"],
        ["2019.10.17 9:00:00am", "2019.10.17 11:00:00am", "2019.10.17 12:00:00pm", "2019.10.17 1:00:00pm"],
        [f"17.10.2019 {hour}:00:00.000 GMT+0700" for hour in (16, 18, 19, 20)],
        [f"2019-10-17 {hour:02d}:00:00 GMT-04:00" for hour in (5, 7, 8, 9)],
        [f"Thu Oct 17 2019 {hour:02d}:00:00 GMT-0400 (Eastern Daylight Time)" for hour in (5, 7, 8, 9)],
        [f"2019-10-17 {hour}:00:00 UTC+2" for hour in (11, 13, 14, 15)],
    ],
)
def test_clocks_and_zones(stamps: list[str]) -> None:
    reading = read("BTCUSD.csv", bars(stamps))
    assert times(reading) == HOURS
    assert reading.timeframe is Timeframe.H1


def test_midnight_and_noon_on_a_clock_of_twelve_hours() -> None:
    reading = read(
        "BTCUSD.csv", bars(["2019-10-17 12-AM", "2019-10-17 01-AM", "2019-10-17 12-PM"]), timeframe=Timeframe.H1
    )
    assert times(reading) == ["2019-10-17 00:00", "2019-10-17 01:00", "2019-10-17 12:00"]


def test_an_unknown_form_of_time_is_shown() -> None:
    reading = read("BTCUSD.csv", bars(["the 2nd of May", "the 3rd of May"]))
    assert "'the 2nd of May'" in reading.rejected["detail"][0]
    assert "ISO 8601" in reading.rejected["detail"][0]


DATES = ["2023-11-03 00:00", "2023-11-06 00:00", "2023-11-07 00:00"]  # clocks were set back on the 5th


@pytest.mark.parametrize(
    ("name", "stamps"),
    [
        ("NASDAQ_AAPL, 1D.csv", ["1699018200", "1699281000", "1699367400"]),  # the session's open
        ("AAPL_1d.csv", ["2023-11-03T04:00:00Z", "2023-11-06T05:00:00Z", "2023-11-07T05:00:00Z"]),
        ("AAPL_1d.csv", ["2023-11-03T00:00:00-04:00", "2023-11-06T00:00:00-05:00", "2023-11-07T00:00:00-05:00"]),
        ("AAPL_1d.csv", ["2023-11-03T16:00:00-04:00", "2023-11-06T16:00:00-05:00", "2023-11-07T16:00:00-05:00"]),
        ("AAPL_1d.csv", ["2023-11-03 09:30:00", "2023-11-06 09:30:00", "2023-11-07 09:30:00"]),
        ("AAPL_1d.csv", ["1698984000000", "1699246800000", "1699333200000"]),
        ("SONY_1d.csv", ["2023-11-01T15:00:00Z", "2023-11-05T15:00:00Z", "2023-11-06T15:00:00Z"]),
        ("SAP_1d.csv", ["2023-11-03T08:00:00Z", "2023-11-06T08:00:00Z", "2023-11-07T08:00:00Z"]),
    ],
)
def test_daily_stamps_of_the_session_are_its_date(name: str, stamps: list[str]) -> None:
    reading = read(name, bars(stamps), timeframe=Timeframe.D1)
    expected = ["2023-11-02 00:00", *DATES[1:]] if name.startswith("SONY") else DATES
    assert times(reading) == expected
    assert reading.quarantined == 0


@pytest.mark.parametrize("name", ["EURUSD_1d.csv", "BTCUSD_1d.csv", "US100_1d.csv"])
def test_daily_stamps_of_unknown_meaning_are_refused(name: str) -> None:
    reading = read(
        name, bars(["2023-11-02T21:00:00Z", "2023-11-05T22:00:00Z", "2023-11-06T22:00:00Z"]), timeframe=Timeframe.D1
    )
    assert reading.accepted == 0
    assert "write the date of each session" in reading.rejected["detail"][0]


def test_hours_of_the_session_are_named() -> None:
    stamps = [f"2024-11-26 {hour:02d}:30:00-05:00" for hour in range(9, 16)]
    reading = read("MSFT_1h.csv", bars(stamps, "Datetime,Open,High,Low,Close,Volume"))
    assert reading.accepted == 0
    assert reading.quarantined == 7
    assert "begin 30 minutes after the full hour" in reading.rejected["detail"][0]
    assert "import 1m bars" in reading.rejected["detail"][0]


def test_stamps_at_the_close_are_named() -> None:
    stamps = [f"2024-11-26 10:{minute:02d}:59.999Z" for minute in range(9)]
    reading = read("BTCUSD_1m.csv", bars(stamps))
    assert reading.accepted == 0
    assert "ends of the bars" in reading.rejected["detail"][0]


# ── Polygon's flat files, Binance's trades ───────────────────────────────────

POLYGON = "ticker,volume,open,close,high,low,window_start,transactions\n"


def test_a_day_of_polygon() -> None:
    reading = read("2023-01-09.csv", POLYGON + "AAPL,70,130.4,130.1,133.4,129.8,1673240400000000000,6\n")
    assert (reading.symbol, reading.timeframe, times(reading)) == ("AAPL", Timeframe.D1, ["2023-01-09 00:00"])


def test_minutes_of_polygon() -> None:
    start = int(datetime(2023, 1, 9, 14, 30, tzinfo=UTC).timestamp())
    rows = "".join(f"AAPL,7,5,5,6,4,{start + 60 * minute}000000000,6\n" for minute in range(3))
    reading = read("2023-01-09.csv", POLYGON + rows)
    assert (reading.timeframe, times(reading)[0]) == (Timeframe.M1, "2023-01-09 14:30")


@pytest.mark.parametrize(
    "row",
    [
        "{id},5.5,2.0,11.0,{time},True,True",
        "{id},5.5,2.0,11.0,{time},true",
        "{id},5.5,2.0,{id},{id},{time},true",
        "{id},5.5,2.0,{id},{id},{time},False,True",
        "{id},5.5,2.0,11.0,{time}000,True,True",
    ],
)
@pytest.mark.parametrize("first", [1, 1_600_000_000])
def test_binances_trades_begin_with_an_identifier(row: str, first: int) -> None:
    start = int(datetime(2024, 1, 2, tzinfo=UTC).timestamp() * 1000)
    text = "\n".join(row.format(id=first + number, time=start + number * 20_000) for number in range(6))
    reading = read("BTCUSDT-trades-2024-01-02.csv", text)
    assert (reading.accepted, reading.bars.height, times(reading)[1]) == (6, 2, "2024-01-02 00:01")
    assert reading.bars["close"].to_list() == [reading.bars["open"][0]] * 2
    assert float(reading.bars["volume"].sum()) == 12.0


@pytest.mark.parametrize(
    "header",
    ["id,price,qty,quote_qty,time,is_buyer_maker", "agg_trade_id,price,quantity,first_trade_id,transact_time,m"],
)
def test_headers_of_trades_with_an_identifier(header: str) -> None:
    start = int(datetime(2024, 1, 2, tzinfo=UTC).timestamp() * 1000)
    rows = "\n".join(f"{number},5.5,2.0,11.0,{start + number * 20_000},true" for number in range(6))
    assert read("BTCUSDT-trades.csv", f"{header}\n{rows}").bars.height == 2


def test_columns_without_names_are_asked_for() -> None:
    reading = read("BTCUSDT.csv", "1,1704153600000,5.5,2\n2,1704153601000,5.5,2\n")
    assert reading.accepted == 0
    assert "into its first line" in reading.rejected["detail"][0]


def test_metastocks_date_and_time() -> None:
    text = "<TICKER>,<DTYYYYMMDD>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>\n"
    text += "EURUSD,20200102,093000,1,1,1,1,5\nEURUSD,20200102,093100,1,1,1,1,5\n"
    assert times(read("ticks.txt", text)) == ["2020-01-02 09:30", "2020-01-02 09:31"]


def test_splits_and_dividends_are_sent_to_their_command() -> None:
    reading = read("KO.csv", "Date,Dividends,Stock Splits\n2020-01-02,0.5,0.0\n")
    assert "corporate-actions import" in reading.rejected["detail"][0]


def test_a_day_over_a_weekend_is_daily() -> None:
    friday = datetime(2023, 11, 3, tzinfo=UTC)
    stamps = [f"{friday + timedelta(days=day):%Y-%m-%d}" for day in (0, 3)]
    assert read("KO.csv", bars(stamps)).timeframe is Timeframe.D1
