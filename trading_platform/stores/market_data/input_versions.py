"""The input versions of each computed partition, so that only stale partitions are recomputed.

The version of a symbol's bars before a timestamp is the number of the last request that changed any of them
(``market_data.coverage_requests``); the version of several symbols is the sum of theirs. A partition is stale when
this version, the version of the code, or the splits it is computed across differ from those it was computed from.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from typing import TYPE_CHECKING

from trading_platform.domain.time import Timeframe, Window
from trading_platform.stores.postgres.database import Database, execute
from trading_platform.stores.postgres.sql import query

if TYPE_CHECKING:
    from sqlalchemy import Connection


class BarVersions:
    """The versions of the bars of some symbols.

    Args:
        changes: start of the changed window, version, and whether a stream made it, of each change, by symbol.
    """

    def __init__(self, changes: Mapping[str, Sequence[tuple[datetime, int, bool]]]) -> None:
        ordered = {symbol: sorted(each) for symbol, each in changes.items()}
        self._starts = {symbol: [start for start, *_ in each] for symbol, each in ordered.items()}
        self._highest = {
            symbol: list(accumulate((version for _, version, _ in each), max)) for symbol, each in ordered.items()
        }
        self._requested = {
            symbol: list(accumulate((0 if streamed else version for _, version, streamed in each), max))
            for symbol, each in ordered.items()
        }

    def before(self, symbols: Sequence[str], timestamp: datetime, *, streamed: bool = True) -> int:
        """The version of these symbols' bars before ``timestamp``; 0 if there never were any.

        Args:
            symbols: the symbols.
            timestamp: changes of windows that start later do not count.
            streamed: whether changes by a stream count; a stream adds bars after the last one.

        It is the sum of each symbol's last change, not the maximum: of the changes of two symbols, the one with
        the lower number may be committed later, and must still change the version.
        """
        highest, total = self._highest if streamed else self._requested, 0
        for symbol in set(symbols):
            count = bisect_left(self._starts.get(symbol, ()), timestamp)
            total += highest[symbol][count - 1] if count else 0
        return total


@dataclass(frozen=True)
class Derived:
    """The input versions of a partition.

    Attributes:
        input_version: version of the bars.
        code_version: version of the computing code.
        splits: fingerprint of the splits it is computed across; empty for none.
    """

    input_version: int
    code_version: str
    splits: str = ""


class InputVersionStore:
    """The table ``market_data.input_versions``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def bar_versions(self, symbols: Sequence[str], timeframe: Timeframe, *, rolled_up: bool = True) -> BarVersions:
        """The current versions of the symbols' bars.

        Args:
            symbols: the symbols.
            timeframe: length of the bars.
            rolled_up: whether changes of rolled-up bars count.
        """
        rows = self._database.rows(
            query("market_data/coverage/versions"),
            {"symbols": list(symbols), "timeframe": timeframe.value, "rolled_up": rolled_up},
        )
        changes: dict[str, list[tuple[datetime, int, bool]]] = {}
        for symbol, start, version, streamed in rows:
            changes.setdefault(symbol, []).append((start, version, streamed))
        return BarVersions(changes)

    def read(self, dataset: str, symbols: Sequence[str]) -> dict[tuple[str, datetime], Derived]:
        """The input versions of the partitions of a dataset, by (symbol, start of the partition)."""
        rows = self._database.rows(
            query("market_data/input_versions/read"), {"dataset": dataset, "symbols": list(symbols)}
        )
        return {(symbol, start): Derived(*versions) for symbol, start, *versions in rows}

    def computed_at(self, dataset: str, symbols: Sequence[str]) -> dict[tuple[str, datetime], datetime]:
        """When the partitions of a dataset were last computed, by (symbol, start of the partition)."""
        rows = self._database.rows(
            query("market_data/input_versions/computed_at"),
            {"dataset": dataset, "symbols": list(symbols)},
        )
        return {(symbol, start): timestamp for symbol, start, timestamp in rows}

    def delete(self, dataset: str, symbol: str, partitions: Sequence[Window]) -> None:
        """Deletes the input versions of some partitions of a dataset, so that they are recomputed."""
        given = {"dataset": dataset, "symbol": symbol, "starts": [window.start for window in partitions]}
        with self._database.begin() as connection:
            execute(connection, query("market_data/input_versions/delete"), given)

    def computed_partitions(self, dataset: str, symbol: str) -> list[datetime]:
        """The starts of the partitions of a dataset that have been computed, in order."""
        return sorted(start for _, start in self.read(dataset, [symbol]))

    def record(
        self,
        connection: Connection,
        dataset: str,
        derived: Mapping[tuple[str, Window], tuple[Derived, int]],
        computed_at: datetime,
    ) -> None:
        """Records the input versions of partitions, and the number of rows of each."""
        from trading_platform.stores.postgres.database import driver

        rows = [
            {
                "dataset": dataset,
                "symbol": symbol,
                "partition_start": window.start,
                "input_version": versions.input_version,
                "code_version": versions.code_version,
                "splits": versions.splits,
                "row_count": row_count,
                "computed_at": computed_at,
            }
            for (symbol, window), (versions, row_count) in derived.items()
        ]
        with driver(connection).cursor() as cursor:
            cursor.executemany(query("market_data/input_versions/record").encode(), rows)
