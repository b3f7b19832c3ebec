"""Reads and writes indicators, one column per indicator.

They are defined in :mod:`trading_platform.domain.derived.indicators`; the view ``market_data.indicators`` has them
in narrow form, one value per row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import polars as pl

from trading_platform.domain.derived.indicators import INDICATOR_NAMES, INDICATOR_SCHEMA
from trading_platform.domain.time import Timeframe, Window
from trading_platform.stores.market_data.bars import bars_table
from trading_platform.stores.market_data.revisions import RECORDED, changes_of_indicators, replacing_indicators
from trading_platform.stores.postgres.database import Database, copy_frame, execute, read_frame
from trading_platform.stores.postgres.partitions import PartitionMaker
from trading_platform.stores.postgres.sql import query

if TYPE_CHECKING:
    from sqlalchemy import Connection

_BEGINNING = datetime(1, 1, 1, tzinfo=UTC)
_KEY = ("time", "symbol", "timeframe")


def indicators_table(timeframe: Timeframe) -> str:
    """The table that holds the indicators of a timeframe."""
    return f"market_data.indicators_{timeframe.value}"


@dataclass(frozen=True)
class Lacking:
    """A partition with bars without indicators.

    Attributes:
        symbol: the symbol.
        window: the partition.
        first: open of the first such bar.
        inside: open of the first such bar after the first indicators of the symbol; None if there is none.
        latest: open of the last bar of the symbol with indicators; None if there is none.
        begun: whether the partition has any indicators.
    """

    symbol: str
    window: Window
    first: datetime
    inside: datetime | None
    latest: datetime | None
    begun: bool


class IndicatorStore:
    """The indicators in ``market_data.indicators_1m … indicators_1d``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._partitions = PartitionMaker(database)

    def prepare(self, timeframe: Timeframe, times: pl.Series) -> None:
        """Creates the partitions for rows that a transaction is about to store; call it before the transaction."""
        self._partitions.ensure(indicators_table(timeframe), times)

    def read(
        self, symbols: Sequence[str], timeframe: Timeframe, window: Window, names: Sequence[str] | None = None
    ) -> pl.DataFrame:
        """``time``, ``symbol``, ``timeframe`` and the named indicators (all by default), sorted by (symbol, time)."""
        columns = [*_KEY, *(INDICATOR_NAMES if names is None else names)]
        return self._database.read(
            _read(timeframe, columns), _within(symbols, window), {name: INDICATOR_SCHEMA[name] for name in columns}
        )

    def last_times(self, symbols: Sequence[str], timeframe: Timeframe, since: datetime) -> dict[str, datetime]:
        """For each symbol with indicators at or after ``since``, the open of the last bar that has them."""
        statement = query("market_data/indicators/last_times").replace("{table}", indicators_table(timeframe))
        return dict(self._database.rows(statement, {"symbols": list(symbols), "since": since}))

    def lacking(self, symbols: Sequence[str], timeframe: Timeframe, since: datetime | None = None) -> list[Lacking]:
        """The partitions with bars without indicators, by symbol and time.

        Args:
            symbols: the symbols.
            timeframe: length of the bars.
            since: open of the first bars to examine; None means the whole history.
        """
        statement = query("market_data/indicators/missing").replace("{table}", indicators_table(timeframe))
        statement = statement.replace("{bars}", bars_table(timeframe))
        unit = "month" if timeframe.is_intraday else "year"
        given = {"symbols": list(symbols), "since": since or _BEGINNING, "unit": unit}
        with self._database.begin() as connection:
            # Bars are joined with indicators in memory: on disk, millions of them would take several times as long.
            execute(connection, "SELECT set_config('work_mem', '128MB', TRUE)")
            rows = execute(connection, statement, given)
        return [Lacking(symbol, Window(start, end), *rest) for symbol, start, end, *rest in rows]

    def replace(
        self,
        connection: Connection,
        symbols: Sequence[str],
        timeframe: Timeframe,
        window: Window,
        indicators: pl.DataFrame,
    ) -> None:
        """Replaces all indicators of the symbols in a window by ``indicators`` (frame of ``INDICATOR_SCHEMA``).

        Only rows that differ are written; those that differ by more than two computations may are kept as revisions
        (:mod:`trading_platform.stores.market_data.revisions`).
        """
        locked = {"symbols": sorted(symbols), "timeframe": timeframe.value}
        ((now,),) = execute(connection, query("market_data/indicators/lock"), locked)
        schema = {**INDICATOR_SCHEMA, **RECORDED}
        stored = read_frame(connection, _read(timeframe, schema), _within(symbols, window), schema)
        replaced, new = changes_of_indicators(stored, indicators, now)
        if not replaced.is_empty():
            execute(connection, *replacing_indicators(timeframe, replaced, now))
        copy_frame(connection, indicators_table(timeframe), new)


def _read(timeframe: Timeframe, columns: Iterable[str]) -> str:
    statement = query("market_data/indicators/read").replace("{table}", indicators_table(timeframe))
    return statement.replace("{columns}", ", ".join(columns))


def _within(symbols: Sequence[str], window: Window) -> dict[str, object]:
    return {"symbols": list(symbols), "start": window.start, "end": window.end}
