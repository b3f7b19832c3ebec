"""Vendors' names of files, and what they say about the market."""

from __future__ import annotations

import pytest

from trading_platform.domain.market.instruments import AssetClass
from trading_platform.domain.time import Timeframe
from trading_platform.sources.files.recognition.names import FileName

SYMBOLS = {
    # TradingView
    "NASDAQ_AAPL, 1D.csv": ("AAPL", Timeframe.D1),
    "AMEX_XLK, 1D.csv": ("XLK", Timeframe.D1),
    "NYSE_BRK.B, 60.csv": ("BRK.B", Timeframe.H1),
    "FX_IDC_EURUSD, 5.csv": ("EURUSD", Timeframe.M5),
    "BINANCE_BTCUSDT, 1_3f2a.csv": ("BTCUSDT", Timeframe.M1),
    "TVC_DXY, 1D (2).csv": ("DXY", Timeframe.D1),
    # HistData
    "DAT_ASCII_XAUUSD_M1_2020.csv": ("XAUUSD", Timeframe.M1),
    "DAT_MT_EURUSD_M1_201912.csv": ("EURUSD", Timeframe.M1),
    "DAT_ASCII_SPXUSD_M1_2020.zip": ("SPXUSD", Timeframe.M1),
    # Investing.com
    "XAUUSD Historical Data.csv": ("XAUUSD", None),
    "EUR_USD Historical Data (3).csv": ("EURUSD", None),
    "SPY Historical Data.csv": ("SPY", None),
    # CryptoDataDownload
    "Binance_ETHUSDT_1h.csv": ("ETHUSDT", Timeframe.H1),
    "Coinbase_BTCUSD_d.csv": ("BTCUSD", Timeframe.D1),
    "Bitstamp_XBTUSD_2021_minute.csv": ("BTCUSD", Timeframe.M1),
    # Stooq
    "aapl.us.txt": ("AAPL", None),
    "brk-b.us.txt": ("BRK.B", None),
    "7203.jp.txt": ("7203.JP", None),
    "aapl_us_d.csv": ("AAPL", Timeframe.D1),
    "^spx_d.csv": ("SPX", Timeframe.D1),
    # MetaTrader, Dukascopy
    "EURUSDm_H1_202603020000_202603020400.csv": ("EURUSD", Timeframe.H1),
    "EURUSD_Candlestick_1_M_BID_01.01.2020-31.12.2020.csv": ("EURUSD", Timeframe.M1),
    "AAPL.USUSD_Candlestick_1_D_BID_01.01.2020-31.12.2020.csv": ("AAPL", Timeframe.D1),
    # Yahoo
    "BTC-USD.csv": ("BTCUSD", None),
    "7203.T.csv": ("7203.T", None),
    "0700.HK.csv": ("0700.HK", None),
    "^GSPC.csv": ("GSPC", None),
    "EURUSD=X.csv": ("EURUSD", None),
    # others
    "daily_IBM.csv": ("IBM", Timeframe.D1),
    "currency_daily_BTC_EUR.csv": ("BTCEUR", Timeframe.D1),
    "BTCUSDT-aggTrades-2021-01.csv": ("BTCUSDT", None),
    "BTCUSD_PERP-1m-2021-11.csv": ("BTCUSD-PERP", Timeframe.M1),
    "BTC-PERP.csv": ("BTC-PERP", None),
    "KO_D.csv": ("KO", None),
    "GOOGL_1min_RTH.csv": ("GOOGL", Timeframe.M1),
}

AMBIGUOUS = {
    "NASDAQ.csv": ("NASDAQ",),
    "INDEX.csv": ("INDEX",),
    "AAPL_MSFT.csv": ("AAPL", "MSFT"),
    "SHIB-USD.csv": ("SHIBUSD", "SHIB"),
    "KO-D.csv": ("KO", "D"),
    "S&P 500 Historical Data.csv": ("S&P 500",),
    "BTC_USDT_USDT-1h-futures.feather": ("BTCUSDT-PERP", "BTCUSDT"),
    "CME_MINI_ES1!, 1D.csv": ("ES1!",),
    "EURUSD_GBPUSD.csv": ("EURUSD", "GBPUSD"),
}


@pytest.mark.parametrize("name", SYMBOLS)
def test_the_symbol_in_a_vendors_name(name: str) -> None:
    found = FileName((name,))
    assert (found.symbol, found.timeframe) == SYMBOLS[name]
    assert found.candidates == ()


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_a_name_of_several_meanings_has_no_symbol(name: str) -> None:
    found = FileName((name,))
    assert found.symbol is None
    assert found.candidates == AMBIGUOUS[name]


@pytest.mark.parametrize("name", ["600519.csv", "prices.csv", "ES=F.csv", "2023-01-09.csv", "DATA.csv", "spy.csv"])
def test_a_name_without_a_symbol(name: str) -> None:
    found = FileName((name,))
    assert found.symbol is None
    assert found.candidates == ()


@pytest.mark.parametrize(
    ("name", "market"),
    [
        ("NASDAQ_QQQ, 1D.csv", (AssetClass.EQUITY, "XNYS")),
        ("XETR_SAP, 1D.csv", (AssetClass.EQUITY, "XETR")),
        ("TSE_7203, 1D.csv", (AssetClass.EQUITY, "XTKS")),
        ("OANDA_XAUUSD, 1D.csv", (AssetClass.FX, "FX")),
        ("Binance_PEPEUSDT_1h.csv", (AssetClass.CRYPTO, "24/7")),
        ("CAPITALCOM_US100, 5.csv", None),
    ],
)
def test_the_market_in_a_vendors_name(name: str, market: tuple[AssetClass, str] | None) -> None:
    vendor = FileName((name,)).vendor
    assert vendor is not None
    assert vendor.market == market
