"""Tables of several instruments, split by their column of symbols.

Tables with columns of their own for each instrument are in
:mod:`trading_platform.sources.files.recognition.wide_tables`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.rejection_reasons import Reason
from trading_platform.sources.files.content.column_names import plain_name
from trading_platform.sources.files.content.options import FileRejected, ImportOptions
from trading_platform.sources.files.content.tables import Table
from trading_platform.sources.files.recognition.spellings import spelled

_SYMBOL_NAMES = (
    *("symbol", "ticker", "tic", "symbols", "tickers", "tickersymbol", "stocksymbol", "actsymbol", "sym"),
    *("instrument", "instrumentid", "instrumentname", "instid", "tscode", "stockcode", "secucode", "secid", "code"),
    *("ric", "pair", "currencypair", "fxpair", "product", "productid", "contract", "coin", "asset", "stock"),
    *("security", "securityid", "isin", "cusip", "figi", "permno", "wkn", "epic", "sid", "tradingsymbol", "scrip"),
    *("simbolo", "codigo", "activo", "especie", "emisor", "empresa", "ativo", "papel", "wertpapier", "aktie", "titre"),
    *("name", "companyname", "company", "nombre", "nome", "bezeichnung", "libelle", "index"),
)
"""Names of a column with the instrument of each row, in order of preference."""

_SHOWN = 10


@dataclass(frozen=True)
class InstrumentRows:
    """The rows of one instrument.

    Attributes:
        positions: positions of its rows in the table.
        symbol: the platform's symbol, None if the table does not contain it.
        theirs: the instrument as the table spells it, None if it does not.
        note: what was assumed, in words.
        rejected: why none of its rows can be used, None if they can be read.
    """

    positions: pl.Series
    symbol: str | None = None
    theirs: str | None = None
    note: str = ""
    rejected: FileRejected | None = None


@dataclass(frozen=True)
class Choice:
    """The instruments to take from a file of several.

    Attributes:
        wanted: for each symbol its spellings in the file; the symbol is None where a file of one instrument has
            no spelling of a symbol.
        note: what was assumed, in words.
    """

    wanted: dict[str | None, list[str]]
    note: str = ""


def choose(found: Sequence[str], options: ImportOptions, where: str) -> Choice:
    """Chooses the instruments to take: the requested one, else all whose spelling is that of a symbol.

    Args:
        found: the instruments as the file spells them, each once.
        options: the user's options.
        where: where the file has them, for errors and notes.

    Raises:
        InvalidRequest: if the requested one is not among them.
    """
    symbols = {value: spelled(value) for value in found}
    if options.ticker is not None:
        return _named(options.ticker, options.symbol, found, where)
    if len(found) == 1 and (symbols[found[0]] is None or _is_filler(found[0])):
        return Choice({options.symbol: list(found)}, f"{where} says {found[0]!r}")
    if options.symbol is not None:
        return _requested(options.symbol, symbols, where)
    wanted: dict[str | None, list[str]] = {}
    for value, symbol in symbols.items():
        if symbol is not None:
            wanted.setdefault(symbol, []).append(value)
    if not wanted:
        raise InvalidRequest(
            f"{where[:1].upper()}{where[1:]} has several instruments, and none of their names is a symbol.",
            expected="the name of one of them, and a symbol for it",
            received=list_of(found),
            remedy=f"import one at a time, for example with --ticker {found[0]!r} --symbol …",
        )
    return Choice(wanted, f"one of the {len(wanted)} instruments in {where}" if len(wanted) > 1 else "")


def _named(ticker: str, symbol: str | None, found: Sequence[str], where: str) -> Choice:
    """The instrument that the user named in the file's own spelling."""
    matching = [value for value in found if value.upper() == ticker.upper()]
    if not matching:
        raise InvalidRequest(
            f"The file holds no {ticker}.",
            expected=f"one of those in {where}: {list_of(found)}",
            received=f"--ticker {ticker}",
            remedy="choose one of them",
        )
    symbol = symbol or spelled(matching[0])
    if symbol is None:
        raise InvalidRequest(
            f"{ticker!r} is not a symbol.",
            expected="a symbol for the bars",
            received=f"--ticker {ticker} without --symbol",
            remedy="give the symbol with --symbol",
        )
    return Choice({symbol: matching}, f"{symbol} is {matching[0]!r} in {where}")


def _requested(symbol: str, symbols: dict[str, str | None], where: str) -> Choice:
    matching = [value for value, ours in symbols.items() if ours == symbol]
    if not matching and len(symbols) == 1 and _same_root(symbol, next(iter(symbols))):
        return Choice({symbol: list(symbols)}, f"{where} says {next(iter(symbols))!r}")
    if not matching:
        raise InvalidRequest(
            f"The file holds no {symbol}.",
            expected=f"one of those in {where}: {list_of(list(symbols))}",
            received=f"--symbol {symbol}",
            remedy=f"choose one of them, or say with --ticker which of them {symbol} is",
        )
    others = [value for value in symbols if value not in matching]
    return Choice({symbol: matching}, f"left out: {list_of(others)}" if others else "")


