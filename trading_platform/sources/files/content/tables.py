"""Parses bytes to rows and columns, from any container: text, JSON, Parquet or Feather.

:mod:`trading_platform.sources.files.recognition.formats` recognises the columns.
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

import polars as pl

from trading_platform.sources.files.content.contents import LARGEST_CONTENT
from trading_platform.sources.files.content.options import unreadable

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_SEPARATORS = ("\t", ";", "|", ",")
_SAMPLE = 60
_PREAMBLE = 6
_MOST_COLUMNS = 500
_VALUE = re.compile(r"^[^A-Za-z]*\d(?:[^A-Za-z]|[eE][+-]?\d|[KMBTZ]$|T\d|AM|PM|UTC)*$")
"""A number or a time, and no name such as ``value1``: the first line with none of them is a header."""

_VALUE_BYTES = 8


@dataclass(frozen=True)
class Table:
    """Rows of a content, not interpreted yet.

    Attributes:
        header: the columns' names, None if the content has no header.
        frame: columns ``c0``, ``c1`` …: text, or typed if the container is.
        lines: the line of the text or row of the container of each row, from 1.
        faults: why a row does not fit the columns, null if it does.
        container: ``csv``, ``json``, ``parquet`` or ``feather``.
        texts: the original rows, if available; else they are rebuilt on request.
        above: the lines above the header, such as a title, or the upper line of a header of two.
    """

    header: tuple[str, ...] | None
    frame: pl.DataFrame
    lines: pl.Series
    faults: pl.Series
    container: str
    texts: pl.Series | None = None
    above: tuple[tuple[str, ...], ...] = ()

    @property
    def height(self) -> int:
        """The number of rows."""
        return self.frame.height

    def rows_at(self, positions: pl.Series) -> Table:
        """The table with the rows at these positions alone."""
        texts = None if self.texts is None else self.texts.gather(positions)
        frame, lines, faults = self.frame[positions], self.lines.gather(positions), self.faults.gather(positions)
        return replace(self, frame=frame, lines=lines, faults=faults, texts=texts)

    def records(self, positions: pl.Series) -> pl.Series:
        """The original rows at these positions."""
        if self.texts is not None:
            return self.texts.gather(positions)
        names = self.header or self.frame.columns
        rows = self.frame[positions]
        rows.columns = [name or f"column_{index}" for index, name in enumerate(names)]
        return rows.select(record=pl.struct(pl.all()).struct.json_encode())["record"]


def read_table(data: bytes, is_header: Callable[[list[str]], bool]) -> Table:
    """The rows of a content.

    Args:
        data: its bytes, decompressed.
        is_header: distinguishes a line of column names from a row.

    Raises:
        FileRejected: if no rows can be read.
    """
    if data[:4] == b"PAR1":
        return _typed(data, "parquet")
    if data[:6] == b"ARROW1":
        return _typed(data, "feather")
    text = _decoded(data)
    start = text.lstrip()[:1]
    if not start:
        raise unreadable("it is empty")
    if start in "[{":
        return _read_json(text, is_header)
    return _read_text(text, is_header)


def _typed(data: bytes, container: str) -> Table:
    try:
        scan = pl.scan_parquet(io.BytesIO(data)) if container == "parquet" else pl.scan_ipc(io.BytesIO(data))
        rows, columns = scan.select(pl.len()).collect().item(), len(scan.collect_schema())
        if rows * columns * _VALUE_BYTES > LARGEST_CONTENT:  # a few kilobytes can hold a billion equal values
            raise unreadable(f"it unpacks to more than {LARGEST_CONTENT} bytes: {rows} rows of {columns} columns")
        frame = scan.collect()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError, OverflowError) as error:
        raise unreadable(f"the {container} file is broken: {str(error).splitlines()[0][:200]}") from None
    return _of_frame(frame, container)


def _of_frame(frame: pl.DataFrame, container: str) -> Table:
    if frame.is_empty():
        raise unreadable("it has no rows")
    header = tuple(frame.columns)
    plain = frame.rename({name: f"c{index}" for index, name in enumerate(header)})
    lines = pl.int_range(1, frame.height + 1, eager=True, dtype=pl.Int64)
    return Table(header, plain, lines, _no_faults(frame.height), container)


def _no_faults(height: int) -> pl.Series:
    return pl.Series("fault", [None], dtype=pl.String).new_from_index(0, height)


def _decoded(data: bytes) -> str:
    encoding = "utf-16" if data[:2] in _UTF16 else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise unreadable(f"it is not text in UTF-8 or UTF-16: {error.reason} at byte {error.start}") from None
    if "\0" in text:
        raise unreadable("it holds binary data")
    if "\n" not in text and "\r" in text:
        text = text.replace("\r", "\n")
    return text


def _read_text(text: str, is_header: Callable[[list[str]], bool]) -> Table:
    rows = lines_of(text)
    if rows.is_empty():
        raise unreadable("it is empty")
    sample = rows["record"].head(_SAMPLE).to_list()
    separator = _separator(sample)
    header, skipped = _find_header(sample, separator, is_header)
    rows = rows.slice(skipped)
    if rows.is_empty():
        raise unreadable("it has a header and no rows")
    width = len(header) if header else _usual_width(sample, separator)
    frame = split_rows(rows["record"], separator, min(width, _MOST_COLUMNS), quoted='"' in text)
    faults = extra_fields(rows["record"], separator, width, quoted='"' in text)
    above = tuple(tuple(fields_of(line, separator)) for line in sample[: skipped - 1]) if header else ()
    return Table(header, frame, rows["line"], faults, "csv", rows["record"], above)


def lines_of(text: str) -> pl.DataFrame:
    """The lines that are not blank, with their line numbers."""
    lines = pl.read_lines(
        io.BytesIO(text.encode("utf-8", "replace")), name="record", row_index_name="line", row_index_offset=1
    )
    return lines.filter(pl.col("record").str.contains(r"\S")).select(pl.col("line").cast(pl.Int64), "record")


def fields_of(line: str, separator: str) -> list[str]:
    """The fields of one line; quotes around a field are removed."""
    if '"' not in line:
        return line.split(separator)
    return [field.strip('"') for field in re.findall(_field_pattern(separator), separator + line)]


def _field_pattern(separator: str) -> str:
    mark = re.escape(separator)
    return rf'{mark}("(?:[^"]|"")*"[^{mark}]*|[^{mark}]*)'


def _separator(sample: list[str]) -> str:
    """The first of the usual separators that splits most lines alike; a comma is the least reliable."""
    best, best_score = ",", 0.0
    for candidate in _SEPARATORS:
        widths = [len(fields_of(line, candidate)) for line in sample]
        usual = max(set(widths), key=widths.count)
        score = widths.count(usual) / len(widths) if usual > 2 else 0.0  # noqa: PLR2004  # time and price at least
        if score > max(best_score, 0.5):
            best, best_score = candidate, score
        if best_score > 0.8:  # noqa: PLR2004
            break
    return best


def _find_header(
    sample: list[str], separator: str, is_header: Callable[[list[str]], bool]
) -> tuple[tuple[str, ...] | None, int]:
    """The header and the number of lines before the first row.

    Some vendors write an address or a title above the header.
    """
    for position, line in enumerate(sample[:_PREAMBLE]):
        fields = [field.strip() for field in fields_of(line, separator)]
        if is_header(fields):
            return tuple(fields), position + 1
    first = fields_of(sample[0], separator)
    if not any(_VALUE.match(field.strip()) for field in first):  # names, though unknown ones
        return tuple(field.strip() for field in first), 1
    return None, 0


def _usual_width(sample: list[str], separator: str) -> int:
    widths = [len(fields_of(line, separator)) for line in sample]
    return max(set(widths), key=widths.count)


def split_rows(records: pl.Series, separator: str, width: int, *, quoted: bool) -> pl.DataFrame:
    """The fields of rows as text columns ``c0``, ``c1`` …; null if a row has fewer."""
    names = [f"c{index}" for index in range(width)]
    if not quoted:
        parts = records.str.split_exact(separator, width - 1) if width > 1 else records.to_frame().to_struct()
        return pl.DataFrame(parts.struct.rename_fields(names).struct.unnest())
    fields = (separator + records).str.extract_all(_field_pattern(separator))
    columns = (
        fields.list.get(index, null_on_oob=True)
        .str.strip_prefix(separator)
        .str.strip_chars()
        .str.strip_chars('"')
        .alias(name)
        for index, name in enumerate(names)
    )
    return pl.DataFrame(list(columns))


def extra_fields(records: pl.Series, separator: str, width: int, *, quoted: bool) -> pl.Series:
    """Finds rows with more fields than the table has columns: their numbers would shift to the wrong column."""
    trimmed = records.str.strip_chars_end(separator + " ")
    if quoted:
        found = (separator + trimmed).str.count_matches(_field_pattern(separator))
    else:
        found = trimmed.str.count_matches(separator, literal=True) + 1
    counted = pl.DataFrame({"found": found})
    return counted.select(
        fault=pl.when(pl.col("found") > width).then(pl.format("{} fields instead of {}", "found", pl.lit(width)))
    )["fault"]


_JSON_ROW_BREAK = re.compile(r"\]\s*,\s*\[")
_JSON_ROWS = re.compile(r"\A\s*\[\s*\[(?P<body>.*)\]\s*\]\s*\Z", re.DOTALL)


def _read_json(text: str, is_header: Callable[[list[str]], bool]) -> Table:
    """Parses rows as lists with all digits of their numbers, rows as objects with the JSON reader."""
    if rows := _JSON_ROWS.match(text):
        body = _JSON_ROW_BREAK.sub("\n", re.sub(r"[\r\n]+", " ", rows["body"]))
        if re.search(r"[\[\]{}]", body) is None:
            return _json_lists(body)
    return _json_objects(text, is_header)


def _json_lists(body: str) -> Table:
    records = pl.Series("record", body.split("\n"), dtype=pl.String)
    if not records.str.contains(r"\S").any():
        raise unreadable("it has no rows")
    width = _usual_width(records.head(_SAMPLE).to_list(), ",")
    quoted = '"' in body
    frame = split_rows(records, ",", width, quoted=quoted).with_columns(pl.all().str.strip_chars())
    lines = pl.int_range(1, records.len() + 1, eager=True, dtype=pl.Int64)
    texts = "[" + records + "]"
    return Table(None, frame, lines, extra_fields(records, ",", width, quoted=quoted), "json", texts)


def _json_objects(text: str, is_header: Callable[[list[str]], bool]) -> Table:
    data = io.BytesIO(text.encode("utf-8", "replace"))
    by_line = text.lstrip()[:1] == "{"
    try:
        frame = pl.read_ndjson(data) if by_line else pl.read_json(data)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, ValueError, OSError) as error:
        raise unreadable(f"it is not JSON rows: {str(error).splitlines()[0][:200]}") from None
    if not is_header(frame.columns):
        raise unreadable("its JSON is neither a list of rows nor of objects with a price")
    return _of_frame(frame, "json")
