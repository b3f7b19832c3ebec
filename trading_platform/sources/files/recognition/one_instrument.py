"""Whether the bars of a table are those of one instrument, where no column of symbols says so.

Two instruments below each other are one table to a reader: a column of an unknown name, or a header that occurs again,
tells them apart. Tables with a column of symbols are split by
:mod:`trading_platform.sources.files.recognition.several_instruments`.
"""

from __future__ import annotations

import calendar
from collections.abc import Collection, Iterator, Mapping

import polars as pl

from trading_platform.domain.market.instruments import FIAT
from trading_platform.domain.rejection_reasons import Reason
from trading_platform.sources.files.content.options import FileRejected
from trading_platform.sources.files.content.tables import Table
from trading_platform.sources.files.recognition.several_instruments import list_of
from trading_platform.sources.files.recognition.spellings import spelled
from trading_platform.sources.files.recognition.vendor_names import EXCHANGE_WORDS

_REPEATED = 1.5
"""More rows than this for a time, on average, are no corrections of single rows."""

_SEPARATE = 0.98
_TWICE = 2
_JUMP = 1.3
"""A close this many times its neighbour's, at each change from one value to another, is of another instrument."""

_NEAR = 40
"""Bars further apart than this many steps say nothing about a jump."""

_WORDS = frozenset(
    "YES NO TRUE FALSE UP DOWN BUY SELL BID ASK MID LONG SHORT OPEN CLOSED PRE POST REG RTH ETH REGULAR DAY NIGHT EST "
    "EDT CST CDT MST MDT PST PDT ET CT PT CET CEST GMT UTC BST JST IST Q1 Q2 Q3 Q4 H1 H2 NAN NULL NONE".split()
)
_PERIODS = frozenset(
    name.upper()
    for names in (calendar.day_name, calendar.day_abbr, calendar.month_name, calendar.month_abbr)
    for name in names
)
_NO_SYMBOLS = _WORDS | _PERIODS | EXCHANGE_WORDS | FIAT
"""Words of columns that describe a row, and do not name an instrument."""


def check_one_instrument(
    table: Table, times: pl.Series, roles: Mapping[str, str], symbol: str | None, amounts: Collection[str] = ()
) -> None:
    """Checks that the bars of a table are those of one instrument.

    Single times may occur again, with a correction.

    Args:
        table: bars.
        times: their times, null if unreadable.
        roles: what the columns of its frame hold.
        symbol: the instrument, for the error.
        amounts: columns of its frame that may hold volumes.

    Raises:
        FileRejected: if a column, or the header that occurs again, tells the rows of several instruments apart, or
            the closes or volumes of most times differ.
    """
    close = table.frame[roles["close" if "close" in roles else "bid_close"]].cast(pl.String, strict=False)
    rows = pl.DataFrame({"time": times, "close": close})
    known = rows.drop_nulls()
    if known.is_empty():
        return
    each = known.height / known["time"].n_unique()
    often = f"its times occur {each:.1f} times each" + (f" for {symbol}" if symbol else "")
    for name, values in _columns(table, roles):
        marked = rows.with_columns(value=values).drop_nulls()
        if found := _telling_apart(marked):
            raise _several(often if each > _REPEATED else "some of its times occur twice", name, found, table.height)
        if each <= _REPEATED and (found := _one_after_the_other(marked, symbols=values.dtype == pl.String)):
            raise _several("its rows look like those of several instruments", name, found, table.height)
    if each <= _REPEATED:
        return
    columns = [("closes", close), *(("volumes", table.frame[name]) for name in sorted(amounts))]
    for what, texts in columns:
        both = pl.DataFrame({"time": times, "text": texts.cast(pl.String, strict=False)}).drop_nulls()
        repeated = both.group_by("time").agg(pl.len(), differ=pl.col("text").n_unique() > 1).filter(pl.col("len") > 1)
        if repeated["differ"].sum() * 2 > repeated.height:
            detail = f"{often}, with different {what}, and no column tells the rows apart; several instruments?"
            raise FileRejected(Reason.UNSUPPORTED, detail, rows=table.height)


