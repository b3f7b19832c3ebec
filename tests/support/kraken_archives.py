"""Bulk archives as Kraken offers them for download, written of a market's own candles and trades."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from trading_platform.domain.time import Window
from trading_platform.simulator.market import Market, nanoseconds
from trading_platform.simulator.pairs import LOT_DECIMALS, Pair, find_pair, units_text

MINUTES = (1, 5, 15, 30, 60, 240, 720, 1440)
"""The intervals that Kraken's OHLCVT archives have."""


def pair_of(market: Market, symbol: str) -> Pair:
    pair = find_pair(market.pairs, symbol)
    assert pair is not None
    return pair


def ohlcvt_rows(market: Market, symbol: str, minutes: int, window: Window) -> list[str]:
    """``time,open,high,low,close,volume,trades``, seconds and no header; intervals without trades are absent."""
    pair = pair_of(market, symbol)
    until = nanoseconds(window.end) - 1
    candles = market.candles(pair, minutes, int(window.start.timestamp()), until)
    columns = (candles.time, candles.open, candles.high, candles.low, candles.close, candles.volume, candles.count)
    return [
        f"{time},{','.join(units_text(price, pair.price_decimals) for price in prices)},"
        f"{units_text(volume, LOT_DECIMALS)},{count}"
        for time, *prices, volume, count in zip(*(column.tolist() for column in columns), strict=True)
        if count
    ]


def trade_rows(market: Market, symbol: str, window: Window) -> list[str]:
    """``time,price,volume``, seconds with their fraction and no header."""
    pair = pair_of(market, symbol)
    trades = market.trades_after(pair, nanoseconds(window.start) - 1, nanoseconds(window.end) - 1, 10**9)
    return [
        f"{units_text(time // 1000, 6)},{units_text(price, pair.price_decimals)},{units_text(quantity, LOT_DECIMALS)}"
        for time, price, quantity in zip(
            trades.time.tolist(), trades.price.tolist(), trades.quantity.tolist(), strict=True
        )
    ]


def write_zip(path: Path, members: Mapping[str, Iterable[str]]) -> Path:
    """A ZIP of these members, each of these rows."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, rows in members.items():
            archive.writestr(name, "".join(f"{row}\n" for row in rows))
    return path


def write_ohlcvt(
    path: Path, market: Market, symbols: Sequence[str], window: Window, minutes: Sequence[int] = (1, 15, 1440)
) -> Path:
    """An OHLCVT archive."""
    return write_zip(
        path,
        {
            f"{pair_of(market, symbol).altname}_{length}.csv": ohlcvt_rows(market, symbol, length, window)
            for symbol in symbols
            for length in minutes
        },
    )


def write_trades(path: Path, market: Market, symbols: Sequence[str], window: Window) -> Path:
    """An archive of trades."""
    names = {symbol: f"{pair_of(market, symbol).altname}.csv" for symbol in symbols}
    return write_zip(path, {name: trade_rows(market, symbol, window) for symbol, name in names.items()})


def days_before(timestamp: datetime, first: float, last: float) -> Window:
    """From so many days before a moment to so many, whole minutes."""
    whole = timestamp.replace(second=0, microsecond=0)
    return Window(whole - timedelta(days=first), whole - timedelta(days=last))
