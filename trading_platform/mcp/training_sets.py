"""The tool of training sets: a file in a folder of the platform's own, whose name the platform chooses.

:mod:`trading_platform.client.features.training_sets` joins the rows.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal
from uuid import uuid4

import polars as pl
from pydantic import Field

from trading_platform.client import Platform
from trading_platform.client.timestamps import as_window
from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.market.bars import TIME
from trading_platform.domain.time import Clock
from trading_platform.mcp.answers import Answer, Table, answer
from trading_platform.mcp.market_data import Symbols, Texts
from trading_platform.mcp.pages import page_of
from trading_platform.mcp.spellings import understand
from trading_platform.stores.private_files import private_folder

MOST_ROWS = 5_000_000
"""Rows of a file."""

MOST_FILES = 100
"""Files in the folder; then somebody has to look at what is kept there."""


class TrainingSetTool:
    """The tool of training sets.

    Args:
        platform: the platform.
        clock: the present time.
        folder: where files are written.
    """

    def __init__(self, platform: Platform, clock: Clock, folder: Path) -> None:
        self._platform = platform
        self._clock = clock
        self._folder = folder

    def training_set(
        self,
        symbols: Symbols,
        names: Annotated[Texts, Field(description="features")],
        start: str,
        end: Annotated[str, Field(description="not included")],
        every: Annotated[Literal["1d", "1h"], Field(description="distance of rows, from start")] = "1d",
    ) -> Answer:
        """Write a Parquet file: for each symbol and time the features available then. Returns where it is."""
        now = self._clock()
        page = page_of(None, 1, {}, None, now)
        understood = understand(self._platform, symbols)
        window = as_window(start, end)
        times = _times(window.start, min(window.end, now), every, len(understood.symbols))
        spine = pl.DataFrame({"symbol": understood.symbols}).join(pl.DataFrame({"time": times}), how="cross")
        file = self._free_file(now)
        rows = self._platform.training_set(spine.lazy(), names, to=file)
        columns = {
            "file": "on the machine of the platform",
            "rows": "a row for each symbol and time",
            "bytes": "size of the file",
            "columns": "symbol, time (UTC), and the features; empty where none was available",
        }
        row = {
            "file": file,
            "rows": rows,
            "bytes": file.stat().st_size,
            "columns": " ".join(["symbol", "time", *names]),
        }
        return answer(Table([row], columns, None, understood.notes), page)

    def _free_file(self, now: datetime) -> Path:
        private_folder(self._folder)
        count = sum(1 for _ in self._folder.glob("*.parquet"))
        if count >= MOST_FILES:
            raise InvalidRequest(
                "The folder of training sets is full.",
                expected=f"fewer than {MOST_FILES} files in {self._folder}",
                received=str(count),
                remedy="ask who runs the server to remove files that are not needed",
            )
        return self._folder / f"{now:%Y%m%dT%H%M%SZ}-{uuid4().hex[:8]}.parquet"


def _times(start: datetime, end: datetime, every: str, symbols: int) -> pl.Series:
    """The times of the rows, the same for each symbol."""
    seconds = {"1d": 86_400, "1h": 3_600}[every]
    rows = max(0.0, (end - start).total_seconds() / seconds) * symbols
    if not 0 < rows <= MOST_ROWS:
        raise InvalidRequest(
            "This number of rows cannot be written.",
            expected=f"a window before now with at most {MOST_ROWS:,} rows of all symbols together",
            received=f"about {rows:,.0f} rows",
            remedy="choose a shorter window, fewer symbols, or every 1d",
        )
    return pl.datetime_range(start, end, every, closed="left", eager=True).cast(TIME)
