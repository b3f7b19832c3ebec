"""A source of calm daily bars of New York, two years of them, that can be set to give broken ones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl

from trading_platform.domain.market.bars import BAR_SCHEMA
from trading_platform.domain.market.calendars import sessions
from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.quality.rules import empty_rejected
from trading_platform.domain.time import Timeframe, Window
from trading_platform.sources.base import BarResponse

HISTORY = Window(datetime(2020, 1, 1, tzinfo=UTC), datetime(2022, 1, 1, tzinfo=UTC))
"""What it offers."""


class CalmExchange:
    """The source; ``broken`` is a day whose high is below its low, as a faulty client might give it."""

    name = "file"

    def __init__(self) -> None:
        self.broken: datetime | None = None

    def longest_request(self, _timeframe: Timeframe) -> timedelta:
        return timedelta(days=36500)

    def available_history(self, _instrument: Instrument, timeframe: Timeframe) -> tuple[Window, ...]:
        return () if timeframe.is_intraday else (HISTORY,)

    def bars(self, instrument: Instrument, timeframe: Timeframe, window: Window) -> BarResponse:
        bars = (
            sessions("XNYS", window)
            .select(time="session")
            .with_columns(
                symbol=pl.lit(instrument.symbol),
                timeframe=pl.lit(timeframe.value),
                open=pl.lit(100),
                high=pl.when(pl.col("time").eq_missing(self.broken)).then(1).otherwise(101),
                low=pl.lit(99),
                close=pl.lit(100) + (pl.col("time").dt.ordinal_day() % 7 - 3) * 0.1,
                volume=pl.lit(5),
                source=pl.lit(self.name),
                quality=pl.lit("traded"),
            )
            .select(pl.col(name).cast(dtype) for name, dtype in BAR_SCHEMA.items())
        )
        return BarResponse(bars, empty_rejected(), (window,), "test")
