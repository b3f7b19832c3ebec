"""yfinance's tables of splits and dividends."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.market.corporate_actions import CorporateAction
from trading_platform.sources.files.actions.action_rows import ActionsReading
from trading_platform.sources.files.actions.read_actions import read_actions
from trading_platform.sources.files.content.contents import FileContent


def read(text: str, symbol: str | None = "KO") -> ActionsReading:
    return read_actions(FileContent(Path("actions.csv"), None, text.encode), symbol, lambda _symbol: "XNYS")


def found(reading: ActionsReading) -> list[tuple[str, str, str | Fraction]]:
    def value(action: CorporateAction) -> str | Fraction:
        return action.ratio if action.ratio is not None else str(Decimal(action.amount or 0).normalize())

    return [(f"{action.ex_date:%Y-%m-%d}", action.symbol, value(action)) for action in reading.actions]


def test_a_reverse_split() -> None:
    reading = read("Date,Dividends,Stock Splits\n2020-12-01 00:00:00-05:00,0.0,0.033333\n")
    assert found(reading) == [("2020-12-01", "KO", Fraction(1, 30))]
    assert (reading.format, reading.rows, reading.rejected.height) == ("yfinance", 1, 0)
    assert reading.actions[0].known_at == datetime(2020, 12, 1, 5, tzinfo=UTC)


def test_dividends_are_those_paid() -> None:
    text = "Date,Dividends,Stock Splits\n2012-08-09 00:00:00-04:00,0.094643,0.0\n2014-06-09,0.0,7.0\n"
    reading = read(f"{text}2020-08-07,0.205,0\n2020-08-31,0,4.0\n2020-11-06,0.205,nan\n")
    assert found(reading) == [
        ("2014-06-09", "KO", Fraction(7)),
        ("2020-08-31", "KO", Fraction(4)),
        ("2012-08-09", "KO", "2.65"),
        ("2020-08-07", "KO", "0.82"),
        ("2020-11-06", "KO", "0.205"),
    ]


def test_a_price_history_with_actions_and_several_tickers() -> None:
    text = "Date,Ticker,Open,High,Low,Close,Volume,Dividends,Stock Splits\n"
    text += "2024-06-10 00:00:00-04:00,NVDA,1,1,1,1,1,0.0,10.0\n2024-06-11,NVDA,1,1,1,1,1,0.01,0.0\n"
    reading = read(f"{text}2024-06-11,BRK-B,1,1,1,1,1,0.5,0.0\n", symbol=None)
    assert found(reading) == [
        ("2024-06-10", "NVDA", Fraction(10)),
        ("2024-06-11", "NVDA", "0.01"),
        ("2024-06-11", "BRK.B", "0.5"),
    ]


def test_dividends_without_splits_are_refused_and_splits_alone_are_read() -> None:
    reading = read("Date,Dividends\n2012-08-09,0.094643\n")
    assert reading.rejected["reason"].to_list() == ["unsupported"]
    assert "adjusted for later splits" in reading.rejected["detail"][0]
    assert found(read("Date,Stock Splits\n2020-08-31,4:1\n2014-06-09,7/1\n")) == [
        ("2020-08-31", "KO", Fraction(4)),
        ("2014-06-09", "KO", Fraction(7)),
    ]


def test_rows_that_are_no_actions_are_rejected() -> None:
    reading = read("Date,Dividends,Stock Splits\nyesterday,0.5,0\n2020-01-02,x,0\n2020-01-03,0,0.3\n")
    assert reading.actions == ()
    assert reading.rejected["reason"].to_list() == ["unreadable_time", "unreadable_number", "unsupported"]
    assert reading.rejected["line"].to_list() == [2, 3, 4]


def test_the_symbol_has_to_be_known() -> None:
    with pytest.raises(InvalidRequest, match="does not contain the symbol"):
        read("Date,Dividends,Stock Splits\n2020-12-01,0.0,2.0\n", symbol=None)
