"""Stores the final minutes of a live stream: bars, coverage, longer bars and position in one transaction.

This is the only writer of the live path. A backfill replaces whole windows
(:mod:`trading_platform.stores.market_data.bars`); here minutes are added as they end, and unchanged bars are not
written. Longer bars are computed in :mod:`trading_platform.stores.market_data.stream.roll_up`, outages stored in
:mod:`trading_platform.stores.market_data.completeness.outages`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl

from trading_platform.domain.time import Timeframe, Window
from trading_platform.stores.market_data import fingerprints
from trading_platform.stores.market_data.bars import bars_table, note_change
from trading_platform.stores.market_data.completeness.coverage import ROLLED_UP, multirange
from trading_platform.stores.market_data.completeness.outages import LATE_EVENTS
from trading_platform.stores.market_data.revisions import keeping_bars
from trading_platform.stores.market_data.stream.merge import differences, stored_around, without_protected
from trading_platform.stores.market_data.stream.roll_up import Candidate, candidates, roll_up_candidates
from trading_platform.stores.postgres.database import Database, execute, execute_together
from trading_platform.stores.postgres.partitions import PartitionMaker
from trading_platform.stores.postgres.sql import query

if TYPE_CHECKING:
    from sqlalchemy import Connection

_KEY = ["symbol", "time"]
_VALUES = ["open", "high", "low", "close", "volume"]
_MINUTE = Timeframe.M1.duration
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class StreamPosition:
    """How far a stream is stored.

    Attributes:
        position: where it continues in its input, in the format of the stream that committed it.
        until: all minutes before this are final.
    """

    position: Mapping[str, Any]
    until: datetime


@dataclass(frozen=True)
class Committed:
    """What a commit changed.

    Attributes:
        bars: number of bars of each timeframe that were added or changed.
        symbols: their symbols.
        withdrawn: for each symbol the minutes to be repaired because events arrived late.
    """

    bars: Mapping[Timeframe, int] = field(default_factory=dict)
    symbols: frozenset[str] = frozenset()
    withdrawn: Mapping[str, Sequence[Window]] = field(default_factory=dict)


@dataclass(frozen=True)
class Written:
    """The minute bars of one symbol that streams have written on one day.

    Attributes:
        version: increases whenever one of the bars changes.
        symbol: the symbol.
        window: from midnight UTC to the end of the stored minutes.
        stored: number of bars that streams have added.
    """

    version: int
    symbol: str
    window: Window
    stored: int


@dataclass
class _Changes:
    """The changes of one commit to the bars of one timeframe, and the windows the source has answered for."""

    timeframe: Timeframe
    source: str
    answered: Mapping[str, Sequence[Window]]
    changed: pl.DataFrame
    added: pl.DataFrame

    def requests(self) -> dict[tuple[str, datetime], list[Any]]:
        """For each symbol and day: the end of the data, the number of bars added, and whether any bar changed."""
        found: dict[tuple[str, datetime], list[Any]] = {}
        for symbol, windows in self.answered.items():
            for window in windows:
                for part in _days(window):
                    row = found.setdefault((symbol, _day(part.start)), [part.end, 0, False])
                    row[0] = max(row[0], part.end)
        for symbol, time in self.changed.select(_KEY).iter_rows():
            row = found.setdefault((symbol, _day(time)), [time, 0, False])
            row[0], row[2] = max(row[0], time + self.timeframe.duration), True
        for symbol, time in self.added.select(_KEY).iter_rows():
            found[symbol, _day(time)][1] += 1
        return found


class StreamStore:
    """Bars, coverage and positions of live streams.

    Args:
        database: the database, with the role ``ingest``.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._partitions = PartitionMaker(database)

    def position(self, stream: str) -> StreamPosition | None:
        """How far a stream is stored; None before its first commit.

        Raises:
            StoreUnavailable, StoreError: if the database is unavailable or rejects the statement.
        """
        rows = self._database.rows(query("market_data/stream/position"), {"stream": stream})
        return StreamPosition(rows[0][0], rows[0][1]) if rows else None

    def positions_of(self, source: str) -> dict[str, StreamPosition]:
        """How far the live streams of a source are stored, by name: the stream of all its symbols and those of shards.

        Raises:
            StoreUnavailable, StoreError: if the database is unavailable or rejects the statement.
        """
        rows = self._database.rows(query("market_data/stream/positions_of"), {"source": source})
        return {stream: StreamPosition(position, until) for stream, position, until in rows}

    def written_since(self, version: int, limit: int) -> list[Written]:
        """The days on which streams have changed minute bars since a version, in the order of their versions."""
        rows = self._database.rows(query("market_data/stream/written_since"), {"after": version, "rows": limit})
        return [Written(number, symbol, Window(start, end), stored) for number, symbol, start, end, stored in rows]

    def commit(
        self,
        stream: str,
        source: str,
        *,
        bars: pl.DataFrame,
        answered: Mapping[str, Sequence[Window]],
        until: datetime,
        position: Mapping[str, Any],
        now: datetime,
        late: Iterable[tuple[str, datetime]] = (),
    ) -> Committed:
        """Stores final minutes and the position in the input that follows them, in one transaction.

        Committing the same again changes nothing, whether the response to the first commit was lost or the
        process died: no bar is written twice, and no version increases that indicators are computed from.

        A stored bar is replaced only by a different one from the same source, and never if it is ``repaired``: a
        repair is authoritative for its minute. A minute without a bar deletes nothing. Each new bar and the one
        after it are marked for review by the close before it, as in a backfill.

        A longer bar is computed, or recomputed, once it has ended at ``until`` or before and any source has
        answered for all of its minutes, or for daily bars of an exchange for those of its session. It is not
        computed if a source has supplied that longer bar itself.

        Minutes with late events are removed from the coverage of ``source`` and recorded as outages that have
        ended, so that they are requested again; this is skipped if the position is the stored one already.

        Args:
            stream: name of the stream.
            source: name of the source of the bars and of ``answered``.
            bars: final bars, a frame of ``BAR_SCHEMA``, 1m, sorted by (symbol, time).
            answered: for each symbol the whole minutes in which its feed was up; a minute without a bar in them
                is confirmed empty.
            until: all minutes before this are final.
            position: where the reader continues in its input; must be serializable as JSON.
            now: current time, recorded with the commit.
            late: symbols and times of events that arrived after their minute was final.

        Raises:
            StoreUnavailable, StoreError: nothing is stored then, unless the connection was lost during the
                commit; committing the same again is correct in either case.
        """
        covered = {symbol: Window.merge(windows) for symbol, windows in answered.items() if windows}
        minutes = _late_minutes(late)
        symbols = sorted({*covered, *bars["symbol"].unique(), *minutes})
        for timeframe in Timeframe:
            self._partitions.ensure(bars_table(timeframe), bars["time"].dt.truncate(timeframe.value))
        with self._database.begin() as connection:
            calendars, locked_at = _lock(connection, symbols)
            changes = [_changes(connection, Timeframe.M1, source, bars, covered)]
            save_position = _save_position(stream, position, until, now)
            *_, moved = execute_together(connection, *_statements(changes, now, locked_at), save_position)
            longer, locked_at = _longer_bars(
                connection, candidates(calendars, _touched(bars, covered), until), locked_at
            )
            if longer:
                execute_together(connection, *_statements(longer, now, locked_at))
            changes += longer
            withdrawn = _withdraw(connection, source, minutes, now) if moved else {}
        return Committed(
            {each.timeframe: each.changed.height for each in changes if each.changed.height},
            frozenset(symbol for each in changes for symbol in each.changed["symbol"].unique()),
            withdrawn,
        )


