"""Reads archived rows together with those still in the database, as the same dataclasses.

Used by :mod:`trading_platform.stores.audit.journal`, which builds the filters.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, Protocol, TypeVar
from uuid import UUID

import polars as pl

from trading_platform.domain.time import Window
from trading_platform.stores.audit.archive import AuditArchive
from trading_platform.stores.audit.archive_manifest import AuditTable


class _AuditRow(Protocol):
    @property
    def id(self) -> Any: ...
    @property
    def timestamp(self) -> datetime: ...


_Record = TypeVar("_Record", bound=_AuditRow)


@dataclass(frozen=True)
class RowQuery:
    """A query for rows of one table.

    Attributes:
        table: the table.
        start: earliest time, inclusive; None: from the first row.
        end: latest time, exclusive; None: to the last row.
        conditions: further conditions.
        limit: maximum number of rows; the newest are returned.
        ids_descend: whether ids descend among rows of the same time.
    """

    table: AuditTable
    start: datetime | None
    end: datetime | None
    conditions: Sequence[pl.Expr]
    limit: int
    ids_descend: bool

    def overlaps(self, window: Window) -> bool:
        """Whether a month can have matching rows."""
        return (self.start is None or window.end > self.start) and (self.end is None or window.start < self.end)

    def apply(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """The newest matching rows of a month."""
        bounds = [pl.col("timestamp") >= self.start] if self.start else []
        bounds += [pl.col("timestamp") < self.end] if self.end else []
        return (
            rows.filter(pl.lit(True), *bounds, *self.conditions)
            .sort("timestamp", "id", descending=[True, self.ids_descend])
            .head(self.limit)
        )


class ArchivedRows(Generic[_Record]):
    """Archived rows of one table as dataclasses.

    Args:
        archive: the archive.
        record: the dataclass; its fields have the names of the columns.
        parsers: conversions of text to the value of a field; other fields are taken unchanged.
    """

    def __init__(self, archive: AuditArchive, record: type[_Record], parsers: Mapping[str, Any]) -> None:
        self._archive = archive
        self._record = record
        self._parsers = parsers

    def added_to(self, live: Sequence[_Record], wanted: RowQuery) -> list[_Record]:
        """The newest rows of both, each once; a month's file is opened only if it can have some of them.

        Read the live rows first: a row that is archived in the meantime is then in both, and cannot be missed.

        Raises:
            StoreError: naming a file that is needed and cannot be used.
        """
        found = {(row.timestamp, row.id): row for row in live}
        for window in self._archive.windows(wanted.table):
            if not wanted.overlaps(window):
                continue
            if len(found) >= wanted.limit and window.end <= self._last_wanted(found, wanted.limit):
                break
            for row in self._archive.read(wanted.table, [window], wanted.apply).iter_rows(named=True):
                built = self._build(row)
                found.setdefault((built.timestamp, built.id), built)
        rows = sorted(found.values(), key=lambda row: row.id, reverse=wanted.ids_descend)
        return sorted(rows, key=lambda row: row.timestamp, reverse=True)[: wanted.limit]

    @staticmethod
    def _last_wanted(found: Mapping[tuple[datetime, Any], _Record], limit: int) -> datetime:
        return sorted((time for time, _ in found), reverse=True)[limit - 1]

    def _build(self, row: dict[str, Any]) -> _Record:
        return self._record(
            **{
                name: self._parsers[name](value) if name in self._parsers and value is not None else value
                for name, value in row.items()
            }
        )


def _utc(timestamp: datetime) -> datetime:
    """The same timestamp in UTC, as the database driver returns it."""
    return timestamp.astimezone(UTC)


DECISION_PARSERS = {
    "id": UUID,
    "timestamp": _utc,
    "signals": json.loads,
    "risk_check": json.loads,
    "order_id": UUID,
}
EVENT_PARSERS = {"timestamp": _utc, "metadata": json.loads}
