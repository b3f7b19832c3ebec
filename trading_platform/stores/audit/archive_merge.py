"""Puts rows of the database and rows of an archived file together, each row once, a batch at a time."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

import polars as pl

from trading_platform.domain.errors import StoreError
from trading_platform.stores.audit.archive_files import BATCH_ROWS, rows_of
from trading_platform.stores.audit.archive_manifest import ARCHIVE_SCHEMAS, AuditTable, Manifest, Row, manifest_of


class Merge:
    """One merging of two sorted sets of rows.

    Args:
        table: whose rows they are.
        path: the archived file, for messages.

    Attributes:
        archived: tally of the rows the file gave, once all were taken.
        common: tally of the rows that both sides had, once all were taken.
    """

    def __init__(self, table: AuditTable, path: Path) -> None:
        self.archived = Manifest()
        self.common = Manifest()
        self._table = table
        self._path = path
        self._waiting: list[Row] = []

    def batches(self, archived: Iterable[pl.DataFrame], live: Iterable[Sequence[Row]]) -> Iterator[Sequence[Row]]:
        """The rows of both, by (time, id).

        Raises:
            StoreError: if both have a row of the same key with different content.
        """
        files = chain.from_iterable(map(self._counted, archived))
        rows = self._once(heapq.merge(files, chain.from_iterable(live), key=_key))
        while batch := list(islice(rows, BATCH_ROWS)):
            yield batch
        self._settle()

    def _counted(self, frame: pl.DataFrame) -> list[Row]:
        self.archived = self.archived.plus(manifest_of(frame))
        return rows_of(frame)

    def _once(self, rows: Iterator[Row]) -> Iterator[Row]:
        previous: Row | None = None
        for row in rows:
            if previous is not None and _key(previous) == _key(row):
                self._drop(previous, row)
                continue
            previous = row
            yield row

    def _drop(self, kept: Row, row: Row) -> None:
        if kept != row:
            raise StoreError(
                f"The database has another row than the audit archive's file {self._path} under the same key.",
                expected=f"id {kept[0]} with its archived content",
                received=", ".join(
                    name
                    for name, one, other in zip(ARCHIVE_SCHEMAS[self._table], kept, row, strict=True)
                    if one != other
                )
                + " differs",
                remedy=f"find out who changed audit.{self._table}, then give one of the two rows another id",
            )
        self._waiting.append(row)
        if len(self._waiting) >= BATCH_ROWS:
            self._settle()

    def _settle(self) -> None:
        schema = dict(ARCHIVE_SCHEMAS[self._table])
        texts = schema | {"timestamp": pl.Int64()}
        frame = pl.DataFrame(self._waiting, schema=texts, orient="row").cast({"timestamp": schema["timestamp"]})
        self.common = self.common.plus(manifest_of(frame))
        self._waiting = []


def _key(row: Row) -> tuple[int, str | int]:
    return row[1], row[0]
