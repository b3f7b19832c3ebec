"""The list of gaps and of the repairs of each (``market_data.gaps``).

:mod:`trading_platform.domain.quality.gaps` defines gaps and reconciles the list.
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
        database: the database; with the role ``ingest`` to write.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, symbols: Sequence[str], datasets: Sequence[str]) -> list[Gap]:
        """The gaps of some symbols and datasets, in order."""
        given = {"symbols": list(symbols), "datasets": list(datasets)}
        return [_gap(row) for row in self._database.rows(query("market_data/gaps/of"), given)]

    def due(self, now: datetime, limit: int) -> list[Gap]:
        """The gaps due for repair, those that have waited longest first."""
        return self._read("market_data/gaps/due", {"now": now, "limit": limit})

    def begin(self, ids: Sequence[int], now: datetime, at_most: timedelta, *, whatever: bool = False) -> list[Gap]:
        """Claims gaps for a repair attempt, so that no other process repairs them; gaps that are not due are left out.

        Args:
            ids: ids of the gaps.
            now: current time.
            at_most: duration after which an unfinished attempt counts as failed and is due again.
            whatever: claim them even if they are not due or have failed permanently.
        """
        return self._read(
            "market_data/gaps/begin", {"ids": list(ids), "now": now, "again_at": now + at_most, "whatever": whatever}
        )

    def apply(self, dataset: str, symbol: str, timeframe: Timeframe, change: Reconciled) -> list[str]:
        """Applies a reconciliation to the list; returns the incidents that it resolves."""
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
            unresolved = (
                execute(connection, query("market_data/gaps/incidents"), {"incidents": incidents}) if incidents else []
            )
        return [name for name in incidents if (name,) not in unresolved]

    def failed(self, gap: Gap, note: str, again_at: datetime) -> None:
        """Records that an attempt failed, and when the next one is due."""
        with self._database.begin() as connection:
            execute(connection, query("market_data/gaps/failed"), {"id": gap.id, "note": note, "again_at": again_at})

    def fail_permanently(self, connection: Connection, gap: Gap, note: str, incident: str) -> None:
        """Records that a gap has failed permanently and is not retried, in the caller's transaction."""
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
