"""The point-in-time join: to each symbol and time the feature row that was the last one available by then.

A row counts from its ``available_at`` on, which is when its last value could be known, never from the time of its bar.
The times may be in any order and repeated; the result has a row for each, in the same order. Where a value is NULL,
:class:`NullReason` says why. The rows are read by :mod:`trading_platform.stores.features.scan`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import polars as pl

from trading_platform.domain.market.bars import TIME

Numbers = npt.NDArray[np.int64]
Codes = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


class NullReason(StrEnum):
    """Why a value of a training set is NULL; where several hold, the first of this list."""

    NO_SOURCE = "no_source"
    """No source of the feature is connected; the catalog says which it awaits (``awaits``)."""
    NOT_COMPUTED = "not_computed"
    """The symbol has no features, or its file is older than this feature."""
    NO_ROW_YET = "no_row_yet"
    """No row of the symbol was available at the time."""
    TOO_OLD = "too_old"
    """The last row was available for longer than the tolerance."""
    WARM_UP = "warm_up"
    """The first rows of the symbol, before the feature has a first value."""
    NO_NEWS = "no_news"
    """There was no news about the symbol in the time that the feature looks at."""
    UNDEFINED = "undefined"
    """Stored as NULL: not defined there, such as after a gap or without a benchmark."""


REASON = pl.Enum([reason.value for reason in NullReason])

_CODES = {reason: number for number, reason in enumerate(NullReason)}
_NONE = -1


@dataclass(frozen=True)
class JoinedFeature:
    """How a feature is joined.

    Attributes:
        name: its column.
        tolerance: for how long a row may have been available at the time of the spine; None means any length.
        rows_before_first: number of rows of a new series before its first value.
        has_source: whether its values are computed at all.
        is_of_news: whether it is computed from news, so that NULL means that there was none.
    """

    name: str
    tolerance: timedelta | None = None
    rows_before_first: int = 0
    has_source: bool = True
    is_of_news: bool = False


@dataclass(frozen=True)
class Joined:
    """Features of some symbols and times.

    Attributes:
        values: a column for each feature.
        reasons: a column of :data:`REASON` for each, NULL where the feature has a value; None if not asked for.
    """

    values: pl.DataFrame
    reasons: pl.DataFrame | None = None


def absent_column(name: str) -> str:
    """The column of feature rows that is true where the row's file has no column of that feature."""
    return f"absent {name}"


def join_as_of(
    moments: pl.DataFrame,
    rows: pl.DataFrame,
    features: Sequence[JoinedFeature],
    *,
    computed: Collection[str] = (),
    reasons: bool = False,
) -> Joined:
    """The features that were available at each symbol and time.

    Args:
        moments: ``symbol`` and ``at`` (UTC, microseconds), without NULL, in any order.
        rows: ``symbol``, ``available_at`` and the features, the rows of a symbol together and sorted by
            ``available_at``; of rows that are available from the same time on, the last one counts. For reasons they
            must begin with the first row of each symbol, and may have the columns of :func:`absent_column`.
        features: the features to join.
        computed: the symbols that have feature rows at all, also later ones; for reasons.
        reasons: say why a value is NULL.

    Returns:
        One row for each of ``moments``, in their order.
    """
    match = _match(moments, rows, computed)
    columns: dict[str, pl.Series] = {}
    for tolerance in dict.fromkeys(each.tolerance for each in features):
        names = [each.name for each in features if each.tolerance == tolerance]
        columns |= rows.select(pl.col(names).gather(match.rows_within(tolerance))).to_dict()
    values = pl.DataFrame([columns[each.name] for each in features])
    if not reasons:
        return Joined(values)
    return Joined(values, pl.DataFrame([_reasons(each, values[each.name], match, rows) for each in features]))


