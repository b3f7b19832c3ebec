"""Keeps the sessions and time zones of exchanges in files, because computing them takes longer than most commands.

:func:`trading_platform.domain.market.calendars.keep_sessions` takes the store. A file is used for the month it was
written in and for one release of ``exchange_calendars``; a lost or damaged one is computed again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import polars as pl

from trading_platform.domain.market.calendars import SESSION_SCHEMA, ZONE_SCHEMA
from trading_platform.domain.time import Clock, utc_now
from trading_platform.stores.private_files import make_private, private_folder

_FORM = 1  # higher when sessions are computed in another way
_SCHEMAS = (pl.Schema(SESSION_SCHEMA), pl.Schema(ZONE_SCHEMA))


class SessionFiles:
    """Sessions in Parquet files of a folder.

    Args:
        directory: the folder; created when something is written.
        clock: returns the present time, whose month is in the names of the files.
    """

    def __init__(self, directory: Path, clock: Clock = utc_now) -> None:
        self._directory = directory
        self._clock = clock

    def __call__(self, name: str, compute: Callable[[], pl.DataFrame]) -> pl.DataFrame:
        """The frame that was kept under a name, or else the one that ``compute`` returns, which is kept."""
        stem = re.sub(r"[^A-Za-z0-9_.]", "_", name)
        path = self._directory / f"{stem}-{_FORM}-{version('exchange_calendars')}-{self._clock():%Y-%m}.parquet"
        kept = self._read(path)
        if kept is not None:
            return kept
        frame = compute()
        self._write(path, stem, frame)
        return frame

    @staticmethod
    def _read(path: Path) -> pl.DataFrame | None:
        with suppress(OSError, pl.exceptions.PolarsError):
            frame = pl.read_parquet(path)
            if frame.schema in _SCHEMAS and not frame.is_empty():
                return frame
        return None

    def _write(self, path: Path, stem: str, frame: pl.DataFrame) -> None:
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        with suppress(OSError, pl.exceptions.PolarsError):  # without the file the next process computes them again
            private_folder(self._directory)
            frame.write_parquet(draft)
            make_private(draft)
            draft.replace(path)
            for former in self._directory.glob(f"{stem}-*.parquet"):
                if former != path:
                    former.unlink(missing_ok=True)
        with suppress(OSError):
            draft.unlink(missing_ok=True)
