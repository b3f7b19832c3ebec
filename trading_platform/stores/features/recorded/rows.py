"""When each row of a month was recorded, and a month as it was recorded at a time.

A file has the column ``recorded_at``: when its row was stored with these values, UTC; NULL in files of before the
platform kept that. Its metadata says of a column that was added to stored rows when that was (:data:`ADDED`), and when
anything of the file was recorded last (:data:`LATEST`). :mod:`trading_platform.stores.features.month_files` writes
them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from io import BytesIO

import polars as pl

from trading_platform.domain.market.bars import TIME
from trading_platform.domain.time import rfc3339

RECORDED_AT = "recorded_at"
ADDED = "columns_recorded_at"
LATEST = "recorded_at"

ABOUT = 1e-9
"""Relative difference up to which two computations of a value agree (docs/features.md)."""

_STAYS, _AGREES = "row stays", "row agrees"  # no names of features, which have no blanks


@dataclass(frozen=True)
class Recorded:
    """When the rows and columns of a month were recorded.

    Attributes:
        rows: for each row, UTC; NULL where that is not known.
        columns: for columns that were added to stored rows.
    """

    rows: pl.Series
    columns: Mapping[str, datetime] = field(default_factory=dict)

    @property
    def latest(self) -> datetime | None:
        """When anything was recorded last; None if that is not known."""
        newest = self.rows.max()
        return max([*self.columns.values(), *([newest] if isinstance(newest, datetime) else [])], default=None)

    def metadata(self) -> dict[str, str]:
        """What the file says besides the column."""
        added = {name: rfc3339(at) for name, at in sorted(self.columns.items())}
        return ({ADDED: json.dumps(added)} if added else {}) | ({LATEST: rfc3339(self.latest)} if self.latest else {})


def recorded_of(rows: pl.DataFrame, metadata: Mapping[str, str]) -> Recorded:
    """When the rows of a file were recorded."""
    times = (
        rows[RECORDED_AT]
        if rows.schema.get(RECORDED_AT) == TIME
        else pl.repeat(None, rows.height, dtype=TIME, eager=True)
    )
    return Recorded(times.alias(RECORDED_AT), _added(metadata))


def _added(metadata: Mapping[str, str]) -> dict[str, datetime]:
    try:
        return {name: datetime.fromisoformat(at) for name, at in json.loads(metadata.get(ADDED, "{}")).items()}
    except (ValueError, TypeError, AttributeError):
        return {}


def first_recorded(rows: pl.DataFrame, at: datetime) -> Recorded:
    """Rows of a month that had none."""
    return Recorded(pl.repeat(at, rows.height, dtype=TIME, eager=True).alias(RECORDED_AT))


def recorded_again(
    before: pl.DataFrame, recorded: Recorded, after: pl.DataFrame, at: datetime
) -> tuple[Recorded, bool]:
    """When rows that take the place of others were recorded, and whether the others have to be kept.

    A row whose values agree with those before to :data:`ABOUT` was no other one: it keeps its time. So does a row that
    gains a column in which no row had a value; then the column has the time. All other rows are recorded now.

    Args:
        before: the rows before, without :data:`RECORDED_AT`.
        recorded: when these were recorded.
        after: the rows now.
        at: the time.

    Returns:
        The times, and whether a row before was removed or has other values.
    """
    had = [name for name in before.columns if name != "time" and before[name].null_count() < before.height]
    columns = {name: time for name, time in recorded.columns.items() if name in had and name in after.columns}
    if any(after.schema.get(name) != before.schema[name] for name in had):
        return Recorded(first_recorded(after, at).rows, columns), True
    new = [name for name in after.columns if name != "time" and name not in had]
    values = (pl.col(name).alias(f"before {name}") for name in had)
    old = before.lazy().select("time", *values, pl.lit(recorded.rows), pl.lit(value=True).alias(_STAYS))
    agrees = pl.all_horizontal(pl.col(_STAYS).fill_null(value=False), *(_agrees(name, before) for name in had))
    both = (
        after.lazy()
        .join(old, on="time", how="left", maintain_order="left")
        .select(
            agrees.alias(_AGREES),
            pl.when(agrees).then(RECORDED_AT).otherwise(pl.lit(at, TIME)).alias(RECORDED_AT),
            *((agrees & pl.col(name).is_not_null()).any().alias(name) for name in new),
        )
        .collect()
    )
    columns |= {name: at for name in new if both[name].any()}
    return Recorded(both[RECORDED_AT], columns), both[_AGREES].sum() < before.height


def _agrees(name: str, before: pl.DataFrame) -> pl.Expr:
    now, then = pl.col(name), pl.col(f"before {name}")
    same = now.eq_missing(then)
    if not before.schema[name].is_float():
        return same
    close = (now - then).abs() <= ABOUT * pl.max_horizontal(now.abs(), then.abs())
    return same | close.fill_null(value=False)


def as_recorded(content: bytes, timestamp: datetime) -> bytes | None:
    """A file with what had been recorded by a time of its rows and columns; None if it had no rows.

    What was replaced since is no part of it, so it must be the file that was there at that time, or one that no row was
    replaced in since.

    Raises:
        PolarsError: if it is no Parquet file.
    """
    metadata = pl.read_parquet_metadata(BytesIO(content))
    if LATEST not in metadata or datetime.fromisoformat(metadata[LATEST]) <= timestamp:
        return content
    later = [name for name, at in _added(metadata).items() if at > timestamp]
    rows = pl.read_parquet(BytesIO(content), hive_partitioning=False).drop(later, strict=False)
    rows = rows.filter(pl.col(RECORDED_AT).is_null() | (pl.col(RECORDED_AT) <= timestamp))
    if rows.is_empty():
        return None
    kept = {key: value for key, value in metadata.items() if key not in {"ARROW:schema", ADDED, LATEST}}
    added = {name: at for name, at in _added(metadata).items() if at <= timestamp}
    buffer = BytesIO()
    rows.write_parquet(buffer, metadata=kept | Recorded(rows[RECORDED_AT], added).metadata())
    return buffer.getvalue()
