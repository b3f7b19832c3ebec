"""Requests to sources, their outcomes, and the coverage that follows from them.

Coverage is the time for which a source has *answered*; it is never inferred from the last stored bar. A backfill
requests the expected time minus coverage (:mod:`trading_platform.workflows.backfill.backfill_bars`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from trading_platform.domain.time import Timeframe, Window
from trading_platform.stores.postgres.database import Database, execute
from trading_platform.stores.postgres.sql import query

if TYPE_CHECKING:
    from sqlalchemy import Connection

ROLLED_UP = "ohlcv_1m"
"""The name of the source, in coverage, of bars rolled up from shorter ones; the origin of a request names these."""


class Outcome(StrEnum):
    """Outcome of a request to a source."""

    STORED = "stored"
    EMPTY = "empty"
    FAILED = "failed"


@dataclass(frozen=True)
class Request:
    """One request to a source, with its outcome."""

    symbol: str
    timeframe: Timeframe
    source: str
    window: Window
    outcome: Outcome
    origin: str
    asked_at: datetime
    stored: int = 0
    rejected: int = 0
    changed: bool = False
    note: str | None = None


@dataclass(frozen=True)
class FailedWindow:
    """A window that no source has answered for, and why the last attempt failed."""

    symbol: str
    source: str
    window: Window
    note: str | None
    asked_at: datetime


@dataclass(frozen=True)
class SuspectWindows:
    """A window with an empty response from a source although the instrument usually trades then."""

    symbol: str
    source: str
    window: Window


class CoverageStore:
    """The tables ``market_data.coverage`` and ``market_data.coverage_requests``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def answered(self, symbol: str, timeframe: Timeframe) -> dict[str, list[Window]]:
        """For each source, the disjoint windows that it has answered for and that are within retention, in order."""
        return self._by_source("market_data/coverage/answered", symbol, timeframe)

    def settled(self, symbol: str, timeframe: Timeframe) -> dict[str, list[Window]]:
        """For each source, the disjoint windows that need no further request, even if dropped since, in order."""
        return self._by_source("market_data/coverage/settled", symbol, timeframe)

    def _by_source(self, name: str, symbol: str, timeframe: Timeframe) -> dict[str, list[Window]]:
        rows = self._database.rows(query(name), {"symbol": symbol, "timeframe": timeframe.value})
        found: dict[str, list[Window]] = {}
        for source, start, end in rows:
            found.setdefault(source, []).append(Window(start, end))
        return found

    def answered_by_any(
        self, symbols: Sequence[str], timeframe: Timeframe, present: datetime
    ) -> dict[str, list[Window]]:
        """For each symbol, the windows that any source has answered for, within retention, disjoint and in order."""
        return self._by_symbol("market_data/coverage/answered_by_any", symbols, timeframe, present)

    def expired_by_any(
        self, symbols: Sequence[str], timeframe: Timeframe, present: datetime
    ) -> dict[str, list[Window]]:
        """For each symbol, the windows with bars dropped because of their age, disjoint and in order."""
        return self._by_symbol("market_data/coverage/expired_by_any", symbols, timeframe, present)

    def _by_symbol(
        self, name: str, symbols: Sequence[str], timeframe: Timeframe, present: datetime
    ) -> dict[str, list[Window]]:
        given = {"symbols": list(symbols), "timeframe": timeframe.value, "present": present}
        rows = self._database.rows(query(name), given)
        found: dict[str, list[Window]] = {}
        for symbol, start, end in rows:
            found.setdefault(symbol, []).append(Window(start, end))
        return {symbol: Window.merge(windows) for symbol, windows in found.items()}

    def pending_confirmation(
        self, symbols: Sequence[str], timeframe: Timeframe, present: datetime
    ) -> list[SuspectWindows]:
        """Empty responses that are not yet confirmed and that no other source has answered for, in order."""
        given = {"symbols": list(symbols), "timeframe": timeframe.value, "present": present}
        rows = self._database.rows(query("market_data/coverage/pending_confirmation"), given)
        return [SuspectWindows(symbol, source, Window(start, end)) for symbol, source, start, end in rows]

    def record(
        self,
        connection: Connection,
        request: Request,
        answered: Sequence[Window] = (),
        pending_confirmation: Sequence[Window] = (),
    ) -> None:
        """Records a request, and adds to the coverage of its source.

        A request that adds to the accepted coverage counts as a change of the bars' version even if it changed none:
        time that was missing before is confirmed empty now, and what is computed across it depends on that.

        Args:
            connection: the transaction.
            request: the request and its outcome.
            answered: the accepted part of the response; a slot without a bar in it is confirmed empty.
            pending_confirmation: empty responses that have to be confirmed first
                (:mod:`trading_platform.domain.quality.inactivity`).
        """
        changed = request.changed
        if answered or pending_confirmation:
            ((added,),) = execute(
                connection,
                query("market_data/coverage/add_answered"),
                {
                    "symbol": request.symbol,
                    "timeframe": request.timeframe.value,
                    "source": request.source,
                    "answered": multirange(answered),
                    "pending_confirmation": multirange(pending_confirmation),
                },
            )
            changed |= added
        execute(
            connection,
            query("market_data/coverage/record_request"),
            {
                "symbol": request.symbol,
                "timeframe": request.timeframe.value,
                "source": request.source,
                "start": request.window.start,
                "end": request.window.end,
                "outcome": request.outcome.value,
                "stored": request.stored,
                "rejected": request.rejected,
                "changed": changed,
                "origin": request.origin,
                "note": request.note,
                "asked_at": request.asked_at,
            },
        )

    def withdraw(self, symbol: str, timeframe: Timeframe, source: str, windows: Sequence[Window]) -> None:
        """Removes windows from the coverage of a source, so that they are requested again.

        Needed when data changes outside a request: a file imported later has other bars for the same time.
        """
        with self._database.begin() as connection:
            execute(
                connection,
                query("market_data/coverage/withdraw"),
                {
                    "symbol": symbol,
                    "timeframe": timeframe.value,
                    "source": source,
                    "withdrawn": multirange(windows),
                },
            )

    def record_failure(self, request: Request) -> None:
        """Records a failed request, in a transaction of its own."""
        with self._database.begin() as connection:
            self.record(connection, request)

    def requested_symbols(self) -> dict[Timeframe, set[str]]:
        """For each timeframe, the symbols of the universe whose history was requested.

        What a stream stored, and what was requested to repair its outages, is none.
        """
        given = {"timeframes": [timeframe.value for timeframe in Timeframe]}
        rows = self._database.rows(query("market_data/coverage/requested_symbols"), given)
        found: dict[Timeframe, set[str]] = {timeframe: set() for timeframe in Timeframe}
        for symbol, timeframe in rows:
            found[Timeframe(timeframe)].add(symbol)
        return found

    def failures(self, symbols: Sequence[str], timeframe: Timeframe) -> list[FailedWindow]:
        """The windows with a failed last attempt that no source has answered for since."""
        rows = self._database.rows(
            query("market_data/coverage/failures"),
            {"symbols": list(symbols), "timeframe": timeframe.value},
        )
        return [
            FailedWindow(symbol, source, Window(start, end), note, asked_at)
            for symbol, source, start, end, note, asked_at in rows
        ]


def multirange(windows: Sequence[Window]) -> str:
    """Windows as a PostgreSQL ``tstzmultirange``."""
    spans = ",".join(f"[{window.start.isoformat()},{window.end.isoformat()})" for window in windows)
    return f"{{{spans}}}"