def _same_root(symbol: str, theirs: str) -> bool:
    """Whether two spellings can be one instrument: ``AAPL`` and ``AAPL.O``, ``TYO7203`` and ``7203.T``."""
    ours, root = (text.upper().partition(".")[0] for text in (symbol, theirs))
    return ours == root or (root.isdigit() and len(root) > 2 and ours.endswith(root))  # noqa: PLR2004


def _is_filler(value: str) -> bool:
    return value.isdigit() and int(value) <= 1


def instruments_of(
    table: Table, roles: Mapping[str, str], times: pl.Series, options: ImportOptions
) -> list[InstrumentRows]:
    """Splits a table by its column of symbols.

    Args:
        table: rows of one instrument or more.
        roles: what its known columns hold.
        times: the times of the rows, null if unreadable.
        options: the user's options; with a symbol, only its rows are returned.

    Raises:
        InvalidRequest: if the rows of the requested symbol cannot be told from the others, or are not there.
    """
    theirs = symbols_of(table, roles)
    if theirs is None:
        return [InstrumentRows(pl.int_range(0, table.height, eager=True, dtype=pl.UInt32), options.symbol)]
    name = repr(theirs.name)
    found = theirs.drop_nulls().unique(maintain_order=True).to_list()
    choice = choose(found, options, f"its column {name}")
    parts = [_part(theirs, values, symbol, times, choice.note) for symbol, values in choice.wanted.items()]
    return parts if options.symbol or options.ticker else [*parts, *_unnamed(theirs, choice, name)]


def symbols_of(table: Table, roles: Mapping[str, str]) -> pl.Series | None:
    """A table's column of symbols as text, null where a row has none, with the column's name; None without one."""
    column = roles.get("symbol") or _symbol_column(table, list(roles.values()))
    if column is None:
        return None
    theirs = table.frame[column].cast(pl.String, strict=False).str.strip_chars()
    theirs = theirs.set(theirs.str.to_lowercase().is_in(["", "nan", "null", "none"]), None)
    return theirs.alias(table.header[int(column[1:])] if table.header else "pair")


def _symbol_column(table: Table, used: Sequence[str]) -> str | None:
    plain = [plain_name(name) for name in table.header or ()]
    for name in _SYMBOL_NAMES:
        column = f"c{plain.index(name)}" if name in plain else None
        if column is not None and column not in used and _names_things(table.frame[column]):
            return column
    return None


def _names_things(values: pl.Series) -> bool:
    """Whether a column is text or whole numbers, and not a measure or a count of the rows of such a name."""
    if values.dtype.is_float() or values.dtype.is_temporal() or values.dtype.is_nested():
        return False
    texts = values.cast(pl.String, strict=False).drop_nulls().str.strip_chars()
    texts = texts.filter(texts != "")
    counts_rows = texts.is_unique().all() and texts.str.contains(r"^\d+$").all()
    return not texts.is_empty() and not counts_rows and not bool(texts.str.contains(r"^-?\d+[.,]\d+$").any())


def _part(theirs: pl.Series, values: list[str], symbol: str | None, times: pl.Series, note: str) -> InstrumentRows:
    _check_one_spelling(theirs, values, times, symbol or values[0])
    return InstrumentRows(theirs.is_in(values).fill_null(value=False).arg_true(), symbol, values[0], note)


def _unnamed(theirs: pl.Series, choice: Choice, name: str) -> list[InstrumentRows]:
    """The rows whose instrument is missing or no symbol, with their rejection."""
    taken = [value for values in choice.wanted.values() for value in values]
    parts = []
    if theirs.null_count():
        detail = f"{theirs.null_count()} rows have no symbol in the column {name}"
        missing = FileRejected(Reason.MISSING_VALUE, detail, rows=theirs.null_count())
        parts.append(InstrumentRows(theirs.is_null().arg_true(), rejected=missing))
    for value in theirs.drop_nulls().unique(maintain_order=True):
        if value not in taken:
            positions = (theirs == value).fill_null(value=False).arg_true()
            detail = f"{value!r} in the column {name} is not a symbol; import it with --ticker {value!r} --symbol …"
            rejection = FileRejected(Reason.UNSUPPORTED, detail, rows=positions.len())
            parts.append(InstrumentRows(positions, theirs=value, rejected=rejection))
    return parts


def _check_one_spelling(theirs: pl.Series, values: Sequence[str], times: pl.Series, symbol: str) -> None:
    """Raises InvalidRequest if several spellings of one symbol have rows of the same time."""
    if len(values) == 1:
        return
    own = pl.DataFrame({"theirs": theirs, "time": times}).filter(pl.col("theirs").is_in(values)).unique().drop_nulls()
    if own["time"].is_unique().all():
        return
    raise InvalidRequest(
        f"The file holds several instruments that would all be {symbol}.",
        expected="one of them",
        received=", ".join(values),
        remedy=f"choose one with --ticker, for example --ticker {values[0]}",
    )


def list_of(values: Sequence[str]) -> str:
    """The first values, and how many more there are."""
    shown = ", ".join(values[:_SHOWN])
    return shown if len(values) <= _SHOWN else f"{shown} and {len(values) - _SHOWN} more"
