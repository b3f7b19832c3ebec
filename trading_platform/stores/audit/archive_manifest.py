"""Archived tables with their columns, and the manifest of a set of archived rows: counts and checksum.

The checksum of a set of rows is the sum of their digests, in two halves of 64 bits: it depends on every byte
of every row but not on their order, and the checksums of two disjoint sets add up. The digest of a row is the
SHA-256 of its values as text, each preceded by its length in characters (``3:abc``), and ``-`` for NULL.
``sql/queries/audit/archive/digest_*.sql`` computes the same in the database.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import polars as pl

_HALF = 1 << 64

Row = tuple[Any, ...]
"""One row in the order of the columns; the time in microseconds since 1970-01-01 UTC."""


class AuditTable(StrEnum):
    """The archived tables, all in the schema ``audit``."""

    DECISIONS = "decisions"
    EVENTS = "system_events"


ARCHIVE_SCHEMAS: dict[AuditTable, dict[str, pl.DataType]] = {
    AuditTable.DECISIONS: {
        "id": pl.String(),
        "timestamp": pl.Datetime("us", "UTC"),
        "decision_type": pl.String(),
        "symbol": pl.String(),
        "signals": pl.String(),
        "risk_check": pl.String(),
        "final_action": pl.String(),
        "reasoning": pl.String(),
        "order_id": pl.String(),
    },
    AuditTable.EVENTS: {
        "id": pl.Int64(),
        "timestamp": pl.Datetime("us", "UTC"),
        "event_type": pl.String(),
        "severity": pl.String(),
        "component": pl.String(),
        "message": pl.String(),
        "metadata": pl.String(),
    },
}
"""Columns of each table's files: those of the table; UUIDs, enums and JSON as the text PostgreSQL writes."""


@dataclass(frozen=True)
class Manifest:
    """Counts, bounds and checksum that identify a set of rows.

    Attributes:
        rows: number of rows.
        first: earliest time; None without rows.
        last: latest time.
        lowest_id: smallest id, in the table's order.
        highest_id: largest id.
        halves: the checksum, two numbers of 64 bits.
    """

    rows: int = 0
    first: datetime | None = None
    last: datetime | None = None
    lowest_id: str | int | None = None
    highest_id: str | int | None = None
    halves: tuple[int, int] = (0, 0)

    @property
    def checksum(self) -> str:
        """The checksum as 32 hexadecimal digits."""
        return "".join(f"{half:016x}" for half in self.halves)

    def plus(self, other: Manifest) -> Manifest:
        """The manifest of the union of two disjoint sets."""
        return Manifest(
            self.rows + other.rows,
            _least(self.first, other.first),
            _greatest(self.last, other.last),
            _least(self.lowest_id, other.lowest_id),
            _greatest(self.highest_id, other.highest_id),
            _sum(self.halves, other.halves),
        )

    def less_common(self, common: Manifest) -> Manifest:
        """Corrects the result of :meth:`plus` for rows that both sets have: counts the ``common`` rows once."""
        halves = (-common.halves[0], -common.halves[1])
        return Manifest(
            self.rows - common.rows, self.first, self.last, self.lowest_id, self.highest_id, _sum(self.halves, halves)
        )

    def as_dict(self) -> dict[str, object]:
        """The manifest as the file stores it."""
        return {
            "rows": self.rows,
            "first": self.first.isoformat() if self.first else None,
            "last": self.last.isoformat() if self.last else None,
            "lowest_id": self.lowest_id,
            "highest_id": self.highest_id,
            "checksum": self.checksum,
        }

    def differences(self, other: Manifest) -> str:
        """Text that lists the differences of ``other``; empty if there are none."""
        mine, theirs = self.as_dict(), other.as_dict()
        return ", ".join(
            f"{name} {theirs[name]} instead of {mine[name]}" for name in mine if mine[name] != theirs[name]
        )


def _least(one: Any, other: Any) -> Any:
    return min((value for value in (one, other) if value is not None), default=None)


def _greatest(one: Any, other: Any) -> Any:
    return max((value for value in (one, other) if value is not None), default=None)


def _sum(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    return (one[0] + other[0]) % _HALF, (one[1] + other[1]) % _HALF


def manifest_of_digest(row: Row) -> Manifest:
    """The manifest from the one row of ``sql/queries/audit/archive/digest_*.sql``."""
    rows, first, last, lowest, highest, one, two = row
    return Manifest(rows, first, last, lowest, highest, (int(one) % _HALF, int(two) % _HALF))


def manifest_of(frame: pl.DataFrame) -> Manifest:
    """The manifest of rows read from a file."""
    if frame.is_empty():
        return Manifest()
    digests = [hashlib.sha256(text.encode()).digest() for text in frame.select(_canonical(frame.schema)).to_series()]
    first, last, lowest, highest = frame.select(
        pl.col("timestamp").min().alias("first"),
        pl.col("timestamp").max().alias("last"),
        pl.col("id").min().alias("lowest"),
        pl.col("id").max().alias("highest"),
    ).row(0)
    one = sum(int.from_bytes(digest[:8]) for digest in digests)
    two = sum(int.from_bytes(digest[8:16]) for digest in digests)
    return Manifest(frame.height, first, last, lowest, highest, (one % _HALF, two % _HALF))


def _canonical(schema: Mapping[str, pl.DataType]) -> pl.Expr:
    texts = [
        (pl.col(name).cast(pl.Int64) if isinstance(dtype, pl.Datetime) else pl.col(name)).cast(pl.String)
        for name, dtype in schema.items()
    ]
    parts = [
        pl.concat_str(text.str.len_chars().cast(pl.String), pl.lit(":"), text).fill_null(pl.lit("-")) for text in texts
    ]
    return pl.concat_str(parts)