def _several(problem: str, name: str | None, found: list[str], rows: int) -> FileRejected:
    if name is None:
        detail = f"{problem}, and its header occurs {len(found)} times: keep one table in a file"
    else:
        detail = (
            f"{problem}, and its column {name!r} tells the rows apart ({list_of(found)}): keep the rows of one "
            "of them, or, if they are instruments, call the column 'symbol'"
        )
    return FileRejected(Reason.UNSUPPORTED, detail, rows=rows)


def _columns(table: Table, roles: Mapping[str, str]) -> Iterator[tuple[str | None, pl.Series]]:
    """The columns that may tell instruments apart, with their names; the tables below repeated headers have none."""
    used = set(roles.values())
    for index, name in enumerate(table.header or ()):
        values = table.frame[f"c{index}"]
        if f"c{index}" not in used and not values.dtype.is_float() and not values.dtype.is_nested():
            texts = values.cast(pl.String, strict=False).str.strip_chars()
            yield name, texts.set(texts == "", None)
    if table.header and table.frame["c0"].dtype == pl.String:
        again = table.frame["c0"].str.strip_chars() == table.header[0]
        if again.any():
            yield None, again.fill_null(value=False).cast(pl.Int64).cum_sum()


def _telling_apart(marked: pl.DataFrame) -> list[str]:
    """The values of a column of few values, if they tell the rows of the same time apart."""
    repeated = marked.filter(pl.len().over("time") > 1)
    if repeated["time"].n_unique() < _TWICE:
        return []
    counts = repeated.group_by("value", maintain_order=True).len()
    most = repeated.group_by("time").len()["len"].max()
    few = isinstance(most, int) and counts.height <= most * _REPEATED and bool((counts["len"] >= _TWICE).all())
    if not few or repeated.select("value", "time").unique().height < repeated.height * _SEPARATE:
        return []
    return [str(value) for value in counts["value"]]


def _one_after_the_other(marked: pl.DataFrame, *, symbols: bool) -> list[str]:
    """The values of a column that changes from one instrument to the next.

    They are names of instruments, as far as texts show that, or the price jumps wherever the value changes.

    Args:
        marked: the rows with time, close and the value of the column.
        symbols: the values are texts, which may be symbols.
    """
    value = marked["value"]
    if value.is_empty() or (changes := int((value != value.shift(1)).sum())) == 0:
        return []
    counts = marked.group_by("value", maintain_order=True).len()
    if counts.height != changes + 1 or (counts["len"] < _TWICE).any():
        return []
    found = [str(each) for each in counts["value"]]
    if symbols and (not all(_has_letter(each) for each in found) or not _NO_SYMBOLS.isdisjoint(map(str.upper, found))):
        return []
    named = symbols and all(each == each.upper() and spelled(each) for each in found)
    return found if named or _jumps(marked) else []


def _has_letter(text: str) -> bool:
    return any(letter.isalpha() for letter in text)


def _jumps(marked: pl.DataFrame) -> bool:
    """Whether the price jumps wherever the value changes between bars that are near each other."""
    number = pl.col("close").str.replace(",", ".", literal=True).cast(pl.Float64, strict=False)
    ordered = marked.with_columns(price=number).filter(pl.col("price") > 0).sort("time", maintain_order=True)
    step = pl.col("time").diff()
    steps = ordered.select(
        changed=pl.col("value") != pl.col("value").shift(1),
        near=step <= step.filter(step > pl.duration(seconds=0)).mode().min() * _NEAR,
        jump=pl.max_horizontal(pl.col("price") / pl.col("price").shift(1), pl.col("price").shift(1) / pl.col("price")),
    ).filter("changed", "near")
    return not steps.is_empty() and bool((steps["jump"] > _JUMP).all())
