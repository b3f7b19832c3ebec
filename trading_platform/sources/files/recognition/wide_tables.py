"""Wide tables, with columns of their own for each instrument, as tables of one instrument each.

Two forms: a header of two lines, as yfinance writes it (``Price,Close,Close`` above ``Ticker,AAPL,MSFT``, or the
other way round), and names of both (``AAPL.Open``, ``Close_MSFT``, ``('Close', 'AAPL')``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import polars as pl

from trading_platform.domain.market.instruments import FIAT
from trading_platform.domain.rejection_reasons import Reason
from trading_platform.sources.files.content.column_names import check_prices_once, plain_name
from trading_platform.sources.files.content.options import FileRejected
from trading_platform.sources.files.content.tables import Table
from trading_platform.sources.files.recognition.spellings import spelled

_FIELDS = {
    **{name: name for name in ("open", "high", "low", "close", "volume")},
    **dict.fromkeys(("adjclose", "adjusted", "adjustedclose"), "adj close"),
    **dict.fromkeys(("dividends", "stocksplits", "capitalgains", "repaired"), ""),
}
_NEEDED = ("open", "high", "low", "close")
_FIELD = r"open|high|low|close|adj[ _.]?close|adjusted(?:[ _.]?close)?|volume|dividends|stock[ _.]?splits"
_MARK = r"[ _.\-|:/]+"
_FIELD_FIRST = re.compile(rf"^(?P<field>{_FIELD}){_MARK}(?P<symbol>\S+)$", re.IGNORECASE)
_SYMBOL_FIRST = re.compile(rf"^(?P<symbol>\S+?){_MARK}(?P<field>{_FIELD})$", re.IGNORECASE)
_TUPLE = re.compile(r"^\(\s*['\"]?(?P<first>[^'\",]+)['\"]?\s*,\s*['\"]?(?P<second>[^'\",)]*)['\"]?\s*\)$")
_LEVEL_NAMES = frozenset(("", "price", "ticker", "tickers", "symbol", "symbols", "attributes", "unnamed0", "level0"))
_INDEX_NAMES = frozenset(("date", "datetime", "time", "timestamp", "index"))
_NO_SYMBOLS = FIAT | {"BID", "ASK", "MID", "PRICE", "ADJ", "MARK", "LAST", "TRADE", "RAW"}
_LABEL_ROWS = 2
_NO_VALUE = ("", "nan", "null", "none")
_NO_LABELS = frozenset((*_NO_VALUE, "na", "n/a", "#n/a"))


@dataclass(frozen=True)
class WideColumn:
    """A column of one instrument.

    Attributes:
        position: its number, from 0.
        field: the field it holds, as a name of a column of bars; empty for one that is not used.
        theirs: the instrument as the file spells it.
    """

    position: int
    field: str
    theirs: str


def is_wide_header(names: Sequence[str]) -> bool:
    """Whether these names have the prices of instruments with names of their own."""
    return bool(_named_columns(names))


def wide_parts(table: Table) -> list[tuple[str, Table]] | None:
    """The tables of the instruments in a wide table, with the instruments as it spells them.

    Rows in which all cells of an instrument are empty are none of its rows: it had no bar where another one had.

    Raises:
        FileRejected: if an instrument has a price twice.
    """
    if table.header is None:
        return None
    columns, labels = _named_columns(table.header), 0
    if not columns:
        columns, labels = _columns_of_two_lines(table)
    if not columns:
        return None
    rows = table.rows_at(pl.int_range(labels, table.height, eager=True, dtype=pl.UInt32)) if labels else table
    by_symbol: dict[str, list[WideColumn]] = {}
    for column in columns:
        by_symbol.setdefault(column.theirs, []).append(column)
    return [(theirs, _narrow(rows, own)) for theirs, own in by_symbol.items()]


def check_no_own_columns(table: Table, symbol: str) -> None:
    """Checks a table whose prices name no instrument: that it has no columns which name the requested one.

    Raises:
        FileRejected: if ``Close NVDA`` is beside ``Close``, which is then another instrument's.
    """
    for theirs in {column.theirs for column in _complete(table.header or ())}:
        if spelled(theirs) == symbol:
            detail = (
                f"it has the prices of {theirs} by name, and others without a name: keep the columns of {theirs}, or "
                "give the symbol of the others with --symbol"
            )
            raise FileRejected(Reason.UNSUPPORTED, detail, rows=table.height)


def _named_columns(names: Sequence[str]) -> list[WideColumn]:
    """The columns whose names have both instrument and field; empty where prices without an instrument are complete."""
    return [] if {plain_name(name) for name in names} >= set(_NEEDED) else _complete(names)


def _complete(names: Sequence[str]) -> list[WideColumn]:
    """The columns whose names have both instrument and field, of the instruments with all four prices."""
    found = [column for position, name in enumerate(names) if (column := _of_name(position, name))]
    complete = {
        column.theirs
        for column in found
        if {other.field for other in found if other.theirs == column.theirs} >= set(_NEEDED)
    }
    return [column for column in found if column.theirs in complete]


def _of_name(position: int, name: str) -> WideColumn | None:
    if pair := _TUPLE.match(name.strip()):
        return _of_levels(position, pair["first"], pair["second"])
    for form in (_FIELD_FIRST, _SYMBOL_FIRST):
        if found := form.match(name.strip()):
            # Small letters are the words of other headers: price_open, adj_close.
            theirs = found["symbol"]
            if theirs == theirs.upper() and theirs not in _NO_SYMBOLS and spelled(theirs):
                return WideColumn(position, _FIELDS.get(plain_name(found["field"]), ""), theirs)
    return None


def _of_levels(position: int, upper: str, lower: str) -> WideColumn | None:
    upper, lower = upper.strip(), lower.strip()
    for field, theirs in ((upper, lower), (lower, upper)):
        if plain_name(field) in _FIELDS and theirs:
            return WideColumn(position, _FIELDS[plain_name(field)], theirs)
    return None


def _columns_of_two_lines(table: Table) -> tuple[list[WideColumn], int]:
    """The columns of a header of two lines, and how many rows of the table belong to it."""
    header = table.header or ()
    first_rows = [_cells(table, row) for row in range(min(table.height, _LABEL_ROWS + 1))]
    pairs: list[tuple[Sequence[str], Sequence[str], int]] = []
    if first_rows and plain_name(first_rows[0][0]) in _LEVEL_NAMES:
        pairs.append((header, first_rows[0], 1))
    if table.above and plain_name(table.above[-1][0]) in _LEVEL_NAMES:
        pairs.append((table.above[-1], header, 0))
    for upper, lower, labels in pairs:
        width = min(len(upper), len(lower))
        # A line of fields as a whole, because there are tickers such as LOW and OPEN.
        for fields, symbols in ((upper[1:width], lower[1:width]), (lower[1:width], upper[1:width])):
            if fields and all(plain_name(field) in _FIELDS for field in fields) and all(map(_is_label, symbols)):
                columns = [
                    WideColumn(position, _FIELDS[plain_name(field)], theirs.strip())
                    for position, (field, theirs) in enumerate(zip(fields, symbols, strict=True), start=1)
                ]
                return columns, labels + _index_name_rows(first_rows[labels:])
    return [], 0


def _is_label(text: str) -> bool:
    """Whether this can be an instrument's name above a column; a row without a time has other texts, too."""
    name = text.strip()
    has_letter = any(letter.isascii() and letter.isalpha() for letter in name)
    return has_letter and name.lower() not in _NO_LABELS and (len(name) > 1 or name.isupper())


