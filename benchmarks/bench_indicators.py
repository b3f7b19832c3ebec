"""Speed of computing indicators from database to database, against a plain script.

The platform's side is the workflow of the asset, with everything out of date. The baseline copies the prices out as
CSV, parses them, loops over the symbols with TA-Lib for fourteen values, and copies these into a table with the same
columns, keys and indexes; it has no warm-up and no input versions, and uses TA-Lib's own conventions for MACD and
ADX.
"""

from __future__ import annotations

import numpy as np
import polars as pl
import psycopg
import talib
from common import (
    EPOCH,
    SOURCE,
    Figure,
    arguments,
    empty_tables,
    instrument,
    minutes,
    minutes_window,
    new_stores,
    on_database,
    own_servers,
    random_bars,
    seconds,
    show,
    symbols,
)

from trading_platform.domain.derived.indicators import INDICATOR_NAMES
from trading_platform.domain.quality.rules import empty_rejected
from trading_platform.domain.time import Timeframe, partition_windows, utc_now
from trading_platform.sources.base import BarResponse
from trading_platform.stores.stores import Stores
from trading_platform.workflows.backfill.store_response import store_response
from trading_platform.workflows.derived.compute_indicators import compute_indicators_of

TARGET = 0.6
OURS = "market_data.indicators_1m"
THEIRS = "market_data.bare_indicators"


def main() -> None:
    """Measures and prints the result."""
    given = arguments(__doc__)
    sizes = [(5, 2_000)] if given.quick else [(50, 10_000), (1, 500_000)]
    figures: list[Figure] = []
    with (
        own_servers() as (settings, endpoints),
        new_stores(endpoints, "bench", settings.root / "features") as stores,
        psycopg.connect(on_database(endpoints.database_url, "bench")) as connection,
    ):
        connection.execute(f"CREATE TABLE {THEIRS} (LIKE {OURS} INCLUDING ALL)")
        connection.commit()
        for count, length in sizes:
            rounds = given.rounds or (2 if given.quick else 5)
            figures.append(_compare(stores, connection, count, length, rounds=rounds))
    show("Indicators, database to database", figures, quick=given.quick)


def _compare(stores: Stores, connection: psycopg.Connection, count: int, length: int, *, rounds: int) -> Figure:
    names, window = symbols(count), minutes_window(length)
    partitions = partition_windows(Timeframe.M1, window)
    empty_tables(connection, "market_data.bars_1m", "market_data.coverage", "market_data.coverage_requests")
    times = minutes(length)
    for name in names:
        response = BarResponse(random_bars(name, times, Timeframe.M1), empty_rejected(), (window,), "memory")
        store_response(stores, SOURCE, instrument(name), Timeframe.M1, window, response, EPOCH)
    connection.execute("ANALYZE market_data.bars_1m")
    connection.commit()

    ours: list[float] = []
    theirs: list[float] = []
    for number in range(rounds + 1):
        empty_tables(connection, OURS, THEIRS, "market_data.input_versions")
        own = seconds(lambda: compute_indicators_of(stores, names, Timeframe.M1, partitions, clock=utc_now))
        empty_tables(connection, OURS, THEIRS)
        bare = seconds(lambda: _bare(connection))
        if number:  # the first round warms caches and the server's files
            ours.append(own)
            theirs.append(bare)
    return Figure(f"{count} × {length:,} bars, 14 indicators", ours, theirs, TARGET)


def _bare(connection: psycopg.Connection) -> None:
    with connection.cursor() as cursor:
        query = "SELECT time, symbol, high, low, close FROM market_data.bars_1m ORDER BY symbol, time"
        with cursor.copy(f"COPY ({query}) TO STDOUT (FORMAT csv)") as copy:
            body = b"".join(bytes(block) for block in copy)
        floats = dict.fromkeys(("high", "low", "close"), pl.Float64())
        bars = pl.read_csv(body, has_header=False, schema={"time": pl.String(), "symbol": pl.String(), **floats})
        parts = [
            bars[rows].select("time", "symbol", timeframe=pl.lit("1m")).with_columns(_talib(bars[rows]))
            for rows in _runs(bars["symbol"])
        ]
        text = pl.concat(parts).write_csv(include_header=False).encode()
        columns = ", ".join(("time", "symbol", "timeframe", *INDICATOR_NAMES))
        with cursor.copy(f"COPY {THEIRS} ({columns}) FROM STDIN (FORMAT csv)") as copy:
            copy.write(text)
    connection.commit()


def _runs(names: pl.Series) -> list[slice]:
    ends = np.cumsum(names.rle().struct.field("len").to_numpy())
    return [slice(start, end) for start, end in zip([0, *ends[:-1]], ends, strict=True)]


def _talib(bars: pl.DataFrame) -> list[pl.Series]:
    high, low, close = (bars[name].to_numpy() for name in ("high", "low", "close"))
    macd, signal, histogram = talib.MACD(close)
    upper, middle, lower = talib.BBANDS(close, 20)
    values = {
        "sma_20": talib.SMA(close, 20),
        "sma_50": talib.SMA(close, 50),
        "sma_200": talib.SMA(close, 200),
        "ema_12": talib.EMA(close, 12),
        "ema_26": talib.EMA(close, 26),
        "rsi_14": talib.RSI(close, 14),
        "macd_line": macd,
        "macd_signal": signal,
        "macd_hist": histogram,
        "atr_14": talib.ATR(high, low, close, 14),
        "bb_upper": upper,
        "bb_middle": middle,
        "bb_lower": lower,
        "adx_14": talib.ADX(high, low, close, 14),
    }
    return [pl.Series(name, values[name], nan_to_null=True) for name in INDICATOR_NAMES]


if __name__ == "__main__":
    main()
