"""Where the final minutes of a replay go: the database, or memory for a look.

The replay itself: :mod:`trading_platform.streaming.replay`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import polars as pl

from trading_platform.domain.market.bar_builder import FinalMinutes
from trading_platform.domain.market.bars import empty_bars
from trading_platform.domain.time import Clock, Timeframe
from trading_platform.stores.market_data.quarantine import QuarantineStore
from trading_platform.stores.market_data.stream.store import StreamStore


class FinalMinutesSink(Protocol):
    """Where final minutes go, each exactly once."""

    def position(self, stream: str) -> Mapping[str, Any] | None:
        """The state of the bars' builder that was committed last; None before the first."""

    def commit(self, stream: str, source: str, minutes: FinalMinutes, position: Mapping[str, Any]) -> None:
        """Takes minutes and the position after them, both or neither."""

    def reject(self, source: str, symbol: str | None, rejected: pl.DataFrame, origin: str) -> None:
        """Takes refused rows, a frame of ``REJECTED_SCHEMA``; the same rows may come again."""


class StoreSink:
    """Final minutes into the database, refused rows into the quarantine.

    Args:
        stream: stores bars, coverage and position in one transaction.
        quarantine: where refused rows go.
        clock: tells the time, for the record.
    """

    def __init__(self, stream: StreamStore, quarantine: QuarantineStore, clock: Clock) -> None:
        self._stream = stream
        self._quarantine = quarantine
        self._clock = clock

    def position(self, stream: str) -> Mapping[str, Any] | None:
        """The stored one."""
        kept = self._stream.position(stream)
        return None if kept is None else kept.position

    def commit(self, stream: str, source: str, minutes: FinalMinutes, position: Mapping[str, Any]) -> None:
        """In one transaction."""
        self._stream.commit(
            stream,
            source,
            bars=minutes.bars,
            answered=minutes.answered,
            until=minutes.until,
            position=position,
            now=self._clock(),
            late=minutes.late_minutes(),
        )

    def reject(self, source: str, symbol: str | None, rejected: pl.DataFrame, origin: str) -> None:
        """Once each."""
        self._quarantine.record(rejected, source=source, symbol=symbol, timeframe=Timeframe.M1.value, origin=origin)


@dataclass
class MemorySink:
    """Final minutes kept in memory, to be shown or written to a file; nothing is stored."""

    minutes: list[FinalMinutes] = field(default_factory=list)
    positions: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    rejected: list[pl.DataFrame] = field(default_factory=list)

    def position(self, stream: str) -> Mapping[str, Any] | None:
        """What was committed here."""
        return self.positions.get(stream)

    def commit(self, stream: str, source: str, minutes: FinalMinutes, position: Mapping[str, Any]) -> None:  # noqa: ARG002
        """Keeps them."""
        self.minutes.append(minutes)
        self.positions[stream] = position

    def reject(self, source: str, symbol: str | None, rejected: pl.DataFrame, origin: str) -> None:  # noqa: ARG002
        """Keeps them."""
        self.rejected.append(rejected)

    def bars(self) -> pl.DataFrame:
        """All bars, sorted by (symbol, time)."""
        return pl.concat([empty_bars(), *(minutes.bars for minutes in self.minutes)]).sort("symbol", "time")
