"""Dates with slashes in two orders in one column, as a spreadsheet of another country leaves them."""

from __future__ import annotations

import polars as pl

from trading_platform.domain.rejection_reasons import Reason
from trading_platform.sources.files.content.options import FileRejected

_DAYS = (1, 4)
_MONTH = 28
_RUN = 2
"""Steps in order of time that are a month or more so often in a row, and days in the other order, beside others that
are days: the months are those of the other order."""

_STRAY = 0.01
"""Up to this share of the dates, and one in any case, may be none in the chosen order: these are mistyped."""

_NEARER = 2
"""A column whose neighbouring dates are this many times nearer if each is read in the order that suits it is mixed."""

_SEVERAL, _MUCH_NEARER = 2, 8
"""So many dates that both orders allow, and so many times nearer, are needed where the dates are in order of time: a
single one may well be before a gap."""


def check_one_order(texts: pl.Series, read: pl.Series, other: pl.Series) -> None:
    """Checks that dates with slashes are not written in two orders in one column.

    Where all dates allow both orders, the order is the user's, and nothing contradicts it.

    Args:
        texts: the column.
        read: its times in the chosen order, null where a text is no date in it.
        other: its times in the other order, likewise.

    Raises:
        FileRejected: if there are dates that only the one order allows, dates that only the other one allows, and
            dates that both allow, or if these are near their neighbours in one order here and in the other one there.
    """
    both = (read != other).fill_null(value=False)
    here, there = read.is_not_null() & other.is_null(), read.is_null() & other.is_not_null()
    clear = here | there
    if not both.any() or not clear.any():
        return
    if here.any() and there.sum() > max(1, _STRAY * texts.len()):
        raise _two_orders(
            texts, f"{texts.filter(here)[0]} and {texts.filter(there)[0]}, so that {texts.filter(both)[0]} is unknown"
        )
    days = pl.DataFrame({"read": _days(read), "other": _days(other)})
    known = days.filter(pl.any_horizontal(pl.all().is_not_null()))
    chosen = known.select(pl.coalesce("read", "other")).to_series().diff().abs().sum()
    nearer = _NEARER
    if _in_order_of_time(read) and not _has_invented_months(days):
        if both.sum() < _SEVERAL:
            return
        nearer = _MUCH_NEARER
    if _shortest(known) * nearer < chosen:
        raise _two_orders(
            texts,
            f"{texts.filter(both)[0]} and {texts.filter(clear)[0]} are far from their neighbours in one order and near "
            "them in the other",
        )


def _two_orders(texts: pl.Series, which: str) -> FileRejected:
    detail = f"its dates are written in two orders: {which}; write them as 2024-12-31"
    return FileRejected(Reason.UNSUPPORTED, detail, rows=texts.len())


def _has_invented_months(days: pl.DataFrame) -> bool:
    """Whether rows that are days apart in the other order are months apart here, in a file of daily rows.

    A neighbour that only the chosen order allows is where that puts it.
    """
    steps = days.select("read", other=pl.coalesce("other", "read")).select(pl.all().diff().abs())
    daily = steps["read"].is_between(*_DAYS)
    monthly = (steps["read"] >= _MONTH) & steps["other"].is_between(*_DAYS)
    runs = monthly.fill_null(value=False).rle().struct.unnest()
    longest = runs.filter("value")["len"].max()
    return bool(daily.any()) and isinstance(longest, int) and longest >= _RUN


def _in_order_of_time(times: pl.Series) -> bool:
    return times.null_count() == 0 and (times.is_sorted() or times.is_sorted(descending=True))


def _days(times: pl.Series) -> pl.Series:
    return times.dt.date().cast(pl.Int32)


def _shortest(days: pl.DataFrame) -> int:
    """The smallest sum of the distances of neighbouring dates, in days, if each is read in either order."""
    paths: dict[int, int] = {}
    for readings in days.iter_rows():
        dates = {day for day in readings if day is not None}
        paths = {day: min((length + abs(day - from_) for from_, length in paths.items()), default=0) for day in dates}
    return min(paths.values(), default=0)
