"""Files of several instruments that no column of symbols tells apart, and names that are no share's."""

from __future__ import annotations

import pytest
from user_file import closes, days, read, refusal, table

NVDA, TSLA = days(480), days(250)
LATER = days(250, month=2)
OHLCV = "Date,Open,High,Low,Close,Volume"


@pytest.mark.parametrize("column", ["Emisor", "epic", "Wertpapier", "trading_symbol"])
def test_columns_of_instruments_in_other_words_split_the_file(column: str) -> None:
    rows = [["NVDA", *row] for row in NVDA] + [["TSLA", *row] for row in LATER]
    found = read("prices.csv", table(f"{column},{OHLCV}", rows))
    assert closes(found["NVDA"]) == [481, 482, 483, 484, 485]
    assert closes(found["TSLA"]) == [251, 252, 253, 254, 255]


@pytest.mark.parametrize("column", ["", "valeur", "x1", "Mercado"])
@pytest.mark.parametrize("second", [TSLA, LATER, days(250, first=11)], ids=["same dates", "later", "some dates"])
def test_two_instruments_below_each_other_are_refused(column: str, second: list[list[object]]) -> None:
    rows = [[*row, "NVDA"] for row in NVDA] + [[*row, "TSLA"] for row in second]
    words = refusal("NVDA.csv", table(f"{OHLCV},{column}", rows), symbol="NVDA")
    assert f"its column {column!r} tells the rows apart (NVDA, TSLA)" in words
    assert "call the column 'symbol'" in words


@pytest.mark.parametrize("between", ["", "Ticker: TSLA\n", "\n\n"])
@pytest.mark.parametrize("second", [TSLA, LATER], ids=["same dates", "later"])
def test_two_tables_in_a_file_are_refused(between: str, second: list[list[object]]) -> None:
    words = refusal("NVDA.csv", table(OHLCV, NVDA) + between + table(OHLCV, second))
    assert "its header occurs 2 times" in words


def test_months_of_one_instrument_put_together_are_read() -> None:
    found = read("NVDA.csv", table(OHLCV, NVDA) + table(OHLCV, days(490, first=15)))["NVDA"]
    assert len(closes(found)) == 10
    assert found.rejected["detail"].to_list() == ["Date is not a time"]


def test_instruments_of_equal_volumes_are_told_by_their_closes() -> None:
    rows = [row for pair in zip(NVDA, TSLA, strict=True) for row in pair]
    assert "different closes" in refusal("NVDA.csv", table(OHLCV, rows))


@pytest.mark.parametrize(
    "column", [["pre", "pre", "reg", "reg", "reg"], ["EST", "EST", "EDT", "EDT", "EDT"], list("abcde")]
)
def test_a_column_that_describes_rows_is_no_column_of_instruments(column: list[str]) -> None:
    rows = [[*row, word] for row, word in zip(NVDA, column, strict=True)]
    assert len(closes(read("NVDA.csv", table(f"{OHLCV},note", rows))["NVDA"])) == 5


def test_prices_without_a_name_beside_those_of_the_requested_instrument_are_not_its() -> None:
    names = ",".join(f"NVDA {name}" for name in ("Open", "High", "Low", "Close"))
    text = table(f"{OHLCV},{names}", [[*other, *own[1:5]] for own, other in zip(NVDA, TSLA, strict=True)])
    assert "keep the columns of NVDA" in refusal("NVDA.csv", text)
    assert closes(read("prices.csv", text, symbol="TSLA")["TSLA"])[0] == 251


@pytest.mark.parametrize(
    "name",
    [
        "NQ 03-24.Last.txt",
        "ES 12-23.Minute.Last.txt",
        "CL_continuous_adjusted.txt",
        "ETHUSDT_240329.csv",
        "GC futures.csv",
    ],
)
def test_a_future_is_not_taken_for_the_share_or_the_pair_of_its_letters(name: str) -> None:
    assert "--symbol" in refusal(name, table(OHLCV, NVDA))


@pytest.mark.parametrize(
    ("name", "symbol"), [("7203_T.csv", "7203.T"), ("0700_HK.csv", "0700.HK"), ("2330-TW.csv", "2330.TW")]
)
def test_a_number_with_its_country_is_a_share_of_that_country(name: str, symbol: str) -> None:
    assert list(read(name, table(OHLCV, NVDA))) == [symbol]


def test_a_change_of_the_unit_within_a_file_is_said() -> None:
    rows = [*days(120), *days(12_000, first=15)]
    assert "prices change by a factor of" in read("VOD.L.csv", table(OHLCV, rows))["VOD.L"].assumption
