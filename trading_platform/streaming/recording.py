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
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from trading_platform.domain.bar_builder import GRACE
from trading_platform.domain.bar_series import Basis
from trading_platform.domain.errors import InvalidRequest, MalformedPayload
from trading_platform.domain.events import Event, FeedDown, FeedUp, Heartbeat, Quote, Trade
from trading_platform.domain.reasons import Reason
from trading_platform.domain.time import Clock, utc_now

FORMAT, VERSION = "trading-platform-events", 1

MEMBER_EVENTS = 1_000
MEMBER_TIME = timedelta(seconds=1)
"""After so many events, or so long, a gzip member is written: what a kill can lose at most."""

_GZIP = 31  # zlib's word for a gzip header and trailer
_MAGIC = b"\x1f\x8b"
_CHUNK = 256 * 1024
_LONGEST_LINE = 4 * 1024**2
_NAMES: dict[type, str] = {Trade: "trade", Quote: "quote", Heartbeat: "heartbeat", FeedUp: "up", FeedDown: "down"}
_SIDES = ("bid", "ask", "last", "volume")


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event of a recording.

    Attributes:
        offset: its line, counted from 0; the header is line 0.
        event: what the feed said.
        received: the receiver's clock at that moment.
    """

    offset: int
    event: Event
    received: datetime | None


@dataclass(frozen=True)
class RecordingHeader:
    """What the first line tells.

    Attributes:
        source: whose feed it is.
        started: when the recording began; with the source its name.
        basis: the price of each symbol's bars.
        grace: how long after a minute's end its events could still come in.
    """

    source: str
    started: datetime
    basis: Mapping[str, Basis]
    grace: timedelta = GRACE

    def as_line(self) -> bytes:
        """The line."""
        return _line(
            {
                "format": FORMAT,
                "version": VERSION,
                "source": self.source,
                "started": _time(self.started),
                "grace_seconds": self.grace.total_seconds(),
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
                return cls(fields["source"], _moment(fields["started"]), basis, grace)
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
    """Records a feed into a file; one that exists is recorded on.

    Not for several processes at once. A context manager.

    Args:
        path: the file, customarily ``.jsonl.gz``.
        source: whose feed it is.
        basis: the price of each symbol's bars.
        grace: as the bars are built with.
        clock: the receiver's.

    Raises:
        MalformedPayload, InvalidRequest: if the file exists and is no recording of this source.
    """

    def __init__(
        self, path: Path, *, source: str, basis: Mapping[str, Basis], grace: timedelta = GRACE, clock: Clock = utc_now
    ) -> None:
        self._clock = clock
        self._lines: list[bytes] = []
        self._written_at = clock()
        exists = path.exists() and path.stat().st_size > 0
        if exists:
            _check_same(path, source)
            self._lines = _mend(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab")
        if not exists:
            self._lines = [RecordingHeader(source, self._written_at, basis, grace).as_line()]
        self.flush()

    def write(self, event: Event, received: datetime | None = None) -> None:
        """Records an event; it is in the file a second later at the latest, if events go on.

        Args:
            event: what the feed said.
            received: when it came; the clock is asked where it is not given.
        """
        now = received or self._clock()
        self._lines.append(_line({**_fields(event), "received": _time(now)}))
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


Refuse = Callable[[int, Reason, str, str], None]
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

    def events(self, after: int = 0, *, refuse: Refuse) -> Iterator[Recorded]:
        """The events in the order in which they came, up to the end or the tear.

        Args:
            after: offset after which to begin; what comes before it is not looked at.
            refuse: is told of lines that are no events.
        """
        for offset, line in enumerate(_lines(self.path)):
            if offset <= max(after, 0):
                continue
            try:
                yield _recorded(offset, json.loads(line))
            except _Unreadable as fault:
                refuse(offset + 1, fault.reason, fault.detail, _shown(line))
            except (ValueError, RecursionError):
                refuse(offset + 1, Reason.UNSUPPORTED, "the line is not JSON", _shown(line))


def is_recording(path: Path) -> bool:
    """Whether a file begins like a recording."""
    try:
        first = next(_lines(path), b"")
    except (OSError, MalformedPayload):
        return False
    return first.startswith(b'{"format":"' + FORMAT.encode() + b'"')


class _Unreadable(Exception):
    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


def _fields(event: Event) -> dict[str, Any]:
    fields: dict[str, Any] = {"event": _NAMES[type(event)], "time": _time(event.time)}
    if isinstance(event, Trade):
        fields |= {"symbol": event.symbol, "price": str(event.price), "quantity": str(event.quantity)}
        return fields if event.trade_id is None else fields | {"trade_id": event.trade_id}
    if isinstance(event, Quote):
        sides = {name: str(value) for name in _SIDES if (value := getattr(event, name)) is not None}
        return fields | {"symbol": event.symbol} | sides
    if isinstance(event, (FeedUp, FeedDown)):
        fields["symbols"] = sorted(event.symbols)
    return fields | {"reason": event.reason} if isinstance(event, FeedDown) else fields


def _recorded(offset: int, fields: Any) -> Recorded:
    if not isinstance(fields, dict):
        raise _Unreadable(Reason.UNSUPPORTED, "the line is not an object")
    try:
        received = _moment(fields["received"]) if "received" in fields else None
        time = _moment(fields["time"])
    except KeyError:
        raise _Unreadable(Reason.MISSING_VALUE, "time is missing") from None
    except (ValueError, TypeError, OverflowError):
        raise _Unreadable(Reason.UNREADABLE_TIME, "time or received is not a time with its zone") from None
    try:
        return Recorded(offset, _event(fields, time), received)
    except KeyError as missing:
        raise _Unreadable(Reason.MISSING_VALUE, f"{missing.args[0]} is missing") from None
    except (InvalidOperation, TypeError, ValueError):
        raise _Unreadable(Reason.UNREADABLE_NUMBER, "a value is not what it should be") from None


def _event(fields: dict[str, Any], time: datetime) -> Event:
    kind = fields["event"]
    if kind == "quote":
        bid, ask, last, volume = (_number(fields[name]) if name in fields else None for name in _SIDES)
        return Quote(_name(fields["symbol"]), time, bid, ask, last, volume)
    if kind == "trade":
        trade_id = fields.get("trade_id")
        if trade_id is not None and type(trade_id) is not int:
            raise TypeError(trade_id)
        return Trade(_name(fields["symbol"]), time, _number(fields["price"]), _number(fields["quantity"]), trade_id)
    if kind == "heartbeat":
        return Heartbeat(time)
    if kind == "up":
        return FeedUp(time, frozenset(map(_name, fields["symbols"])))
    if kind == "down":
        return FeedDown(time, frozenset(map(_name, fields["symbols"])), _name(fields["reason"]))
    raise _Unreadable(Reason.UNSUPPORTED, f"{kind!r:.40} is no kind of event")


def _number(value: Any) -> Decimal:
    return Decimal(_name(value))


def _name(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(text)
    return moment.astimezone(UTC)


def _line(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode() + b"\n"


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


def _mend(path: Path) -> list[bytes]:
    """Takes a torn gzip member off the end; gives the whole lines that were in it."""
    good, torn = 0, b""
    with path.open("r+b") as file:
        for data, end in _inflated(file):
            good, torn = (good, torn + data) if end is None else (end, b"")
        file.truncate(good)
    return [line + b"\n" for line in torn.split(b"\n")[:-1]]


def _check_same(path: Path, source: str) -> None:
    with path.open("rb") as file:
        compressed = file.read(2) == _MAGIC
    kept = Recording(path).header.source
    if not compressed or kept != source:
        raise InvalidRequest(
            f"{path} cannot be recorded on.",
            expected=f"a compressed recording of {source}",
            received=f"a {'compressed' if compressed else 'plain'} recording of {kept}",
            remedy="name another file",
        )
