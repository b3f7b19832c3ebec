"""When what happened to an instrument was not told by its feed, and what became of it.

Written by the live path as feeds go down and come up; repaired by
:mod:`trading_platform.workflows.gaps.repair_outages`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from trading_platform.domain.time import Timeframe, Window
from trading_platform.stores.postgres.database import Database, driver, execute
from trading_platform.stores.postgres.sql import query

if TYPE_CHECKING:
    from sqlalchemy import Connection

LATE_EVENTS = "late events"
"""The reason of a minute that was final when something more was told of it."""

_MINUTE = Timeframe.M1.duration


class OutageState(StrEnum):
    """Where an outage is in its life."""

    OPEN = "open"
    CLOSED = "closed"
    REPAIRING = "repairing"
    REPAIRED = "repaired"
    FAILED_PERMANENTLY = "failed_permanently"


@dataclass(frozen=True)
class Outage:
    """One outage of one instrument.

    Attributes:
        id: its number.
        source: whose feed.
        symbol: which instrument.
        down_at: since when nothing was told, at the latest, UTC.
        up_at: until when; None while it goes on.
        reason: why, in words.
        state: where it is in its life.
        attempts: how often a repair has begun.
        next_attempt_at: when to try to repair it; while it is being repaired, when to take that for failed.
        note: what came of the last attempt.
        repaired_at: when it was repaired.
    """

    id: int
    source: str
    symbol: str
    down_at: datetime
    up_at: datetime | None
    reason: str
    state: OutageState
    attempts: int
    next_attempt_at: datetime | None
    note: str | None
    repaired_at: datetime | None

    def window(self) -> Window | None:
        """The whole minutes that it touches; None while it goes on."""
        if self.up_at is None:
            return None
        start = self.down_at.replace(second=0, microsecond=0)
        end = self.up_at.replace(second=0, microsecond=0)
        return Window(start, max(end if end == self.up_at else end + _MINUTE, start + _MINUTE))


class OutageStore:
    """The table ``market_data.outages``.

    Args:
        database: where; as the role ``ingest`` to write.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def opened(self, source: str, symbols: Iterable[str], down_at: datetime, reason: str) -> int:
        """Notes that nothing is told of some symbols any more; says of how many that is new.

        Saying it again while they are down changes nothing. An outage from the very same moment that is over,
        repaired or not, goes on: a stream that died after it came up begins again from there, and what it
        heard meanwhile is lost. A repair then asks for what has not been answered for since.

        Args:
            source: whose feed.
            symbols: which.
            down_at: since when at the latest.
            reason: why, in words.
        """
        given = {"source": source, "symbols": sorted(set(symbols)), "down_at": down_at, "reason": reason}
        return self._write("market_data/outages/open", given)

    def closed(self, source: str, symbols: Iterable[str], up_at: datetime) -> int:
        """Notes that feeds are up again; says how many were down. They are due when the last minute has ended."""
        return self._write(
            "market_data/outages/close", {"source": source, "symbols": sorted(set(symbols)), "up_at": up_at}
        )

    def due(self, now: datetime, limit: int = 100) -> list[Outage]:
        """The outages to repair now, in the order in which they fell due."""
        return self._read("market_data/outages/due", {"now": now, "limit": limit})

    def all(self, states: Sequence[OutageState] = tuple(OutageState), limit: int = 1000) -> list[Outage]:
        """The outages in some states, the newest first."""
        return self._read(
            "market_data/outages/in_states", {"states": [state.value for state in states], "limit": limit}
        )

    def since(self, after: int, limit: int) -> list[Outage]:
        """The outages with a number above ``after``, in order."""
        return self._read("market_data/outages/since", {"after": after, "limit": limit})

    def symbols(self, numbers: Sequence[int]) -> dict[int, str]:
        """The symbol of each of these outages, by number; one that is not there is left out."""
        return dict(self._database.rows(query("market_data/outages/symbols"), {"ids": list(numbers)}))

    def begin(self, outage_id: int, now: datetime, at_most: timedelta) -> Outage | None:
        """Takes an outage that is due for repair, so that nobody else does.

        Args:
            outage_id: which.
            now: the present.
            at_most: how long a repair may take until it counts as failed and is due again.

        Returns:
            The outage, its attempt counted; None if it is not due, because somebody else is at it or was.
        """
        found = self._read("market_data/outages/begin", {"id": outage_id, "now": now, "again_at": now + at_most})
        return found[0] if found else None

    def repaired(self, connection: Connection, outage: Outage, now: datetime, note: str) -> None:
        """Notes that its minutes are stored, in the caller's transaction."""
        execute(connection, query("market_data/outages/repaired"), {"id": outage.id, "now": now, "note": note})

    def failed(self, outage: Outage, note: str, again_at: datetime) -> None:
        """Notes that an attempt failed, and when the next is due."""
        self._write("market_data/outages/failed", {"id": outage.id, "note": note, "again_at": again_at})

    def failed_permanently(self, connection: Connection, outage: Outage, note: str) -> None:
        """Notes that nobody will try again, in the caller's transaction."""
        execute(connection, query("market_data/outages/failed_permanently"), {"id": outage.id, "note": note})

    def _read(self, name: str, parameters: dict[str, object]) -> list[Outage]:
        with self._database.begin() as connection:
            rows = execute(connection, query(name), parameters)
        found = [Outage(*row) for row in rows]
        return [replace(outage, state=OutageState(outage.state)) for outage in found]

    def _write(self, name: str, parameters: dict[str, object]) -> int:
        with self._database.begin() as connection, driver(connection).cursor() as cursor:
            execute(connection, query("market_data/outages/lock"))
            cursor.execute(query(name).encode(), parameters)
            return cursor.rowcount
