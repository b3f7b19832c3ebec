"""What names of files say."""

from __future__ import annotations

from datetime import date

import pytest

from trading_platform.domain.time import Timeframe
from trading_platform.sources.files.recognition.names import FileName

SYMBOLS = {
    "SPY_2008-2018_yahoo.csv": "SPY",
    "ETH_BTC-5m.feather": "ETHBTC",
    "ADABTC-1m-2021-11-27.csv": "ADABTC",
    "XBTUSD_1.csv": "BTCUSD",
    "ETHXBT_1440.csv": "ETHBTC",
    "XDGUSD.csv": "DOGEUSD",
    "XXBTZUSD_60.csv": "BTCUSD",
    "UNITTEST_BTC-1m.json": "UNITTESTBTC",
    "20131004_spy_minute_trade.csv": "SPY",
    "20131007_ibm_Quote_Tick.csv": "IBM",
    "usdjpy-m1-bid-2013.csv": "USDJPY",
    "USDJPY_m1_ask_2013_fxcm.csv": "USDJPY",
    "EURUSD_oanda_1m_2014-05_quote.csv.gz": "EURUSD",
    "DAT_ASCII_EURUSD_M1_2012.csv": "EURUSD",
    "EURUSD60.csv": "EURUSD",
    "BTC-USD.csv": "BTCUSD",
    "BRK-B.csv": "BRK.B",
    "SP500_20191106_IDayBollinger.csv": "SP500",
    "quote_tick_data.csv": None,
    "bad.csv": None,
    "prices-2020.csv": None,
    "2020-01-02.csv": None,
}


@pytest.mark.parametrize("name", SYMBOLS)
def test_symbol(name: str) -> None:
    assert FileName((f"/data/{name}",)).symbol == SYMBOLS[name]


def test_symbol_of_the_archive_where_the_member_has_none() -> None:
    assert FileName(("data.csv", "/data/KO_daily.zip")).symbol == "KO"


@pytest.mark.parametrize(
    ("name", "timeframe"),
    [
        ("KO_daily.csv", Timeframe.D1),
        ("ETH_BTC-5m.feather", Timeframe.M5),
        ("usdjpy-m1-bid.csv", Timeframe.M1),
        ("XBTUSD_60.csv", Timeframe.H1),
        ("XBTUSD_720.csv", None),
        ("KO.csv", None),
    ],
)
def test_timeframe(name: str, timeframe: Timeframe | None) -> None:
    assert FileName((name,)).timeframe is timeframe


def test_day_of_a_lean_file() -> None:
    assert FileName(("20131004_spy_minute_trade.csv",)).lean_day == date(2013, 10, 4)
    assert FileName(("20131004_spy.csv",)).lean_day is None
    assert FileName(("20139999_spy_minute_trade.csv",)).lean_day is None
