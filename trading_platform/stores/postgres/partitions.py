"""Creates the partitions for rows about to be written, where the database does not create them itself.

TimescaleDB creates a chunk for its first row. In plain PostgreSQL a row without a partition waits in the table's
default one until :meth:`trading_platform.stores.market_data.retention.RetentionStore.make_partitions_ahead` runs.
That is correct but slow, so :class:`PartitionMaker` creates the partitions before a write.
"""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl

from trading_platform.stores.postgres.database import Database, execute
from trading_platform.stores.postgres.sql import query


class PartitionMaker:
    """Creates the partitions that given rows belong to.

    Args:
        database: the database; known partitions are cached, so that a repeated call costs nothing.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._spans: dict[str, int] | None = None
        self._known: set[tuple[str, int]] = set()

    def ensure(self, table: str, times: pl.Series) -> None:
        """Creates the missing partitions for rows with these times, in a transaction of its own.

        Call it before the transaction that writes, because creating a partition waits until no transaction uses
        the table's default one. If that takes too long, the rows go to the default partition.

        Args:
            table: ``schema.table``.
            times: times of the rows, UTC.
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
        """Span of a partition of the table in seconds; None where the database creates them itself."""
        if self._spans is None:
            with self._database.begin() as connection:
                self._spans = dict(execute(connection, query("market_data/retention/partition_spans")))
        return self._spans.get(table)
