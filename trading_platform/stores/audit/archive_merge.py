"""Merges rows of the database with rows of an archived file, each row once, one batch at a time.

Any agent can write a row with the key of an archived one. The archived row was first and stays; the other has to be set
aside before the month can be archived (:class:`ConflictingRows`).
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

import polars as pl

from trading_platform.domain.errors import StoreError
from trading_platform.stores.audit.archive_files import BATCH_ROWS, rows_of
from trading_platform.stores.audit.archive_manifest import ARCHIVE_SCHEMAS, AuditTable, Manifest, Row, manifest_of


class ConflictingRows(StoreError):
    """The database has rows with the keys of archived ones and other content.

    Attributes:
        keys: time in microseconds since 1970, and id of each of them.
    """

    def __init__(self, table: AuditTable, path: Path, keys: Sequence[tuple[int, str | int]], columns: str) -> None:
        super().__init__(
            f"The database and the audit archive's file {path} have different rows under the same key.",
            expected=f"id {keys[0][1]} with its archived content",
            received=f"{columns} differs; {len(keys):,} such rows",
            remedy=f"find out what wrote them to audit.{table}",
        )
        self.keys = tuple(keys)


class Merge:
    """One merge of two sorted sets of rows.

    Args:
        table: the table of the rows.
        path: the archived file, for messages.

    Attributes:
        archived: manifest of the rows of the file, once all were read.
        common: manifest of the rows that both sides have, once all were read.
    """

    def __init__(self, table: AuditTable, path: Path) -> None:
        self.archived = Manifest()
        self.common = Manifest()
        self._table = table
        self._path = path
        self._duplicates: list[Row] = []
        self._conflicts: list[tuple[int, str | int]] = []
        self._differing = ""

    def batches(self, archived: Iterable[pl.DataFrame], live: Iterable[Sequence[Row]]) -> Iterator[Sequence[Row]]:
        """The rows of both sides, by (time, id).

        Raises:
            ConflictingRows: at the end, if both sides have rows with the same key and different content.
        """
        files = chain.from_iterable(map(self._counted, archived))
        rows = self._deduplicated(heapq.merge(files, chain.from_iterable(live), key=_key))
        while batch := list(islice(rows, BATCH_ROWS)):
            yield batch
        self._count_duplicates()
        if self._conflicts:
            raise ConflictingRows(self._table, self._path, self._conflicts, self._differing)

    def _counted(self, frame: pl.DataFrame) -> list[Row]:
        self.archived = self.archived.plus(manifest_of(frame))
        return rows_of(frame)

    def _deduplicated(self, rows: Iterator[Row]) -> Iterator[Row]:
        previous: Row | None = None
        for row in rows:
            if previous is not None and _key(previous) == _key(row):
                self._drop(previous, row)
                continue
            previous = row
            yield row

    def _drop(self, kept: Row, row: Row) -> None:
        if kept != row:
            columns = ARCHIVE_SCHEMAS[self._table]
            differing = [name for name, one, other in zip(columns, kept, row, strict=True) if one != other]
            self._differing = self._differing or ", ".join(differing)
            self._conflicts.append(_key(row))
            return
        self._duplicates.append(row)
        if len(self._duplicates) >= BATCH_ROWS:
            self._count_duplicates()

    def _count_duplicates(self) -> None:
        schema = dict(ARCHIVE_SCHEMAS[self._table])
        texts = schema | {"timestamp": pl.Int64()}
        frame = pl.DataFrame(self._duplicates, schema=texts, orient="row").cast({"timestamp": schema["timestamp"]})
        self.common = self.common.plus(manifest_of(frame))
        self._duplicates = []


def _key(row: Row) -> tuple[int, str | int]:
    return row[1], row[0]