@dataclass(frozen=True)
class _Match:
    """The row that was found for each of the moments.

    Attributes:
        row: number of the row; -1 where there is none.
        age: for how many microseconds it was available; 0 where there is none.
        computed: whether the symbol has feature rows at all.
    """

    row: Numbers
    age: Numbers
    computed: Mask

    def is_within(self, tolerance: timedelta | None) -> Mask:
        """Whether the row is there and not too old."""
        found: Mask = self.row != _NONE
        return found if tolerance is None else found & (self.age <= tolerance // timedelta(microseconds=1))

    def rows_within(self, tolerance: timedelta | None) -> pl.Series:
        """The numbers of the rows, NULL where there is none or it is too old."""
        numbers = pl.Series(self.row)
        return pl.select(pl.when(pl.Series(self.is_within(tolerance))).then(numbers)).to_series()


def _match(moments: pl.DataFrame, rows: pl.DataFrame, computed: Collection[str]) -> _Match:
    """The last row that was available at each of the moments, found by binary search within its symbol."""
    at, available = _microseconds(moments["at"]), _microseconds(rows["available_at"])
    row = np.full(len(at), _NONE, dtype=np.int64)
    has_rows = np.zeros(len(at), dtype=np.bool_)
    stored = _runs(rows["symbol"])
    for symbol, own in _positions(moments["symbol"]):
        has_rows[own] = symbol in computed or symbol in stored
        if symbol in stored:
            start, end = stored[symbol]
            last = np.searchsorted(available[start:end], at[own], side="right") - 1
            row[own] = np.where(last >= 0, start + last, _NONE)
    if not len(available):
        return _Match(row, np.zeros_like(at), has_rows)
    return _Match(row, np.where(row != _NONE, at - available[row], 0), has_rows)


def _microseconds(times: pl.Series) -> Numbers:
    return times.cast(TIME).to_physical().to_numpy()


def _runs(symbols: pl.Series) -> dict[str, tuple[int, int]]:
    """Where the rows of each symbol begin and end."""
    runs = symbols.rle().struct.unnest()
    ends = runs["len"].cum_sum().to_list()
    return dict(zip(runs["value"].to_list(), pairwise([0, *ends]), strict=True))


def _positions(symbols: pl.Series) -> Iterator[tuple[str, Numbers]]:
    """Each symbol with the positions where it stands."""
    distinct = symbols.unique().sort().to_list()
    codes = symbols.cast(pl.Enum(distinct)).to_physical().to_numpy()
    order = np.argsort(codes, kind="stable")
    bounds = np.concatenate([[0], np.cumsum(np.bincount(codes, minlength=len(distinct)))])
    for symbol, (start, end) in zip(distinct, pairwise(bounds.tolist()), strict=True):
        yield symbol, order[start:end]


def _reasons(each: JoinedFeature, values: pl.Series, match: _Match, rows: pl.DataFrame) -> pl.Series:
    """Why the values of a feature are NULL, of type :data:`REASON`; NULL where they are not."""
    if each.has_source:
        in_row = _reasons_in_rows(each, rows)
        codes = np.where(match.computed, _CODES[NullReason.NO_ROW_YET], _CODES[NullReason.NOT_COMPUTED])
        found, within = match.row != _NONE, match.is_within(each.tolerance)
        of_row = in_row[match.row[found]]
        absent = of_row == _CODES[NullReason.NOT_COMPUTED]
        codes[found] = np.where(within[found] | absent, of_row, _CODES[NullReason.TOO_OLD])
    else:
        codes = np.full(len(values), _CODES[NullReason.NO_SOURCE])
    named = pl.Series(codes.astype(np.uint8)).cat.to(REASON)
    return pl.select(pl.when(values.is_null()).then(named).alias(each.name)).to_series()


def _reasons_in_rows(each: JoinedFeature, rows: pl.DataFrame) -> Codes:
    """For each row why the feature would be NULL there."""
    number = pl.int_range(pl.len()).over("symbol")
    seen = pl.col(each.name).is_not_null().cast(pl.Int64).cum_sum().over("symbol")
    warms_up = (number < each.rows_before_first) & (seen == 0)
    stored_null = NullReason.NO_NEWS if each.is_of_news else NullReason.UNDEFINED
    reason = pl.when(warms_up).then(_CODES[NullReason.WARM_UP]).otherwise(_CODES[stored_null])
    if absent_column(each.name) in rows.columns:
        reason = pl.when(pl.col(absent_column(each.name))).then(_CODES[NullReason.NOT_COMPUTED]).otherwise(reason)
    codes: Codes = rows.select(reason.cast(pl.UInt8)).to_series().to_numpy()
    return codes
