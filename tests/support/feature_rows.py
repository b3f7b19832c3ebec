"""Rows of features to write and read, all of one value."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl

from trading_platform.domain.features.built_in import BUILT_IN
from trading_platform.domain.time import Window

YEAR = Window(datetime(2024, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC))


def rows(of: Window, symbol: str = "AAPL", value: float = 1.0) -> pl.DataFrame:
    """A row a day, every feature of this value."""
    times = pl.datetime_range(of.start, of.end, "1d", closed="left", time_unit="us", eager=True)
    return pl.DataFrame({"time": times}).select(
        "time",
        symbol=pl.lit(symbol),
        available_at=pl.col("time") + timedelta(days=1),
        **dict.fromkeys(BUILT_IN.names, pl.lit(value)),
    )
