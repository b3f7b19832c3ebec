"""Where the months of features are read from: as they are, as they were recorded at a time, or from a snapshot.

A reader of features, such as :meth:`trading_platform.stores.features.files.FeatureStore.read`, takes any
:class:`FeatureMonths`. Those of a snapshot are in :mod:`trading_platform.stores.features.recorded.snapshots`.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Protocol

import polars as pl

from trading_platform.domain.errors import StoreError
from trading_platform.domain.market.instruments import check_symbol
from trading_platform.stores.atomic_files import os_errors_as_store_errors
from trading_platform.stores.features.recorded.content import content_of, damaged
from trading_platform.stores.features.recorded.objects import Objects
from trading_platform.stores.features.recorded.revisions import Event, FileHistory, Revision, RevisionLogs
from trading_platform.stores.features.recorded.rows import as_recorded


class FeatureMonths(Protocol):
    """The months of features of all symbols, in one state."""

    @property
    def file(self) -> str:
        """Name of the files in the folders of the months."""
        ...

    def months(self, symbol: str) -> list[str]:
        """The months of a symbol, each as ``2024-01``, in order; one may have no rows."""
        ...

    def content(self, symbol: str, month: str) -> bytes | None:
        """The Parquet file of a month; None if it had no rows.

        Raises:
            StoreError: if it cannot be read.
        """
        ...


def name_of(symbol: str, month: str, file: str) -> str:
    """The name of a file in the store: ``symbol=AAPL/2024-01/features.parquet``.

    Raises:
        InvalidRequest: if the symbol is none.
    """
    return f"symbol={check_symbol(symbol)}/{month}/{file}"


class LiveMonths:
    """The months as they are.

    Args:
        directory: folder of the store.
        file: name of the files.
    """

    def __init__(self, directory: Path, file: str) -> None:
        self._directory = directory
        self.file = file

    def path(self, symbol: str, month: str) -> Path:
        """The file of a month.

        Raises:
            InvalidRequest: if the symbol is none.
        """
        return self._directory / name_of(symbol, month, self.file)

    def months(self, symbol: str) -> list[str]:
        """As :meth:`FeatureMonths.months`."""
        with os_errors_as_store_errors(self._directory):
            folder = self._directory / f"symbol={check_symbol(symbol)}"
            return sorted(path.parent.name for path in folder.glob(f"*/{self.file}"))

    def content(self, symbol: str, month: str) -> bytes | None:
        """As :meth:`FeatureMonths.content`."""
        with os_errors_as_store_errors(self._directory):
            return content_of(self.path(symbol, month))


class RecordedMonths:
    """The months as they were recorded at a time.

    Without changes since, it costs a look at the log of the symbol.

    Args:
        live: the months as they are.
        logs: the logs of the store.
        objects: the objects of the store.
        timestamp: the time, UTC, which :meth:`RevisionLogs.check` has accepted.
    """

    def __init__(self, live: LiveMonths, logs: RevisionLogs, objects: Objects, timestamp: datetime) -> None:
        self._live = live
        self._logs = logs
        self._objects = objects
        self._timestamp = timestamp
        self._known: dict[str, tuple[tuple[int, int], _State]] = {}

    @property
    def file(self) -> str:
        """As :attr:`FeatureMonths.file`."""
        return self._live.file

    def months(self, symbol: str) -> list[str]:
        """As :meth:`FeatureMonths.months`."""
        live, state = self._live.months(symbol), self._state(symbol)
        named = (file.partition("/") for file in {*state.changed, *state.present})
        return sorted({*live, *(month for month, _, name in named if name == self.file)})

    def content(self, symbol: str, month: str) -> bytes | None:
        """As :meth:`FeatureMonths.content`.

        Raises:
            StoreError: if it cannot be read, or somebody has removed it by hand.
        """
        content = self._live.content(symbol, month)
        state = self._state(symbol)  # afterwards: what was replaced meanwhile is in it
        name = f"{month}/{self.file}"
        if name in state.changed:
            content = self._before(symbol, state.changed[name])
        elif content is None and name in state.present and not self._live.path(symbol, month).exists():
            raise _removed_by_hand(symbol, name)
        try:
            return None if content is None else as_recorded(content, self._timestamp)
        except pl.exceptions.PolarsError as error:
            raise damaged(self._live.path(symbol, month), str(error).splitlines()[0]) from None

    def _state(self, symbol: str) -> _State:
        """What the log of a symbol says now; it is read again only if it has changed."""
        version = self._logs.version(symbol)
        if symbol not in self._known or self._known[symbol][0] != version:
            self._known[symbol] = (version, _State(self._logs.of(symbol), self._timestamp))
        return self._known[symbol][1]

    def _before(self, symbol: str, revision: Revision) -> bytes:
        if revision.event is Event.LOST or revision.before is None:
            raise _removed_by_hand(symbol, revision.file)
        return self._objects.read(revision.before)


class _State:
    """What a log says of a time: the files that were changed since, and those that are there."""

    def __init__(self, history: FileHistory, timestamp: datetime) -> None:
        self.changed = history.after(timestamp)
        self.present = history.present()


def _removed_by_hand(symbol: str, file: str) -> StoreError:
    return StoreError(
        "What was recorded of the features at that time is not known.",
        expected=f"symbol={symbol}/{file}, or the files that it replaced",
        received="it, or the log of it, was removed by hand",
        remedy="restore it from a backup, or read a later state",
    )
