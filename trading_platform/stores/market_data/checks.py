"""Queries the live tables for rows that fail a rule, by the statements in ``sql/checks/<table>__<rule>.sql``.

A new rule for stored rows is a file there and an entry in :mod:`trading_platform.workflows.quality.verify_bars`
or one of its neighbours, which evaluate the results. Rules for incoming rows are in
:mod:`trading_platform.domain.quality.rules`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path

import polars as pl

from trading_platform.domain.market.bars import TIME
from trading_platform.domain.time import Timeframe, Window
from trading_platform.stores.features.files import FeatureStore
from trading_platform.stores.market_data.bars import bars_table
from trading_platform.stores.postgres.database import Database
from trading_platform.stores.postgres.sql import query, sql_directory

SAMPLE_ROWS = 5
"""Failing rows in a result: enough to see what is wrong, few enough to read."""

_FAILING_ROWS: dict[str, pl.DataType] = {
    "failing_rows": pl.Int64(),
    "symbol": pl.String(),
    "time": TIME,
    "detail": pl.String(),
}


@dataclass(frozen=True)
class Scope:
    """The rows that a check examines.

    Attributes:
        symbols: symbols of the rows; None means all.
        window: window of their times; None means all.
    """

    symbols: tuple[str, ...] | None = None
    window: Window | None = None

    @property
    def parameters(self) -> dict[str, object]:
        """``symbols``, ``start`` and ``end`` as the statements take them."""
        return {
            "symbols": None if self.symbols is None else list(self.symbols),
            "start": self.window.start if self.window else "-infinity",
            "end": self.window.end if self.window else "infinity",
        }


@dataclass(frozen=True)
class FailingRows:
    """How many rows fail a rule, and the first few: frame of ``symbol``, ``time``, ``detail``."""

    count: int
    sample: pl.DataFrame


@cache
def rule(name: str) -> str:
    """The statement in ``sql/checks/<name>.sql``: ``symbol``, ``time`` and ``detail`` of the failing rows."""
    return (sql_directory() / "checks" / f"{name}.sql").read_text(encoding="utf-8")


class CheckStore:
    """Read-only queries of the live tables."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def failing_rows(
        self,
        name: str,
        scope: Scope,
        *,
        parts: Mapping[str, str],
        parameters: Mapping[str, object] | None = None,
    ) -> FailingRows:
        """The rows of a scope that fail a rule, in one round trip.

        Args:
            name: the file of the rule.
            scope: the rows to examine.
            parts: replacements for the names in braces, such as ``table``; never user input.
            parameters: further parameters of the rule.
        """
        found = self._database.read(
            _filled(query("market_data/checks/failing_rows").replace("{rule}", rule(name)), parts),
            {**scope.parameters, **(parameters or {}), "limit": SAMPLE_ROWS},
            _FAILING_ROWS,
        )
        count = 0 if found.is_empty() else int(found["failing_rows"][0])
        return FailingRows(count, found.drop("failing_rows"))

    def count(self, table: str, scope: Scope) -> int:
        """Number of rows of a table in a scope."""
        found = self._database.read(
            _filled(query("market_data/checks/count"), {"table": table}), scope.parameters, {"count": pl.Int64()}
        )
        return int(found["count"][0])

    def columns(self, table: str) -> dict[str, str]:
        """The columns of a live table and their types; empty if there is no such table."""
        return dict(self._database.rows(query("market_data/checks/columns"), {"table": table}))

    def recorded_spans(self, symbols: Sequence[str], timeframe: Timeframe) -> dict[str, Window]:
        """For each symbol the span of its requests, coverage and stored bars; symbols without any are left out."""
        statement = _filled(query("market_data/checks/recorded_spans"), {"table": bars_table(timeframe)})
        parameters = {"symbols": list(symbols), "timeframe": timeframe.value, "duration": timeframe.duration}
        rows = self._database.rows(statement, parameters)
        return {symbol: Window(start, end) for symbol, start, end in rows}

    def bars_before(self, symbols: Sequence[str], timeframe: Timeframe, timestamp: datetime) -> dict[str, int]:
        """Number of bars of each symbol before ``timestamp``; symbols without any are left out."""
        statement = _filled(query("market_data/checks/bars_before"), {"table": bars_table(timeframe)})
        return dict(self._database.rows(statement, {"symbols": list(symbols), "timestamp": timestamp}))


def feature_files(store: FeatureStore, symbols: Sequence[str], window: Window) -> Iterator[tuple[str, Path]]:
    """The feature files of some symbols that overlap a window, each with its path relative to the store."""
    first, last = f"{window.start:%Y-%m}", f"{window.end:%Y-%m-%dT%H:%M}"
    for symbol in symbols:
        for month in store.months(symbol):
            if first <= month and f"{month}-01T00:00" < last:
                name = f"symbol={symbol}/{month}/{store.file_name}"
                yield name, store.directory / name


def file_schema(file: Path) -> dict[str, pl.DataType] | None:
    """The columns and types of a Parquet file, from its footer; None if the footer cannot be read."""
    try:
        return dict(pl.read_parquet_schema(file))
    except (pl.exceptions.PolarsError, OSError):
        return None


def database_types(schema: Mapping[str, pl.DataType]) -> dict[str, str]:
    """The database types for the columns of a frame, in PostgreSQL's spelling."""
    return {name: _database_type(dtype) for name, dtype in schema.items()}


def _database_type(dtype: pl.DataType) -> str:
    if isinstance(dtype, pl.Datetime):
        return "timestamp with time zone"
    if isinstance(dtype, pl.Decimal):
        return f"numeric({dtype.precision},{dtype.scale})"
    if isinstance(dtype, pl.Float64):
        return "double precision"
    if isinstance(dtype, pl.String):
        return "character varying"
    raise TypeError(f"no column of the database has the type {dtype}")


def _filled(statement: str, parts: Mapping[str, str]) -> str:
    for name, text in parts.items():
        statement = statement.replace(f"{{{name}}}", text)
    return statement
