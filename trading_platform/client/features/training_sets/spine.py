"""The spine of a training set: the symbols and times to give features to, with any further columns.

:mod:`trading_platform.client.features.training_sets.training_set` joins the features to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

import polars as pl

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.market.bars import TIME
from trading_platform.domain.texts import shown
from trading_platform.domain.time import EARLIEST, LATEST

SYMBOL = "symbol"

_WITH_ZONE = ("%Y-%m-%dT%H:%M:%S%.f%z", "%Y-%m-%dT%H:%M%z")
_YEARS = (EARLIEST.year, LATEST.year)


@runtime_checkable
class ArrowTable(Protocol):
    """A table that can be read as Arrow, such as one of PyArrow or a frame of pandas."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """The table as a stream of Arrow's C interface."""


SpineFrame = pl.DataFrame | pl.LazyFrame | ArrowTable
"""What a spine can be given as; a LazyFrame is read in batches where the result is written to a file."""


class Spine:
    """A spine that can be joined: its columns are checked when it is made, its rows by :meth:`cells`.

    Args:
        frame: a row for each symbol and time, in any order; a symbol and time may be repeated.
        as_of: the column of times: aware times of any zone and unit, dates (their midnight in UTC), or either as ISO
            8601 text.
        taken: names of columns that the result adds.

    Raises:
        InvalidRequest: if it is no frame, a column is missing or of another type, or a column has a name that is taken.
    """

    def __init__(self, frame: SpineFrame, as_of: str, taken: Sequence[str]) -> None:
        self._frame = _as_polars(frame)
        with _readable():
            self.schema = self._frame.lazy().collect_schema()
        missing = [name for name in (SYMBOL, as_of) if name not in self.schema]
        if missing:
            raise InvalidRequest(
                f"The spine has no column {', '.join(map(shown, missing))}.",
                expected=f"the columns {SYMBOL} and {shown(as_of)}; others are kept",
                received=f"the columns {', '.join(self.schema) or 'of an empty frame'}",
                remedy="rename a column, or name the column of times with as_of; an index of pandas is no column "
                "(reset_index)",
            )
        twice = [name for name in taken if name in self.schema]
        if twice:
            raise InvalidRequest(
                f"The spine has a column {twice[0]} of its own, and the result would have two.",
                expected="a spine without the names of the requested features",
                received=", ".join(twice),
                remedy="rename that column of the spine",
            )
        self._as_of = as_of
        self._symbol, self._at = self._symbol_column(), self._time_column()

    def cells(self) -> pl.DataFrame:
        """The symbols and months of the spine: ``symbol``, ``month`` (first day), ``first`` time, number of ``rows``.

        Raises:
            InvalidRequest: if a row has no symbol, no time or a time that cannot be read, or the spine cannot be read.
        """
        with _readable():
            found = cells_of(self._frame.lazy().select(self._symbol, self._at)).collect()
        if found.select(pl.col(SYMBOL).is_null().any() | pl.col("month").is_null().any()).item():
            raise self._unusable_row()
        return found

    def whole(self) -> pl.DataFrame:
        """All rows.

        Raises:
            InvalidRequest: if the spine cannot be read.
        """
        with _readable():
            return self._frame.lazy().collect()

    def batches(self, rows: int) -> Iterator[pl.DataFrame]:
        """The rows in their order, at most so many at once; one empty batch of a spine without rows.

        Raises:
            InvalidRequest: if the spine cannot be read.
        """
        if isinstance(self._frame, pl.DataFrame):
            yield from self._frame.iter_slices(rows) if self._frame.height else [self._frame]
            return
        has_rows = False
        with _readable():
            for batch in self._frame.collect_batches(chunk_size=rows, maintain_order=True):
                has_rows = True
                yield batch
        if not has_rows:
            yield pl.DataFrame(schema=self.schema)

    def moments(self, batch: pl.DataFrame) -> pl.DataFrame:
        """``symbol`` and ``at``, the time in UTC, of each row of a batch."""
        return batch.select(self._symbol, self._at)

    def _symbol_column(self) -> pl.Expr:
        dtype = self.schema[SYMBOL]
        if not isinstance(dtype, pl.String | pl.Categorical | pl.Enum | pl.Null):
            raise InvalidRequest(
                "The symbols of the spine cannot be read.",
                expected=f"a column {SYMBOL} of texts such as SPY",
                received=f"a column of type {dtype}",
                remedy="cast it to text",
            )
        return pl.col(SYMBOL).cast(pl.String)

    def _time_column(self) -> pl.Expr:
        dtype, column = self.schema[self._as_of], pl.col(self._as_of)
        if isinstance(dtype, pl.Datetime) and dtype.time_zone is not None:
            at = _in_calendar(column).dt.convert_time_zone("UTC").cast(TIME)
        elif isinstance(dtype, pl.Date):
            at = _in_calendar(column).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
        elif isinstance(dtype, pl.String):
            at = _parsed(column)
        elif isinstance(dtype, pl.Null):
            at = column.cast(TIME)
        else:
            naive = isinstance(dtype, pl.Datetime)
            raise InvalidRequest(
                "The times of the spine have no time zone." if naive else "The times of the spine cannot be read.",
                expected=f"a column {self._as_of} of aware times, dates (their midnight in UTC) or ISO 8601 texts",
                received=f"a column of type {dtype}",
                remedy="set their zone: dt.replace_time_zone('UTC')" if naive else "cast it to one of these types",
            )
        return _in_calendar(at).alias("at")

    def _unusable_row(self) -> InvalidRequest:
        """The error for the first row without a symbol or a time."""
        given = pl.col(self._as_of).cast(pl.String, strict=False)
        with _readable():
            first = (
                self._frame.lazy()
                .select(self._symbol, self._at, row=pl.int_range(pl.len()), given=given)
                .filter(pl.col(SYMBOL).is_null() | pl.col("at").is_null())
                .head(1)
                .collect()
                .row(0, named=True)
            )
        what = SYMBOL if first[SYMBOL] is None else self._as_of
        return InvalidRequest(
            f"Row {first['row'] + 1:,} of the spine has no {what} that can be read.",
            expected="a symbol, and an aware time or a date from the year 1 to 9999: 2024-01-31T14:30:00Z, 2024-01-31",
            received=f"symbol {shown(first[SYMBOL])}, {self._as_of} {shown(first['given'])}",
            remedy="correct that row or leave it out",
        )


