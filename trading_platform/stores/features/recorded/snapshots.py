"""Snapshots: features that were read once, and are read again with the same bytes whatever happens to the store.

::

    _snapshots/momentum-2024.json     the manifest: what was read, from which files, by which definitions
    _objects/<sha256>.parquet         the rows, and the months that they were read from

The months are kept as they are read, by a hard link to the live files; so a snapshot costs no copy of them, and neither
a correction nor another computation can change it. What a manifest has is in
:mod:`trading_platform.stores.features.recorded.manifests`.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import polars as pl

from trading_platform.domain.errors import InvalidRequest, StoreError
from trading_platform.domain.time import Clock
from trading_platform.stores.atomic_files import create_file, os_errors_as_store_errors, persist_folders, shared
from trading_platform.stores.features.recorded.content import Stamp, stamps_in
from trading_platform.stores.features.recorded.locks import OBJECTS, WriterLocks, lock_file
from trading_platform.stores.features.recorded.manifests import Contents, Manifest, check_name, read_manifest
from trading_platform.stores.features.recorded.months import FeatureMonths, LiveMonths, name_of
from trading_platform.stores.features.recorded.objects import Objects
from trading_platform.stores.features.recorded.revisions import RevisionLogs


class SnapshotMonths:
    """The months that a snapshot was read from.

    Args:
        objects: the objects of the store.
        months: object of each file, by its name.
        file: name of the files.
    """

    def __init__(self, objects: Objects, months: Mapping[str, str], file: str) -> None:
        self._objects = objects
        self._digests = months
        self.file = file

    def months(self, symbol: str) -> list[str]:
        """As :meth:`FeatureMonths.months`."""
        parts = (name.split("/") for name in self._digests)
        return sorted(month for folder, month, file in parts if (folder, file) == (f"symbol={symbol}", self.file))

    def content(self, symbol: str, month: str) -> bytes | None:
        """As :meth:`FeatureMonths.content`."""
        digest = self._digests.get(name_of(symbol, month, self.file))
        return None if digest is None else self._objects.read(digest)


class KeptMonths:
    """Months that are kept as they are read: a second read gives the same, whatever was stored meanwhile.

    Args:
        state: the months.
        objects: the objects of the store.
    """

    def __init__(self, state: FeatureMonths, objects: Objects) -> None:
        self._state = state
        self._objects = objects
        self.kept: dict[str, str] = {}
        self.definitions: dict[str, set[Stamp]] = {}

    @property
    def file(self) -> str:
        """As :attr:`FeatureMonths.file`."""
        return self._state.file

    def months(self, symbol: str) -> list[str]:
        """As :meth:`FeatureMonths.months`."""
        return self._state.months(symbol)

    def content(self, symbol: str, month: str) -> bytes | None:
        """As :meth:`FeatureMonths.content`."""
        name = name_of(symbol, month, self.file)
        if name in self.kept:
            return self._objects.read(self.kept[name])
        content = self._state.content(symbol, month)
        if content is not None:
            live = self._state.path(symbol, month) if isinstance(self._state, LiveMonths) else None
            self.kept[name] = self._objects.keep(content, live)
            for feature, stamp in stamps_in(content).items():
                self.definitions.setdefault(feature, set()).add(stamp)
        return content


@dataclass(frozen=True)
class Snapshot:
    """A saved snapshot that can be read.

    Attributes:
        manifest: what it is of.
        objects: the objects of the store.
    """

    manifest: Manifest
    objects: Objects

    @property
    def path(self) -> Path:
        """The Parquet file with its rows, whose checksum has been compared; it must not be changed.

        Raises:
            StoreError: if it is missing or damaged.
        """
        return self.objects.verify(self.manifest.data)

    def read(self) -> pl.DataFrame:
        """Its rows.

        Raises:
            StoreError: as :attr:`path`.
        """
        return pl.read_parquet(self.path, hive_partitioning=False)

    def months(self, file: str) -> FeatureMonths:
        """The months that it was read from, of files with a name."""
        return SnapshotMonths(self.objects, self.manifest.months, file)

    def verify(self) -> None:
        """Compares the checksums of all its files.

        Raises:
            StoreError: if one is missing or damaged.
        """
        for digest in sorted(self.manifest.objects):
            self.objects.verify(digest)


@dataclass(frozen=True)
class Deleted:
    """Outcome of a deletion.

    Attributes:
        removed: number of files that nothing else needed.
        needed: number of the snapshot's files that other snapshots or earlier states need; they stay.
    """

    removed: int
    needed: int


class Saving:
    """A snapshot that is being saved: first its months are read, then its rows are saved."""

    def __init__(self, name: str, store: SnapshotStore, objects: Objects) -> None:
        self._name = name
        self._store = store
        self._objects = objects
        self._read: list[KeptMonths] = []

    def months(self, state: FeatureMonths) -> FeatureMonths:
        """The months of a state, kept as they are read."""
        self._read.append(KeptMonths(state, self._objects))
        return self._read[-1]

    def save(self, rows: pl.DataFrame | Path, contents: Contents) -> Snapshot:
        """Saves the snapshot.

        Args:
            rows: its rows, or a Parquet file with them, which is copied.
            contents: what it is of.

        Raises:
            InvalidRequest: if the name has been taken meanwhile, or a parameter cannot be stored.
            StoreFull: if no space is left.
            StoreError: if it cannot be written.
        """
        with self._store.errors(), self._objects.draft() as draft:
            if isinstance(rows, Path):
                shutil.copyfile(rows, draft)
            else:
                rows.write_parquet(draft)
            about = pl.scan_parquet(draft, hive_partitioning=False)
            manifest = Manifest(
                name=self._name,
                created_at=self._store.clock(),
                rows=about.select(pl.len()).collect().item(),
                columns={name: str(dtype) for name, dtype in about.collect_schema().items()},
                data=self._objects.keep_draft(draft),
                months={name: digest for read in self._read for name, digest in sorted(read.kept.items())},
                definitions=self._definitions(),
                code={"trading_platform": _version(), "polars": pl.__version__},
                contents=contents,
            )
            self._objects.persist()
            return self._store.publish(manifest)

    def _definitions(self) -> dict[str, list[Stamp]]:
        found: dict[str, set[Stamp]] = {}
        for read in self._read:
            for name, stamps in read.definitions.items():
                found.setdefault(name, set()).update(stamps)
        return {name: sorted(stamps) for name, stamps in sorted(found.items())}


class SnapshotStore:
    """The snapshots of a feature store.

    Args:
        directory: folder of the store.
        logs: the logs of the store, which need objects, too.
        objects: the objects of the store.
        locks: the locks of the store.
        clock: source of ``created_at``.
    """

    def __init__(self, directory: Path, logs: RevisionLogs, objects: Objects, locks: WriterLocks, clock: Clock) -> None:
        self._directory = directory
        self._folder = directory / "_snapshots"
        self._logs = logs
        self._objects = objects
        self._locks = locks
        self.clock = clock

    def names(self) -> list[str]:
        """The names of all snapshots, in order."""
        return sorted(path.stem for path in self._folder.glob("[!.]*.json"))

    def all(self) -> list[Manifest]:
        """The manifests of all snapshots, by name.

        Raises:
            StoreError: if one is damaged.
        """
        with self.errors():
            return [read_manifest(self._path(name)) for name in self.names()]

    def open(self, name: str) -> Snapshot:
        """A snapshot.

        Raises:
            InvalidRequest: if there is none of this name.
            StoreError: if its manifest is damaged.
        """
        try:
            with self.errors():
                return Snapshot(read_manifest(self._path(name)), self._objects)
        except StoreError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                raise self._unknown(name) from None
            raise

    @contextmanager
    def saving(self, name: str) -> Iterator[Saving]:
        """Saves a snapshot; until the end of the block no objects are removed.

        Raises:
            InvalidRequest: if the name is taken, or none.
        """
        if self._path(name).exists():
            raise _taken(name)
        with self.errors(), shared(lock_file(self._directory, OBJECTS)):
            yield Saving(name, self, self._objects)

    def publish(self, manifest: Manifest) -> Snapshot:
        """Writes the manifest of a snapshot whose objects are kept; from then on it can be read.

        Raises:
            InvalidRequest: if the name is taken.
            OSError: if it cannot be written.
        """
        try:
            persist_folders(create_file(self._path(manifest.name), manifest.text()))
        except FileExistsError:
            raise _taken(manifest.name) from None
        return Snapshot(manifest, self._objects)

    def delete(self, name: str) -> Deleted:
        """Deletes a snapshot, and the files that no other one and no earlier state of the store needs.

        Raises:
            InvalidRequest: if there is no such snapshot.
            StoreError: if the manifest of another one, or a log, is damaged: what it needs is not known then, and
                nothing is deleted.
        """
        if name not in self.names():
            raise self._unknown(name)
        with self.errors(), self._locks.removing_objects():
            own: set[str] = set()
            if self._path(name).exists():  # else somebody else deleted it meanwhile
                own = read_manifest(self._path(name)).objects
            needed = self._logs.objects()
            for other in self.names():
                needed |= set() if other == name else read_manifest(self._path(other)).objects
            self._path(name).unlink(missing_ok=True)
            for draft in self._folder.glob(".*"):
                draft.unlink(missing_ok=True)
            persist_folders([self._folder])
            return Deleted(self._objects.remove_all_but(needed), len(own & needed))

    def bytes_of(self, manifest: Manifest) -> int:
        """The size of all files of a snapshot, also of those that others share."""
        return self._objects.bytes_of(manifest.objects)

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Errors of the system as those of the platform."""
        with os_errors_as_store_errors(self._directory):
            yield

    def _path(self, name: str) -> Path:
        return self._folder / f"{check_name(name)}.json"

    def _unknown(self, name: str) -> InvalidRequest:
        return InvalidRequest(
            f"There is no snapshot {name!r}.",
            expected=f"one of {', '.join(self.names())}" if self.names() else "a saved snapshot; there is none yet",
            received=name,
            remedy="see `trading-platform features snapshots`",
        )


def _version() -> str:
    """The version of the installed platform; of a folder that is not installed it is not known."""
    try:
        return version("trading-platform")
    except PackageNotFoundError:
        return "unknown"


def _taken(name: str) -> InvalidRequest:
    return InvalidRequest(
        f"There is a snapshot {name!r} already, and a snapshot never changes.",
        expected="a name that is not taken",
        received=name,
        remedy=f"choose another name, or delete it with `trading-platform features snapshot delete {name}`",
    )
