"""What tools answer: one compact table as text, and what it is about as structured content.

The rows are sent once, as CSV in the text, which every assistant reads and which takes a third of the tokens of JSON.
Units, times and the cursor of the next page are structured; their schema is that of :class:`TableAnswer`. Pages are in
:mod:`trading_platform.mcp.pages`.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
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
        rows: the rows of all pages, as a frame; or a few, each by column, of which any may be missing.
        columns: the meaning of each column, in order.
        time: the column whose newest value tells how old the answer is; None if there is none.
        notes: what to say beside it.
    """

    rows: pl.DataFrame | Sequence[Mapping[str, object]]
    columns: Mapping[str, str]
    time: str | None = None
    notes: Sequence[str] = field(default_factory=tuple)


def answer(table: Table, page: Page) -> CallToolResult:
    """The page of a table as the result of a tool."""
    count, rows, newest = (
        _frame_rows(table.rows, table, page)
        if isinstance(table.rows, pl.DataFrame)
        else _few_rows(table.rows, table, page)
    )
    lines = _lines(list(table.columns), rows, LARGEST_TEXT - sum(len(note) + 1 for note in table.notes))
    shown = len(lines) - 1
    facts = TableAnswer(
        as_of=_time(page.as_of),
        columns=dict(table.columns),
        rows=shown,
        all_rows=count,
        newest=None if newest is None else _time(newest),
        age_seconds=None if newest is None else (page.as_of - newest).total_seconds(),
        notes=list(table.notes),
        next_cursor=page.after(shown) if page.offset + shown < count else None,
    )
    return CallToolResult(
        content=[TextContent(type="text", text="\n".join([_head(facts, page), *table.notes, *lines]))],
        structured_content=facts.model_dump(exclude_none=True),
    )


_Rows = tuple[int, Iterable[Sequence[object]], datetime | None]
"""The number of all rows, those of a page at most, and the time of the newest of all."""


def _frame_rows(all_rows: pl.DataFrame, table: Table, page: Page) -> _Rows:
    frame = all_rows[list(table.columns)]
    newest = frame[table.time].max() if table.time and not frame.is_empty() else None
    return frame.height, frame.slice(page.offset, page.limit).iter_rows(), _timestamp(newest)


def _few_rows(all_rows: Sequence[Mapping[str, object]], table: Table, page: Page) -> _Rows:
    times = [row.get(table.time) for row in all_rows] if table.time else []
    part = all_rows[page.offset : page.offset + page.limit]
    return (
        len(all_rows),
        [[row.get(name) for name in table.columns] for row in part],
        max(filter(None, map(_timestamp, times)), default=None),
    )


def _timestamp(value: object) -> datetime | None:
    return value if isinstance(value, datetime) else None


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


def _lines(columns: Sequence[str], rows: Iterable[Sequence[object]], room: int) -> list[str]:
    """The header and as many rows as there is room for, at least one."""
    lines: list[str] = []
    write = csv.writer(_Lines(lines), lineterminator="").writerow
    write(columns)
    room -= len(lines[0]) + _HEAD
    for row in rows:
        write([cell(value) for value in row])
        room -= len(lines[-1]) + 1
        if room < 0 and len(lines) > 2:  # noqa: PLR2004 - the header and a row
            lines.pop()
            break
    return lines


_HEAD = 400


class _Lines:
    """A file for :mod:`csv`, which writes each line at once."""

    def __init__(self, lines: list[str]) -> None:
        self.write = lines.append


def cell(value: object) -> str:
    """A value as text: exact decimals without trailing zeros, times without empty fractions, nothing for NULL."""
    if isinstance(value, str):
        return value
    if isinstance(value, Decimal):
        text = plain_text(value)
        return text.rstrip("0").rstrip(".") if "." in text else text
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, datetime):
        return _time(value)
    if isinstance(value, float):
        return f"{value:.{SIGNIFICANT}g}"
    return str(value)


def _time(timestamp: datetime) -> str:
    return rfc3339(timestamp).replace(".000000Z", "Z")
