"""What was heard twice of one source, and where the two tellings differ.

Compared is by :mod:`trading_platform.domain.quality.conflicting_versions`; the check ``sources_agree`` shows what is
found here.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import polars as pl

from trading_platform.domain.quality.conflicting_versions import Comparison
from trading_platform.domain.time import Timeframe, Window
from trading_platform.stores.market_data.checks import Scope
from trading_platform.stores.market_data.coverage import multirange
from trading_platform.stores.postgres.database import Database, copy_frame, execute
from trading_platform.stores.postgres.sql import query

if TYPE_CHECKING:
    from sqlalchemy import Connection


class ConflictingVersionStore:
    """The tables ``market_data.source_comparisons`` and ``market_data.conflicting_versions``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(
        self,
        connection: Connection,
        comparison: Comparison,
        *,
        symbol: str,
        timeframe: Timeframe,
        source: str,
        kind: str,
        replaced: bool,
        origin: str,
        compared_at: datetime,
    ) -> None:
        """Keeps what came of a comparison; what was known of the same bars and tier before gives way to it.

        Args:
            connection: the transaction, that of the bars where any are replaced.
            comparison: what came of it.
            symbol: whose bars.
            timeframe: their length.
            source: who said both.
            kind: where it was heard the second time.
            replaced: whether what was heard has taken the place of what was stored, where they differ.
            origin: what was asked or read.
            compared_at: when.
        """
        if not comparison.compared:
            return
        key = {"symbol": symbol, "timeframe": timeframe.value, "source": source, "compared_with": kind}
        compared = {**key, "compared": multirange(comparison.compared)}
        execute(
            connection, query("market_data/conflicting_versions/add_compared"), {**compared, "compared_at": compared_at}
        )
        execute(connection, query("market_data/conflicting_versions/delete_agreeing"), compared)
        if not comparison.differences.is_empty():
            constants = {**key, "replaced": replaced, "origin": origin, "compared_at": compared_at}
            rows = comparison.differences.with_columns(**{name: pl.lit(value) for name, value in constants.items()})
            copy_frame(connection, "market_data.conflicting_versions", rows)

    def withdraw(
        self, connection: Connection, symbol: str, timeframe: Timeframe, source: str, changed: Sequence[Window]
    ) -> None:
        """Forgets what was compared with bars that have changed since."""
        parameters = {
            "symbol": symbol,
            "timeframe": timeframe.value,
            "source": source,
            "changed": multirange(changed),
        }
        execute(connection, query("market_data/conflicting_versions/withdraw"), parameters)

    def compared(self, timeframe: Timeframe, scope: Scope) -> dict[str, int]:
        """How many bars of a timeframe were compared in a scope, by the tier they were heard from again."""
        parameters = {**scope.parameters, "timeframe": timeframe.value, "duration": timeframe.duration}
        with self._database.begin() as connection:
            return dict(execute(connection, query("market_data/conflicting_versions/compared"), parameters))
