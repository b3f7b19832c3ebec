"""Retention of bars, indicators and the hourly aggregate.

The rules are rows of ``config.retention``. Functions of the database work on chunks and partitions
(``sql/migrations/versions/0004_lifecycle.sql``): by TimescaleDB's policies, or called from here.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from trading_platform.domain.errors import StoreBusy
from trading_platform.domain.time import Sleep, Timeframe, Window
from trading_platform.stores.market_data.completeness.coverage import multirange
from trading_platform.stores.postgres.database import Database, execute
from trading_platform.stores.postgres.roles import needs_owner
from trading_platform.stores.postgres.sql import query

GRACE = timedelta(days=2)
"""How long work may be due before it is overdue: policies and the scheduled asset run once a day, perhaps late."""

_PAUSES = (0.5, 1, 2, 4, 8, 15, 30)
"""Seconds to wait for another refresh: a minute, in which those of some months of minutes end."""


@dataclass(frozen=True)
class TableStatus:
    """Content of one table, and the retention work that is due.

    Attributes:
        table: table in ``market_data``.
        timeframe: timeframe of the rule it follows.
        rows: number of rows.
        first: time of the first row, UTC.
        last: time of the last row, UTC.
        bytes: size on disk, including indexes.
        chunk: span of a chunk or partition, as text.
        chunks: number of chunks or partitions.
        compressed: number of compressed chunks; None where the database cannot compress.
        compress_after: age at which a chunk is compressed, as text.
        keep: age at which a chunk is dropped, as text; None: never.
        due_to_compress: number of chunks to be compressed; None where the database cannot compress.
        due_to_drop: number of chunks to be dropped.
        overdue: number of chunks that have been due for either for more than ``GRACE``.
        newest_end: end of the newest chunk; None without any.
        next_compression: next run of the compression policy.
        next_retention: next run of the retention policy.
    """

    table: str
    timeframe: Timeframe
    rows: int
    first: datetime | None
    last: datetime | None
    bytes: int
    chunk: str
    chunks: int
    compressed: int | None
    compress_after: str
    keep: str | None
    due_to_compress: int | None
    due_to_drop: int
    overdue: int
    newest_end: datetime | None
    next_compression: datetime | None
    next_retention: datetime | None


@dataclass(frozen=True)
class Dropped:
    """A partition that was dropped because of its age."""

    table: str
    window: Window
    rows: int


class RetentionStore:
    """Retention of the tables in ``config.retention``.

    Args:
        database: the database, with the role of the process.
        owner: the database as the owner of the schema, who alone may change tables; None if only a role is
            configured.
        sleep: waits while another process refreshes the hours; an argument so that tests control time.
    """

    def __init__(self, database: Database, owner: Database | None, *, sleep: Sleep = time.sleep) -> None:
        self._database = database
        self._owner_if_configured = owner
        self._sleep = sleep

    @property
    def _owner(self) -> Database:
        if self._owner_if_configured is None:
            raise needs_owner()
        return self._owner_if_configured

    def uses_timescaledb(self) -> bool:
        """Whether TimescaleDB enforces the rules by its policies."""
        return bool(self._database.rows("SELECT market_data.uses_timescaledb()")[0][0])

    def applied_by(self) -> str:
        """What applies the rules, in words."""
        found = self._database.rows("SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'")
        if self.uses_timescaledb():
            return f"the policies of TimescaleDB {found[0][0]}"
        return "the asset `retention`, which the schedule `maintenance` runs each night"

    def note_expired(self, present: datetime) -> None:
        """Updates coverage for dropped bars: their time is no longer within retention nor confirmed empty."""
        with self._database.begin() as connection:
            execute(connection, query("market_data/retention/note_expired"), {"present": present})

    def still_held(self, timeframe: Timeframe, windows: Sequence[Window], present: datetime) -> bool:
        """Whether no bar of some windows has been dropped; called after reading them, it proves the read complete."""
        parameters = {"timeframe": timeframe.value, "windows": multirange(windows), "present": present}
        return bool(self._database.rows(query("market_data/retention/still_held"), parameters)[0][0])

    def held(self, timeframe: Timeframe, window: Window, present: datetime) -> list[Window]:
        """The parts of a window within retention or not dropped yet: bars stored there are still stored."""
        given = {"timeframe": timeframe.value, "start": window.start, "end": window.end, "present": present}
        return [Window(start, end) for start, end in self._database.rows(query("market_data/retention/held"), given)]

    def ensure_policies(self) -> list[str]:
        """Brings TimescaleDB's policies in line with the rules; returns the changes, as text."""
        with self._owner.begin() as connection:
            return [change for (change,) in execute(connection, "SELECT market_data.ensure_policies()")]

    def make_partitions_ahead(self, present: datetime) -> int:
        """Creates the current and the next two partitions of each table; returns how many. TimescaleDB needs none."""
        with self._owner.begin() as connection:
            made = execute(connection, "SELECT market_data.make_partitions_ahead(%(present)s)", {"present": present})
        return made[0][0] or 0

    def refresh_hours(self, present: datetime) -> None:
        """Refreshes ``market_data.ohlcv_1h`` from the changed 1m bars, except hours with dropped minutes.

        What is due is in the database (``market_data.ohlcv_1h_changes``, and TimescaleDB's log of changes), so that it
        is not lost if this fails or the process dies: call it whether anything changed or not.

        With TimescaleDB only the owner may refresh the aggregate; if only a role is configured, this refreshes the
        hours that TimescaleDB's policy does not reach, and the policy the others.

        Raises:
            StoreBusy: if another refresh of the same hours has not ended within a minute.
        """
        if not self.uses_timescaledb():
            with self._database.begin() as connection:
                execute(connection, "SELECT market_data.refresh_ohlcv_1h(%(present)s)", {"present": present})
            return
        for pause in _PAUSES:
            try:
                self._refresh_aggregate(present)
            except StoreBusy:
                self._sleep(pause)
            else:
                return
        self._refresh_aggregate(present)

    def _refresh_aggregate(self, present: datetime) -> None:
        # In a session of its own, because the refresh commits step by step and cannot run in a transaction.
        with (self._owner_if_configured or self._database).session() as connection:
            if not execute(connection, query("market_data/retention/lock_refresh"))[0][0]:
                raise _refresh_in_progress()
            statement = query("market_data/retention/refresh_old_hours")
            ((start, end),) = execute(connection, statement, {"present": present})
            if self._owner_if_configured is not None:
                execute(
                    connection,
                    "CALL refresh_continuous_aggregate('market_data.ohlcv_1h', %(start)s, %(end)s)",
                    {"start": start, "end": end},
                )

    def drop_expired(self, present: datetime) -> list[Dropped]:
        """Drops the partitions beyond retention; nothing where TimescaleDB's policies do it."""
        with self._owner.begin() as connection:
            rows = execute(connection, "SELECT * FROM market_data.drop_expired(%(present)s)", {"present": present})
        return [Dropped(table, Window(start, end), count) for table, start, end, count in rows]

    def status(self, present: datetime) -> list[TableStatus]:
        """Content of each table and the work that is due, by timeframe."""
        timescaledb = self.uses_timescaledb()
        with self._owner.begin() as connection:
            rules = execute(connection, query("market_data/retention/tables"), {"present": present, "grace": GRACE})
            jobs = execute(connection, query("market_data/retention/jobs")) if timescaledb else []
            sizes = query("market_data/retention/size_timescaledb" if timescaledb else "market_data/retention/size")
            next_run = {(table, policy): timestamp for table, policy, timestamp in jobs}
            found = []
            for (
                table,
                timeframe,
                chunk,
                compress,
                keep,
                chunks,
                compressed,
                to_compress,
                to_drop,
                overdue,
                newest,
            ) in rules:
                column = "bucket" if table.startswith("ohlcv") else "time"
                stored = query("market_data/retention/stored").replace("{table}", table).replace("{time}", column)
                ((rows, first, last),) = execute(connection, stored)
                ((size,),) = execute(connection, sizes, {"table": table})
                found.append(
                    TableStatus(
                        table=table,
                        timeframe=Timeframe(timeframe),
                        rows=rows,
                        first=first,
                        last=last,
                        bytes=size or 0,
                        chunk=_words(chunk),
                        chunks=chunks,
                        compressed=compressed if timescaledb else None,
                        compress_after=_words(compress),
                        keep=_words(keep) if keep else None,
                        due_to_compress=to_compress if timescaledb else None,
                        due_to_drop=to_drop,
                        overdue=overdue,
                        newest_end=newest,
                        next_compression=next_run.get((table, "policy_compression")),
                        next_retention=next_run.get((table, "policy_retention")),
                    )
                )
        return found


def _words(interval: str) -> str:
    """An interval as PostgreSQL writes it, with months spelled out."""
    return re.sub(r"\bmon(s?)\b", r"month\1", interval)


def _refresh_in_progress() -> StoreBusy:
    return StoreBusy(
        "Another process refreshes the hours of market_data.ohlcv_1h; what is due stays recorded.",
        remedy="run the same again, or leave it to the next refresh, at the latest that of the schedule `maintenance`",
    )
