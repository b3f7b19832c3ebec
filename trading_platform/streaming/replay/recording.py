"""Recordings of a feed: one event per line, for :mod:`trading_platform.streaming.replay.replay`.

A recording is JSON lines in gzip members of bounded size. The first line has the format's version, the source and the
symbols with the basis of their bars; numbers are text, times RFC 3339 with microseconds. After a kill a recording can
be read, and continued, up to the truncated gzip member: the whole lines before it are kept.
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

from trading_platform.domain.errors import InvalidRequest, MalformedPayload, StoreError
from trading_platform.domain.market.live.bar_builder import GRACE
from trading_platform.domain.market.live.bar_series import Basis
from trading_platform.domain.market.live.events import Event, FeedDown, FeedUp
from trading_platform.domain.rejection_reasons import Reason
from trading_platform.domain.texts import shown
from trading_platform.domain.time import Clock, utc_now
from trading_platform.stores.private_files import private_folder, private_opener
from trading_platform.streaming.replay.recorded_events import (
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
"""Events and time after which a gzip member is written: the most that a kill can lose."""

MOST_WAITING = 5_000
"""Events that wait for a disk that is full; then they are left out, and the recording has an outage instead."""

AGAIN_AFTER = timedelta(seconds=10)
"""When a file that could not be written is tried again."""

NOT_RECORDED = "the feed was not recorded"
"""The reason of the outage between two parts of a recording."""

_GZIP = 31  # zlib's wbits for a gzip header and trailer
_MAGIC = b"\x1f\x8b"
_CHUNK = 256 * 1024
_LONGEST_LINE = 4 * 1024**2


@dataclass(frozen=True)
class RecordingHeader:
    """The first line of a recording.

    Attributes:
        source: name of the feed's source.
        started: start of the recording; together with the source it identifies the recording.
        basis: the basis of each symbol's bars.
        grace: time after the end of a minute in which its events are still accepted.
        fill_no_trade: whether a minute without trades gets a bar at the last price.
    """

    source: str
    started: datetime
    basis: Mapping[str, Basis]
    grace: timedelta = GRACE
    fill_no_trade: bool = False

    def as_line(self) -> bytes:
        """The header as a line of the file."""
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
        """The header of a line; the inverse of :meth:`as_line`.

        Raises:
            MalformedPayload: if the line is no header.
            InvalidRequest: if the recording has an unknown version.
        """
        try:
            fields = json.loads(line)
            has_format = fields["format"] == FORMAT
            if has_format and fields["version"] == VERSION:
                basis = {symbol: Basis(name) for symbol, name in fields["symbols"].items()}
                grace = timedelta(seconds=fields["grace_seconds"])
                started = time_of_text(fields["started"])
                fill = fields["fill_no_trade" if "fill_no_trade" in fields else "fill_silent"]  # its former name
                return cls(fields["source"], started, basis, grace, fill is True)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
            has_format = False
        if not has_format:
            raise MalformedPayload(
                f"{path} is not a recording of a feed.",
                expected=f"a first line with the format {FORMAT}",
                received=shown(line[:80]),
                remedy="name a recording made by stream --record, or a file of trades or quotes",
            )
        raise InvalidRequest(
            f"{path} is a recording of an unknown version.",
            expected=f"version {VERSION}",
            received=f"version {fields['version']}",
            remedy="use the version of the platform that made it",
        )


class RecordingWriter:
    """Records a feed into a file; an existing file is continued, with a ``FeedDown`` event for the time between.

    A file must not be written by several processes at once. The writer is a context manager. While the file cannot be
    written, events wait, and later ones are left out; the file stays readable.

    Args:
        path: the file, usually ``.jsonl.gz``.
        source: name of the feed's source.
        basis: the basis of each symbol's bars.
        grace, fill_no_trade: as in the builder of the bars.
        clock: the receiver's clock.

    Raises:
        MalformedPayload, InvalidRequest: if the file exists and is no recording with the same header.
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
        self._symbols = frozenset(basis)
        self._every = MEMBER_TIME
        self._failing_since: datetime | None = None
        self._left_out_since: datetime | None = None
        header = RecordingHeader(source, self._written_at, dict(basis), grace, fill_no_trade)
        if path.exists() and path.stat().st_size > 0:
            _check_same(path, header)
            self._lines = _mend(path, frozenset(basis), self._written_at)
        else:
            private_folder(path.parent)
            self._lines = [header.as_line()]
        # Without a buffer it is known what is written, so that a part of it can be taken back.
        self._file = open(path, "ab", buffering=0, opener=private_opener)  # noqa: SIM115 - closed by `close`; Path has no opener
        self._length = path.stat().st_size
        self.flush()

    def write(self, event: Event, received: datetime | None = None) -> None:
        """Records an event; it is in the file after one second at the latest, as long as events arrive.

        Args:
            event: the event that the feed emitted.
            received: time of receipt; by default the present time.

        Raises:
            OSError: if the file cannot be written now; the next call tries again.
        """
        now = received or self._clock()
        is_due = now - self._written_at >= self._every
        if self._left_out_since is not None:
            if not is_due:
                return
            gap = (FeedDown(self._left_out_since, self._symbols, NOT_RECORDED), FeedUp(now, self._symbols))
            self._lines = [self._line(each, now) for each in gap]
        self._lines.append(self._line(event, now))
        if is_due or (len(self._lines) >= MEMBER_EVENTS and self._every == MEMBER_TIME):
            self._flush_at(now)

    def _flush_at(self, now: datetime) -> None:
        before, self._written_at = self._written_at, now
        try:
            self.flush()
        except OSError:
            self._every = AGAIN_AFTER
            if self._left_out_since is None:
                self._failing_since = before if self._failing_since is None else self._failing_since
                if len(self._lines) >= MOST_WAITING:
                    self._left_out_since = self._failing_since
            if self._left_out_since is not None:
                self._lines = []
            raise
        self._every, self._failing_since, self._left_out_since = MEMBER_TIME, None, None

    @staticmethod
    def _line(event: Event, received: datetime) -> bytes:
        return as_line({**fields_of(event), "received": text_of_time(received)})

    def flush(self) -> None:
        """Writes the buffered lines as one gzip member: all of it or, with an OSError, nothing."""
        if not self._lines:
            return
        engine = zlib.compressobj(wbits=_GZIP)
        left = memoryview(engine.compress(b"".join(self._lines)) + engine.flush())
        size = len(left)
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError:
            self._file.truncate(self._length)
            raise
        self._length += size
        self._lines = []

    def close(self) -> None:
        """Writes the buffered lines and closes the file.

        Raises:
            StoreError: if the lines cannot be written; the file is closed and can be read without them.
        """
        try:
            self.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise StoreError(
                "The end of the recording could not be written; its last events are missing.",
                received=str(error),
                remedy="free disk space before the next recording",
            ) from error
        finally:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


