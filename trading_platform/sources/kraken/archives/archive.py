"""Kraken's bulk archives: the members of a ZIP with their symbols, and their rows, chunk by chunk.

A member can be larger than memory, so it is read twice: once to check that it is intact and to hash it,
then in chunks that end between two minutes (:mod:`trading_platform.sources.kraken.archives.rows`). Formats:
docs/sources/kraken.md.
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import IO

import polars as pl

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.rejection_reasons import Reason
from trading_platform.domain.time import Timeframe, Window
from trading_platform.sources.files.content.contents import LARGEST_RATIO, check_exists
from trading_platform.sources.files.content.options import FileRejected, unreadable
from trading_platform.sources.files.reading import FileReading
from trading_platform.sources.files.recognition.names import FileName
from trading_platform.sources.kraken.archives.rows import ArchiveMember, check_kind, read_chunk
from trading_platform.sources.kraken.landing_source import ArchiveKind

CHUNK_BYTES = 8 * 1024**2
"""Bytes of text read at once: about 150,000 rows."""

_BLOCK = 1024**2
_RATIO_APPLIES_FROM = 32 * 1024**2
_ZIP = b"PK"
_TIMEFRAMES = {1: Timeframe.M1, 1440: Timeframe.D1}
_LONGEST_MINUTE = 4  # chunks: no minute has a million trades


def is_archive(path: Path) -> bool:
    """Whether a file has a name of Kraken's bulk downloads: ``Kraken_OHLCVT_Q1_2024.zip``."""
    return path.name.lower().startswith("kraken_") and path.suffix.lower() == ".zip"


def members_of(path: Path) -> list[ArchiveMember]:
    """The members with names of Kraken's form, in the order of the archive; for a CSV, itself.

    Raises:
        InvalidRequest: if the file does not exist.
        FileRejected: if it is not a readable archive, or has no member of Kraken's form.
    """
    check_exists(path)
    try:
        with path.open("rb") as file:
            start = file.read(2)
        if start != _ZIP:
            found = [_member(path, None, path.name, path.stat().st_size, path.stat().st_size)]
        else:
            with zipfile.ZipFile(path) as archive:
                found = [
                    _member(path, info.filename, info.filename, info.compress_size, info.file_size)
                    for info in archive.infolist()
                    if not info.is_dir()
                ]
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError) as error:
        raise unreadable(f"the zip archive is broken: {error}; download it again") from None
    except OSError as error:
        raise unreadable(f"it cannot be read: {error.strerror or error}") from None
    named = [member for member in found if member is not None]
    if not named:
        raise unreadable("it has no member with a name of Kraken's form, such as XBTUSD_1.csv or XBTUSD.csv")
    return named


def _member(path: Path, member: str | None, name: str, packed: int, size: int) -> ArchiveMember | None:
    about = FileName((name,))
    symbol = about.symbol
    if symbol is None or not about.is_krakens or not name.lower().endswith(".csv") or "__MACOSX/" in name:
        return None
    minutes = about.kraken_minutes
    kind = ArchiveKind.TRADES if minutes is None else ArchiveKind.OHLCVT
    timeframe = Timeframe.M1 if minutes is None else _TIMEFRAMES.get(minutes)
    return ArchiveMember(path, member, symbol, kind, timeframe, packed, size)


@contextmanager
def _opened(member: ArchiveMember) -> Iterator[IO[bytes]]:
    """The member's bytes, decompressed; errors are raised as FileRejected."""
    try:
        if member.name is None:
            with member.path.open("rb") as file:
                yield file
        else:
            with zipfile.ZipFile(member.path) as archive, archive.open(member.name) as unpacked:
                yield unpacked
    except RuntimeError as error:  # zipfile raises it for an encrypted member
        raise unreadable(f"the zip member cannot be opened: {error}") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, KeyError) as error:
        raise unreadable(f"the zip member is damaged: {error}; download the archive again") from None
    except OSError as error:
        raise unreadable(f"it cannot be read: {error.strerror or error}") from None


def hash_of(member: ArchiveMember) -> str:
    """SHA-256 of the decompressed member, read to its end, so that damage is detected before anything is stored.

    Raises:
        FileRejected: if it is damaged, or decompresses to more than the limit.
    """
    digest, size = hashlib.sha256(), 0
    with _opened(member) as file:
        while block := file.read(_BLOCK):
            size += len(block)
            if size > _RATIO_APPLIES_FROM and size > member.packed * LARGEST_RATIO:
                raise unreadable(f"it unpacks to more than {LARGEST_RATIO} times its size")
            digest.update(block)
    return digest.hexdigest()


def read_member(
    member: ArchiveMember,
    now: datetime,
    *,
    chunk_bytes: int = CHUNK_BYTES,
    on_read: Callable[[int], None] | None = None,
) -> Iterator[FileReading]:
    """The screened rows of a member, chunk by chunk; no bar is in two chunks.

    The span of a chunk begins where the previous one ended, because a member leaves out only minutes
    without trades.

    Args:
        member: member of a timeframe.
        now: the present; later rows are rejected.
        chunk_bytes: bytes of text to read at once.
        on_read: called with the number of bytes read, after every chunk.

    Raises:
        FileRejected: if the member does not match its name, or its rows are not in the order of time. The
            chunks before it must not be stored then.
    """
    if member.timeframe is None:
        raise InvalidRequest(f"{member.origin} has bars of a length that is not imported from archives.")
    line, read, end = 0, 0, None
    for chunk in _chunks(member, chunk_bytes):
        reading = read_chunk(member, member.timeframe, chunk, now)
        check_kind(reading, member, is_first=line == 0)
        reading = replace(reading, rejected=reading.rejected.with_columns(pl.col("line") + line))
        if reading.span is not None:
            if end is not None and reading.span.start < end:
                raise _unordered(reading.span.start)
            reading = replace(reading, span=Window(end or reading.span.start, reading.span.end))
            end = reading.span.end if reading.span else end
        line += chunk.count(b"\n")
        read += len(chunk)
        if on_read is not None:
            on_read(read)
        yield reading


def _chunks(member: ArchiveMember, chunk_bytes: int) -> Iterator[bytes]:
    """Whole lines, cut where a minute ends."""
    left = b""
    with _opened(member) as file:
        while block := file.read(chunk_bytes):
            text = left + block
            cut = _end_of_a_minute(text)
            if cut:
                yield text[:cut]
            left = text[cut:]
            if len(left) > _LONGEST_MINUTE * chunk_bytes:
                raise unreadable("it has no rows with times in the order of time, as Kraken's have")
    if left.strip():
        yield left


def _end_of_a_minute(text: bytes) -> int:
    """The beginning of the last minute that may continue after ``text``; 0 if it cannot be determined."""
    end = text.rfind(b"\n")
    last = None
    while end > 0:
        start = text.rfind(b"\n", 0, end) + 1
        minute = _minute(text[start:end])
        if last is None:
            last = minute
        elif minute is not None and minute != last:
            return end + 1
        end = start - 1
    return 0


def _minute(row: bytes) -> int | None:
    try:
        return int(float(row.split(b",", 1)[0])) // 60
    except (ValueError, OverflowError):
        return None


def _unordered(timestamp: datetime) -> FileRejected:
    return FileRejected(
        Reason.UNSUPPORTED,
        f"its rows are not in the order of time: {timestamp.isoformat()} comes after later ones",
    )
