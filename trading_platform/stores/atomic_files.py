"""Atomic replacement of files, and file locks that the system releases when their holder dies.

All of them are private (:mod:`trading_platform.stores.private_files`). Used by the stores of files:
:mod:`trading_platform.stores.features.files`, :mod:`trading_platform.stores.audit.archive`.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from uuid import uuid4

from trading_platform.domain.errors import ConfigurationError, StoreError, StoreFull
from trading_platform.stores.private_files import make_private, private_folder, private_opener

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_SUFFIX = ".tmp"


def file_locks() -> ModuleType:
    """The module ``fcntl``, imported when a lock is taken, because Windows has none and the client needs none.

    Raises:
        ConfigurationError: if this system has no such locks.
    """
    try:
        import fcntl
    except ImportError:
        raise ConfigurationError(
            "This system has none of the file locks that the embedded servers and the files of the platform need.",
            expected="Linux or macOS",
            received=sys.platform,
            remedy="run the platform on one of these (on Windows in WSL), and set DATABASE_URL and REDIS_URL here: the"
            " client, trading_platform.client, then works without locks",
        ) from None
    return fcntl


@contextmanager
def exclusive(lock: Path) -> Iterator[None]:
    """Holds an exclusive lock against other processes and threads for the body.

    The system releases the lock when its holder dies.

    Args:
        lock: the lock file; created with its folders, and never removed.

    Raises:
        ConfigurationError: if this system has no file locks.
    """
    with _locked(lock, "LOCK_EX"):
        yield


@contextmanager
def shared(lock: Path) -> Iterator[None]:
    """Holds a lock for the body that others may share, and that excludes :func:`exclusive`; else as that.

    Raises:
        ConfigurationError: if this system has no file locks.
    """
    with _locked(lock, "LOCK_SH"):
        yield


@contextmanager
def _locked(lock: Path, kind: str) -> Iterator[None]:
    locks = file_locks()
    private_folder(lock.parent)
    with open(lock, "ab", opener=private_opener) as file:
        locks.flock(file, getattr(locks, kind))
        yield


def replace_file(path: Path, content: bytes) -> set[Path]:
    """Replaces the content of ``path`` atomically; a crash at any time leaves the old file or the new one.

    The caller holds the lock that excludes other writers.

    Returns:
        The folders with changed entries. The new file is certain to survive a loss of power once they have been
        passed to :func:`persist_folders`, alone or together with those of other files.

    Raises:
        OSError: if it cannot be written; the old file is then unchanged, and nothing else is left behind.
    """
    changed = private_folder(path.parent) | {path.parent}
    draft = path.with_name(f".{path.name}{_SUFFIX}")
    try:
        with open(draft, "wb", opener=private_opener) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    return changed


def create_file(path: Path, content: bytes) -> set[Path]:
    """Writes a file that is not there yet, atomically, whoever else tries to; needs no lock.

    Where the file system has no hard links, the last one who tries at the same time replaces the others' file.

    Returns:
        The folders with changed entries, as :func:`replace_file`.

    Raises:
        FileExistsError: if it is there.
        OSError: if it cannot be written; nothing is left behind then.
    """
    if path.exists():
        raise FileExistsError(path)
    draft = path.with_name(f".{path.name}.{uuid4().hex}")
    changed = replace_file(draft, content)
    try:
        os.link(draft, path)
    except FileExistsError:
        raise
    except OSError:
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return changed


def persist_folders(folders: Iterable[Path]) -> None:
    """Flushes the entries of folders to disk, so that they survive a loss of power."""
    for folder in folders:
        with suppress(FileNotFoundError):  # emptied and removed since
            handle = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def remove_drafts(folder: Path) -> int:
    """Removes the drafts that killed writers left in a folder; returns how many.

    The caller holds the lock under which drafts are written, so that none is in use.
    """
    drafts = list(folder.glob(f".*{_SUFFIX}"))
    for draft in drafts:
        draft.unlink(missing_ok=True)
    return len(drafts)


@contextmanager
def os_errors_as_store_errors(directory: Path) -> Iterator[None]:
    """Converts an ``OSError`` raised in the body to an error of the platform.

    Raises:
        StoreFull: if the disk or the quota is exhausted.
        StoreError: for any other error of the system.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StoreFull(
                f"There is no space left for {directory}.",
                received=str(error),
                remedy="free space on that disk, or move the store to a larger one, then run this again",
            ) from error
        raise StoreError(
            f"The folder {directory} cannot be used.",
            received=str(error),
            remedy="correct the permissions or the path, then run this again",
        ) from error


@contextmanager
def drafted(path: Path) -> Iterator[Path]:
    """A draft file for the body to write, which is to replace ``path``; removed at the end unless it did.

    For files too large for :func:`replace_file`. The body passes it to :func:`put_in_place` once it is complete.
    The caller holds the lock that excludes other writers.
    """
    persist_folders(private_folder(path.parent))
    draft = path.with_name(f".{path.name}{_SUFFIX}")
    try:
        yield draft
    finally:
        draft.unlink(missing_ok=True)


def put_in_place(draft: Path, path: Path) -> None:
    """Replaces ``path`` by a written draft; the replacement is durable when this returns.

    Raises:
        OSError: if it cannot be replaced; the old file is then unchanged.
    """
    make_private(draft)
    with draft.open("rb") as file:
        os.fsync(file.fileno())
    draft.replace(path)
    persist_folders([path.parent])
