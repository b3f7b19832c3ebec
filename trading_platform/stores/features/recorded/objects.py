"""Files that are kept by their content: ``_objects/<sha256>.parquet``.

An object is never changed. A file of a month becomes one by a hard link, so that it takes no space as long as the month
has it, and stays when the month is replaced; where the file system has no hard links, it is copied. What refers to
objects are the logs of :mod:`trading_platform.stores.features.recorded.revisions` and the snapshots of
:mod:`trading_platform.stores.features.recorded.snapshots`; an object that neither names may be removed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from trading_platform.domain.errors import StoreError
from trading_platform.stores.atomic_files import persist_folders, put_in_place, replace_file
from trading_platform.stores.private_files import private_folder

_CHUNK = 1 << 20


def digest_of(content: bytes) -> str:
    """The name of the object with this content."""
    return hashlib.sha256(content).hexdigest()


def digest_of_file(path: Path) -> str:
    """The same of a file, however large.

    Raises:
        OSError: if it cannot be read.
    """
    found = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            found.update(chunk)
    return found.hexdigest()


class Objects:
    """The objects of a feature store.

    The caller of :meth:`keep` and its like holds a lock that excludes :meth:`remove_all_but`, until the object is
    referred to, and calls :meth:`persist` before.

    Args:
        directory: folder of the store.
    """

    def __init__(self, directory: Path) -> None:
        self._folder = directory / "_objects"

    def path(self, digest: str) -> Path:
        """The file of an object."""
        return self._folder / f"{digest}.parquet"

    def keep(self, content: bytes, file: Path | None = None) -> str:
        """Keeps a content; returns the object's name.

        Args:
            content: what to keep.
            file: a file that has just been read with this content, and may have been replaced since; it becomes the
                object if it still has it.

        Raises:
            OSError: if it cannot be written.
        """
        digest = digest_of(content)
        target = self.path(digest)
        if not target.exists() and not (file is not None and self._link(file, digest)):
            self._create()
            replace_file(target, content)
        return digest

    @contextmanager
    def draft(self) -> Iterator[Path]:
        """A path for the body to write a file to that :meth:`keep_draft` then keeps; removed at the end."""
        self._create()
        path = self._folder / f".{uuid4().hex}.tmp"
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    def keep_draft(self, draft: Path) -> str:
        """Keeps a written draft, however large; returns the object's name.

        Raises:
            OSError: if it cannot be kept.
        """
        digest = digest_of_file(draft)
        put_in_place(draft, self.path(digest))
        return digest

    def persist(self) -> None:
        """Flushes the entries of the folder to disk."""
        persist_folders([self._folder])

    def read(self, digest: str) -> bytes:
        """The content of an object.

        Raises:
            StoreError: if it is not there, or has another content.
        """
        try:
            content = self.path(digest).read_bytes()
        except FileNotFoundError:
            raise self._unusable(digest, "no such file") from None
        if digest_of(content) != digest:
            raise self._unusable(digest, f"a file with the checksum {digest_of(content)}")
        return content

    def verify(self, digest: str) -> Path:
        """The file of an object, whose checksum has been compared with its name.

        Raises:
            StoreError: as :meth:`read`.
        """
        path = self.path(digest)
        try:
            found = digest_of_file(path)
        except FileNotFoundError:
            raise self._unusable(digest, "no such file") from None
        if found != digest:
            raise self._unusable(digest, f"a file with the checksum {found}")
        return path

    def bytes_of(self, digests: Iterable[str]) -> int:
        """The size of some objects together; missing ones count nothing."""
        return sum(path.stat().st_size for path in map(self.path, digests) if path.exists())

    def remove_all_but(self, needed: Collection[str]) -> int:
        """Removes the objects that are not needed, and drafts; returns the number of removed objects.

        The caller holds the lock that excludes all who keep objects.
        """
        removed = 0
        for file in self._folder.glob("*"):
            if file.suffix != ".parquet" or file.stem not in needed:
                file.unlink(missing_ok=True)
                removed += file.suffix == ".parquet"
        persist_folders([self._folder])
        return removed

    def _link(self, file: Path, digest: str) -> bool:
        """Makes a file an object by a hard link, if it has that content and the file system has links."""
        with self.draft() as draft:
            try:
                os.link(file, draft)
            except OSError:  # it was replaced or removed meanwhile, or there are no hard links here
                return False
            if digest_of_file(draft) != digest:
                return False
            with suppress(FileExistsError):
                os.link(draft, self.path(digest))
            return True

    def _create(self) -> None:
        persist_folders(private_folder(self._folder))

    def _unusable(self, digest: str, received: str) -> StoreError:
        return StoreError(
            "A file that the feature store keeps by its content is missing or damaged.",
            expected=f"{self.path(digest)} with that checksum",
            received=received,
            remedy="restore it from a backup; without it the state or the snapshot that needs it cannot be read",
        )
