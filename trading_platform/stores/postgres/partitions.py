"""Partitions for what is about to be written, where the database does not make them by itself.

TimescaleDB makes a chunk at the first row; on plain PostgreSQL a row without a partition waits in the
table's default one until :meth:`trading_platform.stores.market_data.retention.RetentionStore.make_partitions_ahead`.
Nothing is wrong with that but its speed, so :class:`PartitionMaker` asks for them before a write.
"""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl

from trading_platform.stores.postgres.database import Database, execute
from trading_platform.stores.postgres.sql import query


class PartitionMaker:
    """Makes the partitions of a table that some rows belong to.

    Args:
        database: which; what is known of it is remembered, so that asking again costs nothing.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._spans: dict[str, int] | None = None
        self._known: set[tuple[str, int]] = set()

    def ensure(self, table: str, times: pl.Series) -> None:
        """Makes what is missing for rows of these times, in a transaction of its own.

        To be called before the transaction that writes, because making a partition waits until nobody
        uses the table's default one. Where that takes too long the rows wait there.

        Args:
            table: ``schema.table``.
            times: of the rows, UTC.
        """
        from psycopg.errors import LockNotAvailable

        name = table.rpartition(".")[2]
        span = self._span(name)
        if span is None or times.is_empty():
            return
        starts = (times.dt.epoch("s") // span * span).unique().to_list()
        missing = {start for start in starts if (name, start) not in self._known}
        if not missing:
            return
        timestamps = [datetime.fromtimestamp(start, UTC) for start in sorted(missing)]
        with self._database.begin() as connection:
            try:
                execute(
                    connection, query("market_data/retention/make_partitions"), {"table": name, "starts": timestamps}
                )
            except LockNotAvailable:
                return
        self._known.update((name, start) for start in missing)

    def _span(self, table: str) -> int | None:
        """Seconds of a partition of the table; None where the database makes them."""
        if self._spans is None:
            with self._database.begin() as connection:
                self._spans = dict(execute(connection, query("market_data/retention/partition_spans")))
        return self._spans.get(table)
