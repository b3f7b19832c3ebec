"""The log of a symbol's files: what each was before it was replaced, and when that happened.

``_metadata/revisions/AAPL.jsonl`` has one line for each event, in the order of time, and lines are only added. A line
is certain to be on the disk before the file is replaced. So a crash in between leaves a line that says of a file what
it still is; nothing is lost by that, and nothing read wrongly. The files before are objects
(:mod:`trading_platform.stores.features.recorded.objects`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from trading_platform.domain.errors import InvalidRequest, StoreError
from trading_platform.domain.time import check_recorded, parse_timestamp, rfc3339
from trading_platform.stores.atomic_files import create_file, persist_folders
from trading_platform.stores.private_files import private_folder, private_opener


class Event(StrEnum):
    """What happened to a file.

    Attributes:
        BEGUN: the log begins; of no file.
        STORED: it is there; nothing was before, or nothing is known of that.
        REPLACED: other rows or values took the place of some.
        REMOVED: it has no rows any more.
        LOST: it was found missing, although nobody had removed it through the store.
    """

    BEGUN = "begun"
    STORED = "stored"
    REPLACED = "replaced"
    REMOVED = "removed"
    LOST = "lost"


_EVENTS = {event.value: event for event in Event}


@dataclass(frozen=True)
class Revision:
    """A line of the log.

    Attributes:
        at: when it happened, UTC.
        file: the file, relative to the symbol's folder: ``2024-01/features.parquet``.
        event: what happened.
        before: the object with the file's content until then; None unless it was replaced or removed.
    """

    at: datetime
    file: str
    event: Event
    before: str | None = None

    def line(self) -> str:
        """Its text in the log."""
        named = {"at": rfc3339(self.at), "file": self.file, "event": self.event.value}
        return json.dumps(named | ({} if self.before is None else {"before": self.before})) + "\n"


@dataclass(frozen=True)
class FileHistory:
    """The log of one symbol.

    Attributes:
        revisions: all lines, in order.
    """

    revisions: Sequence[Revision]

    @property
    def last(self) -> datetime | None:
        """The time of the last event; None without one."""
        return self.revisions[-1].at if self.revisions else None

    def after(self, timestamp: datetime) -> dict[str, Revision]:
        """For each file that was changed after a time its first change then, which says what the file was before."""
        found: dict[str, Revision] = {}
        for each in reversed(self.revisions):
            if each.at <= timestamp:
                break
            if each.event not in (Event.BEGUN, Event.STORED):
                found[each.file] = each
        return found

    def present(self) -> set[str]:
        """The files that are there, as far as the log knows."""
        last = {each.file: each.event for each in self.revisions}
        return {file for file, event in last.items() if event in (Event.STORED, Event.REPLACED)}


class RevisionLogs:
    """The logs of all symbols, and since when there are any.

    Writers hold the lock of the symbol. Readers need none: they read the files first and the log afterwards, so that
    whatever was replaced meanwhile is in the log.

    Args:
        directory: folder of the store.
    """

    def __init__(self, directory: Path) -> None:
        self._folder = directory / "_metadata" / "revisions"
        self._since = self._folder / "_since"

    def since(self) -> datetime | None:
        """From when on replaced files are kept, UTC; None if nothing has been written since this is done."""
        try:
            return parse_timestamp(self._since.read_text(encoding="utf-8").strip())
        except FileNotFoundError:
            return None

    def begin(self, at: datetime) -> None:
        """Notes that replaced files are kept from now on, unless they were before."""
        if self._since.exists():
            return
        with suppress(FileExistsError):  # another writer was first
            persist_folders(create_file(self._since, f"{rfc3339(at)}\n".encode()))

    def check(self, recorded_as_of: datetime, now: datetime) -> None:
        """Refuses a time whose state cannot be read.

        Raises:
            InvalidRequest: if it is in the future, or before replaced files were kept.
        """
        check_recorded(recorded_as_of, now)
        since = self.since()
        if since is None or recorded_as_of < since:
            begun = "none yet; the next write of features begins it" if since is None else since.isoformat()
            raise InvalidRequest(
                "What was recorded of the features at that time is not known.",
                expected=f"a time from that on at which the feature store began to keep replaced files: {begun}",
                received=f"recorded_as_of {recorded_as_of.isoformat()}",
                remedy="Use a later time; what the market could know at any time is read with as_of.",
            )

    def of(self, symbol: str) -> FileHistory:
        """The log of a symbol.

        Raises:
            StoreError: if it is damaged.
        """
        path = self._path(symbol)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return FileHistory(())
        whole = content[: content.rfind(b"\n") + 1]  # a line that is being written, or was when its writer died
        try:
            entries = json.loads(b"[" + whole.rstrip().replace(b"\n", b",") + b"]")  # faster than line by line
            return FileHistory([_revision(entry) for entry in entries])
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(
                f"{path} is damaged.",
                expected="a line of JSON for each replaced file",
                received=str(error),
                remedy="restore it from a backup, or delete it: earlier states of the symbol cannot be read then",
            ) from None

    def version(self, symbol: str) -> tuple[int, int]:
        """What changes with the log of a symbol."""
        try:
            found = self._path(symbol).stat()
        except FileNotFoundError:
            return (0, 0)
        return (found.st_size, found.st_mtime_ns)

    def append(self, symbol: str, revisions: Iterable[Revision]) -> None:
        """Adds lines to the log of a symbol; they are on the disk when this returns.

        Raises:
            OSError: if they cannot be written; the log is then as before.
        """
        text = "".join(each.line() for each in revisions).encode()
        if not text:
            return
        path = self._path(symbol)
        changed = private_folder(path.parent) | (set() if path.exists() else {path.parent})
        with open(path, "a+b", opener=private_opener) as file:
            end = _whole_lines(file.seek(0, os.SEEK_END), path)
            try:
                file.truncate(end)
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                os.truncate(path, end)
                raise
        persist_folders(changed)

    def objects(self) -> set[str]:
        """The objects that any log refers to.

        Raises:
            StoreError: if a log is damaged.
        """
        symbols = [path.stem for path in self._folder.glob("*.jsonl")]
        return {each.before for symbol in symbols for each in self.of(symbol).revisions if each.before is not None}

    def _path(self, symbol: str) -> Path:
        return self._folder / f"{symbol}.jsonl"


def _revision(entry: dict[str, str]) -> Revision:
    return Revision(datetime.fromisoformat(entry["at"]), entry["file"], _EVENTS[entry["event"]], entry.get("before"))


def _whole_lines(size: int, path: Path) -> int:
    """The length of a log without a line that a dead writer left unfinished."""
    if size == 0:
        return 0
    with path.open("rb") as file:
        file.seek(size - 1)
        if file.read(1) == b"\n":
            return size
    return path.read_bytes().rfind(b"\n") + 1
