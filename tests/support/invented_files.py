"""Invented daily files, and answers of commands in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from commands import Finished
from daily_bars import session_days

FAILED, CANNOT_BE = 1, 2

START = datetime(2012, 1, 2, tzinfo=UTC)
"""When the invented daily files begin."""


def daily_file(folder: Path, symbol: str, days: int, start: datetime = START) -> Path:
    """A file of made-up daily bars of New York's sessions within so many days."""
    path = folder / f"{symbol}_daily.csv"
    lines = ["date,open,high,low,close,volume"]
    price = 100.0
    for day in session_days(start, start + timedelta(days=days)):
        number = (day - start).days
        price *= 1 + ((number * 7919) % 21 - 10) / 1000
        lines.append(f"{day:%Y-%m-%d},{price:.2f},{price * 1.01:.2f},{price * 0.99:.2f},{price:.2f},{1000 + number}")
    path.write_text("\n".join(lines) + "\n")
    return path


def assert_plain(found: Finished, code: int) -> None:
    """In words for a person, and with the exit code that the documentation gives."""
    assert "Traceback" not in found.out + found.err
    assert "failed with an unexpected error" not in found.text
    assert found.code == code, found.text