def cells_of(moments: pl.LazyFrame) -> pl.LazyFrame:
    """The cells of some moments: ``symbol``, ``month``, the ``first`` time and the number of ``rows`` of each."""
    month = pl.col("at").dt.truncate("1mo").alias("month")
    return moments.group_by(SYMBOL, month).agg(first=pl.col("at").min(), rows=pl.len())


def _as_polars(frame: SpineFrame) -> pl.DataFrame | pl.LazyFrame:
    if isinstance(frame, pl.DataFrame | pl.LazyFrame):
        return frame
    if isinstance(frame, ArrowTable):
        with _readable():
            return pl.DataFrame(frame)
    raise InvalidRequest(
        "This is no spine.",
        expected="a Polars frame, or one of pandas or Arrow, with a row for each symbol and time",
        received=shown(frame),
        remedy="make a frame: pl.DataFrame({'symbol': …, 'time': …})",
    )


def _parsed(column: pl.Expr) -> pl.Expr:
    """Times of ISO 8601 texts with a zone, and of dates; NULL where a text is neither."""
    text = column.str.replace(" ", "T", literal=True).str.replace("[Zz]$", "+00:00")
    times: list[Any] = [
        text.str.to_datetime(form, time_unit="us", time_zone="UTC", strict=False) for form in _WITH_ZONE
    ]
    day = column.str.to_date("%Y-%m-%d", strict=False)
    return pl.coalesce(*times, day.cast(pl.Datetime("us")).dt.replace_time_zone("UTC"))


def _in_calendar(times: pl.Expr) -> pl.Expr:
    """The times within the calendar of Python, NULL for others, which overflow in another unit or zone."""
    return pl.when(times.dt.year().is_between(*_YEARS)).then(times)


@contextmanager
def _readable() -> Iterator[None]:
    """Turns what Polars raises for data that cannot be read into an error of the request."""
    try:
        yield
    except (pl.exceptions.PolarsError, OSError, ValueError, TypeError) as error:
        raise InvalidRequest(
            "The spine cannot be read.",
            expected="a frame or file that Polars can read",
            received=(str(error).splitlines() or [type(error).__name__])[0],
            remedy="correct the frame or the file",
        ) from error
