"""Files in the forms that users have: symbol, length and values, or what to do."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from trading_platform.sources.files.actions.read_actions import read_actions
from trading_platform.sources.files.content.contents import open_contents
from trading_platform.sources.files.content.options import ImportOptions
from trading_platform.sources.files.reading import read_instruments

NOW = datetime(2027, 1, 1, tzinfo=UTC)
READ = {
    "01-tradingview-daily/NASDAQ_AAPL, 1D.csv": [("AAPL", "1d", 4, "2023-11-08 00:00", "182.89")],
    "01-tradingview-daily/AMEX_XLK, 1D.csv": [("XLK", "1d", 3, "2024-01-02 00:00", "187.44")],
    "03-several-tickers/all_stocks_5yr.csv": [
        ("AAPL", "1d", 2, "2013-02-08 00:00", "67.8542"),
        ("GOOGL", "1d", 3, "2013-02-08 00:00", "393.0777"),
    ],
    "06-histdata-names/DAT_ASCII_XAUUSD_M1_2020.csv": [("XAUUSD", "1m", 3, "2020-01-02 23:00", "1528.75")],
    "23-stooq/aapl.us.txt": [("AAPL", "1d", 4, "2020-01-02 00:00", "73")],
    "24-cdd-12h/Coinbase_BTCUSD_1h.csv": [("BTCUSD", "1h", 3, "2019-10-17 09:00", "7985")],
    "28-polygon-flat/2023-01-09.csv": [
        ("TTMI", "1d", 1, "2023-01-09 00:00", "16.08"),
        ("AAPL", "1d", 1, "2023-01-09 00:00", "130.15"),
    ],
}


@pytest.mark.parametrize("name", READ)
def test_a_file_is_read(test_data: Path, name: str) -> None:
    (content,) = open_contents(test_data / "user_files" / name)
    readings = read_instruments(content, ImportOptions(), now=NOW, zone_of=lambda _symbol: "America/New_York")
    found = [
        (
            reading.symbol,
            str(reading.timeframe),
            reading.bars.height,
            f"{reading.bars['time'][0]:%Y-%m-%d %H:%M}",
            f"{reading.bars['close'][0].normalize():f}",
        )
        for reading in readings
    ]
    assert found == READ[name]
    assert all(reading.quarantined == 0 for reading in readings)


def test_hours_from_the_sessions_open_are_refused_with_what_to_do(test_data: Path) -> None:
    (content,) = open_contents(test_data / "user_files/20-yfinance-1h/MSFT_1h.csv")
    (reading,) = read_instruments(content, ImportOptions(), now=NOW, zone_of=lambda _symbol: "America/New_York")
    assert reading.accepted == 0
    assert "import 1m bars" in reading.rejected["detail"][0]


@pytest.mark.parametrize("name", ["TTNP_yfinance_actions.csv", "ttnp_actions.csv"])
def test_a_rounded_reverse_split_is_one_to_thirty(test_data: Path, name: str) -> None:
    (content,) = open_contents(test_data / "user_files/16-decimal-split-ratio" / name)
    (action,) = read_actions(content, "TTNP", lambda _symbol: "XNYS").actions
    assert action.ratio is not None
    assert (action.ratio.numerator, action.ratio.denominator) == (1, 30)
