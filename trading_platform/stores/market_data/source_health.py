"""What each source did on each day, counted from the records of requests, rows, corrections and outages."""

from __future__ import annotations

from datetime import datetime

from trading_platform.domain.quality.source_health import SourceDay
from trading_platform.stores.postgres.database import Database
from trading_platform.stores.postgres.sql import query


class SourceHealthStore:
    """Reads over the tables of coverage, quarantine, revisions, versions and outages.

    Args:
        database: the database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def days(self, start: datetime, end: datetime, now: datetime) -> list[SourceDay]:
        """The days of each source on which it did anything, by source and day.

        Args:
            start: midnight UTC of the first day.
            end: midnight UTC after the last day.
            now: the present; an outage that goes on lasts until then.
        """
        given = {"start": start, "end": end, "now": now}
        rows = self._database.rows(query("market_data/source_health/days"), given)
        return [
            SourceDay(
                source,
                day,
                requests=int(requests),
                failed=int(failed),
                wrongly_empty=int(empty),
                stored=int(stored),
                rejected=int(rejected),
                corrected=int(corrected),
                conflicting=int(conflicting),
                down=down,
            )
            for source, day, requests, failed, empty, stored, rejected, corrected, conflicting, down in rows
        ]
