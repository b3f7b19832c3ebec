"""What was stored at a time: bars, indicators and corporate actions as they were before they were replaced.

Every stored row has the time at which it was recorded; a row that is replaced or deleted is kept as a revision with the
time at which that happened, in the same transaction. So the rows of a time are the stored ones that were recorded until
then, and the revisions that were replaced later. The writers are :mod:`trading_platform.stores.market_data.bars`,
:mod:`trading_platform.stores.market_data.indicators` and the stream; corporate actions are kept by a trigger
(``sql/migrations/versions/0015_revisions.sql``). Retention deletes revisions with their bars.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import polars as pl

from trading_platform.domain.derived.indicators import INDICATOR_NAMES, INDICATOR_SCHEMA
from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.market.bars import BAR_SCHEMA, TIME
from trading_platform.domain.market.corporate_actions import ActionKind, CorporateAction
from trading_platform.domain.time import Timeframe, Window, check_recorded
from trading_platform.stores.market_data.corporate_actions import action_of_row
from trading_platform.stores.postgres.database import Database, execute
from trading_platform.stores.postgres.sql import query

RECORDED: dict[str, pl.DataType] = {"recorded_at": TIME}
"""What the tables of bars and indicators have besides: when a row was stored, UTC; NULL where that is not known."""

REVISION_SCHEMA: dict[str, pl.DataType] = {
    **BAR_SCHEMA,
    "recorded_at": TIME,
    "replaced_at": TIME,
    "reason": pl.String(),
}
"""A replaced bar. ``recorded_at`` is NULL where it was stored before the platform kept that."""

_INDICATOR_COLUMNS = ("time", "symbol", "timeframe", *INDICATOR_NAMES)
_ABOUT = 1e-9
"""Relative difference up to which two computations of an indicator agree (docs/indicators.md)."""


class RevisionStore:
    """Reads bars, indicators and corporate actions as they were stored at a time.

    Args:
        database: the database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def since(self) -> datetime:
        """From when on replaced rows are kept, UTC; earlier states cannot be read."""
        found: datetime = self._database.rows("SELECT since FROM market_data.revisions_kept")[0][0]
        return found

    def check(self, recorded_as_of: datetime, now: datetime) -> None:
        """Refuses a time whose state cannot be read.

        Raises:
            InvalidRequest: if it is in the future, or before replaced rows were kept.
        """
        check_recorded(recorded_as_of, now)
        since = self.since()
        if recorded_as_of < since:
            raise InvalidRequest(
                "What was recorded at that time is not known.",
                expected=f"a time from {since.isoformat()} on, when the platform began to keep replaced rows",
                received=f"recorded_as_of {recorded_as_of.isoformat()}",
                remedy="Use a later time; what the market could know at any time is read with as_of.",
            )

    def bars(
        self, symbols: Sequence[str], timeframe: Timeframe, window: Window, recorded_as_of: datetime
    ) -> pl.DataFrame:
        """Bars of ``BAR_SCHEMA`` as they were stored at a time, sorted by (symbol, time)."""
        statement = query("market_data/revisions/bars").replace("{table}", f"market_data.bars_{timeframe.value}")
        return self._database.read(statement, _parameters(symbols, timeframe, window, recorded_as_of), BAR_SCHEMA)

    def indicators(
        self,
        symbols: Sequence[str],
        timeframe: Timeframe,
        window: Window,
        recorded_as_of: datetime,
        names: Sequence[str] | None = None,
    ) -> pl.DataFrame:
        """``time``, ``symbol``, ``timeframe`` and the named indicators as they were stored at a time."""
        columns = ["time", "symbol", "timeframe", *(INDICATOR_NAMES if names is None else names)]
        statement = (
            query("market_data/revisions/indicators")
            .replace("{table}", f"market_data.indicators_{timeframe.value}")
            .replace("{columns}", ", ".join(columns))
        )
        given = _parameters(symbols, timeframe, window, recorded_as_of)
        return self._database.read(statement, given, {name: INDICATOR_SCHEMA[name] for name in columns})

    def corporate_actions(
        self,
        symbols: Sequence[str] | None,
        recorded_as_of: datetime,
        kinds: Iterable[ActionKind] = tuple(ActionKind),
    ) -> list[CorporateAction]:
        """Splits and dividends of some symbols (None: all) as they were stored at a time, sorted by symbol and date."""
        given = {
            "symbols": None if symbols is None else list(symbols),
            "kinds": [kind.value for kind in kinds],
            "recorded_as_of": recorded_as_of,
        }
        return [
            action_of_row(row) for row in self._database.rows(query("market_data/revisions/corporate_actions"), given)
        ]

    def of_bars(self, symbol: str, timeframe: Timeframe, window: Window) -> pl.DataFrame:
        """The replaced bars of a symbol in a window (``REVISION_SCHEMA``), by time and then by replacement."""
        given = {"symbol": symbol, "timeframe": timeframe.value, "start": window.start, "end": window.end}
        return self._database.read(query("market_data/revisions/history"), given, REVISION_SCHEMA)

    def expire(self, present: datetime) -> int:
        """Deletes the revisions of bars and indicators that were dropped because of their age; returns how many."""
        with self._database.begin() as connection:
            given = {"present": present}
            return int(execute(connection, "SELECT market_data.expire_revisions(%(present)s)", given)[0][0])


