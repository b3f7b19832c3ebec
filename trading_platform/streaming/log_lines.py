"""The log of the live process: one line per message, at most one a cause and minute.

What the lines contain comes from networks and servers. A line break in it would make lines that the process never
wrote, and a source that fails in the same way all day would fill the disk: so what is not printable is escaped, and
repeated messages of one cause are counted and said with the next line, whose time is when it was written.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TextIO

from trading_platform.domain.time import Clock, utc_now

EVERY = 60.0
"""Seconds between two lines of one cause."""

LONGEST_LINE = 2_000
"""Characters of a message that are written."""

MOST_CAUSES = 1_000
"""Causes that are remembered; the ones that were quiet for longest are forgotten first."""

Cause = tuple[str, int, str]


@dataclass(slots=True)
class _Said:
    """What was said of a cause.

    Attributes:
        at: when the last line was written, in seconds of the handler's clock.
        left_out: how many messages were counted since.
        last: the last of them.
    """

    at: float
    left_out: int = 0
    last: logging.LogRecord | None = None


class LogLines(logging.Handler):
    """Writes log records as lines.

    The cause of a record is its logger, its level, and its text before arguments are filled in; ``extra={"cause": …}``
    names it more precisely.

    Args:
        stream: destination; by default the present standard error.
        monotonic: a clock in seconds that never goes back.
        clock: the time of lines that count.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        clock: Clock = utc_now,
    ) -> None:
        super().__init__()
        self._clock = clock
        self._stream = stream
        self._monotonic = monotonic
        self._said: dict[Cause, _Said] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Writes a record, or counts it."""
        now = self._monotonic()
        self._say_due(now)
        cause = (record.name, record.levelno, str(getattr(record, "cause", record.msg)))
        said = self._said.get(cause)
        if said is not None and now - said.at < EVERY:
            said.left_out, said.last = said.left_out + 1, record
            return
        self._said.pop(cause, None)
        while len(self._said) >= MOST_CAUSES:
            self._forget()
        self._said[cause] = _Said(now)
        self._write(record, 0)

    def sweep(self) -> None:
        """Writes the counts that are due, for times in which nothing is logged."""
        self.acquire()
        try:
            self._say_due(self._monotonic())
        finally:
            self.release()

    def close(self) -> None:
        """Writes the remaining counts."""
        self.acquire()
        try:
            for said in self._said.values():
                self._say(said)
            self._said.clear()
        finally:
            self.release()
        super().close()

    def _say_due(self, now: float) -> None:
        for cause, said in list(self._said.items()):
            if now - said.at >= EVERY:
                del self._said[cause]
                if said.left_out:
                    self._say(said)
                    self._said[cause] = _Said(now)

    def _forget(self) -> None:
        said = self._said.pop(next(iter(self._said)))
        self._say(said)

    def _say(self, said: _Said) -> None:
        if said.last is not None:
            self._write(said.last, said.left_out)

    def _write(self, record: logging.LogRecord, times: int) -> None:
        stamp, more = datetime.fromtimestamp(record.created, UTC), ""
        if times:
            more = f" ({times:,} times since the line before, the last at {stamp:%H:%M:%S})"
            stamp = self._clock()
        text = printable(_message_of(record))[:LONGEST_LINE]
        with suppress(OSError, ValueError):  # a log that cannot be written stops nothing else
            stream = self._stream or sys.stderr
            stream.write(f"{stamp:%Y-%m-%dT%H:%M:%SZ} {record.levelname.lower()} {record.name}: {text}{more}\n")
            stream.flush()


@contextmanager
def log_lines(handler: LogLines | None = None) -> Iterator[LogLines]:
    """Everything that is logged in the block is written as lines."""
    root, installed = logging.getLogger(), handler or LogLines()
    root.addHandler(installed)
    try:
        yield installed
    finally:
        root.removeHandler(installed)
        installed.close()


def printable(text: str) -> str:
    """A text in which every character that is not printable, line breaks included, is escaped."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def _message_of(record: logging.LogRecord) -> str:
    try:
        text = record.getMessage()
    except (TypeError, ValueError):
        text = str(record.msg)
    if record.exc_info and record.exc_info[1] is not None:
        error = record.exc_info[1]
        text = f"{text}: {type(error).__name__}: {error}"
    return text
