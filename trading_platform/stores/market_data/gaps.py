"""The list of gaps and of what was done about each (``market_data.gaps``).

What a gap is and how the list is kept: :mod:`trading_platform.domain.quality.gaps`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from trading_platform.domain.quality.gaps import Gap, GapKind, GapState, Reconciled
from trading_platform.domain.time import Timeframe, Window
from trading_platform.stores.postgres.database import Database, execute
from trading_platform.stores.postgres.sql import query

if TYPE_CHECKING:
    from sqlalchemy import Connection


class GapStore:
    """The table ``market_data.gaps``.

    Args:
        database: where; as the role ``ingest`` to write.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, symbols: Sequence[str], datasets: Sequence[str]) -> list[Gap]:
        """The gaps of some symbols and datasets, in order."""
        return self._read("market_data/gaps/of", {"symbols": list(symbols), "datasets": list(datasets)})

    def due(self, now: datetime, limit: int) -> list[Gap]:
        """The gaps to repair now, those that have waited longest first."""
        return self._read("market_data/gaps/due", {"now": now, "limit": limit})

    def begin(self, ids: Sequence[int], now: datetime, at_most: timedelta, *, whatever: bool = False) -> list[Gap]:
        """Takes gaps for an attempt, so that nobody else does; those that are not due are left out.

        Args:
            ids: which.
            now: the present.
            at_most: how long an attempt may take until it counts as failed and is due again.
            whatever: take them due or not, given up or not.
        """
        return self._read(
            "market_data/gaps/begin", {"ids": list(ids), "now": now, "again_at": now + at_most, "whatever": whatever}
        )

    def apply(self, dataset: str, symbol: str, timeframe: Timeframe, change: Reconciled) -> list[str]:
        """Makes the list what it was reconciled to; the incidents that are over with it."""
        if not change.gone and not change.new:
            return []
        new = change.new
        incidents = sorted({gap.incident for gap in change.gone if gap.incident})
        values: dict[str, Any] = {
            "dataset": dataset,
            "symbol": symbol,
            "timeframe": timeframe.value,
            "starts": [gap.window.start for gap in new],
            "ends": [gap.window.end for gap in new],
            "kinds": [gap.kind.value for gap in new],
            "states": [gap.state.value for gap in new],
            "attempts": [gap.attempts for gap in new],
            "found": [gap.found_at for gap in new],
            "tried": [gap.tried_at for gap in new],
            "next": [gap.next_attempt_at for gap in new],
            "notes": [gap.note for gap in new],
            "incidents": [gap.incident for gap in new],
        }
        with self._database.begin() as connection:
            execute(connection, query("market_data/gaps/delete"), {"ids": [gap.id for gap in change.gone]})
            if new:
                execute(connection, query("market_data/gaps/save"), values)
            going_on = (
                execute(connection, query("market_data/gaps/incidents"), {"incidents": incidents}) if incidents else []
            )
        return [name for name in incidents if (name,) not in going_on]

    def failed(self, gap: Gap, note: str, again_at: datetime) -> None:
        """Notes that an attempt failed, and when the next is due."""
        with self._database.begin() as connection:
            execute(connection, query("market_data/gaps/failed"), {"id": gap.id, "note": note, "again_at": again_at})

    def fail_permanently(self, connection: Connection, gap: Gap, note: str, incident: str) -> None:
        """Notes that nobody will try again by itself, in the caller's transaction."""
        execute(
            connection, query("market_data/gaps/fail_permanently"), {"id": gap.id, "note": note, "incident": incident}
        )

    def _read(self, name: str, parameters: dict[str, object]) -> list[Gap]:
        with self._database.begin() as connection:
            rows = execute(connection, query(name), parameters)
        return [_gap(row) for row in rows]


def _gap(row: tuple[Any, ...]) -> Gap:
    number, dataset, symbol, timeframe, start, end, kind, state, *rest = row
    return Gap(number, dataset, symbol, Timeframe(timeframe), Window(start, end), GapKind(kind), GapState(state), *rest)
