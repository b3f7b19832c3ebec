"""Where the months of features are read from: as they are, as they were recorded at a time, or from a snapshot.

A reader of features, such as :meth:`trading_platform.stores.features.files.FeatureStore.read`, takes any
:class:`FeatureMonths`. Those of a snapshot are in :mod:`trading_platform.stores.features.recorded.snapshots`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from pathlib import Path
from typing import Protocol

import polars as pl

from trading_platform.domain.errors import StoreError
from trading_platform.domain.market.instruments import check_symbol
from trading_platform.stores.features.month_files import content_of, damaged
from trading_platform.stores.features.recorded.objects import Objects
from trading_platform.stores.features.recorded.revisions import Event, Revision, RevisionLogs
from trading_platform.stores.features.recorded.rows import as_recorded


class FeatureMonths(Protocol):
    """The months of features of all symbols, in one state."""

    def months(self, symbol: str) -> list[str]:
        """The months of a symbol, each as ``2024-01``, in order."""
        ...

    def contents(self, symbol: str, months: Collection[str]) -> Mapping[str, bytes]:
        """The Parquet files of some months of a symbol, by month and in order; months without rows are left out.

        Raises:
            StoreError: if one cannot be read.
        """
        ...


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
        return self._directory / f"symbol={check_symbol(symbol)}" / month / self.file

    def months(self, symbol: str) -> list[str]:
        """As :meth:`FeatureMonths.months`."""
        return sorted(path.parent.name for path in self.path(symbol, "*").parent.parent.glob(f"*/{self.file}"))

    def contents(self, symbol: str, months: Collection[str]) -> dict[str, bytes]:
        """As :meth:`FeatureMonths.contents`."""
        found = {month: content_of(self.path(symbol, month)) for month in sorted(months)}
        return {month: content for month, content in found.items() if content is not None}


class RecordedMonths:
    """The months as they were recorded at a time.

    Without changes since, it costs a look into the log of the symbol.

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

    def months(self, symbol: str) -> list[str]:
        """As :meth:`FeatureMonths.months`; a month may have had no rows yet."""
        live, history = self._live.months(symbol), self._logs.of(symbol)
        named = (file.partition("/") for file in {*history.after(self._timestamp), *history.present()})
        return sorted({*live, *(month for month, _, name in named if name == self._live.file)})

    def contents(self, symbol: str, months: Collection[str]) -> dict[str, bytes]:
        """As :meth:`FeatureMonths.contents`.

        Raises:
            StoreError: if a file cannot be read, or somebody has removed one by hand.
        """
        contents: dict[str, bytes] = dict(self._live.contents(symbol, months))
        history = self._logs.of(symbol)  # afterwards: what was replaced meanwhile is in it
        changed, present = history.after(self._timestamp), history.present()
        found = {}
        for month in sorted(months):
            file = f"{month}/{self._live.file}"
            if file in changed:
                contents[month] = self._before(symbol, changed[file])
            elif month not in contents and file in present and not self._live.path(symbol, month).exists():
                raise _removed_by_hand(symbol, file)
            if month in contents and (content := self._as_recorded(symbol, month, contents[month])) is not None:
                found[month] = content
        return found

    def _before(self, symbol: str, revision: Revision) -> bytes:
        if revision.event is Event.LOST or revision.before is None:
            raise _removed_by_hand(symbol, revision.file)
        return self._objects.read(revision.before)

    def _as_recorded(self, symbol: str, month: str, content: bytes) -> bytes | None:
        try:
            return as_recorded(content, self._timestamp)
        except pl.exceptions.PolarsError as error:
            raise damaged(self._live.path(symbol, month), str(error).splitlines()[0]) from None


def _removed_by_hand(symbol: str, file: str) -> StoreError:
    return StoreError(
        "What was recorded of the features at that time is not known.",
        expected=f"symbol={symbol}/{file}, or the files that it replaced",
        received="it, or the log of it, was removed by hand",
        remedy="restore it from a backup, or read a later state",
    )
