"""The latest row of features of a symbol, as Redis has it for fast reads, and how long it counts as today's.

The rows come from the files; :mod:`trading_platform.workflows.derived.publish_latest` writes them, and
:mod:`trading_platform.stores.redis.latest_features` has the keys.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import polars as pl

from trading_platform.domain.market.calendars import availability, next_session
from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.time import Timeframe

GRACE = {Timeframe.H1: timedelta(hours=1), Timeframe.D1: timedelta(days=1)}
"""How long after the next row is due a row still counts, so that a late run leaves no gap."""

Value = float | int | bool
"""A value of a feature."""


@dataclass(frozen=True)
class LatestRow:
    """The latest row of features of a symbol.

    Attributes:
        symbol: the symbol.
        timeframe: ``1h`` for an hourly row, ``1d`` for a daily one.
        time: open of the row's bar, UTC.
        available_at: when the row was available, UTC.
        values: the features that have a value.
    """

    symbol: str
    timeframe: Timeframe
    time: datetime
    available_at: datetime
    values: Mapping[str, Value]


class LatestFeatures(Protocol):
    """The latest rows, for fast reads."""

    def write(self, rows: Sequence[tuple[LatestRow, timedelta]]) -> None:
        """Writes rows, each with how long it is kept from now on; a newer row of a symbol is not replaced."""

    def read(self, symbols: Sequence[str]) -> dict[str, LatestRow] | None:
        """The kept rows of some symbols; None if nothing can be read here, as without a Redis."""


def row_of(timeframe: Timeframe, row: Mapping[str, object]) -> LatestRow:
    """A row of a feature file, as a mapping of its columns."""
    keys = ("time", "symbol", "available_at")
    values = {name: value for name, value in row.items() if name not in keys and value is not None}
    return LatestRow(row["symbol"], timeframe, row["time"], row["available_at"], values)  # type: ignore[arg-type]


def kept_until(instrument: Instrument, row: LatestRow) -> datetime:
    """The time until which a row counts as today's: when the next one is due, and :data:`GRACE`."""
    if row.timeframe is Timeframe.H1:
        due = row.available_at + row.timeframe.duration
    else:
        following = pl.DataFrame({"time": [next_session(instrument.calendar, row.time)]})
        due = availability(instrument.calendar, Timeframe.D1, following)[0]
    return due + GRACE[row.timeframe]
