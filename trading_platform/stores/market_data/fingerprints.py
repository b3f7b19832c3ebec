"""What was committed of bars in each period, so that lost and changed rows are noticed.

A fingerprint is a count and a sum over the bars of a period (``sql/migrations/versions/0008_repair.sql``),
written in the transaction that writes the bars and by what changes, never by reading anew what else is
stored: a row that missing_or_modified is still counted when its neighbour is written. Who acts on a difference:
:mod:`trading_platform.workflows.gaps.detect_gaps`.
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
"""Span of a fingerprint, as ``market_data.fingerprint_period`` has it: what is asked for anew at least, and 20 to
288 bars, so that the table stays small beside the bars."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBERS = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True)
class Difference:
    """A period whose stored bars are not those that were committed.

    Attributes:
        symbol: whose bars.
        timeframe: their length.
        window: the period.
        committed: how many bars there should be.
        stored: how many there are; where both are equal, some have other values.
    """

    symbol: str
    timeframe: Timeframe
    window: Window
    committed: int
    stored: int


class FingerprintStore:
    """The table ``market_data.fingerprints``.

    Args:
        database: where; as the role ``ingest`` to write.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def differing(
        self, symbols: Sequence[str], timeframe: Timeframe, window: Window, present: datetime
    ) -> list[Difference]:
        """The periods that begin in a window and are not stored as they were committed, in order.

        What was dropped because of its age is no difference.

        Args:
            symbols: whose bars.
            timeframe: their length.
            window: where to look, cut outwards to whole periods.
            present: by which it is judged what must still be held.
        """
        with self._database.begin() as connection:
            return _differing(connection, symbols, timeframe, window, present)

    def withdraw(
        self, symbol: str, timeframe: Timeframe, differences: Sequence[Difference], present: datetime
    ) -> tuple[list[Difference], list[Window]]:
        """Makes work of what differs: coverage lets go of it, and its fingerprint becomes that of what is there.

        Looked at again with writers kept off, and all or nothing, so that what is forgotten is always work.

        Returns:
            Those that differ indeed, and for which time in them somebody had answered.
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
            known = [
                Window(*span) for span in execute(connection, query("market_data/fingerprints/withdrawable"), given)
            ]
            execute(connection, query("market_data/fingerprints/withdraw"), given)
            for window in windows:
                _write_whole(connection, symbol, timeframe, window, window)
        return found, known

    def expire(self, present: datetime) -> int:
        """Forgets what was dropped because of its age; how many periods."""
        with self._database.begin() as connection:
            return int(execute(connection, query("market_data/fingerprints/expire"), {"present": present})[0][0])


def delete(connection: Connection, symbol: str, timeframe: Timeframe, window: Window) -> None:
    """Before the bars of a window are replaced: takes them out of the periods that reach beyond it."""
    inner = _inner(timeframe, window)
    edges = window.subtract([inner] if inner else [])
    if edges:
        parameters = {
            "symbol": symbol,
            "timeframe": timeframe.value,
            "starts": [edge.start for edge in edges],
            "ends": [edge.end for edge in edges],
        }
        execute(connection, _for("market_data/fingerprints/delete_bars", timeframe), parameters)


def insert(connection: Connection, symbol: str, timeframe: Timeframe, window: Window) -> None:
    """After the bars of a window were replaced: whole periods are what is there now, others gain it."""
    _write_whole(connection, symbol, timeframe, window, _inner(timeframe, window))


def changing(timeframe: Timeframe, bars: pl.DataFrame) -> tuple[str, dict[str, Any]]:
    """The statement to run before bars are added, or replace stored ones of their time, in one transaction."""
    parameters: dict[str, Any] = {name: bars[name].to_list() for name in ("time", "symbol")}
    parameters |= {name: bars[name].cast(pl.String).to_list() for name in _NUMBERS}
    return _for("market_data/fingerprints/change", timeframe), {**parameters, "timeframe": timeframe.value}


def periods(timeframe: Timeframe, window: Window) -> Window:
    """The whole periods that a window touches."""
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
    """The whole periods inside a window."""
    length = PERIODS[timeframe]
    first = window.start + (_EPOCH - window.start) % length
    last = window.end - (window.end - _EPOCH) % length
    return Window(first, last) if first < last else None


def _for(name: str, timeframe: Timeframe) -> str:
    return query(name).replace("{table}", f"market_data.bars_{timeframe.value}")
