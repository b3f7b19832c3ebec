"""Recordings of a feed: what it said, one event a line, to be played back by :mod:`trading_platform.streaming.replay`.

A recording is JSON lines in gzip members of bounded size. The first line tells the format's version, the
source and the symbols with the basis of their bars; numbers are text, times RFC 3339 with microseconds. After
a kill it can be read up to the tear, and recorded on: the whole lines before the tear are kept.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from trading_platform.domain.errors import InvalidRequest, MalformedPayload
from trading_platform.domain.market.bar_builder import GRACE
from trading_platform.domain.market.bar_series import Basis
from trading_platform.domain.market.events import Event, FeedDown
from trading_platform.domain.rejection_reasons import Reason
from trading_platform.domain.time import Clock, utc_now
from trading_platform.streaming.recorded_events import (
    Recorded,
    UnreadableLine,
    as_line,
    fields_of,
    recorded_of,
    text_of_time,
    time_of_text,
)

FORMAT, VERSION = "trading-platform-events", 1

MEMBER_EVENTS = 1_000
MEMBER_TIME = timedelta(seconds=1)
"""After so many events, or so long, a gzip member is written: what a kill can lose at most."""

NOT_RECORDED = "the feed was not recorded"
"""The reason of the outage between two parts of a recording."""

_GZIP = 31  # zlib's word for a gzip header and trailer
_MAGIC = b"\x1f\x8b"
_CHUNK = 256 * 1024
_LONGEST_LINE = 4 * 1024**2


@dataclass(frozen=True)
class RecordingHeader:
    """What the first line tells.

    Attributes:
        source: whose feed it is.
        started: when the recording began; with the source its name.
        basis: the price of each symbol's bars.
        grace: how long after a minute's end its events could still come in.
        fill_no_trade: whether a minute without trades has a bar at the last price.
    """

    source: str
    started: datetime
    basis: Mapping[str, Basis]
    grace: timedelta = GRACE
    fill_no_trade: bool = False

    def as_line(self) -> bytes:
        """The line."""
        return as_line(
            {
                "format": FORMAT,
                "version": VERSION,
                "source": self.source,
                "started": text_of_time(self.started),
                "grace_seconds": self.grace.total_seconds(),
                "fill_no_trade": self.fill_no_trade,
                "symbols": {symbol: basis.value for symbol, basis in self.basis.items()},
            }
        )

    @classmethod
    def of_line(cls, line: bytes, path: Path) -> RecordingHeader:
        """What :meth:`as_line` gave.

        Raises:
            MalformedPayload: if it is none.
            InvalidRequest: if the recording is of a version that is not known.
        """
        try:
            fields = json.loads(line)
            known = fields["format"] == FORMAT
            if known and fields["version"] == VERSION:
                basis = {symbol: Basis(name) for symbol, name in fields["symbols"].items()}
                grace = timedelta(seconds=fields["grace_seconds"])
                started = time_of_text(fields["started"])
                fill = fields["fill_no_trade" if "fill_no_trade" in fields else "fill_silent"]  # its former name
                return cls(fields["source"], started, basis, grace, fill is True)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
            known = False
        if not known:
            raise MalformedPayload(
                f"{path} is not a recording of a feed.",
                expected=f"a first line that tells the format {FORMAT}",
                received=repr(line[:80]),
                remedy="name a recording made by stream --record, or a file of trades or quotes",
            )
        raise InvalidRequest(
            f"{path} is a recording of a newer kind.",
            expected=f"version {VERSION}",
            received=f"version {fields['version']}",
            remedy="use the version of the platform that made it",
        )


class RecordingWriter:
    """Records a feed into a file; one that exists is recorded on, after an event that the feed was down meanwhile.

    Not for several processes at once. A context manager.

    Args:
        path: the file, customarily ``.jsonl.gz``.
        source: whose feed it is.
        basis: the price of each symbol's bars.
        grace, fill_no_trade: as the bars are built with.
        clock: the receiver's.

    Raises:
        MalformedPayload, InvalidRequest: if the file exists and is no recording of the same.
    """

    def __init__(
        self,
        path: Path,
        *,
        source: str,
        basis: Mapping[str, Basis],
        grace: timedelta = GRACE,
        fill_no_trade: bool = False,
        clock: Clock = utc_now,
    ) -> None:
        self._clock = clock
        self._written_at = clock()
        header = RecordingHeader(source, self._written_at, dict(basis), grace, fill_no_trade)
        if path.exists() and path.stat().st_size > 0:
            _check_same(path, header)
            self._lines = _mend(path, frozenset(basis), self._written_at)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lines = [header.as_line()]
        self._file = path.open("ab")
        self.flush()

    def write(self, event: Event, received: datetime | None = None) -> None:
        """Records an event; it is in the file a second later at the latest, if events go on.

        Args:
            event: what the feed said.
            received: when it came; the clock is asked where it is not given.
        """
        now = received or self._clock()
        self._lines.append(as_line({**fields_of(event), "received": text_of_time(now)}))
        if len(self._lines) >= MEMBER_EVENTS or now - self._written_at >= MEMBER_TIME:
            self._written_at = now
            self.flush()

    def flush(self) -> None:
        """Writes what is not in the file yet, as one gzip member."""
        if self._lines:
            engine = zlib.compressobj(wbits=_GZIP)
            self._file.write(engine.compress(b"".join(self._lines)) + engine.flush())
            self._file.flush()
            self._lines = []

    def close(self) -> None:
        """Writes what is left."""
        self.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


Reject = Callable[[int, Reason, str, str], None]
"""Is told of a line that is no event: its number from 1, the reason, in words, and the line."""


class Recording:
    """A recording to be read.

    Args:
        path: the file, compressed or not.

    Raises:
        MalformedPayload: if it is no recording.
        InvalidRequest: if it is one of a version that is not known.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.header = RecordingHeader.of_line(next(_lines(path), b""), path)

    def count(self) -> int:
        """How many lines there are, with the header."""
        return sum(1 for _ in _lines(self.path))

    def events(self, after: int = 0, *, reject: Reject) -> Iterator[Recorded]:
        """The events in the order in which they came, up to the end or the tear.

        Args:
            after: offset after which to begin; what comes before it is not looked at.
            reject: is told of lines that are no events.
        """
        for offset, line in enumerate(_lines(self.path)):
            if offset <= max(after, 0):
                continue
            try:
                yield recorded_of(offset, json.loads(line))
            except UnreadableLine as fault:
                reject(offset + 1, fault.reason, fault.detail, _shown(line))
            except (ValueError, RecursionError):
                reject(offset + 1, Reason.UNSUPPORTED, "the line is not JSON", _shown(line))


