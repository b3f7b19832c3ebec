"""Reads a text as a user's file, for tests of what users have."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from trading_platform.domain.errors import InvalidRequest
from trading_platform.sources.files.content.contents import FileContent
from trading_platform.sources.files.content.options import ImportOptions
from trading_platform.sources.files.reading import FileReading, read_instruments

NOW = datetime(2026, 12, 1, tzinfo=UTC)


def read(name: str, text: str, **options: object) -> dict[str | None, FileReading]:
    """What was read, by symbol."""
    content = FileContent(Path("/home/user") / name, None, text.encode)
    said = ImportOptions(**options)  # type: ignore[arg-type]
    readings = read_instruments(content, said, now=NOW, zone_of=lambda _symbol: "UTC")
    return {reading.symbol: reading for reading in readings}


def refusal(name: str, text: str, **options: object) -> str:
    """The words in which a file is refused.

    Raises:
        AssertionError: if a bar of it is read.
    """
    try:
        readings = read(name, text, **options).values()
    except InvalidRequest as error:
        return str(error)
    assert all(reading.bars.is_empty() for reading in readings), [reading.bars.rows() for reading in readings]
    return "; ".join(str(reading.rejected["detail"][0]) for reading in readings)


def table(header: str, rows: Sequence[Sequence[object]], separator: str = ",") -> str:
    """Rows below a header."""
    return "\n".join([header, *(separator.join(map(str, row)) for row in rows)]) + "\n"


def days(level: float, *, first: int = 8, month: int = 1, count: int = 5) -> list[list[object]]:
    """Daily bars of 2024 with date, four prices and volume, beginning at a price; 8 January is a Monday."""
    return [
        [f"2024-{month:02d}-{first + n:02d}", level + n, level + n + 2, level + n - 2, level + n + 1, 1_000 + n]
        for n in range(count)
    ]


def closes(reading: FileReading) -> list[float]:
    return [float(price) for price in reading.bars["close"]]


def volumes(reading: FileReading) -> list[float | None]:
    return [None if volume is None else float(volume) for volume in reading.bars["volume"]]
