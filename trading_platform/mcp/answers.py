"""What tools answer: one compact table as text, and what it is about as structured content.

The rows are sent once, as CSV in the text, which every assistant reads and which takes a third of the tokens of JSON.
Units, times and the cursor of the next page are structured; their schema is that of :class:`TableAnswer`. Pages are in
:mod:`trading_platform.mcp.pages`.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from io import StringIO
from typing import Annotated

import polars as pl
from mcp.types import CallToolResult, TextContent
from pydantic import BaseModel

from trading_platform.domain.money import plain_text
from trading_platform.domain.time import rfc3339
from trading_platform.mcp.pages import Page

LARGEST_TEXT = 12_000
"""Characters of an answer's text at most, of the order of 5,000 tokens; the next page has the rest."""

SIGNIFICANT = 10
"""Digits of floats in an answer; indicators and features have no more that mean anything."""


class TableAnswer(BaseModel):
    """What the table in the text is about; what is None is left out.

    The fields have no descriptions of their own, because the listing of every tool repeats the schema.

    Attributes:
        as_of: the time of the answer, RFC 3339: nothing that became known later is in it.
        columns: each column with its unit or meaning; all times are UTC.
        rows: rows in the text.
        all_rows: rows of all pages together.
        newest: time of the newest row of all pages.
        age_seconds: ``as_of`` less ``newest``.
        notes: what was understood, assumed or left out.
        next_cursor: what to give as cursor, with the same arguments, for the next page.
    """

    as_of: str
    columns: dict[str, str]
    rows: int
    all_rows: int
    newest: str | None = None
    age_seconds: float | None = None
    notes: list[str] = []
    next_cursor: str | None = None


Answer = Annotated[CallToolResult, TableAnswer]
"""The return annotation of all tools."""


@dataclass(frozen=True)
class Table:
    """A table to answer with.

    Attributes:
        rows: the rows of all pages.
        columns: the meaning of each column, in order.
        time: the column whose newest value tells how old the answer is; None if there is none.
        notes: what to say beside it.
    """

    rows: pl.DataFrame
    columns: Mapping[str, str]
    time: str | None = None
    notes: Sequence[str] = field(default_factory=tuple)


def answer(table: Table, page: Page) -> CallToolResult:
    """The page of a table as the result of a tool."""
    frame = table.rows[list(table.columns)]
    lines, shown = _lines(frame, page, LARGEST_TEXT - sum(len(note) + 1 for note in table.notes))
    newest = frame[table.time].max() if table.time and not frame.is_empty() else None
    facts = TableAnswer(
        as_of=_time(page.as_of),
        columns=dict(table.columns),
        rows=shown,
        all_rows=frame.height,
        newest=_time(newest) if isinstance(newest, datetime) else None,
        age_seconds=(page.as_of - newest).total_seconds() if isinstance(newest, datetime) else None,
        notes=list(table.notes),
        next_cursor=page.after(shown) if page.offset + shown < frame.height else None,
    )
    return CallToolResult(
        content=[TextContent(type="text", text="\n".join([_head(facts, page), *table.notes, *lines]))],
        structured_content=facts.model_dump(exclude_none=True),
    )


def _head(facts: TableAnswer, page: Page) -> str:
    """The first line: how many rows, of when, how old, and how to go on."""
    if not facts.all_rows:
        return f"No rows, as of {facts.as_of}."
    part = f"Rows {page.offset + 1} to {page.offset + facts.rows} of {facts.all_rows}, as of {facts.as_of}"
    age = f"; the newest is {_duration(facts.age_seconds)} old" if facts.age_seconds is not None else ""
    more = f'; for more: cursor="{facts.next_cursor}"' if facts.next_cursor else ""
    return f"{part}{age}{more}. Times are UTC."


def _duration(seconds: float) -> str:
    for unit, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if abs(seconds) >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} seconds"


def _lines(frame: pl.DataFrame, page: Page, room: int) -> tuple[list[str], int]:
    """The header and as many rows as there is room for, at least one; and their number."""
    lines = [_csv(frame.columns)]
    room -= len(lines[0]) + _HEAD
    for row in frame.slice(page.offset, page.limit).iter_rows():
        line = _csv([cell(value) for value in row])
        room -= len(line) + 1
        if room < 0 and len(lines) > 1:
            break
        lines.append(line)
    return lines, len(lines) - 1


_HEAD = 400


def _csv(values: Sequence[str]) -> str:
    buffer = StringIO()
    csv.writer(buffer, lineterminator="").writerow(values)
    return buffer.getvalue()


def text_frame(rows: Sequence[Mapping[str, object]], columns: Mapping[str, str]) -> pl.DataFrame:
    """A frame of texts: a table of several kinds of rows has no types of its own."""
    texts = [{name: cell(row.get(name)) for name in columns} for row in rows]
    return pl.DataFrame(texts, schema=dict.fromkeys(columns, pl.String))


def cell(value: object) -> str:
    """A value as text: exact decimals without trailing zeros, times without empty fractions, nothing for NULL."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, datetime):
        return _time(value)
    if isinstance(value, Decimal):
        text = plain_text(value)
        return text.rstrip("0").rstrip(".") if "." in text else text
    if isinstance(value, float):
        return f"{value:.{SIGNIFICANT}g}"
    return str(value)


def _time(timestamp: datetime) -> str:
    return rfc3339(timestamp).replace(".000000Z", "Z")