def _index_name_rows(rows: Sequence[Sequence[str]]) -> int:
    """1 if the next row merely names the index, as pandas writes it."""
    return int(bool(rows) and plain_name(rows[0][0]) in _INDEX_NAMES and not any(rows[0][1:]))


def _cells(table: Table, row: int) -> list[str]:
    return ["" if value is None else str(value).strip() for value in table.frame.row(row)]


def _narrow(table: Table, columns: Sequence[WideColumn]) -> Table:
    kept = [column for column in columns if column.field]
    names = [column.field for column in kept]
    check_prices_once(names, table.height)
    if missing := [name for name in _NEEDED if name not in names]:
        detail = f"it has no {' and no '.join(missing)} of {kept[0].theirs if kept else columns[0].theirs}"
        raise FileRejected(Reason.UNSUPPORTED, detail, rows=table.height)
    header = table.header or ()
    used = [_time_column(header, columns), *(column.position for column in kept)]
    frame = table.frame.select(pl.col(f"c{position}").alias(f"c{index}") for index, position in enumerate(used))
    time_name = header[used[0]]
    known = time_name if plain_name(time_name) in _INDEX_NAMES else "Date"
    own = replace(table, header=(known, *names), frame=frame, above=())
    cells = [
        pl.col(f"c{index}").cast(pl.String, strict=False).fill_null("").str.strip_chars().str.to_lowercase()
        for index in range(1, len(used))
    ]
    blank = frame.select(pl.all_horizontal(cell.is_in(_NO_VALUE) for cell in cells)).to_series()
    return own if not blank.any() else own.rows_at((~blank).arg_true())


def _time_column(header: Sequence[str], columns: Sequence[WideColumn]) -> int:
    taken = {column.position for column in columns}
    for position, name in enumerate(header):
        upper = _TUPLE.match(name.strip())
        if position not in taken and plain_name(upper["first"] if upper else name) in _INDEX_NAMES:
            return position
    return 0
