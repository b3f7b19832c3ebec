"""Real and made-up daily bars for the tests of indicators and features."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from trading_platform.domain.market.bars import BAR_SCHEMA, PRICE, PRICES
from trading_platform.domain.market.calendars import expected_times
from trading_platform.domain.time import Timeframe, Window

EPOCH = datetime(2015, 1, 1, tzinfo=UTC)


def session_days(start: datetime, end: datetime, calendar: str = "XNYS") -> list[datetime]:
    """The sessions of an exchange, which files of its bars have bars of."""
    return expected_times(calendar, Timeframe.D1, Window(start, end)).to_list()


def years_of_days(path: Path) -> Path:
    """Writes a file of daily bars of New York that takes some seconds to work on."""
    sessions = session_days(datetime(1995, 1, 1, tzinfo=UTC), datetime(2020, 1, 1, tzinfo=UTC))
    path.write_text("\n".join(["date,open,high,low,close,volume", *(f"{day:%Y-%m-%d},1,1,1,1,1" for day in sessions)]))
    return path


def read_daily(path: Path, symbol: str) -> pl.DataFrame:
    """The bars of a CSV whose first column is the date; prices keep their decimals."""
    raw = pl.read_csv(path, infer_schema=False)
    raw = raw.rename({raw.columns[0]: "date"}).rename(str.lower)
    return raw.select(
        time=pl.col("date").str.head(10).str.to_datetime("%Y-%m-%d", time_unit="us", time_zone="UTC"),
        symbol=pl.lit(symbol),
        timeframe=pl.lit("1d"),
        **{name: pl.col(name).str.to_decimal(scale=8).cast(PRICE) for name in PRICES},
        volume=pl.col("volume"),
        source=pl.lit("file"),
        quality=pl.lit("traded"),
    ).cast(BAR_SCHEMA)  # type: ignore[arg-type]


def bars_of(
    close: Sequence[float],
    symbol: str = "TEST",
    *,
    spread: float = 0.0,
    volume: Sequence[float | None] | None = None,
    start: datetime = EPOCH,
    step: timedelta = timedelta(days=1),
    timeframe: str = "1d",
) -> pl.DataFrame:
    """Bars with these closes, reaching the share ``spread`` above and below."""
    size = len(close)
    return pl.DataFrame(
        {
            "time": [start + index * step for index in range(size)],
            "symbol": [symbol] * size,
            "timeframe": [timeframe] * size,
            "open": close,
            "high": [value * (1 + spread) for value in close],
            "low": [value * (1 - spread) for value in close],
            "close": close,
            "volume": [1000.0] * size if volume is None else volume,
            "source": ["file"] * size,
            "quality": ["traded"] * size,
        },
        schema_overrides={name: pl.Float64() for name in (*PRICES, "volume")},
    ).cast(BAR_SCHEMA)  # type: ignore[arg-type]
