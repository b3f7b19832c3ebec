"""Stores every rejected row with its reason, so that nothing is lost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import polars as pl

from trading_platform.domain.market.bars import TIME
from trading_platform.domain.quality.rules import REJECTED_SCHEMA
from trading_platform.domain.time import Timeframe, Window
from trading_platform.stores.postgres.database import Database, copy_frame, driver, execute
from trading_platform.stores.postgres.sql import query

if TYPE_CHECKING:
    from sqlalchemy import Connection

_STAGING = {
    "source": pl.String(),
    "symbol": pl.String(),
    "timeframe": pl.String(),
    "origin": pl.String(),
    **REJECTED_SCHEMA,
}
_READ_SCHEMA: dict[str, pl.DataType] = {
    "recorded_at": TIME,
    "source": pl.String(),
    "symbol": pl.String(),
    "timeframe": pl.String(),
    "time": TIME,
    "origin": pl.String(),
    "line": pl.Int64(),
    "reason": pl.String(),
    "detail": pl.String(),
    "record": pl.String(),
    "row_count": pl.Int64(),
}


class QuarantineStore:
    """The table ``market_data.quarantine``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(
        self, rejected: pl.DataFrame, *, source: str, symbol: str | None, timeframe: str | None, origin: str
    ) -> int:
        """Stores rejected rows (frame of ``REJECTED_SCHEMA``); storing the same rows again changes nothing.

        Returns:
            How many of them are new.
        """
        with self._database.begin() as connection:
            return self.add(connection, rejected, source=source, symbol=symbol, timeframe=timeframe, origin=origin)

    def add(
        self,
        connection: Connection,
        rejected: pl.DataFrame,
        *,
        source: str,
        symbol: str | None,
        timeframe: str | None,
        origin: str,
    ) -> int:
        """As :meth:`record`, in the caller's transaction."""
        if rejected.is_empty():
            return 0
        execute(
            connection,
            "CREATE TEMPORARY TABLE IF NOT EXISTS quarantine_staging"
            " (source text, symbol text, timeframe text, origin text, line bigint, time timestamptz,"
            " reason text, detail text, record text, row_count bigint) ON COMMIT DELETE ROWS",
        )
        staged = rejected.with_columns(
            source=pl.lit(source),
            symbol=pl.lit(symbol, dtype=pl.String()),
            timeframe=pl.lit(timeframe, dtype=pl.String()),
            origin=pl.lit(origin),
        ).select(_STAGING.keys())
        # PostgreSQL's text cannot hold a NUL, which a damaged file may have.
        staged = staged.with_columns(pl.col("record", "detail", "origin").str.replace_all("\x00", "\\0", literal=True))
        copy_frame(connection, "quarantine_staging", staged)
        with driver(connection).cursor() as cursor:
            cursor.execute(query("market_data/quarantine/record").encode())
            added = cursor.rowcount
            cursor.execute(b"TRUNCATE quarantine_staging")
        return added

    def read(self, symbol: str | None = None, timeframe: Timeframe | None = None, limit: int = 1000) -> pl.DataFrame:
        """Rejected rows, newest first, with their position in the origin and the reason."""
        return self._database.read(
            query("market_data/quarantine/read"),
            {"symbol": symbol, "timeframe": timeframe.value if timeframe else None, "limit": limit},
            _READ_SCHEMA,
        )

    def first_of(self, origins: Sequence[str], limit: int) -> list[tuple[str, int | None, str, str | None, str | None]]:
        """The first rejected rows of some origins: origin, line, reason, detail and the row itself, in order."""
        return self._database.rows(
            query("market_data/quarantine/first_of_origins"), {"origins": list(origins), "limit": limit}
        )

    def times(self, symbols: Sequence[str], timeframe: Timeframe, window: Window) -> pl.DataFrame:
        """``symbol`` and ``time`` of the rejected bars in the window."""
        return self._database.read(
            query("market_data/quarantine/times"),
            {
                "symbols": list(symbols),
                "timeframe": timeframe.value,
                "step": timeframe.duration,
                "start": window.start,
                "end": window.end,
            },
            {"symbol": pl.String(), "time": TIME},
        )
