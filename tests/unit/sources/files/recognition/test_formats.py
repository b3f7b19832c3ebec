"""Each shape of file, written by hand: what it is taken for and what is read from it."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.market.bars import PRICES
from trading_platform.domain.time import Timeframe
from trading_platform.sources.files.content.contents import FileContent
from trading_platform.sources.files.content.options import DateOrder, FileFormat, ImportOptions, PriceSide
from trading_platform.sources.files.reading import FileReading, read_content

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def read(name: str, data: str | bytes, *, now: datetime = NOW, **said: object) -> FileReading:
    raw = data.encode() if isinstance(data, str) else data
    content = FileContent(Path("/somewhere") / name, None, lambda: raw)
    options = ImportOptions(**said)  # type: ignore[arg-type]
    return read_content(content, options, now=now, zone_of=lambda _symbol: "America/New_York")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


BAR = (Decimal(10), Decimal(12), Decimal(9), Decimal(11))

SHAPES: dict[str, tuple[str, list[str], str, str, str]] = {
    "binance ms": (
        "ADABTC-1m-2021-11-27.csv",
        ["1637971200000,10,12,9,11,5,1637971259999,1,79,1,1,0", "1637971260000,10,12,9,11,5,1637971319999,1,98,1,1,0"],
        "binance",
        "ADABTC",
        "2021-11-27T00:00",
    ),
    "binance µs": (
        "BTCUSDT-1m-2025-01-01.csv",
        [
            "1735689600000000,10,12,9,11,5,1735689659999999,1,79,1,1,0",
            "1735689660000000,10,12,9,11,5,1735689719999999,1,98,1,1,0",
        ],
        "binance",
        "BTCUSDT",
        "2025-01-01T00:00",
    ),
    "kraken bulk": (
        "XBTUSD_1.csv",
        ["1381095240,10,12,9,11,5,3", "1381095540,10,12,9,11,5,3", "1381095840,10,12,9,11,5,3"],
        "kraken-ohlcvt",
        "BTCUSD",
        "2013-10-06T21:34",
    ),
    "kraken daily": ("ETHXBT_1440.csv", ["1438905600,10,12,9,11,5,3"], "kraken-ohlcvt", "ETHBTC", "2015-08-07T00:00"),
    "headerless": (
        "GOOG.csv",
        ["2020-01-02 09:30,10,12,9,11,5", "2020-01-02 09:31,10,12,9,11,5"],
        "ohlcv",
        "GOOG",
        "2020-01-02T09:30",
    ),
    "metatrader": (
        "EURUSD1.csv",
        ["2012.02.01,00:00,10,12,9,11,5", "2012.02.01,00:01,10,12,9,11,5"],
        "ohlcv",
        "EURUSD",
        "2012-02-01T00:00",
    ),
    "histdata bars": (
        "DAT_EURUSD_M1.csv",
        ["20120201 000000;10;12;9;11;0", "20120201 000100;10;12;9;11;0"],
        "histdata",
        "EURUSD",
        "2012-02-01T05:00",
    ),
    "lean daily": (
        "aapl.csv",
        ["19980105 00:00,100000,120000,90000,110000,5", "19980106 00:00,100000,120000,90000,110000,5"],
        "lean",
        "AAPL",
        "1998-01-05T00:00",
    ),
    "date and time": (
        "SPY.txt",
        ["Date,Time,Open,High,Low,Close,Vol", "01/31/2020,09:30,10,12,9,11,5", "01/31/2020,09:31,10,12,9,11,5"],
        "ohlcv",
        "SPY",
        "2020-01-31T09:30",
    ),
    "preamble": (
        "BTC-USD_1d.csv",
        [
            "https://example.org",
            "unix,date,symbol,open,high,low,close,Volume BTC,Volume USD",
            "1577923200,2020-01-02,BTCUSD,10,12,9,11,5,1",
            "1577836800,2020-01-01,BTCUSD,10,12,9,11,5,1",
        ],
        "ohlcv",
        "BTCUSD",
        "2020-01-01T00:00",
    ),
    "other order": (
        "KO.csv",
        ["VOLUME;Close;Low;High;Open;DateTime", "5;11;9;12;10;2020-01-02", "5;11;9;12;10;2020-01-03"],
        "ohlcv",
        "KO",
        "2020-01-02T00:00",
    ),
    "offset": (
        "KO.csv",
        ["timestamp,o,h,l,c,v", "2020-01-02T09:30:00-05:00,10,12,9,11,5", "2020-01-02T09:31:00-05:00,10,12,9,11,5"],
        "ohlcv",
        "KO",
        "2020-01-02T14:30",
    ),
    "daily offset": (
        "KO.csv",
        [
            "Date,Open,High,Low,Close,Volume",
            "2020-01-02 00:00:00-05:00,10,12,9,11,5",
            "2020-07-02 00:00:00-04:00,10,12,9,11,5",
            "2020-07-03 00:00:00-04:00,10,12,9,11,5",
        ],
        "ohlcv",
        "KO",
        "2020-01-02T00:00",
    ),
    "json objects": (
        "KO.json",
        [
            '[{"date":"2020-01-02","open":10,"high":12,"low":9,"close":11,"volume":5},{"date":"2020-01-03","open":10,"high":12,"low":9,"close":11,"volume":5}]'
        ],
        "ohlcv",
        "KO",
        "2020-01-02T00:00",
    ),
    "json lines": (
        "KO.json",
        ['{"t":1577923200,"o":10,"h":12,"l":9,"c":11,"v":5}', '{"t":1578009600,"o":10,"h":12,"l":9,"c":11,"v":5}'],
        "ohlcv",
        "KO",
        "2020-01-02T00:00",
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_shape_is_recognised_and_read(shape: str) -> None:
    name, lines, format_, symbol, first = SHAPES[shape]
    reading = read(name, "\n".join(lines), symbol="AAPL" if shape == "lean daily" else None)
    assert (reading.format, reading.symbol) == (format_, symbol)
    assert reading.quarantined == 0
    assert reading.bars["time"][0] == utc(first)
    assert reading.bars.select(PRICES).row(0) == BAR


def test_told_format_that_does_not_fit_is_refused() -> None:
    reading = read(
        "SPY.csv", "Date,Open,High,Low,Close\n2020-01-02,1,1,1,1\n2020-01-03,1,1,1,1", format=FileFormat.BINANCE
    )
    assert reading.rejected_whole
    assert (reading.rejected["reason"][0], reading.quarantined) == ("unsupported", 2)


def test_kraken_interval_in_the_name_is_believed_over_sparse_rows() -> None:
    data = "1381095240,10,12,9,11,5,3\n1381095540,10,12,9,11,5,3\n1381095840,10,12,9,11,5,3"
    assert read("XBTUSD_1.csv", data).timeframe is Timeframe.M1
    assert read("XBTUSD_15.csv", data).rejected["reason"][0] == "unsupported"


def test_kraken_trades_become_minutes() -> None:
    reading = read("XBTUSD.csv", "1381095240.5,100.5,0.1\n1381095250,99.5,0.2\n1381095301,101,0.3")
    assert (reading.format, reading.symbol, reading.rows, reading.accepted) == ("kraken-trades", "BTCUSD", 3, 3)
    rows = reading.bars.select("time", *PRICES, "volume").rows()
    first, second = utc("2013-10-06T21:34"), utc("2013-10-06T21:35")
    high, low = Decimal("100.5"), Decimal("99.5")
    assert rows == [
        (first, high, high, low, low, Decimal("0.3")),
        (second, *[Decimal(101)] * 4, Decimal("0.3")),
    ]


def test_histdata_ticks_are_in_eastern_standard_time_and_can_be_told_otherwise() -> None:
    data = "20200101 170000065,1.5,2.5,0\n20200101 170010447,1.75,2.75,0\n"
    reading = read("EURUSD.csv", data)
    assert (reading.format, reading.accepted) == ("histdata", 2)
    assert reading.bars["time"].to_list() == [utc("2020-01-01T22:00")]
    assert reading.bars["open"].to_list() == [Decimal(2)]
    assert read("EURUSD.csv", data, timezone="UTC").bars["time"].to_list() == [utc("2020-01-01T17:00")]


def test_truefx_with_the_pair_in_each_row() -> None:
    reading = read("EURUSD-2013-01.csv", "EUR/USD,20130101 22:00:00.295,1.5,2.5\nEUR/USD,20130101 22:00:01.295,1.5,2.5")
    assert (reading.format, reading.accepted, reading.bars["time"][0]) == ("truefx", 2, utc("2013-01-01T22:00"))


def test_one_sided_quotes_carry_the_other_side_on() -> None:
    data = "time_utc,bid,ask\n2020-01-02T10:00:00Z,,11\n2020-01-02T10:00:01Z,10,\n2020-01-02T10:00:02Z,,12\n"
    reading = read("KO.csv", data)
    assert (reading.accepted, reading.quarantined) == (2, 1)
    assert reading.rejected.select("line", "reason").row(0) == (2, "missing_value")
    assert reading.bars.select(PRICES).row(0) == (Decimal("10.5"), Decimal(11), Decimal("10.5"), Decimal(11))


@pytest.mark.parametrize(("side", "expected"), [("bid", "1.5"), ("ask", "2.5"), ("mid", "2")])
def test_price_side(side: str, expected: str) -> None:
    header = "time_utc," + ",".join(f"{s}_{n}" for s in ("bid", "ask") for n in PRICES)
    rows = [f"2020-01-02T10:0{minute}:00Z,1.5,1.5,1.5,1.5,2.5,2.5,2.5,2.5" for minute in range(2)]
    bars = read("KO.csv", "\n".join([header, *rows]), price=PriceSide(side)).bars
    assert set(bars.select(PRICES).row(0)) == {Decimal(expected)}


@pytest.mark.parametrize("bad", ["0", "-1", "abc", ""])
def test_a_bad_side_of_a_quote_is_not_hidden_by_the_middle(bad: str) -> None:
    header = "time_utc,bid,ask"
    reading = read("KO.csv", f"{header}\n2020-01-02T10:00:00Z,1,2\n2020-01-02T10:00:01Z,9,{bad or 'nan'}\n")
    assert (reading.accepted, reading.quarantined) == (1, 1)


def test_parquet_with_every_kind_of_time_column() -> None:
    times = [utc("2020-01-02T10:00") + timedelta(minutes=minute) for minute in range(3)]
    prices = {"Open": [10.0] * 3, "High": [12.0] * 3, "Low": [9.0] * 3, "Close": [11.0] * 3, "Volume": [5] * 3}
    aware = pl.DataFrame({"__index_level_0__": times, **prices})
    variants = [
        aware,
        aware.with_columns(pl.col("__index_level_0__").dt.convert_time_zone("Europe/Berlin")),
        aware.with_columns(pl.col("__index_level_0__").dt.replace_time_zone(None)),
        aware.with_columns(pl.col("__index_level_0__").dt.epoch("ms")),
        aware.with_columns(pl.col("__index_level_0__").dt.cast_time_unit("ns").dt.epoch("ns")),
        aware.with_columns(pl.col("__index_level_0__").dt.strftime("%Y-%m-%dT%H:%M:%SZ")),
        aware.with_columns(pl.col("Open").cast(pl.Decimal(20, 4)), pl.col("High").cast(pl.Float32)),
    ]
    for frame in variants:
        buffer = io.BytesIO()
        frame.write_parquet(buffer)
        reading = read("KO.parquet", buffer.getvalue())
        assert reading.bars["time"].to_list() == times
        assert reading.bars.select(PRICES).row(0) == BAR


def test_refused_rows_of_parquet_are_named_by_row_and_content() -> None:
    frame = pl.DataFrame(
        {"date": [utc("2020-01-02"), utc("2020-01-03")], "open": [10.0, -1.0], "high": 12.0, "low": 9.0, "close": 11.0}
    )
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    reading = read("KO.parquet", buffer.getvalue())
    assert reading.rejected.select("line", "reason").rows() == [(2, "non_positive_price")]
    assert '"open":-1.0' in reading.rejected["record"][0]


def test_line_numbers_are_those_of_the_file() -> None:
    data = "Date,Open,High,Low,Close\r\n\r\n2020-01-02,1,1,1,1\r\n\r\n2020-01-03,x,1,1,1\r\n2020-01-02,2,2,2,2\r\n"
    reading = read("KO.csv", data)
    assert reading.rows == 3
    assert reading.rejected.select("line", "reason", "record").rows() == [
        (3, "duplicate", "2020-01-02,1,1,1,1"),
        (5, "unreadable_number", "2020-01-03,x,1,1,1"),
    ]


def test_ambiguous_thousands_separators_are_refused_not_guessed() -> None:
    quoted = 'Date,Open,High,Low,Close,Volume\n2020-01-02,10,12,9,11,5\n2020-01-03,"1,010","1,012","1,009","1,011",5\n'
    bare = "Date,Open,High,Low,Close,Volume\n2020-01-02,10,12,9,11,5\n2020-01-03,1,010,1,012,1,009,1,011,5\n"
    for data, accepted in ((quoted, 0), (bare, 1)):
        reading = read("KO.csv", data, timeframe=Timeframe.D1)
        assert (reading.accepted, reading.rejected["reason"].to_list()) == (accepted, ["unreadable_number"])


def test_short_rows_are_refused() -> None:
    reading = read(
        "KO.csv", "Date,Open,High,Low,Close,Volume\n2020-01-02,10,12,9,11,5\n2020-01-03,10,12,9,11\n2020-01-06,10"
    )
    assert (reading.accepted, reading.rejected["reason"].to_list()) == (1, ["missing_value"] * 2)


def test_missing_volume_column_stays_null() -> None:
    bars = read(
        "USDJPY.csv",
        "timestamp,open,high,low,close\n2013-02-01 00:00:00+00:00,1,1,1,1\n2013-02-01 00:01:00+00:00,1,1,1,1",
    ).bars
    assert bars["volume"].null_count() == bars.height == 2


def test_running_and_future_bars_are_refused() -> None:
    data = "Date,Open,High,Low,Close\n2020-01-02,1,1,1,1\n2020-01-03,1,1,1,1\n2020-01-04,1,1,1,1\n"
    reading = read("KO.csv", data, now=utc("2020-01-03T12:00"))
    assert reading.rejected.select("line", "reason").rows() == [(3, "not_final"), (4, "future_time")]


def test_a_timeframe_longer_than_the_rows_is_refused() -> None:
    data = "\n".join(["time,open,high,low,close", *(f"2020-01-02 10:{m:02},1,1,1,1" for m in range(12))])
    reading = read("KO.csv", data, timeframe=Timeframe.M5)
    assert (reading.rejected["reason"][0], reading.quarantined, reading.accepted) == ("unsupported", 12, 0)


def test_what_cannot_be_told_is_asked_for() -> None:
    with pytest.raises(InvalidRequest, match="--symbol"):
        read("prices.csv", "Date,Open,High,Low,Close\n2020-01-02,1,1,1,1\n2020-01-03,1,1,1,1\n")
    with pytest.raises(InvalidRequest, match="--timeframe"):
        read("KO.csv", "Date,Open,High,Low,Close\n2020-01-02,1,1,1,1\n")
    assert read("KO_daily.csv", "Date,Open,High,Low,Close\n2020-01-02,1,1,1,1\n").timeframe is Timeframe.D1


def test_dates_that_can_be_read_both_ways_are_asked_for() -> None:
    data = "date,open,high,low,close\n01/02/2020,1,1,1,1\n02/02/2020,1,1,1,1\n03/02/2020,1,1,1,1\n"
    assert "--dates" in read("KO.csv", data).rejected["detail"][0]
    assert read("KO.csv", data, dates=DateOrder.DAY_FIRST).bars["time"][0] == utc("2020-02-01")
    told_by_a_day = read("KO.csv", data + "13/02/2020,1,1,1,1\n").bars["time"]
    assert told_by_a_day.to_list() == [utc(f"2020-02-{day:02}") for day in (1, 2, 3, 13)]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n\n",
        b"\x00\x01\x02\x03" * 50,
        b"\xff\xfe\xfa",
        b"PAR1nothing",
        b"ARROW1nothing",
        b"[]",
        b"[[",
        b"{}",
        b"\x80abc",
    ],
)
def test_unreadable_content_is_refused_with_a_reason(data: bytes) -> None:
    reading = read("KO.csv", data)
    assert reading.rejected_whole
    assert reading.rejected["reason"][0] == "unreadable_file"
    assert reading.rejected["detail"][0]


def test_a_table_of_something_else_is_refused() -> None:
    reading = read("KO.csv", "text,label\nup it goes,1\ndown it goes,0\n")
    assert (reading.rejected["reason"][0], reading.quarantined) == ("unsupported", 2)