Reject = Callable[[int, Reason, str, str], None]
"""Called with a line that is no event: its number from 1, the reason, the detail, and the line."""


class Recording:
    """Reads a recording.

    Args:
        path: the file, compressed or not.

    Raises:
        MalformedPayload: if the file is no recording.
        InvalidRequest: if the recording has an unknown version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.header = RecordingHeader.of_line(next(_lines(path), b""), path)

    def count(self) -> int:
        """The number of lines, including the header."""
        return sum(1 for _ in _lines(self.path))

    def events(self, after: int = 0, *, reject: Reject) -> Iterator[Recorded]:
        """The events in the order of receipt, up to the end or a truncated gzip member.

        Args:
            after: offset after which to begin; earlier lines are not parsed.
            reject: called with each line that is no event.
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
    """The whole lines of a recording; an incomplete last line is left out."""
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
    """The content in chunks; a chunk that ends a gzip member comes with the file offset of that end."""
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
    """Removes a truncated gzip member from the end; returns its whole lines and a ``FeedDown`` event for the gap."""
    good, truncated, tail = 0, b"", b""
    with path.open("r+b") as file:
        for data, end in _inflated(file):
            good, truncated = (good, truncated + data) if end is None else (end, b"")
            tail = (tail + data)[-_CHUNK:]
        file.truncate(good)
    lines = [line + b"\n" for line in truncated.split(b"\n")[:-1]]
    received = max((time for line in tail.split(b"\n") if (time := _received(line)) is not None), default=None)
    if received is not None:
        lines.append(as_line({**fields_of(FeedDown(received, symbols, NOT_RECORDED)), "received": text_of_time(now)}))
    return lines


def _received(line: bytes) -> datetime | None:
    """The time of a line's event, at most its time of receipt; None for a line that is no event."""
    try:
        recorded = recorded_of(0, json.loads(line))
    except (UnreadableLine, ValueError, RecursionError):
        return None
    return recorded.event.time if recorded.received is None else min(recorded.event.time, recorded.received)


def _check_same(path: Path, header: RecordingHeader) -> None:
    with path.open("rb") as file:
        compressed = file.read(2) == _MAGIC
    existing = Recording(path).header
    if not compressed or replace(existing, started=header.started) != header:
        raise InvalidRequest(
            f"{path} cannot be continued.",
            expected=f"a compressed recording of {_described(header)}",
            received=f"a {'compressed' if compressed else 'plain'} recording of {_described(existing)}",
            remedy="name another file",
        )


def _described(header: RecordingHeader) -> str:
    symbols = ", ".join(f"{symbol} by {basis.value}" for symbol, basis in sorted(header.basis.items()))
    filled = ", minutes without trades filled" if header.fill_no_trade else ""
    return f"{header.source} ({symbols}; grace {header.grace.total_seconds():g} s{filled})"
