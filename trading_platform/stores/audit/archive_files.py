"""Parquet files of archived audit rows: written and read in batches, with metadata about their content.

Columns and checksum are defined in :mod:`trading_platform.stores.audit.archive_manifest`;
:mod:`trading_platform.stores.audit.archive` manages the set of files.
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
"""Version of the columns and the metadata; a reader rejects any other."""

BATCH_ROWS = 20_000
"""Rows in memory at once; also the size of a row group."""

_RECORD = b"trading_platform.audit_archive"


@dataclass(frozen=True)
class Record:
    """The metadata of a file.

    Attributes:
        table: the table of its rows.
        month: their month, as ``2024-05``.
        manifest: of its rows.
        archived_at: when it was written, UTC.
    """

    table: AuditTable
    month: str
    manifest: Manifest
    archived_at: datetime

    def as_json(self) -> str:
        """The metadata as the file stores it."""
        fields = {"version": SCHEMA_VERSION, "table": self.table.value, "month": self.month, **self.manifest.as_dict()}
        return json.dumps(fields | {"archived_at": self.archived_at.isoformat()})

    @classmethod
    def from_json(cls, text: bytes) -> Record:
        """Parses the result of :meth:`as_json`.

        Raises:
            ValueError, KeyError, TypeError: if the text is not such a record.
        """
        fields = json.loads(text)
        if fields["version"] != SCHEMA_VERSION:
            raise ValueError(f"schema version {fields['version']}, this program reads {SCHEMA_VERSION}")
        checksum = fields["checksum"]
        manifest = Manifest(
            fields["rows"],
            _timestamp(fields["first"]),
            _timestamp(fields["last"]),
            fields["lowest_id"],
            fields["highest_id"],
            (int(checksum[:16], 16), int(checksum[16:], 16)),
        )
        return cls(
            AuditTable(fields["table"]), fields["month"], manifest, datetime.fromisoformat(fields["archived_at"])
        )


def _timestamp(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def write_rows(path: Path, table: AuditTable, batches: Iterable[Sequence[Row]], record: Callable[[], Record]) -> None:
    """Writes a file, one batch at a time.

    Args:
        path: path of the file.
        table: the table of the rows.
        batches: the rows, some thousands at once.
        record: gives the metadata of the file; called after the last batch.

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
    """The rows of a file in their order, some thousands at once.

    Raises:
        StoreError: naming the file, if it cannot be read or does not have the columns of the table.
    """
    import pyarrow.parquet as pq

    with read_errors(path), pq.ParquetFile(path) as file:
        expected = _arrow_schema(table)
        if not file.schema_arrow.equals(expected):
            raise damaged(path, f"the columns {', '.join(file.schema_arrow.names)}")
        for batch in file.iter_batches(BATCH_ROWS):
            frame = pl.from_arrow(batch)
            if isinstance(frame, pl.DataFrame):
                yield frame


def rows_of(frame: pl.DataFrame) -> list[Row]:
    """The rows of a frame in the form that :func:`write_rows` takes."""
    return frame.with_columns(pl.col("timestamp").cast(pl.Int64)).rows()


def read_record(path: Path) -> Record:
    """The metadata of a file; only the footer is read, and its number of rows compared with the manifest.

    Raises:
        StoreError: naming the file, if it cannot be read or does not have the number of rows in its manifest.
    """
    import pyarrow.parquet as pq

    with read_errors(path):
        footer = pq.read_metadata(path)
        try:
            record = Record.from_json((footer.metadata or {})[_RECORD])
        except (ValueError, KeyError, TypeError) as error:
            raise damaged(path, f"metadata that cannot be used ({error})") from None
    if footer.num_rows != record.manifest.rows:
        raise damaged(path, f"{footer.num_rows:,} rows instead of the {record.manifest.rows:,} in its manifest")
    return record


@contextmanager
def read_errors(path: Path) -> Iterator[None]:
    """Converts a failure to read a file to an error of the platform that names the file."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, pl.exceptions.PolarsError) as error:
        raise damaged(path, str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__) from error


def damaged(path: Path, received: str) -> StoreError:
    """The error for an archived file with invalid content."""
    return StoreError(
        f"The audit archive's file {path} cannot be used.",
        expected="the Parquet file that the platform wrote, complete and unchanged",
        received=received,
        remedy="restore it from a backup; do not delete it, the database no longer has its rows",
    )