def _lock(connection: Connection, symbols: Sequence[str]) -> tuple[dict[str, str | None], datetime]:
    """Locks the minutes of some symbols against other writers.

    Returns:
        Their calendars, None outside the universe, and the time at which they were locked.
    """
    ((locked_at,),), found = execute_together(
        connection,
        (query("market_data/stream/lock"), {"symbols": list(symbols), "timeframes": [Timeframe.M1.value]}),
        (query("market_data/stream/calendars"), {"symbols": list(symbols)}),
    )
    return dict.fromkeys(symbols) | dict(found), locked_at


def _changes(
    connection: Connection,
    timeframe: Timeframe,
    source: str,
    bars: pl.DataFrame,
    answered: Mapping[str, Sequence[Window]],
) -> _Changes:
    """The changes to the bars of one timeframe."""
    stored = stored_around(connection, timeframe, bars)
    changed = differences(stored, bars if timeframe is not Timeframe.M1 else without_protected(stored, bars))
    return _Changes(timeframe, source, answered, changed, changed.join(stored, on=_KEY, how="anti"))


def _longer_bars(
    connection: Connection, possible: Sequence[Candidate], locked_at: datetime
) -> tuple[list[_Changes], datetime]:
    """The changes to longer bars, and when these were locked; call it after their minutes are written."""
    if not possible:
        return [], locked_at
    names = sorted({each.timeframe.value for each in possible})
    symbols = sorted({each.symbol for each in possible})
    locked = {"symbols": symbols, "timeframes": names}
    ((locked_at,),) = execute(connection, query("market_data/stream/lock"), locked)
    rolled_up = roll_up_candidates(connection, possible)
    changes = [
        _changes(connection, timeframe, ROLLED_UP, bars, whole) for timeframe, (bars, whole) in rolled_up.items()
    ]
    return changes, locked_at


