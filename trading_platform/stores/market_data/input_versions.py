"""From which version of the bars each computed partition was made, so that only stale ones are made again.

The version of a symbol's bars before a moment is the number of the last request that changed any
of them (``market_data.coverage_requests``), that of several symbols the sum of theirs; a partition
is stale when that, the version of the code that computes it, or the splits it is computed across are
not what it was made from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from trading_platform.domain.time import Timeframe, Window
from trading_platform.stores.postgres.database import Database, execute
from trading_platform.stores.postgres.sql import query

if TYPE_CHECKING:
    from sqlalchemy import Connection


@dataclass(frozen=True)
class BarVersions:
    """When the bars of some symbols last changed, by the start of what each change touched."""

    changes: Mapping[str, Sequence[tuple[datetime, int]]]

    def before(self, symbols: Sequence[str], timestamp: datetime) -> int:
        """The version of these symbols' bars before ``timestamp``; 0 where there never were any.

        The sum of each symbol's last change, and not the highest of all: of two symbols' changes
        the one with the lower number may be committed later, and must not go unnoticed.
        """
        return sum(
            max((version for start, version in self.changes.get(symbol, ()) if start < timestamp), default=0)
            for symbol in set(symbols)
        )


@dataclass(frozen=True)
class Derived:
    """What a partition was computed from.

    Attributes:
        input_version: of the bars.
        code_version: of what computes.
        splits: fingerprint of the splits it is computed across; empty for none.
    """

    input_version: int
    code_version: str
    splits: str = ""


class InputVersionStore:
    """The table ``market_data.input_versions``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def bar_versions(self, symbols: Sequence[str], timeframe: Timeframe) -> BarVersions:
        """The present versions of the symbols' bars."""
        with self._database.begin() as connection:
            rows = execute(
                connection,
                query("market_data/coverage/versions"),
                {"symbols": list(symbols), "timeframe": timeframe.value},
            )
        changes: dict[str, list[tuple[datetime, int]]] = {}
        for symbol, start, version in rows:
            changes.setdefault(symbol, []).append((start, version))
        return BarVersions(changes)

    def read(self, dataset: str, symbols: Sequence[str]) -> dict[tuple[str, datetime], Derived]:
        """What the partitions of a dataset were computed from, by (symbol, start of the partition)."""
        with self._database.begin() as connection:
            rows = execute(
                connection, query("market_data/input_versions/read"), {"dataset": dataset, "symbols": list(symbols)}
            )
        return {(symbol, start): Derived(*made) for symbol, start, *made in rows}

    def computed_at(self, dataset: str, symbols: Sequence[str]) -> dict[tuple[str, datetime], datetime]:
        """When the partitions of a dataset were last computed, by (symbol, start of the partition)."""
        with self._database.begin() as connection:
            rows = execute(
                connection,
                query("market_data/input_versions/computed_at"),
                {"dataset": dataset, "symbols": list(symbols)},
            )
        return {(symbol, start): timestamp for symbol, start, timestamp in rows}

    def delete(self, dataset: str, symbol: str, partitions: Sequence[Window]) -> None:
        """Forgets from what some partitions of a dataset were computed, so that they are computed again."""
        given = {"dataset": dataset, "symbol": symbol, "starts": [window.start for window in partitions]}
        with self._database.begin() as connection:
            execute(connection, query("market_data/input_versions/delete"), given)

    def made(self, dataset: str, symbol: str) -> list[datetime]:
        """The starts of the partitions of a dataset that were ever computed, in order."""
        return sorted(start for _, start in self.read(dataset, [symbol]))

    def record(
        self,
        connection: Connection,
        dataset: str,
        derived: Mapping[tuple[str, Window], tuple[Derived, int]],
        computed_at: datetime,
    ) -> None:
        """Notes from what partitions were computed, with the rows each has."""
        from trading_platform.stores.postgres.database import driver

        rows = [
            {
                "dataset": dataset,
                "symbol": symbol,
                "partition_start": window.start,
                "input_version": made.input_version,
                "code_version": made.code_version,
                "splits": made.splits,
                "row_count": row_count,
                "computed_at": computed_at,
            }
            for (symbol, window), (made, row_count) in derived.items()
        ]
        with driver(connection).cursor() as cursor:
            cursor.executemany(query("market_data/input_versions/record").encode(), rows)
