"""The archive of audit rows older than a year: one Parquet file per table and month.

::

    {directory}/audit/decisions/2024-05.parquet
    {directory}/audit/system_events/2024-05.parquet
    {directory}/audit/months.json
    {directory}/audit/.lock

A file is only ever replaced whole, by one that has all its rows and more. ``months.json`` lists the files
that must exist. Format of a file: :mod:`trading_platform.stores.audit.archive_files`.
:mod:`trading_platform.workflows.audit.archive_audit` moves the rows here from the database.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from trading_platform.domain.errors import StoreError
from trading_platform.domain.time import Clock, Window, month_window
from trading_platform.stores.atomic_files import (
    drafted,
    exclusive,
    os_errors_as_store_errors,
    persist_folders,
    put_in_place,
    remove_drafts,
    replace_file,
)
from trading_platform.stores.audit.archive_files import (
    Record,
    damaged,
    read_errors,
    read_frames,
    read_record,
    write_rows,
)
from trading_platform.stores.audit.archive_manifest import ARCHIVE_SCHEMAS, AuditTable, Manifest, Row, manifest_of
from trading_platform.stores.audit.archive_merge import Merge

_NAME = re.compile(r"((?!0000)\d{4})-(0[1-9]|1[0-2])\.parquet")
_READ_ATTEMPTS = 3

Filter = Callable[[pl.LazyFrame], pl.LazyFrame]
"""Selects rows of a file; the Parquet reader evaluates as much of it as it can."""


@dataclass(frozen=True)
class ArchivedMonth:
    """One file of the archive.

    Attributes:
        table: the table of its rows.
        window: its month.
        path: path of the file.
        record: its metadata.
        size: in bytes.
    """

    table: AuditTable
    window: Window
    path: Path
    record: Record
    size: int


def month_name(window: Window) -> str:
    """A month as ``2024-05``."""
    return f"{window.start.year:04}-{window.start.month:02}"


class AuditArchive:
    """Archived audit rows on disk.

    Readers need no lock: they see each file as it was before or after a replacement, never in between.

    Args:
        directory: folder of the archive; created by the first write.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._root = directory / "audit"
        self._list = self._root / "months.json"

    def windows(self, table: AuditTable) -> list[Window]:
        """The archived months, newest first: listed months and existing files; no file is opened.

        Raises:
            StoreError: if the folder cannot be read.
        """
        with os_errors_as_store_errors(self.directory):
            names = self._listed()[table] | {path.name for path in _entries(self._root / table)}
        found = [match for name in names if (match := _NAME.fullmatch(name))]
        starts = [datetime(int(match[1]), int(match[2]), 1, tzinfo=UTC) for match in found]
        return [month_window(start) for start in sorted(starts, reverse=True)]

    def _listed(self) -> dict[AuditTable, set[str]]:
        """The names of all files ever written, so that a missing one is detected."""
        try:
            listed = json.loads(self._list.read_bytes())
            return {table: set(listed.get(table, [])) for table in AuditTable}
        except FileNotFoundError:
            return {table: set() for table in AuditTable}
        except (ValueError, AttributeError, TypeError) as error:
            raise damaged(self._list, str(error)) from None

    def _enlist(self, table: AuditTable, name: str) -> None:
        listed = self._listed()
        if name not in listed[table]:
            listed[table].add(name)
            text = json.dumps({each: sorted(names) for each, names in listed.items()}, indent=1)
            persist_folders(replace_file(self._list, text.encode()))

    def months(self, table: AuditTable | None = None) -> list[ArchivedMonth]:
        """The metadata of every file, by table and month; only the footers of the files are read.

        Raises:
            StoreError: naming the file that cannot be used.
        """
        tables = list(AuditTable) if table is None else [table]
        return [self.month(each, window) for each in tables for window in reversed(self.windows(each))]

    def month(self, table: AuditTable, window: Window) -> ArchivedMonth:
        """The metadata of one file.

        Raises:
            StoreError: naming the file, if it cannot be used or has the rows of another month.
        """
        path = self.path(table, window)
        record = read_record(path)
        if (record.table, record.month) != (table, month_name(window)):
            raise damaged(path, f"the rows of {record.table} {record.month}")
        with read_errors(path):
            return ArchivedMonth(table, window, path, record, path.stat().st_size)

    def path(self, table: AuditTable, window: Window) -> Path:
        """The path of a month's file, whether it exists or not."""
        return self._root / table / f"{month_name(window)}.parquet"

    def read(self, table: AuditTable, windows: Sequence[Window], wanted: Filter) -> pl.DataFrame:
        """Rows of some months, in the order of the months given.

        Args:
            table: the table of the rows.
            windows: archived months.
            wanted: applied to each month's rows.

        Raises:
            StoreError: naming the file that cannot be used.
        """
        empty = wanted(pl.LazyFrame(schema=ARCHIVE_SCHEMAS[table])).collect()
        return pl.concat([empty, *(self._read(table, window, wanted) for window in windows)])

    def _read(self, table: AuditTable, window: Window, wanted: Filter) -> pl.DataFrame:
        path = self.path(table, window)
        for attempt in range(1, _READ_ATTEMPTS + 1):
            before = _identity(path)
            try:
                self.month(table, window)
                with read_errors(path):
                    return wanted(pl.scan_parquet(path, hive_partitioning=False)).collect()
            except StoreError:
                if attempt == _READ_ATTEMPTS or _identity(path) == before:  # else it has been replaced in the meantime
                    raise
        raise AssertionError("the last attempt returns or raises")

    def verified(self, table: AuditTable, window: Window) -> Manifest:
        """Reads a whole file and compares its rows with its manifest.

        Raises:
            StoreError: naming the file and what differs.
        """
        record = self.month(table, window).record
        path = self.path(table, window)
        _require_equal(path, record.manifest, _manifest_in(path, table))
        return record.manifest

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Excludes other writers for the body, and removes the drafts of killed ones.

        Raises:
            StoreFull: if the body runs out of space; the interrupted write changes no file.
            StoreError: for any other error of the system.
        """
        with os_errors_as_store_errors(self.directory), exclusive(self._root / ".lock"):
            for folder in (self._root, *(self._root / table for table in AuditTable)):
                remove_drafts(folder)
            yield

    def add(
        self,
        table: AuditTable,
        window: Window,
        live: Manifest,
        batches: Iterable[Sequence[Row]],
        *,
        clock: Clock,
        reached: Callable[[str], None],
    ) -> ArchivedMonth:
        """Adds rows to a month's file, which is created if there is none; the file has every row once.

        The new file is read back from disk and compared with ``live`` and the manifest of the old file before it
        replaces that. If the old file has all the rows already, it is verified and left unchanged.

        Args:
            table: the table of the rows.
            window: their month.
            live: the manifest of the rows, computed by the database.
            batches: the rows, by (time, id).
            clock: source of the time of archiving.
            reached: called after each stage: ``written``, ``verified``, ``in place``.

        Raises:
            ConflictingRows: if the same id and time have two contents; the old file stays.
            StoreError: if the old file is damaged, or the file on disk differs from the rows to archive; the old
                file stays.
        """
        path = self.path(table, window)
        exists = path.exists() or path.name in self._listed()[table]
        before = self.month(table, window).record.manifest if exists else Manifest()
        merge = Merge(table, path)
        with os_errors_as_store_errors(self.directory), drafted(path) as draft:

            def record() -> Record:
                together = before.plus(live).less_common(merge.common)
                return Record(table, month_name(window), together, clock().astimezone(UTC))

            frames = read_frames(path, table) if before.rows else iter(())
            write_rows(draft, table, merge.batches(frames, batches), record)
            reached("written")
            _require_equal(path, before, merge.archived)
            expected = record().manifest
            _verify(draft, table, expected)
            reached("verified")
            if expected != before:
                put_in_place(draft, path)
        self._enlist(table, path.name)
        reached("in place")
        return self.month(table, window)


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except FileNotFoundError:  # nothing has been archived yet
        return []


def _manifest_in(path: Path, table: AuditTable) -> Manifest:
    total = Manifest()
    for frame in read_frames(path, table):
        total = total.plus(manifest_of(frame))
    return total


def _require_equal(path: Path, expected: Manifest, found: Manifest) -> None:
    if found != expected:
        raise damaged(path, expected.differences(found))


def _verify(draft: Path, table: AuditTable, expected: Manifest) -> None:
    found = _manifest_in(draft, table)
    if found != expected or read_record(draft).manifest != expected:
        raise StoreError(
            f"The file written to {draft} does not have the rows to archive.",
            expected=f"{expected.rows:,} rows with the checksum {expected.checksum}",
            received=expected.differences(found) or "other metadata",
            remedy="examine the disk; nothing was deleted from the database",
        )


def _identity(path: Path) -> tuple[int, int, int] | None:
    try:
        about = path.stat()
    except OSError:
        return None
    return about.st_ino, about.st_mtime_ns, about.st_size
