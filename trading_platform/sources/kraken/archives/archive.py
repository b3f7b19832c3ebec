"""Kraken's bulk archives: which members of a ZIP hold whose bars, and their rows, a piece at a time.

A member can be larger than memory, so it is read twice: once to know that it is whole and what its hash is,
then in pieces that end between two minutes (:mod:`trading_platform.sources.kraken.archives.rows`). Formats:
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
from trading_platform.sources.files.contents import LARGEST_RATIO, check_exists
from trading_platform.sources.files.names import FileName
from trading_platform.sources.files.options import FileRejected, unreadable
from trading_platform.sources.files.reading import FileReading
from trading_platform.sources.kraken.archives.rows import ArchiveMember, check_kind, read_chunk
from trading_platform.sources.kraken.landing_source import ArchiveKind

CHUNK_BYTES = 8 * 1024**2
"""How much text is read at once: about 150,000 rows."""

_BLOCK = 1024**2
_RATIO_APPLIES_FROM = 32 * 1024**2
_ZIP = b"PK"
_TIMEFRAMES = {1: Timeframe.M1, 1440: Timeframe.D1}
_LONGEST_MINUTE = 4  # pieces: no minute has a million trades


def is_archive(path: Path) -> bool:
    """Whether a file is named as Kraken names its bulk downloads: ``Kraken_OHLCVT_Q1_2024.zip``."""
    return path.name.lower().startswith("kraken_") and path.suffix.lower() == ".zip"


def members_of(path: Path) -> list[ArchiveMember]:
    """The members that are named as Kraken names them, in the order of the archive; of a CSV, itself.

    Raises:
        InvalidRequest: if there is no such file.
        FileRejected: if it is no archive that can be read, or holds nothing of Kraken's.
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
        raise unreadable("it holds nothing named as Kraken names it, such as XBTUSD_1.csv or XBTUSD.csv")
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
    """The member's bytes, unpacked; what is wrong with them comes as FileRejected."""
    try:
        if member.name is None:
            with member.path.open("rb") as file:
                yield file
        else:
            with zipfile.ZipFile(member.path) as archive, archive.open(member.name) as unpacked:
                yield unpacked
    except RuntimeError as error:  # zipfile's word for an encrypted member
        raise unreadable(f"the zip member cannot be opened: {error}") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, KeyError) as error:
        raise unreadable(f"the zip member is damaged: {error}; download the archive again") from None
    except OSError as error:
        raise unreadable(f"it cannot be read: {error.strerror or error}") from None


def hash_of(member: ArchiveMember) -> str:
    """SHA-256 of the unpacked member, read to its end, so that damage shows before anything of it is kept.

    Raises:
        FileRejected: if it is damaged, or unpacks to more than bars can.
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
    member: ArchiveMember, now: datetime, *, chunk_bytes: int = CHUNK_BYTES, told: Callable[[int], None] | None = None
) -> Iterator[FileReading]:
    """The rows of a member, screened, piece by piece; no bar is in two pieces.

    The span of a piece begins where the one before ended, since a member leaves out nothing but minutes
    without trades.

    Args:
        member: which, of a timeframe.
        now: the present; rows that are later are refused.
        chunk_bytes: how much text to read at once.
        told: is told how many bytes were read, after every piece.

    Raises:
        FileRejected: if the member is not what its name says, or its rows are not in the order of time. What
            came before is then not to be kept.
    """
    if member.timeframe is None:
        raise InvalidRequest(f"{member.origin} has bars of a length that is not taken from archives.")
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
        if told is not None:
            told(read)
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
    """Where the last minute begins that may go on after ``text``; 0 if that cannot be told in it."""
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
