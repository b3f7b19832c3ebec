"""A year of daily bars of three instruments, stored with their indicators."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import polars as pl

from trading_platform.domain.derived.indicators import compute_indicators
from trading_platform.domain.market.bars import BAR_SCHEMA
from trading_platform.domain.market.calendars import sessions
from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.domain.time import Timeframe, Window
from trading_platform.stores.stores import Stores

YEAR = Window(datetime(2024, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC))
INSTRUMENTS = (
    Instrument("AAPL", AssetClass.EQUITY, "XNYS", "file"),
    Instrument("BRK.B", AssetClass.EQUITY, "XNYS", "file"),
    Instrument("BTCUSD", AssetClass.CRYPTO, "24/7", "kraken", tick_size=Decimal("0.1")),
)


def bars_of(instrument: Instrument, price: Callable[[int], Decimal]) -> pl.DataFrame:
    """Daily bars of the year, whose closes are those of a function of their number."""
    rows = [
        (day, instrument.symbol, "1d", close, close + 1, close - 1, close, Decimal(1_000), "file", "traded")
        for number, day in enumerate(sessions(instrument.calendar, YEAR)["session"])
        if (close := price(number))
    ]
    return pl.DataFrame(rows, schema=BAR_SCHEMA, orient="row")


def store(stores: Stores, bars: pl.DataFrame, reason: str = "a test") -> None:
    """Stores daily bars of one symbol for the whole year, with their indicators."""
    symbol = str(bars["symbol"][0])
    stores.bars.prepare(Timeframe.D1, bars)
    stores.indicators.prepare(Timeframe.D1, bars["time"])
    with stores.database.begin() as connection:
        stores.bars.replace(connection, symbol, Timeframe.D1, YEAR, bars, reason=reason)
        stores.indicators.replace(connection, [symbol], Timeframe.D1, YEAR, compute_indicators(bars))
