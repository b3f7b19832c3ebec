"""Files that are replaced whole or not at all, and locks that die with their holder.

Used by the stores that keep files: :mod:`trading_platform.stores.features.files`,
:mod:`trading_platform.stores.audit.archive`.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from trading_platform.domain.errors import StoreError, StoreFull

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_SUFFIX = ".tmp"


@contextmanager
def exclusive(lock: Path) -> Iterator[None]:
    """Holds a lock among processes and threads for the body; the system drops it when its holder dies.

    Args:
        lock: the file that stands for it; made with its folders, and never removed.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def replace_file(path: Path, content: bytes) -> set[Path]:
    """Makes ``content`` what is in ``path``; a crash at any moment leaves the old file or the new one.

    The caller holds the lock that keeps other writers away.

    Returns:
        The folders whose entries changed: the new file survives a loss of power for certain once
        they were given to :func:`persist_folders`, be it together with those of other files.

    Raises:
        OSError: if it cannot be written; the old file is then as it was, and nothing else is left.
    """
    changed = _make_folder(path.parent) | {path.parent}
    draft = path.with_name(f".{path.name}{_SUFFIX}")
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    return changed


def _make_folder(folder: Path) -> set[Path]:
    """The folders that got a new entry by it."""
    if folder.exists():
        return set()
    changed = _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    return changed | {folder.parent}


def persist_folders(folders: Iterable[Path]) -> None:
    """Returns when the folders' present entries would survive a loss of power."""
    for folder in folders:
        with suppress(FileNotFoundError):  # emptied and removed since
            handle = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def remove_drafts(folder: Path) -> int:
    """Removes what killed writers left in a folder; returns how many files that were.

    The caller holds the lock under which they were written, so that no draft is somebody's.
    """
    drafts = list(folder.glob(f".*{_SUFFIX}"))
    for draft in drafts:
        draft.unlink(missing_ok=True)
    return len(drafts)


@contextmanager
def explained(directory: Path) -> Iterator[None]:
    """Turns the system's failures in the body into the platform's.

    Raises:
        StoreFull: if there is no space left, or no quota.
        StoreError: if the system refuses for another reason.
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
            f"The system does not let us use {directory}.",
            received=str(error),
            remedy="correct the permissions or the path, then run this again",
        ) from error


@contextmanager
def drafted(path: Path) -> Iterator[Path]:
    """A file for the body to write, which is to take the place of ``path``; gone at the end unless it did.

    For files too large for :func:`replace_file`. The body gives it to :func:`put_in_place` when it is
    content with it. The caller holds the lock that keeps other writers away.
    """
    persist_folders(_make_folder(path.parent))
    draft = path.with_name(f".{path.name}{_SUFFIX}")
    try:
        yield draft
    finally:
        draft.unlink(missing_ok=True)


def put_in_place(draft: Path, path: Path) -> None:
    """Makes a written draft what is in ``path``, for good when this returns.

    Raises:
        OSError: if it cannot be; the old file is then as it was.
    """
    with draft.open("rb") as file:
        os.fsync(file.fileno())
    draft.replace(path)
    persist_folders([path.parent])
