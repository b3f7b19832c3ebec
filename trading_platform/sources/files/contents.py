"""Files opened and decompressed: from a path to the bytes of the tables it holds.

What the bytes mean is for :mod:`trading_platform.sources.files.tables`.
"""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from trading_platform.domain.errors import InvalidRequest
from trading_platform.sources.files.options import FileRefused, unreadable

LARGEST_CONTENT = 2 * 1024**3
"""Bytes a file may hold once decompressed: some forty million rows; a file is read into memory whole."""

LARGEST_RATIO = 250
"""Bars as text shrink five- to thirtyfold; what shrinks further than this is made to fill a disk."""

_RATIO_APPLIES_FROM = 32 * 1024**2
_CHUNK = 4 * 1024**2
_IGNORED_MEMBERS = ("__MACOSX/", ".DS_Store", "Thumbs.db")


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True)
class FileContent:
    """One table's worth of bytes.

    Attributes:
        path: the file it came from.
        member: its name inside a zip, else None.
        load: gives the bytes, decompressed; raises :class:`FileRefused` where that cannot be done.
    """

    path: Path
    member: str | None
    load: Callable[[], bytes]

    @property
    def origin(self) -> str:
        """How it is called in the quarantine: the path, and the member after an exclamation mark."""
        return str(self.path) if self.member is None else f"{self.path}!{self.member}"

    @property
    def names(self) -> tuple[str, ...]:
        """The names that may say something about it, the most telling first."""
        outer = str(self.path)
        return (outer,) if self.member is None else (self.member, outer)


def check_exists(path: Path) -> None:
    """Nothing, if there is such a file.

    Raises:
        InvalidRequest: if there is none.
    """
    try:
        exists = path.exists()
    except (OSError, ValueError):
        exists = False
    if not exists:
        raise InvalidRequest(
            f"There is no file {path}.",
            expected="the path of an existing file",
            received=str(path),
            remedy="correct the path",
        )


def open_contents(path: Path) -> list[FileContent]:
    """The contents of a file: one, or each member of a zip.

    Trouble with the content itself shows when its bytes are asked for, so that it can be reported
    for that content alone.

    Raises:
        InvalidRequest: if there is no such file.
    """
    check_exists(path)
    try:
        if not path.is_file():
            raise unreadable("it is a directory" if path.is_dir() else "it is not a regular file")
        with path.open("rb") as file:
            start = file.read(4)
        if start == b"PK\x03\x04":
            return _members(path)
    except FileRefused as refusal:
        return [FileContent(path, None, _raising(refusal))]
    except OSError as error:
        return [FileContent(path, None, _raising(unreadable(_why(error))))]
    read = _read_gzip if start[:2] == b"\x1f\x8b" else _read_plain
    return [FileContent(path, None, lambda: read(path))]


def _raising(refusal: FileRefused) -> Callable[[], bytes]:
    def load() -> bytes:
        raise refusal

    return load


def _why(error: OSError) -> str:
    return f"it cannot be read: {error.strerror or error}"


def _read_plain(path: Path) -> bytes:
    try:
        if path.stat().st_size > LARGEST_CONTENT:
            raise unreadable(f"it is larger than {LARGEST_CONTENT} bytes; split it")
        return path.read_bytes()
    except OSError as error:
        raise unreadable(_why(error)) from None


def _read_gzip(path: Path) -> bytes:
    try:
        packed = path.stat().st_size
        with gzip.open(path) as file:
            return _read_bounded(file, packed)
    except EOFError:
        raise unreadable("the gzip data ends before its end; the file is truncated") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise unreadable(f"the gzip data is broken: {error}") from None
    except OSError as error:
        raise unreadable(_why(error)) from None


def _members(path: Path) -> list[FileContent]:
    try:
        with zipfile.ZipFile(path) as archive:
            found = [info for info in archive.infolist() if not info.is_dir()]
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError) as error:
        raise unreadable(f"the zip archive is broken: {error}") from None
    wanted = [info.filename for info in found if not info.filename.startswith(_IGNORED_MEMBERS)]
    if not wanted:
        raise unreadable("the zip archive is empty")
    return [FileContent(path, name, lambda name=name: _read_member(path, name)) for name in wanted]  # type: ignore[misc]


def _read_member(path: Path, name: str) -> bytes:
    try:
        with zipfile.ZipFile(path) as archive, archive.open(name) as file:
            data = _read_bounded(file, archive.getinfo(name).compress_size)
        if data[:2] == b"\x1f\x8b":
            with gzip.open(io.BytesIO(data)) as inner:
                return _read_bounded(inner, len(data))
    except RuntimeError as error:  # zipfile's word for an encrypted member
        raise unreadable(f"the zip member cannot be opened: {error}") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, NotImplementedError, ValueError, OSError) as error:
        raise unreadable(f"the zip member is broken: {error}") from None
    return data


def _read_bounded(file: _Readable, packed: int) -> bytes:
    """Everything in ``file``, given up as soon as it grows beyond what bars can be."""
    pieces: list[bytes] = []
    size = 0
    for piece in _chunks(file):
        size += len(piece)
        too_dense = size > _RATIO_APPLIES_FROM and size > packed * LARGEST_RATIO
        if size > LARGEST_CONTENT or too_dense:
            raise unreadable(f"it unpacks to more than {LARGEST_RATIO} times its size or {LARGEST_CONTENT} bytes")
        pieces.append(piece)
    return b"".join(pieces)


def _chunks(file: _Readable) -> Iterator[bytes]:
    while piece := file.read(_CHUNK):
        yield piece
