"""Fingerprints of the bars committed in each period, by which missing and modified rows are detected.

A fingerprint is the count and the checksum of the bars of a period (``sql/migrations/versions/0008_repair.sql``).
It is written in the transaction that writes the bars, from the change alone, never by reading the other stored bars:
so a missing row is still counted when its neighbour is written. :mod:`trading_platform.workflows.gaps.detect_gaps`
acts on differences.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl

from trading_platform.domain.time import Timeframe, Window
from trading_platform.stores.postgres.database import Database, execute, execute_together
from trading_platform.stores.postgres.sql import query

if TYPE_CHECKING:
    from sqlalchemy import Connection

PERIODS = {
    Timeframe.M1: timedelta(hours=1),
    Timeframe.M5: timedelta(days=1),
    Timeframe.H1: timedelta(days=7),
    Timeframe.D1: timedelta(days=28),
}
"""Span of a fingerprint, as in ``market_data.fingerprint_period``: the least that is requested again, and 20 to
288 bars, so that the table stays small compared with the bars."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBERS = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True)
class Difference:
    """A period in which the stored bars differ from the committed ones.

    Attributes:
        symbol: the symbol.
        timeframe: length of the bars.
        window: the period.
        committed: number of bars committed.
        stored: number of bars stored; if both are equal, some bars have other values.
    """

    symbol: str
    timeframe: Timeframe
    window: Window
    committed: int
    stored: int


class FingerprintStore:
    """The table ``market_data.fingerprints``.

    Args:
        database: the database; with the role ``ingest`` to write.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def differing(
        self, symbols: Sequence[str], timeframe: Timeframe, window: Window, present: datetime
    ) -> list[Difference]:
        """The periods of a window in which the stored bars differ from the committed ones, in order.

        Bars dropped because of their age are no difference.

        Args:
            symbols: the symbols.
            timeframe: length of the bars.
            window: the window, extended to whole periods.
            present: current time, which determines what is within retention.
        """
        with self._database.begin() as connection:
            return _differing(connection, symbols, timeframe, window, present)

    def withdraw(
        self, symbol: str, timeframe: Timeframe, differences: Sequence[Difference], present: datetime
    ) -> tuple[list[Difference], list[Window]]:
        """Removes differing periods from coverage, and sets their fingerprints to those of the stored bars.

        The periods are compared again with writers locked out, and all changes are made in one transaction, so that
        every period that loses its coverage becomes a gap.

        Returns:
            The periods that do differ, and the windows in them that a source had answered for.
        """
        span = Window(differences[0].window.start, max(each.window.end for each in differences))
        with self._database.begin() as connection:
            execute(connection, query("market_data/bars/lock"), {"symbol": symbol, "timeframe": timeframe.value})
            found = _differing(connection, [symbol], timeframe, span, present)
            wanted = {each.window for each in differences}
            found = [each for each in found if each.window in wanted]
            if not found:
                return [], []
            windows = Window.merge(each.window for each in found)
            spans = ",".join(f"[{each.start.isoformat()},{each.end.isoformat()})" for each in windows)
            given = {"symbol": symbol, "timeframe": timeframe.value, "windows": f"{{{spans}}}"}
            answered = [
                Window(*span) for span in execute(connection, query("market_data/fingerprints/withdrawable"), given)
            ]
            execute(connection, query("market_data/fingerprints/withdraw"), given)
            for window in windows:
                _write_whole(connection, symbol, timeframe, window, window)
        return found, answered

    def expire(self, present: datetime) -> int:
        """Deletes the fingerprints of periods dropped because of their age; returns how many."""
        with self._database.begin() as connection:
            return int(execute(connection, query("market_data/fingerprints/expire"), {"present": present})[0][0])


def delete(connection: Connection, symbol: str, timeframe: Timeframe, window: Window) -> None:
    """Before the bars of a window are replaced: subtracts them from the periods that extend beyond it."""
    inner = _inner(timeframe, window)
    edges = window.subtract([inner] if inner else [])
    if edges:
        parameters = {
            "symbol": symbol,
            "timeframe": timeframe.value,
            "starts": [edge.start for edge in edges],
            "ends": [edge.end for edge in edges],
            "first": edges[0].start,
            "last": edges[-1].end,
        }
        execute(connection, _for("market_data/fingerprints/delete_bars", timeframe), parameters)


def insert(connection: Connection, symbol: str, timeframe: Timeframe, window: Window) -> None:
    """After the bars of a window were replaced: recomputes whole periods and adds the bars to partial ones."""
    _write_whole(connection, symbol, timeframe, window, _inner(timeframe, window))


def changing(timeframe: Timeframe, bars: pl.DataFrame) -> tuple[str, dict[str, Any]]:
    """The statement to run before bars are inserted or replace stored ones, in the same transaction."""
    parameters: dict[str, Any] = {name: bars[name].to_list() for name in ("time", "symbol")}
    parameters |= {name: bars[name].cast(pl.String).to_list() for name in _NUMBERS}
    parameters |= {"first": bars["time"].min(), "last": bars["time"].max(), "timeframe": timeframe.value}
    return _for("market_data/fingerprints/change", timeframe), parameters


def periods(timeframe: Timeframe, window: Window) -> Window:
    """The whole periods that a window overlaps."""
    length = PERIODS[timeframe]
    first = window.start - (window.start - _EPOCH) % length
    return Window(first, window.end + (_EPOCH - window.end) % length)


def _differing(
    connection: Connection, symbols: Sequence[str], timeframe: Timeframe, window: Window, present: datetime
) -> list[Difference]:
    # Sums by period in memory: sorted on disk instead, millions of bars would take three times as long.
    execute(connection, "SELECT set_config('work_mem', '128MB', TRUE)")
    whole = periods(timeframe, window)
    parameters = {
        "symbols": list(symbols),
        "timeframe": timeframe.value,
        "since": whole.start,
        "until": whole.end,
        "present": present,
    }
    rows = execute(connection, _for("market_data/fingerprints/differing", timeframe), parameters)
    return [
        Difference(symbol, timeframe, Window(start, end), committed, stored)
        for symbol, start, end, committed, stored in rows
    ]


def _write_whole(
    connection: Connection, symbol: str, timeframe: Timeframe, window: Window, whole: Window | None
) -> None:
    key = {"symbol": symbol, "timeframe": timeframe.value}
    statements = [
        (_for("market_data/fingerprints/insert", timeframe), {**key, "start": window.start, "end": window.end})
    ]
    if whole is not None:
        statements.insert(
            0, (query("market_data/fingerprints/delete"), {**key, "start": whole.start, "end": whole.end})
        )
    execute_together(connection, *statements)


def _inner(timeframe: Timeframe, window: Window) -> Window | None:
    """The whole periods within a window; None if there is none."""
    length = PERIODS[timeframe]
    first = window.start + (_EPOCH - window.start) % length
    last = window.end - (window.end - _EPOCH) % length
    return Window(first, last) if first < last else None


def _for(name: str, timeframe: Timeframe) -> str:
    return query(name).replace("{table}", f"market_data.bars_{timeframe.value}")
