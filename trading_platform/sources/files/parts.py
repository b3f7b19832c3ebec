"""The instruments in a content: its table recognised and split, with the times and the symbol of each part.

:mod:`trading_platform.sources.files.reading` reads the rows of the parts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import polars as pl

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.market.instruments import Instrument, check_symbol
from trading_platform.sources.files.content.options import FileRejected, ImportOptions
from trading_platform.sources.files.content.tables import Table, read_table
from trading_platform.sources.files.numbers.volumes import volume_candidates
from trading_platform.sources.files.recognition import wide_tables
from trading_platform.sources.files.recognition.evidence import Evidence
from trading_platform.sources.files.recognition.formats import Kind, Layout, is_header, recognise
from trading_platform.sources.files.recognition.names import FileName
from trading_platform.sources.files.recognition.one_instrument import check_one_instrument
from trading_platform.sources.files.recognition.several_instruments import choose, instruments_of, symbols_of
from trading_platform.sources.files.times.row_times import times_of
from trading_platform.sources.files.times.utc_times import ReadTimes


@dataclass(frozen=True)
class ContentPart:
    """The rows of one instrument of a content.

    Attributes:
        table: its rows.
        layout: how they are read.
        times: their times, before their zone is applied.
        symbol: its symbol, None if the content does not contain it.
        theirs: the instrument as the content spells it, None if it does not.
        note: what was assumed about the instrument, in words.
        rejected: why none of its rows can be used, None if they can be read.
        whole: the table with the rows of all instruments, if it was cut from one.
    """

    table: Table
    layout: Layout
    times: ReadTimes
    symbol: str | None = None
    theirs: str | None = None
    note: str = ""
    rejected: FileRejected | None = None
    whole: Table | None = None

    def evidence(self, name: FileName) -> Evidence:
        """What the content and its name say about the instrument."""
        return Evidence(self.symbol or "", self.theirs, name.vendor.market if name.vendor else None)


@dataclass(frozen=True)
class Recognised:
    """A recognised content.

    Attributes:
        parts: the instruments in it, or the one that was asked for.
        series: the times of each instrument in it, asked for or not, which tell the length of its bars.
    """

    parts: list[ContentPart]
    series: list[ReadTimes]


def parts_of(
    data: bytes, name: FileName, options: ImportOptions, registered: Callable[[str], Instrument | None]
) -> Recognised:
    """The instruments in a content, or the one that the options ask for.

    Args:
        data: its bytes, decompressed.
        name: its name.
        options: the user's options.
        registered: gives the instrument of a symbol, if it is in the universe.

    Raises:
        FileRejected: if no rows can be read.
        InvalidRequest: if the requested instrument is not in it, or a symbol cannot be determined.
    """
    table = read_table(data, _is_known_header)
    wide = wide_tables.wide_parts(table)
    symbol = options.symbol or name.symbol
    instrument = registered(symbol) if symbol else None
    if wide is None and symbol is not None:
        wide_tables.check_no_own_columns(table, symbol)
    found = _parts_of_rows(table, name, options, instrument) if wide is None else _parts_of_columns(wide, name, options)
    parts = found.parts
    for part in parts:
        if part.rejected is None and part.layout.kind in (Kind.BARS, Kind.QUOTE_BARS):
            candidates = volume_candidates(part.table.header or (), part.symbol or "", trades=False)
            amounts = {each.column for each in candidates}
            check_one_instrument(part.table, part.times.readable, part.layout.roles, part.symbol, amounts)
    parts = [part if part.rejected else replace(part, symbol=_symbol_of(part, parts, name, options)) for part in parts]
    return Recognised(parts, found.series)


def _is_known_header(names: list[str]) -> bool:
    return is_header(names) or wide_tables.is_wide_header(names)


def _parts_of_rows(table: Table, name: FileName, options: ImportOptions, instrument: Instrument | None) -> Recognised:
    layout = recognise(table, name, options.format, instrument)
    times = times_of(table, layout, name, options)
    found = instruments_of(table, layout.roles, times.readable, options)
    parts = [
        ContentPart(
            table if rows.positions.len() == table.height else table.rows_at(rows.positions),
            layout,
            times.at(rows.positions),
            rows.symbol,
            rows.theirs,
            rows.note,
            rows.rejected,
            table,
        )
        for rows in found
    ]
    theirs = symbols_of(table, layout.roles)
    if theirs is None:
        return Recognised(parts, [times])
    groups = pl.DataFrame({"theirs": theirs}).with_row_index().group_by("theirs").agg("index")["index"]
    return Recognised(parts, [times.at(positions) for positions in groups])


def _parts_of_columns(wide: Sequence[tuple[str, Table]], name: FileName, options: ImportOptions) -> Recognised:
    read = {}
    for theirs, table in wide:
        layout = recognise(table, name, options.format)
        read[theirs] = (table, layout, times_of(table, layout, name, options))
    choice = choose(list(read), options, "its header")
    parts = []
    for symbol, spellings in choice.wanted.items():
        if len(spellings) > 1:
            raise InvalidRequest(
                f"The file holds several instruments that would all be {symbol}.",
                expected="one of them",
                received=", ".join(spellings),
                remedy=f"choose one with --ticker, for example --ticker {spellings[0]}",
            )
        table, layout, times = read[spellings[0]]
        parts.append(ContentPart(table, layout, times, symbol, spellings[0], choice.note))
    return Recognised(parts, [times for _, _, times in read.values()])


def _symbol_of(part: ContentPart, parts: Sequence[ContentPart], name: FileName, options: ImportOptions) -> str:
    """The symbol of a part: as given, as in the content, or as in the name of the file."""
    symbol = part.symbol or options.symbol
    if symbol is None:
        return symbol_in_name(name)
    named = name.symbol
    if options.symbol is None and options.ticker is None and len(parts) == 1 and named is not None:
        _check_name(symbol, named, name)
    return check_symbol(symbol)


def _check_name(symbol: str, named: str, name: FileName) -> None:
    if symbol.startswith(named) or named.startswith(symbol):
        return
    raise InvalidRequest(
        f"{name.names[0]} contains {symbol}, and its name says {named}.",
        expected="one instrument",
        received=f"{symbol} in the file, {named} in its name",
        remedy=f"give the symbol with --symbol {symbol}, if the content is right",
    )


def symbol_in_name(name: FileName) -> str:
    """The symbol in the name of a file.

    Raises:
        InvalidRequest: if there is none, or it may be one of several.
    """
    if name.symbol is not None:
        return check_symbol(name.symbol)
    if name.candidates:
        raise InvalidRequest(
            f"The symbol in the name of {name.names[0]} is ambiguous.",
            expected="a name with one symbol, such as SPY_daily.csv or ETH_BTC-5m.feather",
            received=f"{name.stem}: {' or '.join(name.candidates)}",
            remedy=f"give the symbol with --symbol, for example --symbol {name.candidates[0]}",
        )
    raise InvalidRequest(
        f"The name of {name.names[0]} does not contain a symbol.",
        expected="a name that begins with the symbol, such as SPY_daily.csv or ETH_BTC-5m.feather",
        received=name.stem,
        remedy="give the symbol with --symbol",
    )
