"""How long bars, indicators and the hourly aggregate live (data-architecture §3.1, §3.3).

The rules are rows of ``config.retention``; the work on chunks and partitions is done in the database
(``sql/migrations/versions/0004_lifecycle.sql``): by TimescaleDB's policies, or by what is called here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from trading_platform.domain.time import Timeframe, Window
from trading_platform.stores.market_data.coverage import multirange
from trading_platform.stores.postgres.database import Database, execute
from trading_platform.stores.postgres.roles import needs_owner
from trading_platform.stores.postgres.sql import query

GRACE = timedelta(days=2)
"""How long something may be due: policies and the scheduled asset run once a day, and may be late."""


@dataclass(frozen=True)
class TableStatus:
    """What one table holds, and what is due.

    Attributes:
        table: in ``market_data``.
        timeframe: whose rule it follows.
        rows: how many it has.
        first: time of the first row, UTC.
        last: time of the last row, UTC.
        bytes: on disk, indexes included.
        chunk: span of a chunk or partition, in words.
        chunks: how many there are.
        compressed: how many of them are compressed; None where the database cannot.
        compress_after: age at which one is compressed, in words.
        keep: age at which one is dropped, in words; None: never.
        due_to_compress: chunks that are old enough and are not compressed; None where the database cannot.
        due_to_drop: chunks that are past their keep and still there.
        overdue: chunks that have been due for one or the other for more than ``GRACE``.
        newest_end: where the newest chunk ends; None without any.
        next_compression: when the policy runs next.
        next_retention: when the policy runs next.
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
    """A partition that was past its keep."""

    table: str
    window: Window
    rows: int


class RetentionStore:
    """The life of the tables in ``config.retention``.

    Args:
        database: as the role at work.
        owner: as the owner of the schema, who alone may change tables; None where only a role is configured.
    """

    def __init__(self, database: Database, owner: Database | None) -> None:
        self._database = database
        self._owner_if_configured = owner

    @property
    def _owner(self) -> Database:
        if self._owner_if_configured is None:
            raise needs_owner()
        return self._owner_if_configured

    def uses_timescaledb(self) -> bool:
        """Whether TimescaleDB keeps the rules by policies of its own."""
        with self._database.begin() as connection:
            return bool(execute(connection, "SELECT market_data.uses_timescaledb()")[0][0])

    def kept_by(self) -> str:
        """Who keeps the rules, in words."""
        with self._database.begin() as connection:
            found = execute(connection, "SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'")
        if self.uses_timescaledb():
            return f"the policies of TimescaleDB {found[0][0]}"
        return "the asset `lifecycle`, which the schedule `maintenance` runs each night"

    def note_expired(self, present: datetime) -> None:
        """Brings coverage in line with what was dropped, which is neither held nor proven empty any more."""
        with self._database.begin() as connection:
            execute(connection, query("market_data/retention/note_expired"), {"present": present})

    def still_held(self, timeframe: Timeframe, windows: Sequence[Window], present: datetime) -> bool:
        """Whether no bar of some windows has been dropped; asked after reading them, it says that all were read."""
        asked = {"timeframe": timeframe.value, "windows": multirange(windows), "present": present}
        with self._database.begin() as connection:
            return bool(execute(connection, query("market_data/retention/still_held"), asked)[0][0])

    def held(self, timeframe: Timeframe, window: Window, present: datetime) -> list[Window]:
        """The parts of a window whose bars are there if they ever were: not past their keep, or not dropped yet."""
        given = {"timeframe": timeframe.value, "start": window.start, "end": window.end, "present": present}
        with self._database.begin() as connection:
            return [
                Window(start, end) for start, end in execute(connection, query("market_data/retention/held"), given)
            ]

    def ensure_policies(self) -> list[str]:
        """Makes TimescaleDB's policies those of the rules; what it changed, in words."""
        with self._owner.begin() as connection:
            return [said for (said,) in execute(connection, "SELECT market_data.ensure_policies()")]

    def make_partitions_ahead(self, present: datetime) -> int:
        """Makes the present partitions and the next two of each table; how many. TimescaleDB needs none."""
        with self._owner.begin() as connection:
            made = execute(connection, "SELECT market_data.make_partitions_ahead(%(present)s)", {"present": present})
        return made[0][0] or 0

    def refresh_hours(self, present: datetime) -> None:
        """Brings ``market_data.ohlcv_1h`` up to the 1m bars, but for hours whose minutes were dropped.

        TimescaleDB lets its owner do that alone; where only a role is configured its policy does, for
        what is younger than the policy looks back.
        """
        if not self.uses_timescaledb():
            with self._database.begin() as connection:
                execute(connection, "SELECT market_data.refresh_ohlcv_1h(%(present)s)", {"present": present})
            return
        if self._owner_if_configured is None:
            return
        with self._owner.begin() as connection:
            spans = execute(connection, query("market_data/retention/refreshable"), {"present": present})
        with self._owner.autocommit() as connection:  # it commits step by step, and insists on doing so
            for start, end in spans:
                execute(
                    connection,
                    "CALL refresh_continuous_aggregate('market_data.ohlcv_1h', %(start)s, %(end)s)",
                    {"start": start, "end": end},
                )

    def drop_expired(self, present: datetime) -> list[Dropped]:
        """Drops the partitions that are past their keep; nothing where TimescaleDB's policies do it."""
        with self._owner.begin() as connection:
            rows = execute(connection, "SELECT * FROM market_data.drop_expired(%(present)s)", {"present": present})
        return [Dropped(table, Window(start, end), count) for table, start, end, count in rows]

    def status(self, present: datetime) -> list[TableStatus]:
        """What each table holds and what is due, by timeframe."""
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
    """An interval as PostgreSQL writes it, in full words."""
    return re.sub(r"\bmon(s?)\b", r"month\1", interval)