def replacing_bars(
    timeframe: Timeframe, symbol: str, times: pl.Series, replaced_at: datetime, reason: str
) -> tuple[str, dict[str, object]]:
    """The statement that deletes bars of one symbol and keeps them as revisions."""
    given = _times(times) | {"symbol": symbol, "replaced_at": replaced_at, "reason": reason}
    return _for("replace_bars", f"bars_{timeframe.value}"), given


def keeping_bars(
    timeframe: Timeframe, keys: pl.DataFrame, replaced_at: datetime, reason: str
) -> tuple[str, dict[str, object]]:
    """The statement that keeps bars (``symbol``, ``time``) as revisions, to run before they are updated."""
    given = _times(keys["time"]) | {"symbols": keys["symbol"].to_list(), "replaced_at": replaced_at, "reason": reason}
    return _for("keep_bars", f"bars_{timeframe.value}"), given


def replacing_indicators(
    timeframe: Timeframe, keys: pl.DataFrame, replaced_at: datetime
) -> tuple[str, dict[str, object]]:
    """The statement that deletes indicators (``symbol``, ``time``), and keeps those with ``differs`` as revisions."""
    given = _times(keys["time"]) | {name: keys[name].to_list() for name in ("symbol", "differs")}
    statement = _for("replace_indicators", f"indicators_{timeframe.value}")
    return statement.replace("{columns}", ", ".join(_INDICATOR_COLUMNS)), given | {"replaced_at": replaced_at}


def changes_of_indicators(
    stored: pl.DataFrame, computed: pl.DataFrame, now: datetime
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What has to change so that stored indicators become the computed ones, to the bit.

    A row whose values differ by no more than two computations of the same value may is written again, but was no other
    row before: it keeps the time at which it was recorded, and is no revision.

    Args:
        stored: frame of ``INDICATOR_SCHEMA`` and ``recorded_at``.
        computed: frame of ``INDICATOR_SCHEMA``.
        now: when rows that are new or differ are recorded.

    Returns:
        ``symbol``, ``time`` and ``differs`` of the stored rows to delete, and the computed rows to insert, with
        ``recorded_at``.
    """
    key = ["symbol", "time"]
    if stored.is_empty():
        return stored.select(*key, differs=pl.lit(value=True)), computed.with_columns(recorded_at=pl.lit(now, TIME))
    both = stored.join(computed, on=key, how="inner", suffix="_new", maintain_order="left")
    equal = pl.all_horizontal(pl.col(name).eq_missing(pl.col(f"{name}_new")) for name in INDICATOR_NAMES)
    same = both.filter(equal).select(key)
    agreeing = both.filter(pl.all_horizontal(_agrees(name) for name in INDICATOR_NAMES))
    agreeing = agreeing.select(*key, "recorded_at", differs=pl.lit(value=False))
    replaced = stored.select(key).join(same, on=key, how="anti").join(agreeing, on=key, how="left")
    new = computed.join(same, on=key, how="anti", maintain_order="left")
    new = new.join(agreeing, on=key, how="left", maintain_order="left").with_columns(
        recorded_at=pl.when(pl.col("differs").is_null()).then(pl.lit(now, TIME)).otherwise(pl.col("recorded_at"))
    )
    return replaced.select(*key, pl.col("differs").fill_null(value=True)), new.drop("differs")


def _agrees(name: str) -> pl.Expr:
    stored, computed = pl.col(name), pl.col(f"{name}_new")
    close = (stored - computed).abs() <= _ABOUT * pl.max_horizontal(stored.abs(), computed.abs())
    return (stored.is_null() & computed.is_null()) | close.fill_null(value=False)


def _times(times: pl.Series) -> dict[str, object]:
    return {"times": times.to_list(), "first": times.min(), "last": times.max()}


def _parameters(
    symbols: Sequence[str], timeframe: Timeframe, window: Window, recorded_as_of: datetime
) -> dict[str, object]:
    return {
        "symbols": list(symbols),
        "timeframe": timeframe.value,
        "start": window.start,
        "end": window.end,
        "recorded_as_of": recorded_as_of,
    }


def _for(name: str, table: str) -> str:
    return query(f"market_data/revisions/{name}").replace("{table}", f"market_data.{table}")
