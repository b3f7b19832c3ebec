"""Sinks of a replay's final minutes: the database, or memory for display.

The replay itself is :mod:`trading_platform.streaming.replay.replay`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import polars as pl

from trading_platform.domain.market.bars import empty_bars
from trading_platform.domain.market.live.final_minutes import FinalMinutes
from trading_platform.domain.quality.listed_rows import ListedRows
from trading_platform.domain.time import Clock, Timeframe
from trading_platform.stores.market_data.quarantine import QuarantineStore
from trading_platform.stores.market_data.stream.store import StreamStore


class FinalMinutesSink(Protocol):
    """Takes final minutes, each exactly once."""

    def position(self, stream: str) -> Mapping[str, Any] | None:
        """The last committed state of the bar builder; None before the first commit."""

    def commit(self, stream: str, source: str, minutes: FinalMinutes, position: Mapping[str, Any]) -> None:
        """Takes minutes and the position after them, atomically."""

    def reject(self, source: str, symbol: str | None, rejected: pl.DataFrame, origin: str) -> None:
        """Takes rejected rows, a frame of ``REJECTED_SCHEMA``; the same rows may come again."""


class StoreSink:
    """Writes final minutes to the database and rejected rows to the quarantine.

    Args:
        stream: stores bars, coverage and position in one transaction.
        quarantine: stores rejected rows.
        clock: returns the current time, for the coverage.
    """

    def __init__(self, stream: StreamStore, quarantine: QuarantineStore, clock: Clock) -> None:
        self._stream = stream
        self._quarantine = quarantine
        self._clock = clock
        self._listed: dict[str, ListedRows] = {}

    def position(self, stream: str) -> Mapping[str, Any] | None:
        """The position in the database."""
        stored = self._stream.position(stream)
        return None if stored is None else stored.position

    def commit(self, stream: str, source: str, minutes: FinalMinutes, position: Mapping[str, Any]) -> None:
        """Stores minutes and position in one transaction."""
        self._stream.commit(
            stream,
            source,
            bars=minutes.bars,
            answered=minutes.covered,
            until=minutes.until,
            position=position,
            now=self._clock(),
            late=minutes.late_minutes(),
        )

    def reject(self, source: str, symbol: str | None, rejected: pl.DataFrame, origin: str) -> None:
        """Stores each rejected row once, up to a number for each file."""
        rows = self._listed.setdefault(origin, ListedRows()).all_of(rejected)
        self._quarantine.record(rows, source=source, symbol=symbol, timeframe=Timeframe.M1.value, origin=origin)


@dataclass
class MemorySink:
    """Holds final minutes in memory, for display or a file; stores nothing."""

    minutes: list[FinalMinutes] = field(default_factory=list)
    positions: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    rejected: list[pl.DataFrame] = field(default_factory=list)

    def position(self, stream: str) -> Mapping[str, Any] | None:
        """The position that was committed to this sink."""
        return self.positions.get(stream)

    def commit(self, stream: str, source: str, minutes: FinalMinutes, position: Mapping[str, Any]) -> None:  # noqa: ARG002
        """Appends the minutes and sets the position."""
        self.minutes.append(minutes)
        self.positions[stream] = position

    def reject(self, source: str, symbol: str | None, rejected: pl.DataFrame, origin: str) -> None:  # noqa: ARG002
        """Appends the rejected rows."""
        self.rejected.append(rejected)

    def bars(self) -> pl.DataFrame:
        """All bars, sorted by (symbol, time)."""
        return pl.concat([empty_bars(), *(minutes.bars for minutes in self.minutes)]).sort("symbol", "time")
