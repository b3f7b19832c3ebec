"""Outages: intervals in which a feed did not deliver an instrument's events, and their repairs.

The live path writes them as feeds go down and come up; :mod:`trading_platform.workflows.gaps.repair_outages`
repairs them.
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
"""The reason of an outage of a minute for which events arrived after it was final."""

_MINUTE = Timeframe.M1.duration


class OutageState(StrEnum):
    """State of an outage."""

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
        source: source of the feed.
        symbol: the instrument.
        down_at: start, UTC: no event was received after this.
        up_at: end, UTC; None while it goes on.
        reason: its cause, as text.
        state: its state.
        attempts: number of repair attempts begun.
        next_attempt_at: when the next attempt is due; during a repair, when that counts as failed.
        note: outcome of the last attempt.
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
        """The whole minutes that it overlaps; None while it goes on."""
        if self.up_at is None:
            return None
        start = self.down_at.replace(second=0, microsecond=0)
        end = self.up_at.replace(second=0, microsecond=0)
        return Window(start, max(end if end == self.up_at else end + _MINUTE, start + _MINUTE))


class OutageStore:
    """The table ``market_data.outages``.

    Args:
        database: the database; with the role ``ingest`` to write.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def opened(self, source: str, symbols: Iterable[str], down_at: datetime, reason: str) -> int:
        """Records that the feeds of some symbols are down; returns how many were up before.

        Repeating the call while they are down changes nothing. An outage with the same start that has ended,
        repaired or not, is reopened: a stream that died after the feed came up starts again from there, and the
        events it received in the meantime are lost. A repair then requests what no source has answered for since.

        Args:
            source: source of the feed.
            symbols: the symbols.
            down_at: start of the outage at the latest.
            reason: its cause, as text.
        """
        given = {"source": source, "symbols": sorted(set(symbols)), "down_at": down_at, "reason": reason}
        return self._write("market_data/outages/open", given)

    def closed(self, source: str, symbols: Iterable[str], up_at: datetime) -> int:
        """Records that feeds are up; returns how many were down. Repairs are due once the last minute has ended."""
        return self._write(
            "market_data/outages/close", {"source": source, "symbols": sorted(set(symbols)), "up_at": up_at}
        )

    def due(self, now: datetime, limit: int = 100) -> list[Outage]:
        """The outages due for repair, in the order in which they fell due."""
        return self._read("market_data/outages/due", {"now": now, "limit": limit})

    def all(self, states: Sequence[OutageState] = tuple(OutageState), limit: int = 1000) -> list[Outage]:
        """The outages in some states, newest first."""
        return self._read(
            "market_data/outages/in_states", {"states": [state.value for state in states], "limit": limit}
        )

    def since(self, after: int, limit: int) -> list[Outage]:
        """The outages with a number above ``after``, in order."""
        return self._read("market_data/outages/since", {"after": after, "limit": limit})

    def symbols(self, numbers: Sequence[int]) -> dict[int, str]:
        """The symbol of each of these outages, by number; unknown numbers are left out."""
        return dict(self._database.rows(query("market_data/outages/symbols"), {"ids": list(numbers)}))

    def begin(self, outage_id: int, now: datetime, at_most: timedelta) -> Outage | None:
        """Claims an outage that is due for repair, so that no other process repairs it.

        Args:
            outage_id: number of the outage.
            now: current time.
            at_most: duration after which an unfinished repair counts as failed and is due again.

        Returns:
            The outage, with this attempt counted; None if it is not due, as when another process has claimed it.
        """
        found = self._read("market_data/outages/begin", {"id": outage_id, "now": now, "again_at": now + at_most})
        return found[0] if found else None

    def repaired(self, connection: Connection, outage: Outage, now: datetime, note: str) -> None:
        """Records that its minutes are stored, in the caller's transaction."""
        execute(connection, query("market_data/outages/repaired"), {"id": outage.id, "now": now, "note": note})

    def failed(self, outage: Outage, note: str, again_at: datetime) -> None:
        """Records that an attempt failed, and when the next one is due."""
        self._write("market_data/outages/failed", {"id": outage.id, "note": note, "again_at": again_at})

    def failed_permanently(self, connection: Connection, outage: Outage, note: str) -> None:
        """Records that an outage has failed permanently and is not retried, in the caller's transaction."""
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
