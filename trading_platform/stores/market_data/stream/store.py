"""Stores what a live stream has found final: bars, what it proves, longer bars and its position, all or nothing.

The only writer of the live path. A backfill replaces whole windows (:mod:`trading_platform.stores.market_data.bars`);
here minutes are added as they end, and nothing is written that is there already. Longer bars are
:mod:`trading_platform.stores.market_data.stream.roll_up`, outages :mod:`trading_platform.stores.market_data.outages`.
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
from trading_platform.stores.market_data.bars import bars_table
from trading_platform.stores.market_data.coverage import ROLLED_UP, multirange
from trading_platform.stores.market_data.outages import LATE_EVENTS
from trading_platform.stores.market_data.stream.merge import differences, stored_around, without_kept
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
        position: where in its input it goes on, in the words of whoever committed it.
        until: all minutes before this are final.
    """

    position: Mapping[str, Any]
    until: datetime


@dataclass(frozen=True)
class Committed:
    """What a commit changed.

    Attributes:
        bars: how many bars of each timeframe were added or became others; none for what was there already.
        symbols: whose.
        withdrawn: for each symbol the minutes that are to be repaired because events came late.
    """

    bars: Mapping[Timeframe, int] = field(default_factory=dict)
    symbols: frozenset[str] = frozenset()
    withdrawn: Mapping[str, Sequence[Window]] = field(default_factory=dict)


@dataclass(frozen=True)
class Written:
    """What streams have written of one symbol's minute bars on one day.

    Attributes:
        version: moves on whenever one of the bars changes.
        symbol: whose.
        window: from midnight UTC to the end of what is stored.
        stored: how many bars streams have added.
    """

    version: int
    symbol: str
    window: Window
    stored: int


@dataclass
class _Told:
    """What is told of the bars of one timeframe: where they changed and where the source has answered."""

    timeframe: Timeframe
    source: str
    answered: Mapping[str, Sequence[Window]]
    changed: pl.DataFrame
    added: pl.DataFrame

    def requests(self) -> dict[tuple[str, datetime], list[Any]]:
        """End of what was told, bars added and whether any changed, for each symbol and day."""
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
    """Bars, coverage and position of live streams.

    Args:
        database: where; as the role ``ingest``.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._partitions = PartitionMaker(database)

    def position(self, stream: str) -> StreamPosition | None:
        """How far a stream is stored; None before its first commit.

        Raises:
            StoreUnavailable, StoreError: if the database does not answer, or refuses.
        """
        rows = self._database.rows(query("market_data/stream/position"), {"stream": stream})
        return StreamPosition(rows[0][0], rows[0][1]) if rows else None

    def positions_of(self, source: str) -> dict[str, StreamPosition]:
        """How far the live streams of a source are stored, by name: that of all its symbols, and those of shares.

        Raises:
            StoreUnavailable, StoreError: if the database does not answer, or refuses.
        """
        rows = self._database.rows(query("market_data/stream/positions_of"), {"source": source})
        return {stream: StreamPosition(position, until) for stream, position, until in rows}

    def written_since(self, version: int, limit: int) -> list[Written]:
        """The days whose minute bars streams have changed since a version, in the order of their versions."""
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

        Committing the same again changes nothing, whether the answer to the first commit was lost or the
        process died: no bar is written twice, and no version moves on from which indicators are computed.

        A bar that is stored already is replaced only by one of the same source that differs, and never if it
        is ``repaired``: what somebody asked a source for afterwards is the whole truth of that minute. A minute
        without a bar takes nothing away. Each new bar, and the one after it, is judged by the close before
        it (``review``), as a backfill judges it.

        A longer bar is made, or made again, when its last minute is before ``until`` and all of its minutes,
        or for daily bars of an exchange those of its session, have been answered for by anybody. It is left
        alone where a source has given that longer bar itself.

        Minutes with late events are taken out of what ``source`` has answered for and noted as outages that
        are over, so that they are asked for anew; that is skipped if the position is the stored one already.

        Args:
            stream: name of the stream, whose position this is.
            source: name of the bars' source; ``answered`` counts for it.
            bars: final bars, a frame of ``BAR_SCHEMA``, 1m, sorted by (symbol, time).
            answered: for each symbol whole minutes in which its feed was up; there a minute without a bar is
                proven empty.
            until: all minutes before this are final.
            position: what the reader of the input needs to go on, as JSON can hold it.
            now: the present, for the record.
            late: symbols and times of events that came when their minute was final.

        Raises:
            StoreUnavailable, StoreError: nothing was stored then, unless the connection was lost while the
                commit was on its way; committing the same again is right in either case.
        """
        known = {symbol: Window.merge(windows) for symbol, windows in answered.items() if windows}
        minutes = _late_minutes(late)
        symbols = sorted({*known, *bars["symbol"].unique(), *minutes})
        for timeframe in Timeframe:
            self._partitions.ensure(bars_table(timeframe), bars["time"].dt.truncate(timeframe.value))
        with self._database.begin() as connection:
            calendars = _lock(connection, symbols)
            told = [_prepare(connection, Timeframe.M1, source, bars, known)]
            *_, moved = execute_together(connection, *_writing(told, now), _keeping(stream, position, until, now))
            told += _longer(connection, candidates(calendars, _touched(bars, known), until))
            if told[1:]:
                execute_together(connection, *_writing(told[1:], now))
            withdrawn = _withdraw(connection, source, minutes, now) if moved else {}
        return Committed(
            {each.timeframe: each.changed.height for each in told if each.changed.height},
            frozenset(symbol for each in told for symbol in each.changed["symbol"].unique()),
            withdrawn,
        )


