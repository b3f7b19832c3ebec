"""Reads a list of instruments to add: a symbol on each line, or a table with a column for each property."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from trading_platform.domain.errors import InvalidRequest

COLUMNS = (
    *("symbol", "asset_class", "calendar", "source", "sector"),
    *("benchmark", "tick_size", "lot_size", "fallback_sources"),
)


@dataclass(frozen=True)
class Row:
    """An instrument of the list.

    Attributes:
        line: number of its line in the file.
        symbol: its symbol, in capitals.
        properties: the properties that the file has for it, as text, by column.
    """

    line: int
    symbol: str
    properties: Mapping[str, str]


def read_list(file: Path) -> list[Row]:
    """The instruments of a file; empty lines and what follows a ``#`` are left out.

    Raises:
        InvalidRequest: if the file cannot be read, is empty, has an unknown column, or has a symbol twice.
    """
    try:
        text = file.expanduser().read_text(encoding="utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise InvalidRequest(
            f"{file} cannot be read.",
            expected="a text file in UTF-8 with a symbol on each line",
            received=str(getattr(error, "strerror", None) or error),
            remedy="correct the path or the file",
        ) from None
    lines = [(number, line.partition("#")[0].strip()) for number, line in enumerate(text.splitlines(), start=1)]
    lines = [(number, line) for number, line in lines if line]
    if not lines:
        raise _refused(file, "it has no symbol", "a file without any")
    header = [cell.strip().lower() for cell in next(csv.reader([lines[0][1]]))]
    if "symbol" not in header:
        header, body = ["symbol"], lines
    else:
        body = lines[1:]
    unknown = [name for name in header if name not in COLUMNS]
    if unknown:
        raise _refused(file, f"it has the unknown column {', '.join(unknown)}", ", ".join(header))
    rows = [_row(file, number, header, next(csv.reader([line]))) for number, line in body]
    seen: dict[str, int] = {}
    for row in rows:
        if row.symbol in seen:
            raise _refused(
                file, f"it has {row.symbol} twice", f"{row.symbol} on the lines {seen[row.symbol]}, {row.line}"
            )
        seen[row.symbol] = row.line
    return rows


def _row(file: Path, number: int, header: list[str], cells: list[str]) -> Row:
    if len(cells) > len(header):
        raise _refused(file, f"line {number} has more cells than columns", f"{len(cells)} cells: {', '.join(cells)}")
    properties = {name: cell.strip() for name, cell in zip(header, cells, strict=False) if cell.strip()}
    return Row(number, properties.pop("symbol", "").upper(), properties)


def _refused(file: Path, why: str, received: str) -> InvalidRequest:
    return InvalidRequest(
        f"{file} is no list of instruments: {why}.",
        expected=f"a symbol on each line, or a table with columns of {', '.join(COLUMNS)}",
        received=received,
        remedy="correct the file",
    )
