"""Output of commands: tables and progress for a person, JSON for machines.

Results go to standard output, progress and errors to standard error, so that ``--json`` can be piped.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Table

from trading_platform.domain.errors import TradingPlatformError
from trading_platform.workflows.progress import Progress

_WIDE = 140  # columns where there is no terminal, as in a pipe or a log

out = Console(width=None if sys.stdout.isatty() else _WIDE)
err = Console(stderr=True, width=None if sys.stderr.isatty() else _WIDE)


def print_json(value: Any) -> None:
    """Prints one JSON document on standard output; times as ISO 8601, decimals as text."""
    out.print_json(json.dumps(value, default=str)) if out.is_terminal else print(json.dumps(value, default=str))


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], *, right: Sequence[str] = ()) -> Table:
    """A table of text; columns named in ``right`` hold numbers."""
    result = Table(title=title, title_justify="left", header_style="bold")
    for name in columns:
        result.add_column(name.replace("_", " "), justify="right" if name in right else "left", overflow="fold")
    for row in rows:
        result.add_row(*(number(cell) for cell in row))
    return result


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
    err.print(f"[bold red]Error:[/] {_escape(error.message)}")
    for label, text in (("Expected", error.expected), ("Received", error.received), ("To do", error.remedy)):
        if text:
            err.print(f"  [bold]{label}:[/] {_escape(text)}", highlight=False)
    err.print(f"  Trying again {'can' if error.retryable else 'will not'} help.", highlight=False)


@contextmanager
def progress_bars(*, quiet: bool) -> Iterator[Progress]:
    """Yields a progress function that draws one bar for each kind of work; it draws nothing without a terminal."""
    if quiet or not err.is_terminal:
        yield lambda _what, _done, _total: None
        return
    # A separate descriptor, because Dagster redirects standard error to a file while a step runs.
    with (
        os.fdopen(os.dup(sys.stderr.fileno()), "w") as screen,
        Bars(
            TextColumn("{task.description}"),
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


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)
