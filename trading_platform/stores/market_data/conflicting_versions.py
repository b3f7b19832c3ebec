"""Bars that one source has sent twice, and those of them with conflicting versions.

:mod:`trading_platform.domain.quality.conflicting_versions` compares the versions; the check ``sources_agree`` reports
the conflicts.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import polars as pl

from trading_platform.domain.quality.conflicting_versions import Comparison
from trading_platform.domain.time import Timeframe, Window
from trading_platform.stores.market_data.checks import Scope
from trading_platform.stores.market_data.completeness.coverage import multirange
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
        """Records the result of a comparison; it replaces earlier results for the same bars and kind.

        Args:
            connection: the transaction; the one that replaces bars, if any are replaced.
            comparison: the result.
            symbol: the symbol.
            timeframe: length of the bars.
            source: source of both versions.
            kind: origin of the second version, such as an archive.
            replaced: whether the second version has replaced the stored bars where they differ.
            origin: the request or the file.
            compared_at: time of the comparison.
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
        """Deletes the results of comparisons with bars that have changed since."""
        parameters = {
            "symbol": symbol,
            "timeframe": timeframe.value,
            "source": source,
            "changed": multirange(changed),
        }
        execute(connection, query("market_data/conflicting_versions/withdraw"), parameters)

    def compared(self, timeframe: Timeframe, scope: Scope) -> dict[str, int]:
        """Number of bars compared in a scope, by the origin of the second version."""
        parameters = {**scope.parameters, "timeframe": timeframe.value, "duration": timeframe.duration}
        return dict(self._database.rows(query("market_data/conflicting_versions/compared"), parameters))