def _statements(changes: Sequence[_Changes], now: datetime, recorded_at: datetime) -> list[tuple[str, dict[str, Any]]]:
    """The statements that write bars, coverage and requests, for all timeframes."""
    coverage = [(each, symbol, windows) for each in changes for symbol, windows in each.answered.items()]
    requests = [(each, key, row) for each in changes for key, row in each.requests().items()]
    statements = []
    for each in changes:
        if each.changed.height:
            spans = each.changed.group_by("symbol").agg(first=pl.col("time").min(), last=pl.col("time").max())
            statements += [
                note_change(each.timeframe, spans.sort("symbol").iter_rows()),
                fingerprints.changing(each.timeframe, each.changed),
            ]
            replaced = each.changed.join(each.added, on=_KEY, how="anti")
            if not replaced.is_empty():
                statements.append(
                    keeping_bars(each.timeframe, replaced, recorded_at, "the stream sent another version")
                )
            statements.append(_upsert(each.timeframe, each.changed, recorded_at))
    if coverage:
        parameters: dict[str, Any] = {
            "symbols": [symbol for _, symbol, _ in coverage],
            "timeframes": [each.timeframe.value for each, _, _ in coverage],
            "sources": [each.source for each, _, _ in coverage],
            "answered": [multirange(windows) for _, _, windows in coverage],
        }
        statements.append((query("market_data/stream/add_answered"), parameters))
    if requests:
        parameters = {
            "symbols": [symbol for _, (symbol, _), _ in requests],
            "timeframes": [each.timeframe.value for each, _, _ in requests],
            "sources": [each.source for each, _, _ in requests],
            "days": [day for _, (_, day), _ in requests],
            "ends": [end for _, _, (end, _, _) in requests],
            "stored": [added for _, _, (_, added, _) in requests],
            "changed": [changed for _, _, (_, _, changed) in requests],
            "asked_at": now,
        }
        statements.append((query("market_data/stream/record_requests"), parameters))
    return statements


def _upsert(timeframe: Timeframe, bars: pl.DataFrame, recorded_at: datetime) -> tuple[str, dict[str, Any]]:
    columns: dict[str, Any] = {name: bars[name].to_list() for name in ("time", "symbol", "source", "quality")}
    columns["recorded_at"] = recorded_at
    return _for("market_data/stream/upsert", timeframe), columns | {
        name: bars[name].cast(pl.String).to_list() for name in _VALUES
    }


def _save_position(
    stream: str, position: Mapping[str, Any], until: datetime, now: datetime
) -> tuple[str, dict[str, Any]]:
    """The statement that saves the position; it returns a row if the stored one was different."""
    parameters = {"stream": stream, "position": json.dumps(position), "until": until, "updated_at": now}
    return query("market_data/stream/keep_position"), parameters


def _withdraw(
    connection: Connection, source: str, minutes: Mapping[str, Sequence[Window]], now: datetime
) -> Mapping[str, Sequence[Window]]:
    if not minutes:
        return {}
    withdrawn = {"source": source, "symbols": list(minutes), "withdrawn": [*map(multirange, minutes.values())]}
    execute(connection, query("market_data/stream/withdraw"), withdrawn)
    each = [(symbol, window) for symbol, windows in minutes.items() for window in windows]
    late: dict[str, Any] = {"symbols": [symbol for symbol, _ in each]}
    late |= {"starts": [window.start for _, window in each], "ends": [window.end for _, window in each]}
    execute(
        connection, query("market_data/outages/late"), {"source": source, "reason": LATE_EVENTS, "now": now, **late}
    )
    return minutes


def _late_minutes(late: Iterable[tuple[str, datetime]]) -> dict[str, list[Window]]:
    found: dict[str, set[Window]] = {}
    for symbol, time in late:
        start = time.astimezone(UTC).replace(second=0, microsecond=0)
        found.setdefault(symbol, set()).add(Window(start, start + _MINUTE))
    return {symbol: Window.merge(windows) for symbol, windows in found.items()}


def _touched(bars: pl.DataFrame, answered: Mapping[str, Sequence[Window]]) -> dict[str, list[Window]]:
    """For each symbol, the windows in which something may have changed."""
    touched = {symbol: list(windows) for symbol, windows in answered.items()}
    for symbol, time in bars.select(_KEY).iter_rows():
        windows = touched.setdefault(symbol, [])
        if not any(time in window for window in windows):
            windows.append(Window(time, time + _MINUTE))
    return {symbol: Window.merge(windows) for symbol, windows in touched.items()}


def _day(timestamp: datetime) -> datetime:
    return timestamp.replace(hour=0, minute=0, second=0, microsecond=0)


def _days(window: Window) -> Iterable[Window]:
    """A window cut at midnight, UTC."""
    start = window.start
    while start < window.end:
        end = min(_day(start) + _DAY, window.end)
        yield Window(start, end)
        start = end


def _for(name: str, timeframe: Timeframe) -> str:
    return query(name).replace("{table}", bars_table(timeframe))
