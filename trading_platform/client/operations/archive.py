"""``Platform.archive``: decisions and system events older than a year, read in bulk.

For a few rows, or together with newer ones, ``Platform.decisions.list`` and ``Platform.events.list`` are simpler: they
read the archive where needed.
"""

from __future__ import annotations

import polars as pl

from trading_platform.client.timestamps import Timestamp, as_window
from trading_platform.stores.audit.archive import AuditArchive, month_name
from trading_platform.stores.audit.archive_manifest import AuditTable

_MONTHS: dict[str, pl.DataType] = {
    "table": pl.String(),
    "month": pl.String(),
    "rows": pl.Int64(),
    "first": pl.Datetime("us", "UTC"),
    "last": pl.Datetime("us", "UTC"),
    "bytes": pl.Int64(),
    "archived_at": pl.Datetime("us", "UTC"),
}


class Archive:
    """Reads the archive; it has no methods that change it."""

    def __init__(self, archive: AuditArchive) -> None:
        self._archive = archive

    def months(self) -> pl.DataFrame:
        """The archived months: one row for each table and month.

        Returns:
            ``table``, ``month`` (2024-05), ``rows``, ``first`` and ``last`` (times of the rows, UTC),
            ``bytes`` (size of the file), ``archived_at``.

        Raises:
            StoreError: names the file that cannot be read.
        """
        rows = [
            (
                found.table.value,
                month_name(found.window),
                found.record.manifest.rows,
                found.record.manifest.first,
                found.record.manifest.last,
                found.size,
                found.record.archived_at,
            )
            for found in self._archive.months()
        ]
        return pl.DataFrame(rows, schema=_MONTHS, orient="row")

    def decisions(self, start: Timestamp, end: Timestamp) -> pl.DataFrame:
        """Archived decisions of a half-open window, by time; only the months and rows in it are read.

        Returns:
            The columns of ``audit.decisions``; ids and JSON as text, ``timestamp`` in UTC.

        Raises:
            InvalidRequest: if the window is invalid.
            StoreError: names the file that cannot be read.
        """
        return self._read(AuditTable.DECISIONS, start, end)

    def events(self, start: Timestamp, end: Timestamp) -> pl.DataFrame:
        """Archived system events of a half-open window, by time; only the months and rows in it are read.

        Returns:
            The columns of ``audit.system_events``; severity and JSON as text, ``timestamp`` in UTC.

        Raises:
            InvalidRequest: if the window is invalid.
            StoreError: names the file that cannot be read.
        """
        return self._read(AuditTable.EVENTS, start, end)

    def _read(self, table: AuditTable, start: Timestamp, end: Timestamp) -> pl.DataFrame:
        window = as_window(start, end)
        months = [month for month in reversed(self._archive.windows(table)) if month.intersect(window)]
        inside = pl.col("timestamp").is_between(window.start, window.end, closed="left")
        return self._archive.read(table, months, lambda rows: rows.filter(inside))
