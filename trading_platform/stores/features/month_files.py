"""The file of a symbol's features in a month: its columns, and which definition each was computed by.

The file's metadata holds version and hash of the definition of each column
(:data:`~trading_platform.stores.features.recorded.content.DEFINITIONS`). When its rows were recorded is in
:mod:`trading_platform.stores.features.recorded.rows`. A file is only ever replaced whole;
:mod:`trading_platform.stores.features.files` has the store of all files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from io import BytesIO
from pathlib import Path

import polars as pl

from trading_platform.domain.features.feature_set import KEYS
from trading_platform.domain.market.bars import TIME
from trading_platform.domain.time import Window
from trading_platform.stores.atomic_files import replace_file
from trading_platform.stores.features.recorded.content import (
    DEFINITIONS,
    Stamp,
    content_of,
    damaged,
    stamps_of_metadata,
)
from trading_platform.stores.features.recorded.rows import (
    RECORDED_AT,
    Recorded,
    first_recorded,
    recorded_again,
    recorded_of,
)

MIXED = ""


@dataclass(frozen=True)
class Columns:
    """The columns of features that a file may have.

    Attributes:
        defined: types of the features that are defined.
        stamps: version and hash of the definition of each.
        kept: types of features whose definition is unknown here: they stay in files that have them.
    """

    defined: Mapping[str, pl.DataType]
    stamps: Mapping[str, Stamp]
    kept: Mapping[str, pl.DataType]

    @property
    def schema(self) -> dict[str, pl.DataType]:
        """All columns, the keys in front."""
        return {**KEYS, **self.defined, **self.kept}


@dataclass(frozen=True)
class Month:
    """The content of a file.

    Attributes:
        rows: its rows, without the times at which they were recorded.
        stamps: the definitions that they were computed by.
        recorded: when they were recorded.
        content: the file itself; empty for one that is not written yet.
    """

    rows: pl.DataFrame
    stamps: Mapping[str, Stamp]
    recorded: Recorded = field(default_factory=lambda: Recorded(pl.Series(dtype=TIME)))
    content: bytes = b""


def stamps_of(file: Path) -> dict[str, Stamp] | None:
    """By which definition each column of a file was computed; None if there is no file.

    Columns without an entry, and all of a damaged file, are left out.
    """
    try:
        metadata = pl.read_parquet_metadata(file)
    except FileNotFoundError:
        return None
    except (pl.exceptions.PolarsError, OSError):
        return {}
    return stamps_of_metadata(metadata)


@dataclass(frozen=True)
class Change:
    """What a replacement makes of a file.

    Attributes:
        file: the file.
        outcome: ``written``, ``unchanged`` or ``removed``.
        content: the new file; None unless it is written.
        replaced: the file before, if rows of it were removed or have other values now; else None.
    """

    file: Path
    outcome: str
    content: bytes | None = None
    replaced: bytes | None = None

    def publish(self) -> set[Path]:
        """Replaces the file; returns the folders with changed entries."""
        if self.outcome == "unchanged":
            return set()
        if self.content is not None:
            return replace_file(self.file, self.content)
        self.file.unlink(missing_ok=True)
        with suppress(OSError):  # it contains files that this store did not write
            self.file.parent.rmdir()
        return {self.file.parent, self.file.parent.parent}


def change_of_month(
    file: Path,
    before: Month | None,
    rows: pl.DataFrame | None,
    window: Window,
    columns: Columns,
    names: Sequence[str] | None,
    at: datetime,
) -> Change:
    """The change that replaces a month's rows in the window by ``rows``.

    Args:
        file: the file.
        before: its content; None if there is no file.
        rows: the rows of this month, with the columns to replace; None for no rows.
        window: the window.
        columns: the columns that the file may have.
        names: the features to replace; the other columns stay as they are. None means all, and the rows themselves.
        at: when new rows and values are recorded, UTC.
    """
    if names is None:
        after = _with_rows(before, rows, window, columns)
    else:
        after = _with_columns(before, rows, window, columns, names)
    if after is None:
        return Change(file, "removed", replaced=None if before is None else before.content)
    if before is not None and before.stamps == after.stamps and before.rows.equals(after.rows):
        return Change(file, "unchanged")
    if before is None:
        recorded, differs = first_recorded(after.rows, at), False
    else:
        recorded, differs = recorded_again(before.rows, before.recorded, after.rows, at)
    entries = {name: {"version": version, "hash": digest} for name, (version, digest) in sorted(after.stamps.items())}
    buffer = BytesIO()
    after.rows.hstack([recorded.rows]).write_parquet(
        buffer, metadata={DEFINITIONS: json.dumps(entries)} | recorded.metadata()
    )
    return Change(file, "written", buffer.getvalue(), before.content if before is not None and differs else None)


def _with_rows(before: Month | None, rows: pl.DataFrame | None, window: Window, columns: Columns) -> Month | None:
    """The month with new rows in the window."""
    if before is None:
        return None if rows is None else Month(rows, columns.stamps)
    known = _known(before.rows, columns)
    outside = known.filter(~_inside(window))
    if rows is not None:
        rows = _with_kept(rows, known, columns)
    if rows is None or outside.is_empty():
        after = outside if rows is None else rows
    else:
        after = pl.concat([outside, rows], how="diagonal").sort("time")
    if after.is_empty():
        return None
    stamps = _mixed(before, columns.stamps, whole=outside.is_empty()) if rows is not None else dict(before.stamps)
    for name in columns.kept:
        if name in before.stamps:
            version, digest = before.stamps[name]
            lost = after[name].null_count() > known[name].null_count() if name in after.columns else True
            stamps[name] = (version, MIXED if lost else digest)
    return Month(after, {name: stamp for name, stamp in stamps.items() if name in after.columns})


def _with_kept(rows: pl.DataFrame, before: pl.DataFrame, columns: Columns) -> pl.DataFrame:
    """New rows with the columns that stay: a value stays where all features of its row have stayed, else it is NULL."""
    kept = [name for name in columns.kept if name in before.columns]
    if not kept:
        return rows
    same = list(rows.columns)
    return rows.join(
        before.select(*same, *kept), on=same, how="left", nulls_equal=True, maintain_order="left", validate="1:1"
    )


def _with_columns(
    before: Month | None, rows: pl.DataFrame | None, window: Window, columns: Columns, names: Sequence[str]
) -> Month | None:
    """The month with new values of some features in the window."""
    if before is None:
        return None
    known = _known(before.rows, columns)
    outside = known.filter(~_inside(window))
    given = known.clear().select("time", *names) if rows is None else rows.select("time", *names)
    order = [*KEYS, *(name for name in columns.defined if name in known.columns or name in names)]
    order += [name for name in known.columns if name not in order]
    replaced = known.drop(names, strict=False).join(given, on="time", how="left", maintain_order="left")
    if not outside.is_empty():
        own = [name for name in names if name in outside.columns]
        outer = outside.select("time", *own).rename({name: f"before {name}" for name in own})
        replaced = replaced.join(outer, on="time", how="left", maintain_order="left").with_columns(
            pl.when(_inside(window)).then(pl.col(name)).otherwise(pl.col(f"before {name}")).alias(name) for name in own
        )
    fresh = _mixed(before, {name: columns.stamps[name] for name in names}, whole=outside.is_empty())
    stamps = {**before.stamps, **fresh}
    return Month(replaced.select(order), {name: stamp for name, stamp in stamps.items() if name in order})


def _mixed(before: Month, stamps: Mapping[str, Stamp], *, whole: bool) -> dict[str, Stamp]:
    """The stamps of columns of which only a part was replaced, unless the file is replaced whole."""
    return {
        name: stamp if whole or before.stamps.get(name) == stamp else (stamp[0], MIXED)
        for name, stamp in stamps.items()
    }


def _inside(window: Window) -> pl.Expr:
    return pl.col("time").is_between(window.start, window.end, closed="left")


def _known(rows: pl.DataFrame, columns: Columns) -> pl.DataFrame:
    """The columns of a file that are known, in their present type; a column of another type was another feature."""
    return rows.select(name for name, dtype in columns.schema.items() if rows.schema.get(name) == dtype)


def without_former_types(content: bytes, columns: Columns) -> bytes:
    """A file without the columns that another definition computed in another type; a wrong type of this one stays."""
    rows = pl.read_parquet(BytesIO(content), hive_partitioning=False)
    stamps = stamps_of_metadata(pl.read_parquet_metadata(BytesIO(content)))
    former = [
        name
        for name, dtype in columns.defined.items()
        if rows.schema.get(name, dtype) != dtype and stamps.get(name, columns.stamps[name]) != columns.stamps[name]
    ]
    buffer = BytesIO()
    rows.drop(former).write_parquet(buffer)
    return buffer.getvalue()


def read_month(file: Path) -> Month | None:
    """The rows of a month and their definitions; None if there is no file.

    Raises:
        StoreError: if the file is damaged.
    """
    content = content_of(file)
    if content is None:
        return None
    try:
        rows = pl.read_parquet(BytesIO(content), hive_partitioning=False)
        metadata = pl.read_parquet_metadata(BytesIO(content))
        return Month(
            rows.drop(RECORDED_AT, strict=False), stamps_of_metadata(metadata), recorded_of(rows, metadata), content
        )
    except pl.exceptions.PolarsError as error:
        raise damaged(file, str(error).splitlines()[0]) from None