def _lock(connection: Connection, symbols: Sequence[str]) -> dict[str, str | None]:
    """Keeps other writers off the minutes of some symbols; their calendars, None for those outside the universe."""
    _, found = execute_together(
        connection,
        (query("market_data/stream/lock"), {"symbols": list(symbols), "timeframes": [Timeframe.M1.value]}),
        (query("market_data/stream/calendars"), {"symbols": list(symbols)}),
    )
    return dict.fromkeys(symbols) | dict(found)


def _prepare(
    connection: Connection,
    timeframe: Timeframe,
    source: str,
    bars: pl.DataFrame,
    answered: Mapping[str, Sequence[Window]],
) -> _Told:
    """What is to be written of the bars of one timeframe."""
    stored = stored_around(connection, timeframe, bars)
    changed = differences(stored, bars if timeframe is not Timeframe.M1 else without_kept(stored, bars))
    return _Told(timeframe, source, answered, changed, changed.join(stored, on=_KEY, how="anti"))


def _longer(connection: Connection, possible: Sequence[Candidate]) -> list[_Told]:
    """What is to be written of longer bars, once their minutes are."""
    if not possible:
        return []
    names = sorted({each.timeframe.value for each in possible})
    symbols = sorted({each.symbol for each in possible})
    execute(connection, query("market_data/stream/lock"), {"symbols": symbols, "timeframes": names})
    made = roll_up_candidates(connection, possible)
    return [_prepare(connection, timeframe, ROLLED_UP, bars, whole) for timeframe, (bars, whole) in made.items()]


def _writing(told: Sequence[_Told], now: datetime) -> list[tuple[str, dict[str, Any]]]:
    """The statements that write bars, add to coverage and to the record of requests, for all timeframes."""
    answers = [(each, symbol, windows) for each in told for symbol, windows in each.answered.items()]
    requests = [(each, key, row) for each in told for key, row in each.requests().items()]
    statements = []
    for each in told:
        if each.changed.height:
            statements += [fingerprints.changing(each.timeframe, each.changed), _upsert(each.timeframe, each.changed)]
    if answers:
        parameters: dict[str, Any] = {
            "symbols": [symbol for _, symbol, _ in answers],
            "timeframes": [each.timeframe.value for each, _, _ in answers],
            "sources": [each.source for each, _, _ in answers],
            "answered": [multirange(windows) for _, _, windows in answers],
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


def _upsert(timeframe: Timeframe, bars: pl.DataFrame) -> tuple[str, dict[str, Any]]:
    columns: dict[str, Any] = {name: bars[name].to_list() for name in ("time", "symbol", "source", "quality")}
    return _for("market_data/stream/upsert", timeframe), columns | {
        name: bars[name].cast(pl.String).to_list() for name in _VALUES
    }


def _keeping(stream: str, position: Mapping[str, Any], until: datetime, now: datetime) -> tuple[str, dict[str, Any]]:
    """The statement that keeps the position, and gives a row if it was another."""
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
    """Where something may have changed, of each symbol."""
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
