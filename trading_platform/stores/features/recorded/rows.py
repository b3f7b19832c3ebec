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

import numpy as np
import polars as pl

from trading_platform.domain.market.bars import TIME
from trading_platform.domain.time import rfc3339

RECORDED_AT = "recorded_at"
ADDED = "columns_recorded_at"
LATEST = "recorded_at"

ABOUT = 1e-9
"""Relative difference up to which two computations of a value agree (docs/features.md)."""

_STAYS = "row stays"  # no name of a feature, which has no blank


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
    return Recorded(_repeated(at, rows.height))


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
        return Recorded(_repeated(at, after.height), columns), True
    old = before.hstack([recorded.rows])
    new = after
    if not old["time"].equals(new["time"]):
        old = old.join(after.select("time"), on="time", how="semi", maintain_order="left").sort("time")
        new = after.join(before.select("time"), on="time", how="semi", maintain_order="left").sort("time")
    agree = _agree(old, new, had)
    kept = old.filter(agree).select("time", RECORDED_AT)
    added = [name for name in after.columns if name != "time" and name not in had]
    columns |= {name: at for name in added if new[name].filter(agree).null_count() < kept.height}
    if kept.height == after.height:
        return Recorded(kept[RECORDED_AT], columns), kept.height < before.height
    stays = kept.with_columns(pl.lit(value=True).alias(_STAYS))
    times = after.select("time").join(stays, on="time", how="left", maintain_order="left")
    found = times.select(pl.when(_STAYS).then(RECORDED_AT).otherwise(pl.lit(at, TIME)).alias(RECORDED_AT))
    return Recorded(found.to_series(), columns), kept.height < before.height


def _agree(old: pl.DataFrame, new: pl.DataFrame, names: list[str]) -> pl.Series:
    """Which rows of two frames with the same times have the same values, floats up to :data:`ABOUT`."""
    floats = [name for name in names if old.schema[name].is_float()]
    then, now = (frame.select(floats).to_numpy() for frame in (old, new))
    with np.errstate(invalid="ignore"):
        close = np.abs(now - then) <= ABOUT * np.maximum(np.abs(now), np.abs(then))
    same = close | (now == then) | (np.isnan(now) & np.isnan(then))
    found = pl.Series(same.all(axis=1)) if floats else pl.repeat(value=True, n=old.height, eager=True)
    for name in names:
        if name not in floats and not old[name].equals(new[name], null_equal=True):
            found &= old[name].eq_missing(new[name])
    return found


def _repeated(at: datetime, rows: int) -> pl.Series:
    return pl.Series(RECORDED_AT, [at], TIME).new_from_index(0, rows)


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