def is_recording(path: Path) -> bool:
    """Whether a file begins like a recording."""
    try:
        first = next(_lines(path), b"")
    except (OSError, MalformedPayload):
        return False
    return first.startswith(b'{"format":"' + FORMAT.encode() + b'"')


def _shown(line: bytes) -> str:
    return line.decode("utf-8", "replace").replace("\x00", "�")[:2_000]


def _lines(path: Path) -> Iterator[bytes]:
    """The whole lines of a recording; what comes after the last line's end was torn off."""
    left = b""
    with path.open("rb") as file:
        for data, _ in _inflated(file):
            *whole, left = (left + data).split(b"\n")
            yield from whole
            if len(left) > _LONGEST_LINE:
                raise MalformedPayload(
                    f"{path} is not a recording of a feed.",
                    expected=f"lines of at most {_LONGEST_LINE} bytes",
                    received="a longer one",
                    remedy="name a recording made by stream --record, or a file of trades or quotes",
                )


def _inflated(file: BinaryIO) -> Iterator[tuple[bytes, int | None]]:
    """The content piece by piece, each with the place in the file up to which whole gzip members lead."""
    compressed = file.read(2) == _MAGIC
    file.seek(0)
    engine, packed = zlib.decompressobj(_GZIP), b""
    while packed or (packed := file.read(_CHUNK)):
        if not compressed:
            yield packed, None
            packed = b""
            continue
        try:
            data = engine.decompress(packed, _CHUNK)
        except zlib.error:
            return
        if engine.eof:
            packed, engine = engine.unused_data, zlib.decompressobj(_GZIP)
            yield data, file.tell() - len(packed)
        else:
            packed = engine.unconsumed_tail
            yield data, None


def _mend(path: Path, symbols: frozenset[str], now: datetime) -> list[bytes]:
    """Takes a torn gzip member off the end; gives the whole lines that were in it, and one that it was torn there."""
    good, torn, tail = 0, b"", b""
    with path.open("r+b") as file:
        for data, end in _inflated(file):
            good, torn = (good, torn + data) if end is None else (end, b"")
            tail = (tail + data)[-_CHUNK:]
        file.truncate(good)
    lines = [line + b"\n" for line in torn.split(b"\n")[:-1]]
    received = max((time for line in tail.split(b"\n") if (time := _received(line)) is not None), default=None)
    if received is not None:
        lines.append(as_line({**fields_of(FeedDown(received, symbols, NOT_RECORDED)), "received": text_of_time(now)}))
    return lines


def _received(line: bytes) -> datetime | None:
    """The time that a line tells of, not later than it came; None for a line that is no event."""
    try:
        recorded = recorded_of(0, json.loads(line))
    except (UnreadableLine, ValueError, RecursionError):
        return None
    return recorded.event.time if recorded.received is None else min(recorded.event.time, recorded.received)


def _check_same(path: Path, header: RecordingHeader) -> None:
    with path.open("rb") as file:
        compressed = file.read(2) == _MAGIC
    kept = Recording(path).header
    if not compressed or replace(kept, started=header.started) != header:
        raise InvalidRequest(
            f"{path} cannot be recorded on.",
            expected=f"a compressed recording of {_described(header)}",
            received=f"a {'compressed' if compressed else 'plain'} recording of {_described(kept)}",
            remedy="name another file",
        )


def _described(header: RecordingHeader) -> str:
    symbols = ", ".join(f"{symbol} by {basis.value}" for symbol, basis in sorted(header.basis.items()))
    silent = ", silent minutes filled" if header.fill_no_trade else ""
    return f"{header.source} ({symbols}; grace {header.grace.total_seconds():g} s{silent})"
