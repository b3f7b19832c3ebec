"""Files of several instruments: each row belongs to the instrument that the file names, or is not read."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.time import Timeframe
from trading_platform.sources.files.content.contents import FileContent
from trading_platform.sources.files.content.options import ImportOptions
from trading_platform.sources.files.reading import FileReading, read_instruments

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def read(name: str, data: str | bytes, **said: object) -> dict[str | None, FileReading]:
    raw = data.encode() if isinstance(data, str) else data
    content = FileContent(Path(name), None, lambda: raw)
    readings = read_instruments(content, ImportOptions(**said), now=NOW, zone_of=lambda _: "UTC")  # type: ignore[arg-type]
    return {reading.symbol: reading for reading in readings}


def closes(reading: FileReading) -> list[Decimal]:
    return reading.bars["close"].to_list()


LONG = """date,open,high,low,close,volume,{column}
2013-02-08,67,68,66,67.5,100,AAPL
2013-02-11,68,69,67,68.5,100,AAPL
2013-02-08,390,391,389,390.5,200,{other}
2013-02-11,389,392,388,391.5,200,{other}
2013-02-12,391,394,390,393.5,200,{other}
"""


@pytest.mark.parametrize("column", ["Name", "ticker", "Symbol", "<TICKER>", "act_symbol", "Stock Code", "Instrument"])
def test_a_column_of_symbols_splits_the_file(column: str) -> None:
    found = read("all_stocks_5yr.csv", LONG.format(column=column, other="GOOGL"))
    assert sorted(map(str, found)) == ["AAPL", "GOOGL"]
    assert closes(found["AAPL"]) == [Decimal("67.5"), Decimal("68.5")]
    assert closes(found["GOOGL"]) == [Decimal("390.5"), Decimal("391.5"), Decimal("393.5")]
    assert [reading.rows for reading in found.values()] == [2, 3]
    assert all("2 instruments" in reading.assumption for reading in found.values())


@pytest.mark.parametrize("asked", ["AAPL", "GOOGL"])
def test_only_the_requested_symbol_is_taken(asked: str) -> None:
    found = read("all_stocks_5yr.csv", LONG.format(column="Name", other="GOOGL"), symbol=asked)
    assert list(found) == [asked]
    assert "left out" in found[asked].assumption
    assert closes(found[asked])[0] == {"AAPL": Decimal("67.5"), "GOOGL": Decimal("390.5")}[asked]


def test_a_symbol_that_the_file_does_not_hold_is_refused() -> None:
    for other in ("GOOGL", "AAPL"):
        with pytest.raises(InvalidRequest, match="holds no MSFT"):
            read("stocks.csv", LONG.format(column="Name", other=other), symbol="MSFT")


@pytest.mark.parametrize(
    ("theirs", "symbol"),
    [
        ("BRK-B", "BRK.B"),
        ("ETH/USDT", "ETHUSDT"),
        ("XBT/USD", "BTCUSD"),
        ("MSFT.US", "MSFT"),
        ("NASDAQ:MSFT", "MSFT"),
        ("C:EURUSD", "EURUSD"),
        ("EURUSD=X", "EURUSD"),
        ("msft", "MSFT"),
        ("7203.T", "7203.T"),
    ],
)
def test_vendors_spellings_become_the_platforms(theirs: str, symbol: str) -> None:
    assert set(read("x.csv", LONG.format(column="symbol", other=theirs))) == {"AAPL", symbol}


def test_a_name_that_is_no_symbol_needs_one() -> None:
    text = LONG.format(column="Name", other="S&P 500")
    found = read("x.csv", text)
    assert found[None].quarantined == 3
    assert "--ticker 'S&P 500' --symbol" in found[None].rejected["detail"][0]
    assert closes(read("x.csv", text, symbol="SPX", ticker="S&P 500")["SPX"])[0] == Decimal("390.5")
    companies = text.replace("AAPL", "Apple Inc")
    with pytest.raises(InvalidRequest, match="none of their names is a symbol"):
        read("x.csv", companies)
    with pytest.raises(InvalidRequest, match="holds no Nestle"):
        read("x.csv", companies, symbol="NESN", ticker="Nestle")


def test_rows_without_a_symbol_are_rejected() -> None:
    found = read("x.csv", LONG.format(column="symbol", other=""))
    assert set(found) == {"AAPL", None}
    assert found[None].rejected["reason"].to_list() == ["missing_value"]
    assert found[None].quarantined == 3


def test_two_spellings_of_a_symbol_with_the_same_times_are_refused() -> None:
    text = LONG.format(column="symbol", other="BYBIT:BTCUSDT").replace("AAPL", "BINANCE:BTCUSDT")
    with pytest.raises(InvalidRequest, match="would all be BTCUSDT"):
        read("x.csv", text)
    assert closes(read("x.csv", text, ticker="BYBIT:BTCUSDT")["BTCUSDT"])[0] == Decimal("390.5")


def test_the_file_and_its_name_have_to_agree() -> None:
    one = LONG.format(column="symbol", other="AAPL").replace("2013-02-08,390", "2013-02-13,390")
    assert set(read("AAPL_daily.csv", one)) == {"AAPL"}
    with pytest.raises(InvalidRequest, match="contains AAPL, and its name says MSFT"):
        read("MSFT_daily.csv", one)
    assert set(read("MSFT_daily.csv", one, symbol="AAPL")) == {"AAPL"}
    assert set(read("TYO7203_1d.csv", one.replace("AAPL", "7203.T"), symbol="TYO7203")) == {"TYO7203"}


@pytest.mark.parametrize("column", ["exchange", "interval", "adjustment"])
def test_another_column_that_tells_rows_apart_is_named(column: str) -> None:
    (found,) = read("AAPL.csv", LONG.format(column=column, other="XETR")).values()
    assert found.accepted == 0
    assert column in found.rejected["detail"][0]
    assert "tells the rows apart" in found.rejected["detail"][0]


def test_repeated_times_without_any_column_are_refused() -> None:
    rows = LONG.format(column="x", other="Y").splitlines()
    text = "\n".join(row.rsplit(",", 1)[0] for row in rows)
    (found,) = read("AAPL.csv", text).values()
    assert found.accepted == 0
    assert "several instruments?" in found.rejected["detail"][0]


def test_single_corrections_still_count() -> None:
    text = "date,open,high,low,close\n" + "".join(f"2013-02-{day:02d},1,2,1,1.5\n" for day in range(4, 9))
    (found,) = read("AAPL.csv", text + "2013-02-05,1,2,1,1.7\n").values()
    assert found.accepted == 5
    assert closes(found)[1] == Decimal("1.7")


def test_minutes_of_a_sparse_instrument_have_the_length_of_the_others() -> None:
    rows = [f"2024-03-04 10:{minute:02d}:00,1,1,1,1,1,AAA" for minute in range(30)]
    rows += [f"2024-03-04 10:{minute:02d}:00,9,9,9,9,1,BBB" for minute in (0, 5, 20)]
    found = read("x.csv", "\n".join(["time,open,high,low,close,volume,symbol", *rows]))
    assert {reading.timeframe for reading in found.values()} == {Timeframe.M1}


@pytest.mark.parametrize("values", [["1", "2", "3"], ["0.5", "0.6", "0.7"], ["", "", "1"], ["", "", ""]])
def test_a_column_that_merely_has_such_a_name_is_left_alone(values: list[str]) -> None:
    rows = "".join(f"2013-02-0{day},5,6,4,5,{value}\n" for day, value in zip((4, 5, 6), values, strict=True))
    (found,) = read("KO.csv", f"date,open,high,low,close,Index\n{rows}").values()
    assert (found.symbol, found.accepted) == ("KO", 3)


# ── wide files ───────────────────────────────────────────────────────────────

NEW_YFINANCE = """Price,Close,Close,High,High,Low,Low,Open,Open,Volume,Volume
Ticker,AAPL,{other},AAPL,{other},AAPL,{other},AAPL,{other},AAPL,{other}
Date,,,,,,,,,,
2024-01-02,185.5,370.5,188,375,183,366,187,373,100,200
2024-01-03,184.5,,186,,183,,184,,100,
"""
OLD_YFINANCE = """,Adj Close,Adj Close,Close,Close,High,High,Low,Low,Open,Open,Volume,Volume
,AAPL,{other},AAPL,{other},AAPL,{other},AAPL,{other},AAPL,{other},AAPL,{other}
Date,,,,,,,,,,,,
2024-01-02,180,360,185.5,370.5,188,375,183,366,187,373,100,200
2024-01-03,180,,184.5,,186,,183,,184,,100,
"""
BY_TICKER = """Ticker,AAPL,AAPL,AAPL,AAPL,AAPL,{other},{other},{other},{other},{other}
Price,Open,High,Low,Close,Volume,Open,High,Low,Close,Volume
Date,,,,,,,,,,
2024-01-02,187,188,183,185.5,100,373,375,366,370.5,200
2024-01-03,184,186,183,184.5,100,,,,,
"""
NAMED = """Date,{other}.Open,{other}.High,{other}.Low,{other}.Close,AAPL.Open,AAPL.High,AAPL.Low,AAPL.Close,AAPL.Volume
2024-01-02,373,375,366,370.5,187,188,183,185.5,100
2024-01-03,,,,,184,186,183,184.5,100
"""


@pytest.mark.parametrize("form", [NEW_YFINANCE, OLD_YFINANCE, BY_TICKER, NAMED], ids=["new", "old", "ticker", "named"])
@pytest.mark.parametrize("other", ["MSFT", "LOW"])
def test_wide_files_are_split(form: str, other: str) -> None:
    found = read("prices.csv", form.format(other=other))
    assert set(found) == {"AAPL", other}
    assert closes(found["AAPL"]) == [Decimal("185.5"), Decimal("184.5")]
    assert closes(found[other]) == [Decimal("370.5")]
    assert found[other].rows == 1
    assert found[other].timeframe is Timeframe.D1
    assert set(read("prices.csv", form.format(other=other), symbol=other)) == {other}
    with pytest.raises(InvalidRequest, match="holds no IBM"):
        read("prices.csv", form.format(other=other), symbol="IBM")


@pytest.mark.parametrize("mark", ["_", " ", "."])
def test_fields_before_symbols(mark: str) -> None:
    header = ",".join(["Date", *(f"{field}{mark}KO" for field in ("Open", "High", "Low", "Close", "Adj Close"))])
    found = read("prices.csv", f"{header}\n2024-01-02,5,6,4,5.5,5\n2024-01-03,5,6,4,5.6,5\n")
    assert closes(found["KO"]) == [Decimal("5.5"), Decimal("5.6")]


def test_one_ticker_of_yfinance_is_not_the_name_of_the_file() -> None:
    text = "Price,Close,High,Low,Open,Volume\nTicker,MSFT,MSFT,MSFT,MSFT,MSFT\nDate,,,,,\n"
    text += "2024-01-02,370.5,375,366,373,200\n2024-01-03,371.5,375,366,373,200\n"
    assert closes(read("prices.csv", text)["MSFT"]) == [Decimal("370.5"), Decimal("371.5")]
    with pytest.raises(InvalidRequest, match="its name says AAPL"):
        read("AAPL.csv", text)


def test_a_parquet_file_of_pandas_with_two_levels() -> None:
    frame = pl.DataFrame(
        {
            "Date": [date(2024, 1, 2), date(2024, 1, 3)],
            **{
                f"('{field}', '{name}')": [price, price]
                for name, price in (("AAPL", 185.5), ("MSFT", 370.5))
                for field in ("Open", "High", "Low", "Close")
            },
        }
    )
    data = io.BytesIO()
    frame.write_parquet(data)
    found = read("prices.parquet", data.getvalue())
    assert closes(found["MSFT"]) == [Decimal("370.5")] * 2
    assert closes(found["AAPL"]) == [Decimal("185.5")] * 2


@pytest.mark.parametrize("value", ["NaN", "null", "N/A", "x"])
def test_a_row_without_a_time_is_no_line_of_instruments(value: str) -> None:
    blank = f",{value},{value},{value},{value}"
    found = read("KO_daily.csv", f"Date,Open,High,Low,Close\n{blank}\n2024-01-02,5,6,4,5.5\n", symbol="KO")["KO"]
    assert (found.rows, found.accepted, found.rejected["line"].to_list()) == (2, 1, [2])


@pytest.mark.parametrize(
    "header",
    [
        "Date,Open,High,Low,Close,Close.1",
        "date,open,high,low,close,CLOSE",
        "date,open_x,high_x,low,close,open_y",
        "Date,Open,High,Low,Close,Low.1",
    ],
)
def test_a_price_that_occurs_twice_is_refused(header: str) -> None:
    (found,) = read("AAPL.csv", f"{header}\n2024-01-02,5,6,4,5.5,9\n2024-01-03,5,6,4,5.6,9\n").values()
    assert found.accepted == 0
    detail = found.rejected["detail"][0]
    assert "twice" in detail or "not those of bars" in detail


@pytest.mark.parametrize("word", ["USD", "adj", "bid", "mark"])
def test_words_are_no_instruments(word: str) -> None:
    header = ",".join(["Date", *(f"{word}_{field}" for field in ("open", "high", "low", "close"))])
    found = read("KO.csv", f"{header}\n2024-01-02,5,6,4,5.5\n2024-01-03,5,6,4,5.6\n")
    assert set(found) <= {"KO", None}
    assert all(reading.accepted == 0 for reading in found.values())


def test_ticks_of_several_pairs_are_split() -> None:
    text = "EUR/USD,20130101 22:00:00.295,1.31,1.32\nGBP/USD,20130101 22:00:00.295,1.61,1.62\n"
    text += "EUR/USD,20130101 22:02:00.295,1.31,1.32\n"
    found = read("ticks.csv", text)
    assert {symbol: reading.rows for symbol, reading in found.items()} == {"EURUSD": 2, "GBPUSD": 1}
