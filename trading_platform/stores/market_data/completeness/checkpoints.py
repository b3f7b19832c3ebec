"""Checkpoints of paged requests, so that an interrupted request continues where it stopped.

Written together with the bars of each page (:mod:`trading_platform.workflows.backfill.backfill_bars`).
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING

from trading_platform.domain.market.checkpoints import Checkpoint
from trading_platform.domain.time import Timeframe
from trading_platform.stores.postgres.database import Database, execute
from trading_platform.stores.postgres.sql import query

if TYPE_CHECKING:
    from sqlalchemy import Connection


class CheckpointStore:
    """The table ``market_data.checkpoints``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self, symbol: str, timeframe: Timeframe, source: str) -> Checkpoint | None:
        """The checkpoint of the last paged request for these bars, if there is one."""
        key = {"symbol": symbol, "timeframe": timeframe.value, "source": source}
        rows = self._database.rows(query("market_data/checkpoints/read"), key)
        return Checkpoint(rows[0][0], rows[0][1]) if rows else None

    def save(
        self,
        connection: Connection,
        symbol: str,
        timeframe: Timeframe,
        source: str,
        point: Checkpoint,
        updated_at: datetime,
    ) -> None:
        """Saves a checkpoint, in the transaction that stores the bars before it."""
        execute(
            connection,
            query("market_data/checkpoints/save"),
            {
                "symbol": symbol,
                "timeframe": timeframe.value,
                "source": source,
                "at": point.at,
                "token": json.dumps(dict(point.token)),
                "updated_at": updated_at,
            },
        )
