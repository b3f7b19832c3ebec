"""Opens and decompresses files: from a path to the bytes of the tables in it.

:mod:`trading_platform.sources.files.content.tables` parses the bytes.
"""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Protocol

from trading_platform.domain.errors import InvalidRequest
from trading_platform.sources.files.content.options import FileRejected, unreadable

LARGEST_CONTENT = 2 * 1024**3
"""Maximum size once decompressed: some forty million rows; a file is read into memory as a whole."""

LARGEST_RATIO = 250
"""Bars as text compress five- to thirtyfold; a file with a higher ratio is a decompression bomb."""

_RATIO_APPLIES_FROM = 32 * 1024**2
_CHUNK = 4 * 1024**2
_IGNORED_FOLDER = "__MACOSX/"
_IGNORED_NAMES = frozenset((".DS_Store", "Thumbs.db"))
_ZIP = b"PK\x03\x04"
_GZIP = b"\x1f\x8b"


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True)
class FileContent:
    """The bytes of one table.

    Attributes:
        path: the file it came from.
        member: its name inside a zip, else None.
        load: returns the bytes, decompressed; raises :class:`FileRejected` if that fails.
    """

    path: Path
    member: str | None
    load: Callable[[], bytes]

    @property
    def origin(self) -> str:
        """Its name in the quarantine: the path, and the member after an exclamation mark."""
        return str(self.path) if self.member is None else f"{self.path}!{self.member}"

    @property
    def names(self) -> tuple[str, ...]:
        """The names that may contain information about it, the most specific first."""
        outer = str(self.path)
        return (outer,) if self.member is None else (self.member, outer)


def check_exists(path: Path) -> None:
    """Checks that a file exists.

    Raises:
        InvalidRequest: if it does not exist, or is a folder.
    """
    try:
        exists, is_folder = path.exists(), path.is_dir()
    except (OSError, ValueError):
        exists, is_folder = False, False
    if is_folder:
        raise InvalidRequest(
            f"{path} is a folder.",
            expected="files",
            received=str(path),
            remedy=f"name its files, for example {path}/*.csv",
        )
    if not exists:
        raise InvalidRequest(
            f"There is no file {path}.",
            expected="the path of an existing file",
            received=str(path),
            remedy="correct the path",
        )


def open_contents(path: Path) -> list[FileContent]:
    """The contents of a file: one, or each member of a zip.

    Errors in a content are raised when its bytes are loaded, so that they can be reported
    for that content alone.

    Raises:
        InvalidRequest: if the file does not exist.
    """
    check_exists(path)
    try:
        if not path.is_file():
            raise unreadable("it is a directory" if path.is_dir() else "it is not a regular file")
        with path.open("rb") as file:
            start = file.read(4)
        if start == _ZIP:
            return _members(path)
    except FileRejected as rejection:
        return [FileContent(path, None, _raising(rejection))]
    except OSError as error:
        return [FileContent(path, None, _raising(unreadable(_reason(error))))]
    read = _read_gzip if start[:2] == _GZIP else _read_plain
    return [FileContent(path, None, partial(read, path))]


def _raising(rejection: FileRejected) -> Callable[[], bytes]:
    def load() -> bytes:
        raise rejection

    return load


def _reason(error: OSError) -> str:
    return f"it cannot be read: {error.strerror or error}"


def _read_plain(path: Path) -> bytes:
    try:
        if path.stat().st_size > LARGEST_CONTENT:
            raise unreadable(f"it is larger than {LARGEST_CONTENT} bytes; split it")
        return path.read_bytes()
    except OSError as error:
        raise unreadable(_reason(error)) from None


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
        raise unreadable(_reason(error)) from None


def _members(path: Path) -> list[FileContent]:
    """The members of a zip; its directory is read once, because bulk downloads hold thousands."""
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError) as error:
        raise unreadable(f"the zip archive is broken: {error}") from None
    wanted = [info for info in archive.infolist() if not info.is_dir() and _is_content(info.filename)]
    if not wanted:
        raise unreadable("the zip archive is empty")
    return [FileContent(path, info.filename, partial(_read_member, archive, info)) for info in wanted]


def _is_content(name: str) -> bool:
    return not name.startswith(_IGNORED_FOLDER) and PurePosixPath(name).name not in _IGNORED_NAMES


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    try:
        with archive.open(info) as file:
            data = _read_bounded(file, info.compress_size)
        if data[:2] == _GZIP:
            with gzip.open(io.BytesIO(data)) as inner:
                return _read_bounded(inner, len(data))
    except RuntimeError as error:  # zipfile raises it for an encrypted member
        raise unreadable(f"the zip member cannot be opened: {error}") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, OSError) as error:
        raise unreadable(f"the zip member is broken: {error}") from None
    return data


def _read_bounded(file: _Readable, packed: int) -> bytes:
    """Everything in ``file``; fails as soon as it grows beyond the maximum size of bars."""
    chunks: list[bytes] = []
    size = 0
    for chunk in _chunks(file):
        size += len(chunk)
        too_dense = size > _RATIO_APPLIES_FROM and size > packed * LARGEST_RATIO
        if size > LARGEST_CONTENT or too_dense:
            raise unreadable(f"it unpacks to more than {LARGEST_RATIO} times its size or {LARGEST_CONTENT} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


def _chunks(file: _Readable) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield chunk
