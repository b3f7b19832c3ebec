"""Parquet files of archived audit rows: written and read in pieces, with a record of what they hold.

Columns and checksum stand in :mod:`trading_platform.stores.audit.archive_manifest`; which files there are is the
business of :mod:`trading_platform.stores.audit.archive`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from trading_platform.domain.errors import StoreError
from trading_platform.stores.audit.archive_manifest import ARCHIVE_SCHEMAS, AuditTable, Manifest, Row

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA_VERSION = 1
"""Of the columns and of what is recorded about them; a reader refuses a newer one."""

BATCH_ROWS = 20_000
"""How many rows are in memory at once; also the size of a row group."""

_RECORD = b"trading_platform.audit_archive"


@dataclass(frozen=True)
class Record:
    """What a file says of itself.

    Attributes:
        table: whose rows it has.
        month: of which month, as ``2024-05``.
        manifest: of its rows.
        archived_at: when it was written, UTC.
    """

    table: AuditTable
    month: str
    manifest: Manifest
    archived_at: datetime

    def as_json(self) -> str:
        """As it stands in the file."""
        said = {"version": SCHEMA_VERSION, "table": self.table.value, "month": self.month, **self.manifest.as_dict()}
        return json.dumps(said | {"archived_at": self.archived_at.isoformat()})

    @classmethod
    def from_json(cls, text: bytes) -> Record:
        """The other way round.

        Raises:
            ValueError, KeyError, TypeError: if it is not one.
        """
        said = json.loads(text)
        if said["version"] != SCHEMA_VERSION:
            raise ValueError(f"schema version {said['version']}, this program knows {SCHEMA_VERSION}")
        checksum = said["checksum"]
        manifest = Manifest(
            said["rows"],
            _timestamp(said["first"]),
            _timestamp(said["last"]),
            said["lowest_id"],
            said["highest_id"],
            (int(checksum[:16], 16), int(checksum[16:], 16)),
        )
        return cls(AuditTable(said["table"]), said["month"], manifest, datetime.fromisoformat(said["archived_at"]))


def _timestamp(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def write_rows(path: Path, table: AuditTable, batches: Iterable[Sequence[Row]], record: Callable[[], Record]) -> None:
    """Writes a file, a batch at a time.

    Args:
        path: where to.
        table: whose rows they are.
        batches: the rows, some thousands at once.
        record: what the file is to say of itself, asked after the last batch.

    Raises:
        OSError: if it cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _arrow_schema(table)
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for batch in batches:
            columns = zip(*batch, strict=True)
            arrays = [pa.array(values, type=field.type) for values, field in zip(columns, schema, strict=True)]
            writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))
        writer.add_key_value_metadata({_RECORD: record().as_json()})


def _arrow_schema(table: AuditTable) -> pa.Schema:
    import pyarrow as pa

    types = {pl.String: pa.string(), pl.Int64: pa.int64(), pl.Datetime: pa.timestamp("us", "UTC")}
    return pa.schema([(name, types[type(dtype)]) for name, dtype in ARCHIVE_SCHEMAS[table].items()])


def read_frames(path: Path, table: AuditTable) -> Iterator[pl.DataFrame]:
    """A file's rows, some thousands at once, in their order.

    Raises:
        StoreError: naming the file, if it cannot be read or has not the table's columns.
    """
    import pyarrow.parquet as pq

    with named(path), pq.ParquetFile(path) as file:
        expected = _arrow_schema(table)
        if not file.schema_arrow.equals(expected):
            raise damaged(path, f"the columns {', '.join(file.schema_arrow.names)}")
        for batch in file.iter_batches(BATCH_ROWS):
            frame = pl.from_arrow(batch)
            if isinstance(frame, pl.DataFrame):
                yield frame


def rows_of(frame: pl.DataFrame) -> list[Row]:
    """A frame's rows in the form in which :func:`write_rows` takes them."""
    return frame.with_columns(pl.col("timestamp").cast(pl.Int64)).rows()


def read_record(path: Path) -> Record:
    """What a file says of itself; only its end is read, and its number of rows held to it.

    Raises:
        StoreError: naming the file, if it cannot be read or does not have the rows it says.
    """
    import pyarrow.parquet as pq

    with named(path):
        footer = pq.read_metadata(path)
        try:
            record = Record.from_json((footer.metadata or {})[_RECORD])
        except (ValueError, KeyError, TypeError) as error:
            raise damaged(path, f"a record of its content that cannot be used ({error})") from None
    if footer.num_rows != record.manifest.rows:
        raise damaged(path, f"{footer.num_rows:,} rows instead of the {record.manifest.rows:,} it says it has")
    return record


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Failures to read a file as the platform's error with its name."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, pl.exceptions.PolarsError) as error:
        raise damaged(path, str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__) from error


def damaged(path: Path, received: str) -> StoreError:
    """The error for an archived file that is not as it must be."""
    return StoreError(
        f"The audit archive's file {path} cannot be used.",
        expected="the Parquet file that the platform wrote, whole and unchanged",
        received=received,
        remedy="put it back from a backup; do not delete it, its rows are in the database no longer",
    )
