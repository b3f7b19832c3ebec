"""Bars whose values are known, invented or of real files: what the files of the fuzzer over readers say.

:mod:`market_files` writes them.
"""

from __future__ import annotations

import csv
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

PRICES = ("open", "high", "low", "close")
PAIRS = frozenset("EURUSD USDJPY BTCUSD ETHUSDT ADABTC SHIBUSDT".split())
STEPS = {"1d": timedelta(days=1), "1h": timedelta(hours=1), "1m": timedelta(minutes=1), "5m": timedelta(minutes=5)}


@dataclass(frozen=True)
class Row:
    """One bar: open in UTC, prices, volume and the number of ticks."""

    time: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    ticks: int

    @property
    def turnover(self) -> Decimal:
        return (self.volume * (self.high + self.low) / 2).quantize(Decimal("0.0001"))


@dataclass(frozen=True)
class Truth:
    """Bars of one symbol."""

    symbol: str
    timeframe: str
    rows: list[Row]


def invented(chance: random.Random) -> Truth:
    """Bars of an invented market: the usual sizes of prices, steps and volumes."""
    symbol, level, decimals, timeframe = chance.choice(
        [
            ("SPY", 330, 2, "1d"),
            ("KO", 52, 4, "1d"),
            ("EURUSD", 1.17, 5, "1h"),
            ("USDJPY", 110, 3, "1m"),
            ("BTCUSD", 64_000, 1, "1h"),
            ("BTCUSD", 995, 2, "1m"),
            ("ETHUSDT", 433, 2, "1h"),
            ("ADABTC", 0.00002853, 8, "1m"),
            ("SHIBUSDT", 0.00002654, 8, "1h"),
            ("FUND", 1_210, 2, "1d"),
            ("FUND", 1_001, 0, "1d"),
            ("INDEXX", 12_345, 3, "5m"),
            ("PENNY", 0.17, 4, "1d"),
        ]
    )
    unit = Decimal(1).scaleb(-decimals)
    step = STEPS[timeframe]
    time = datetime(chance.randint(2012, 2024), chance.randint(1, 12), chance.randint(1, 28), tzinfo=UTC)
    price, rows = Decimal(str(level)), []
    whole = chance.random() < 0.7

    def moved(price: Decimal, size: float) -> Decimal:
        return max((price * Decimal(str(1 + chance.gauss(0, size)))).quantize(unit), unit)

    for _ in range(chance.randint(3, 40)):
        opening, closing = moved(price, 0.002), moved(price, 0.006)
        high = max(opening, closing, moved(max(opening, closing), 0.003))
        low = min(opening, closing, moved(min(opening, closing), 0.003))
        volume = Decimal(chance.randint(1, 5_000_000)) if whole else Decimal(chance.randint(1, 10**9)).scaleb(-5)
        rows.append(Row(time, opening, high, low, closing, volume, chance.randint(1, 9_000)))
        time, price = time + step * (1 if chance.random() < 0.93 else 3), closing
    return Truth(symbol, timeframe, rows)


REAL = [
    # path, symbol, timeframe, separator, lines to skip, columns of time … volume
    ("daily/KO_daily.csv", "KO", "1d", ",", 1, (0, 1, 2, 3, 4, 5)),
    ("daily/SPY_2008-2018_yahoo.csv", "SPY", "1d", ",", 1, (0, 1, 2, 3, 4, 6)),
    ("daily/GOOG_2004-2013.csv", "GOOG", "1d", ",", 1, (0, 1, 2, 3, 4, 5)),
    ("hourly/EURUSD_1h_2017-2018.csv", "EURUSD", "1h", ",", 1, (0, 1, 2, 3, 4, 5)),
    ("minute/ADABTC-1m-2021-11-27.csv", "ADABTC", "1m", ",", 0, (0, 1, 2, 3, 4, 5)),
    ("user_files/01-tradingview-daily/AMEX_XLK, 1D.csv", "XLK", "1d", ",", 1, (0, 1, 2, 3, 4, 5)),
    ("user_files/05-mt5-volume/EURUSD_H1_202603020000_202603020400.csv", "EURUSD", "1h", "\t", 1, (0, 2, 3, 4, 5, 6)),
    ("user_files/09-cryptodatadownload/Binance_ETHUSDT_1h.csv", "ETHUSDT", "1h", ",", 2, (1, 3, 4, 5, 6, 7)),
    ("user_files/11-tiny-prices/SHIBUSDT_1h.csv", "SHIBUSDT", "1h", ",", 1, (0, 1, 2, 3, 4, 5)),
    ("user_files/12-tokyo-lunch/TYO7203_1m.csv", "TYO7203", "1m", ",", 1, (0, 1, 2, 3, 4, 5)),
    ("user_files/16-decimal-split-ratio/TTNP_daily.csv", "TTNP", "1d", ",", 1, (0, 1, 2, 3, 4, 5)),
    ("user_files/18-eastern-minutes/IBM_intraday_1min.csv", "IBM", "1m", ",", 1, (0, 1, 2, 3, 4, 5)),
    ("user_files/23-stooq/aapl.us.txt", "AAPL", "1d", ",", 1, (2, 4, 5, 6, 7, 8)),
]


def real(folder: Path, chance: random.Random) -> Truth:
    """Consecutive bars of a real file, read here by the positions of its columns."""
    path, symbol, timeframe, separator, skipped, columns = chance.choice(REAL)
    with (folder / path).open(encoding="utf-8-sig", newline="") as file:
        lines = [fields for fields in csv.reader(file, delimiter=separator) if fields][skipped:]
    start = chance.randrange(max(1, len(lines) - 40))
    rows = []
    for fields in lines[start : start + chance.randint(3, 40)]:
        stamp, *numbers = (fields[index] for index in columns)
        clock = fields[1] if separator == "\t" else ""
        prices = [Decimal(text) for text in numbers[:4]]
        sound = prices[2] <= min(prices[0], prices[3]) <= max(prices[0], prices[3]) <= prices[1]
        if sound and prices[2] > 0:
            rows.append(Row(_stamp(f"{stamp} {clock}".strip(), timeframe), *prices, Decimal(numbers[4]), 7))
    ordered = sorted({row.time: row for row in rows}.values(), key=lambda row: row.time)
    return Truth(symbol, timeframe, ordered)


def _stamp(text: str, timeframe: str) -> datetime:
    if text.isdigit() and len(text) > 8:
        time = datetime.fromtimestamp(int(text) / 1000, UTC)
    else:
        time = datetime.fromisoformat(text.replace(".", "-"))
    time = time.replace(tzinfo=UTC)
    return time.replace(hour=0, minute=0) if timeframe == "1d" else time
