"""Stores every rejected row with its reason, and what people decide about it, so that nothing is lost.

Every path of incoming data ends here, so this is where rejected rows are logged, by the severity of their rules.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.market.bars import TIME
from trading_platform.domain.quality.rule_book import severity_of
from trading_platform.domain.quality.rules import REJECTED_SCHEMA
from trading_platform.domain.severity import Severity
from trading_platform.domain.time import Timeframe, Window
from trading_platform.stores.postgres.database import Database, copy_frame, driver, execute
from trading_platform.stores.postgres.sql import query

if TYPE_CHECKING:
    from sqlalchemy import Connection

_STAGING = {
    "source": pl.String(),
    "symbol": pl.String(),
    "timeframe": pl.String(),
    "origin": pl.String(),
    **REJECTED_SCHEMA,
}
_READ_SCHEMA: dict[str, pl.DataType] = {
    "recorded_at": TIME,
    "source": pl.String(),
    "symbol": pl.String(),
    "timeframe": pl.String(),
    "time": TIME,
    "origin": pl.String(),
    "line": pl.Int64(),
    "reason": pl.String(),
    "detail": pl.String(),
    "record": pl.String(),
    "row_count": pl.Int64(),
}


EVENT = "rows_rejected"
COMPONENT = "quarantine"
_ORIGIN_LENGTH = 1_000  # characters of it that an event names

Decided = Literal["release", "drop"]


@dataclass(frozen=True)
class RejectedRow:
    """A row of the quarantine, and the newest decision about it.

    Attributes:
        id: its number.
        recorded_at: when it was rejected, UTC.
        source: name of the source.
        symbol: None where it is unknown or there are several.
        timeframe: None where the row is no bar.
        time: of the bar, UTC; None where it cannot be read.
        origin: the file, request or feed that it came from.
        line: its line or number there.
        reason: name of the rule that it broke.
        detail: how it broke it.
        record: the row as it came.
        row_count: number of rows that it stands for.
        bar: texts of its prices and volume, a JSON object; None where it is no single bar.
        decision: ``release`` or ``drop``; None while nobody decided.
        decided_at: when, UTC.
        decided_by: who.
        because: for which reason.
        overridden: name of the rule that the release overrode.
    """

    id: int
    recorded_at: datetime
    source: str
    symbol: str | None
    timeframe: str | None
    time: datetime | None
    origin: str
    line: int | None
    reason: str
    detail: str | None
    record: str | None
    row_count: int
    bar: str | None
    decision: Decided | None
    decided_at: datetime | None
    decided_by: str | None
    because: str | None
    overridden: str | None


@dataclass(frozen=True)
class RowFilter:
    """Which rejected rows are meant; None means all.

    Attributes:
        symbol: of this symbol.
        source: of this source.
        reason: that broke this rule.
        since: rejected at this time or later.
        undecided: only those that nobody has decided about.
    """

    symbol: str | None = None
    source: str | None = None
    reason: str | None = None
    since: datetime | None = None
    undecided: bool = True

    def parameters(self) -> dict[str, Any]:
        """The parameters of the queries."""
        return {
            "symbol": self.symbol,
            "source": self.source,
            "reason": self.reason,
            "since": self.since,
            "open": self.undecided,
        }


class QuarantineStore:
    """The table ``market_data.quarantine``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(
        self, rejected: pl.DataFrame, *, source: str, symbol: str | None, timeframe: str | None, origin: str
    ) -> int:
        """Stores rejected rows (frame of ``REJECTED_SCHEMA``); storing the same rows again changes nothing.

        Returns:
            How many of them are new.
        """
        with self._database.begin() as connection:
            return self.add(connection, rejected, source=source, symbol=symbol, timeframe=timeframe, origin=origin)

    def add(
        self,
        connection: Connection,
        rejected: pl.DataFrame,
        *,
        source: str,
        symbol: str | None,
        timeframe: str | None,
        origin: str,
    ) -> int:
        """As :meth:`record`, in the caller's transaction."""
        if rejected.is_empty():
            return 0
        execute(
            connection,
            "CREATE TEMPORARY TABLE IF NOT EXISTS quarantine_staging"
            " (source text, symbol text, timeframe text, origin text, line bigint, time timestamptz,"
            " reason text, detail text, record text, row_count bigint, bar text) ON COMMIT DELETE ROWS",
        )
        staged = rejected.with_columns(
            source=pl.lit(source),
            symbol=pl.lit(symbol, dtype=pl.String()),
            timeframe=pl.lit(timeframe, dtype=pl.String()),
            origin=pl.lit(origin),
        ).select(_STAGING.keys())
        # PostgreSQL's text cannot hold a NUL, which a damaged file may have.
        staged = staged.with_columns(
            pl.col("record", "detail", "origin", "bar").str.replace_all("\x00", "\\0", literal=True)
        )
        copy_frame(connection, "quarantine_staging", staged)
        with driver(connection).cursor() as cursor:
            cursor.execute(query("market_data/quarantine/record").encode())
            added = cursor.rowcount
            cursor.execute(b"TRUNCATE quarantine_staging")
        if added:
            _log(connection, rejected, source=source, symbol=symbol, timeframe=timeframe, origin=origin)
        return added

    def read(self, symbol: str | None = None, timeframe: Timeframe | None = None, limit: int = 1000) -> pl.DataFrame:
        """Rejected rows, newest first, with their position in the origin and the reason."""
        return self._database.read(
            query("market_data/quarantine/read"),
            {"symbol": symbol, "timeframe": timeframe.value if timeframe else None, "limit": limit},
            _READ_SCHEMA,
        )

    def listed(self, which: RowFilter, limit: int) -> list[RejectedRow]:
        """Rejected rows, newest first, ``limit`` at most."""
        parameters = {**which.parameters(), "id": None, "limit": limit}
        return [RejectedRow(*row) for row in self._database.rows(query("market_data/quarantine/listed"), parameters)]

    def counts(self, which: RowFilter) -> dict[str, int]:
        """Number of rejected rows by the rule that they broke, the largest first."""
        return dict(self._database.rows(query("market_data/quarantine/counts"), which.parameters()))

    def get(self, number: int) -> RejectedRow:
        """One rejected row.

        Raises:
            InvalidRequest: if there is none with that number.
        """
        parameters = {**RowFilter(undecided=False).parameters(), "id": number, "limit": 1}
        rows = self._database.rows(query("market_data/quarantine/listed"), parameters)
        if not rows:
            raise InvalidRequest(
                f"There is no rejected row {number}.",
                expected="a number of the first column of `trading-platform quarantine list`",
                received=str(number),
                remedy="list the rows and choose one",
            )
        return RejectedRow(*rows[0])

    def decide(
        self,
        connection: Connection,
        number: int,
        action: Decided,
        *,
        by: str,
        because: str,
        overridden: str | None = None,
    ) -> bool:
        """Records a decision about a row in the caller's transaction; false if the same was decided before.

        Of two callers at once the second waits for the transaction of the first.
        """
        given = {"id": number, "action": action, "by": by, "because": because, "overridden": overridden}
        return bool(execute(connection, query("market_data/quarantine/decide"), given))

    def first_of(self, origins: Sequence[str], limit: int) -> list[tuple[str, int | None, str, str | None, str | None]]:
        """The first rejected rows of some origins: origin, line, reason, detail and the row itself, in order."""
        return self._database.rows(
            query("market_data/quarantine/first_of_origins"), {"origins": list(origins), "limit": limit}
        )

    def times(self, symbols: Sequence[str], timeframe: Timeframe, window: Window) -> pl.DataFrame:
        """``symbol`` and ``time`` of the rejected bars in the window."""
        return self._database.read(
            query("market_data/quarantine/times"),
            {
                "symbols": list(symbols),
                "timeframe": timeframe.value,
                "step": timeframe.duration,
                "start": window.start,
                "end": window.end,
            },
            {"symbol": pl.String(), "time": TIME},
        )


def _log(
    connection: Connection,
    rejected: pl.DataFrame,
    *,
    source: str,
    symbol: str | None,
    timeframe: str | None,
    origin: str,
) -> None:
    """Writes one event for the rejected rows of an origin; none if all their rules are of severity ``info``."""
    counts = dict(rejected.group_by("reason").agg(pl.col("row_count").sum()).sort("reason").iter_rows())
    severity = severity_of(counts)
    if severity is Severity.INFO:
        return
    named = ", ".join(f"{count:,} {reason}" for reason, count in counts.items())
    origin = origin.replace("\x00", "\\0")[:_ORIGIN_LENGTH]
    metadata = {"source": source, "symbol": symbol, "timeframe": timeframe, "origin": origin, "reasons": counts}
    execute(
        connection,
        query("audit/journal/insert_event"),
        {
            "timestamp": None,
            "event_type": EVENT,
            "severity": severity.value,
            "component": COMPONENT,
            "message": f"Rows of {symbol or source} were rejected: {named}. See `trading-platform quarantine list`.",
            "metadata": json.dumps(metadata),
        },
    )
