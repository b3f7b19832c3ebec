"""Output of commands: tables and progress for a person, JSON for machines.

Results go to standard output, progress and errors to standard error, so that ``--json`` can be piped.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from trading_platform.domain.errors import TradingPlatformError
from trading_platform.domain.texts import storable
from trading_platform.workflows.progress import Progress

if TYPE_CHECKING:
    from rich.progress import TaskID

_WIDE = 140  # columns where there is no terminal, as in a pipe or a log
_LONG = 24  # characters from which a text may be broken over lines
_GAP = 2  # spaces between columns, if there is room
_KEYS = 2  # columns that name a row

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def visible(text: str) -> str:
    """A text of unknown origin for a terminal: control characters, which could command it, are shown as escapes."""
    return _CONTROLS.sub(lambda found: f"\\x{ord(found[0]):02x}", storable(text))


class PlainConsole(Console):
    """A console that prints texts as they are: nothing in them is markup, and no control character gets through."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """The rendered form of a text that was printed as such."""
        return super().render_str(visible(text), **options)


out = PlainConsole(width=None if sys.stdout.isatty() else _WIDE)
err = PlainConsole(stderr=True, width=None if sys.stderr.isatty() else _WIDE)


def print_json(value: Any) -> None:
    """Prints one JSON document on standard output; times as ISO 8601, decimals as text."""
    out.print_json(json.dumps(value, default=str)) if out.is_terminal else print(json.dumps(value, default=str))


def table(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    *,
    right: Sequence[str] = (),
    keys: Sequence[str] = (),
) -> Group:
    """A table of text, as wide as the terminal at most.

    A number or a short text is never broken over two lines. What does not fit beside the other columns follows in
    another table below, with the columns that name the row in front again. A column without any content is left out.

    Args:
        title: what the table shows.
        columns: names of the columns.
        rows: the cells of each row; a Text keeps its colour.
        right: names of the columns that hold numbers.
        keys: names of the columns that name a row; by default the first two that hold no numbers.
    """
    cells = [[cell if isinstance(cell, Text) else Text(visible(number(cell))) for cell in row] for row in rows]
    lengths = [[row[at].cell_len for row in cells] for at in range(len(columns))]
    widths = [max(len(name), _width(name, own)) for name, own in zip(columns, lengths, strict=True)]
    if sum(widths) + _GAP * len(widths) > out.width:  # names of several words over several lines
        widths = [_width(name, own) for name, own in zip(columns, lengths, strict=True)]
    named = [at for at, name in enumerate(columns) if (name in keys if keys else name not in right)]
    filled = [at for at in range(len(columns)) if not cells or any(row[at].plain for row in cells)]
    blocks = _blocks(widths, filled, named if keys else named[:_KEYS], out.width)
    gap = _GAP if all(sum(widths[at] + _GAP for at in block) - _GAP <= out.width for block in blocks) else 1
    parts = []
    for block in blocks:
        part = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0), header_style="bold")
        for at in block:
            name = columns[at]
            fixed = name in right or widths[at] < _LONG
            part.add_column(
                "\n".join(wrap(name.replace("_", " "), max(widths[at], 1))),
                justify="right" if name in right else "left",
                min_width=widths[at],
                no_wrap=fixed,
                overflow="fold",
            )
        for row in cells:
            part.add_row(*(row[at] for at in block))
        parts.append(part)
    return Group(Text(visible(title), "bold"), *parts)


def _width(name: str, lengths: Sequence[int]) -> int:
    """The columns that a column needs at least: all of a short cell, some of a long text, the words of its name."""
    words = max(len(word) for word in name.replace("_", " ").split())
    return max(words, min(max(lengths, default=0), _LONG))


def _blocks(widths: Sequence[int], filled: Sequence[int], keys: Sequence[int], width: int) -> list[list[int]]:
    """The columns of each table, so that none is wider than the terminal."""
    blocks: list[list[int]] = [[]]
    for at in filled:
        taken = sum(widths[each] + 1 for each in blocks[-1])
        if blocks[-1] and taken + widths[at] > width and set(blocks[-1]) - set(keys):
            blocks.append(list(keys))
        if at not in blocks[-1]:
            blocks[-1].append(at)
    return blocks


def number(cell: Any) -> str:
    """A cell as text: thousands grouped, empty for None."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    return f"{cell:,}" if isinstance(cell, int) else str(cell)


def print_error(error: TradingPlatformError, *, as_json: bool) -> None:
    """Prints the parts of an error: what happened, expected, received, to do."""
    if as_json:
        print_json(error.as_dict())
        return
    print_labelled(err, "Error:", error.message, "bold red")
    for label, text in (("Expected", error.expected), ("Received", error.received), ("To do", error.remedy)):
        if text:
            print_labelled(err, f"  {label}:", text, "bold")
    err.print(f"  Trying again {'can' if error.retryable else 'will not'} help.", highlight=False)


def print_labelled(console: Console, label: str, text: str, style: str) -> None:
    """Prints a text after a label in a style."""
    console.print(Text.assemble((visible(label), style), " ", visible(text)))


@contextmanager
def progress_bars(*, quiet: bool) -> Iterator[Progress]:
    """Yields a progress function that draws one bar for each kind of work; it draws nothing without a terminal."""
    if quiet or not err.is_terminal:
        yield lambda _what, _done, _total: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    # A separate descriptor, because Dagster redirects standard error to a file while a step runs.
    with (
        os.fdopen(os.dup(sys.stderr.fileno()), "w") as screen,
        Bars(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(file=screen),
        ) as bars,
    ):
        tasks: dict[str, TaskID] = {}

        def publish(what: str, done: int, total: int) -> None:
            task = tasks.setdefault(what, bars.add_task(what, total=total)) if what not in tasks else tasks[what]
            bars.update(task, completed=done, total=total)

        yield publish


def as_rows(items: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> list[list[Any]]:
    """The values of these columns, as one row for each mapping."""
    return [[item.get(column) for column in columns] for item in items]
