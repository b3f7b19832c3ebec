"""The archive of audit rows older than a year: Parquet files of a table and month each.

::

    {directory}/audit/decisions/2024-05.parquet
    {directory}/audit/system_events/2024-05.parquet
    {directory}/audit/months.json
    {directory}/audit/.lock

A file is only ever replaced whole, by one that has all its rows and more. ``months.json`` lists the files
that must be there. What is in a file: :mod:`trading_platform.stores.audit.archive_files`. How rows come
here from the database: :mod:`trading_platform.workflows.audit.archive_audit`.
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
    explained,
    persist_folders,
    put_in_place,
    remove_drafts,
    replace_file,
)
from trading_platform.stores.audit.archive_files import Record, damaged, named, read_frames, read_record, write_rows
from trading_platform.stores.audit.archive_manifest import ARCHIVE_SCHEMAS, AuditTable, Manifest, Row, manifest_of
from trading_platform.stores.audit.archive_merge import Merge

_NAME = re.compile(r"((?!0000)\d{4})-(0[1-9]|1[0-2])\.parquet")
_READ_ATTEMPTS = 3

Filter = Callable[[pl.LazyFrame], pl.LazyFrame]
"""What is wanted of a file; what can be is left to the Parquet reader."""


@dataclass(frozen=True)
class ArchivedMonth:
    """One file of the archive.

    Attributes:
        table: whose rows it has.
        window: its month.
        path: where it is.
        record: what it says of itself.
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

    Readers need no lock: they see each file as it was before or after a replacement, never between.

    Args:
        directory: where the archive is; made when first written to.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._root = directory / "audit"
        self._list = self._root / "months.json"

    def windows(self, table: AuditTable) -> list[Window]:
        """The months that are archived, newest first; no file of theirs is opened, nor need it be there still.

        Raises:
            StoreError: if the folder cannot be looked into.
        """
        with explained(self.directory):
            names = self._listed()[table] | {path.name for path in _entries(self._root / table)}
        found = [match for name in names if (match := _NAME.fullmatch(name))]
        starts = [datetime(int(match[1]), int(match[2]), 1, tzinfo=UTC) for match in found]
        return [month_window(start) for start in sorted(starts, reverse=True)]

    def _listed(self) -> dict[AuditTable, set[str]]:
        """The files that were ever written, so that one that is gone is missed."""
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
        """What every file says of itself, by table and month; only the ends of files are read.

        Raises:
            StoreError: naming the file that cannot be used.
        """
        tables = list(AuditTable) if table is None else [table]
        return [self.month(each, window) for each in tables for window in reversed(self.windows(each))]

    def month(self, table: AuditTable, window: Window) -> ArchivedMonth:
        """What one file says of itself.

        Raises:
            StoreError: naming it, if it cannot be used or is that of another month.
        """
        path = self.path(table, window)
        record = read_record(path)
        if (record.table, record.month) != (table, month_name(window)):
            raise damaged(path, f"the rows of {record.table} {record.month}")
        with named(path):
            return ArchivedMonth(table, window, path, record, path.stat().st_size)

    def path(self, table: AuditTable, window: Window) -> Path:
        """Where a month's file is, or would be."""
        return self._root / table / f"{month_name(window)}.parquet"

    def read(self, table: AuditTable, windows: Sequence[Window], wanted: Filter) -> pl.DataFrame:
        """Rows of some months, in the order of the months given.

        Args:
            table: whose rows.
            windows: months there are files of.
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
                with named(path):
                    return wanted(pl.scan_parquet(path, hive_partitioning=False)).collect()
            except StoreError:
                if attempt == _READ_ATTEMPTS or _identity(path) == before:  # else it was replaced meanwhile
                    raise
        raise AssertionError("the last attempt returns or raises")

    def verified(self, table: AuditTable, window: Window) -> Manifest:
        """Reads a whole file and holds it to what it says of itself.

        Raises:
            StoreError: naming the file and what differs.
        """
        record = self.month(table, window).record
        path = self.path(table, window)
        _hold(path, record.manifest, _manifest_in(path, table))
        return record.manifest

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Keeps other writers away for the body, and removes what killed ones left.

        Raises:
            StoreFull: if the body runs out of space; no file is changed by what it had under way.
            StoreError: if the system refuses for another reason.
        """
        with explained(self.directory), exclusive(self._root / ".lock"):
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
        """Adds rows to a month's file, which is made if there is none; the file has every row once.

        The new file is read back from disk and held to ``live`` and to the tally of the old one before it
        takes its place. Where the old one has all the rows already it is left as it is, and verified.

        Args:
            table: whose rows.
            window: their month.
            live: the tally of the rows, computed by the database.
            batches: the rows, by (time, id).
            clock: says when it was archived.
            reached: told after each stage: ``written``, ``verified``, ``in place``.

        Raises:
            StoreError: if the old file is damaged, what is on disk differs from what was asked for, or the
                same id and time have two contents; the old file stays.
        """
        path = self.path(table, window)
        known = path.exists() or path.name in self._listed()[table]
        before = self.month(table, window).record.manifest if known else Manifest()
        merge = Merge(table, path)
        with explained(self.directory), drafted(path) as draft:

            def record() -> Record:
                together = before.plus(live).less_common(merge.common)
                return Record(table, month_name(window), together, clock().astimezone(UTC))

            frames = read_frames(path, table) if before.rows else iter(())
            write_rows(draft, table, merge.batches(frames, batches), record)
            reached("written")
            _hold(path, before, merge.archived)
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
    except FileNotFoundError:  # nothing was ever archived
        return []


def _manifest_in(path: Path, table: AuditTable) -> Manifest:
    total = Manifest()
    for frame in read_frames(path, table):
        total = total.plus(manifest_of(frame))
    return total


def _hold(path: Path, expected: Manifest, found: Manifest) -> None:
    if found != expected:
        raise damaged(path, expected.differences(found))


def _verify(draft: Path, table: AuditTable, expected: Manifest) -> None:
    found = _manifest_in(draft, table)
    if found != expected or read_record(draft).manifest != expected:
        raise StoreError(
            f"What was written to {draft} is not what was to be archived.",
            expected=f"{expected.rows:,} rows with the checksum {expected.checksum}",
            received=expected.differences(found) or "another record of it",
            remedy="examine the disk; nothing was taken out of the database",
        )


def _identity(path: Path) -> tuple[int, int, int] | None:
    try:
        about = path.stat()
    except OSError:
        return None
    return about.st_ino, about.st_mtime_ns, about.st_size
