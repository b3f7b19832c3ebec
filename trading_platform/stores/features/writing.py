"""Publishes changes of a symbol's files, so that what they replace stays readable, whenever the writer dies.

First the files before become objects, then the log says so, then the files are replaced; each step is on the disk
before the next one. The log is :mod:`trading_platform.stores.features.recorded.revisions`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path

from trading_platform.stores.atomic_files import persist_folders
from trading_platform.stores.features.month_files import Change, Month
from trading_platform.stores.features.recorded.objects import Objects
from trading_platform.stores.features.recorded.revisions import Event, FileHistory, Revision, RevisionLogs


class RecordedWriter:
    """Writes the files of one symbol; the caller holds its lock.

    Args:
        symbol: the symbol.
        folder: folder of the symbol's files.
        logs: the logs of the store.
        objects: the objects of the store.
    """

    def __init__(self, symbol: str, folder: Path, logs: RevisionLogs, objects: Objects) -> None:
        self._symbol = symbol
        self._folder = folder
        self._logs = logs
        self._objects = objects
        self._history = logs.of(symbol)

    def time_after(self, at: datetime, months: Iterable[Month | None]) -> datetime:
        """The time at which a change is recorded: never before what is recorded already, whatever the clock says."""
        latest = (month.recorded.latest for month in months if month is not None)
        return max([at, *(each for each in (self._history.last, *latest) if each is not None)])

    def publish(
        self, changes: Sequence[Change], befores: Sequence[Month | None], at: datetime, confirm: Callable[[], object]
    ) -> None:
        """Replaces the files, one after the other.

        Args:
            changes: the changes.
            befores: the files before, in the same order.
            at: the time of :meth:`time_after`.
            confirm: raises an error if the lock was lost.

        Raises:
            OSError: if something cannot be written; each file is then the one before or the new one.
        """
        if all(change.outcome == "unchanged" for change in changes):
            return
        self._logs.begin(at)
        revisions = [*self._lost(changes, befores, at), *self._replaced(changes, at)]
        if not self._history.revisions:
            revisions.insert(0, Revision(at, "", Event.BEGUN))
        confirm()
        self._logs.append(self._symbol, revisions)
        changed: set[Path] = set()
        try:
            for change in changes:
                changed |= change.publish()
        finally:
            persist_folders(changed)
        known = FileHistory([*self._history.revisions, *revisions]).present()
        present = [self._name(change.file) for change in changes if change.outcome != "removed"]
        self._logs.append(self._symbol, [Revision(at, name, Event.STORED) for name in present if name not in known])

    def _replaced(self, changes: Sequence[Change], at: datetime) -> list[Revision]:
        found = [
            Revision(
                at,
                self._name(change.file),
                Event.REMOVED if change.outcome == "removed" else Event.REPLACED,
                self._objects.keep(change.replaced, change.file),
            )
            for change in changes
            if change.replaced is not None
        ]
        if found:
            self._objects.persist()
        return found

    def _lost(self, changes: Sequence[Change], befores: Sequence[Month | None], at: datetime) -> list[Revision]:
        """The files, or all of a lost log, that somebody removed by hand: earlier states of them are not known."""
        if not self._history.revisions and any(before and before.recorded.latest for before in befores):
            files = sorted(self._folder.glob("*/*.parquet"))
            return [Revision(at, self._name(file), Event.LOST) for file in files]
        missing = self._history.present()
        return [
            Revision(at, self._name(change.file), Event.LOST)
            for change, before in zip(changes, befores, strict=True)
            if before is None and self._name(change.file) in missing
        ]

    def _name(self, file: Path) -> str:
        return file.relative_to(self._folder).as_posix()
