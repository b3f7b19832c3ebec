"""Writes a training set to a Parquet file in batches, so that it may be larger than memory.

:mod:`trading_platform.client.features.training_sets.training_set` makes the batches.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from trading_platform.domain.errors import InvalidRequest, StoreError, StoreFull
from trading_platform.stores.atomic_files import put_in_place

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def write_batches(batches: Iterable[pl.DataFrame], file: Path) -> int:
    """Writes frames of the same columns, one after the other; returns the number of rows.

    They are written to another name in the same folder, synced and renamed: whatever happens, the file is as it was
    before or whole. Nobody but the user can read it.

    Args:
        batches: at least one frame, possibly without rows.
        file: path of the file, which ends in ``.parquet``.

    Raises:
        InvalidRequest: if the path does not end so, or a column cannot be stored in Parquet.
        StoreFull: if no space is left.
        StoreError: if the file cannot be written.
    """
    if file.suffix != ".parquet":
        raise InvalidRequest(
            "A training set is written to a Parquet file.",
            expected="a path that ends in .parquet",
            received=str(file),
            remedy="choose such a name, or leave the path out to get a frame",
        )
    with _os_errors(file):
        handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.", suffix=".tmp")
        draft = Path(name)
        try:
            os.close(handle)
            rows = _write(batches, draft)
            put_in_place(draft, file)
        finally:
            draft.unlink(missing_ok=True)
    return rows


def _write(batches: Iterable[pl.DataFrame], draft: Path) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = 0
    writer: pq.ParquetWriter | None = None
    try:
        for batch in batches:
            objects = [name for name, dtype in batch.schema.items() if dtype == pl.Object]
            if objects:  # Arrow would store their addresses
                raise _cannot_be_stored(f"{objects[0]} holds objects of Python")
            try:
                table = batch.to_arrow()
                if writer is None:
                    writer = pq.ParquetWriter(draft, table.schema, compression="zstd")
                writer.write_table(table)
            except (pa.ArrowException, pl.exceptions.PolarsError) as error:
                raise _cannot_be_stored((str(error).splitlines() or [type(error).__name__])[0]) from None
            rows += batch.height
    finally:
        if writer is not None:
            writer.close()
    return rows


def _cannot_be_stored(received: str) -> InvalidRequest:
    return InvalidRequest(
        "A column of the spine cannot be stored in Parquet; no file was written.",
        expected="numbers, texts, times, truth values, and lists and structs of these",
        received=received,
        remedy="leave that column out or cast it",
    )


@contextmanager
def _os_errors(file: Path) -> Iterator[None]:
    """Turns an error of the system into one of the platform."""
    try:
        yield
    except OSError as error:
        reason = str(error.strerror or error)
        raise (StoreFull if error.errno in _FULL else StoreError)(
            f"{file} could not be written; nothing is left behind.",
            received=reason,
            remedy="choose a folder that exists, is writable and has free space",
        ) from None
