"""Reads and writes bars.

A new query of bars is a method here and a file in ``sql/queries/market_data/bars``.
:mod:`trading_platform.workflows.backfill.backfill_bars` decides which bars to fetch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import polars as pl

from trading_platform.domain.market.bars import BAR_SCHEMA, PRICE, REVIEW_GAP, TIME
from trading_platform.domain.time import Timeframe, Window
from trading_platform.stores.market_data import fingerprints
from trading_platform.stores.market_data.revisions import keeping_bars, replacing_bars
from trading_platform.stores.postgres.database import Database, copy_frame, execute, read_frame
from trading_platform.stores.postgres.partitions import PartitionMaker
from trading_platform.stores.postgres.sql import query

if TYPE_CHECKING:
    from sqlalchemy import Connection

_SPAN_SCHEMA: dict[str, pl.DataType] = {"symbol": pl.String(), "first": TIME, "last": TIME, "stored": pl.Int64()}

LATEST_PRICE_SCHEMA: dict[str, pl.DataType] = {
    "symbol": pl.String(),
    "time": TIME,
    "timeframe": pl.String(),
    "price": PRICE,
}
"""One row per symbol; the price is the close of the bar that opened at ``time``."""

_BEGINNING = datetime(1, 1, 1, tzinfo=UTC)
_AHEAD = timedelta(days=1)  # a clock may be slow, but no bar is from tomorrow; partitions extend further
_RECENT = timedelta(days=7)  # spans every weekend and all but the longest holidays
_FRESH = timedelta(hours=1)
_OPEN_SHARE = 6  # an exchange with sessions is open for about a fifth of a week
_FEW = 5_000  # rows up to which fetching them is faster than COPY


def bars_table(timeframe: Timeframe) -> str:
    """The table that holds the bars of a timeframe."""
    return f"market_data.bars_{timeframe.value}"


def note_change(
    timeframe: Timeframe, changes: Iterable[tuple[str, datetime, datetime]]
) -> tuple[str, dict[str, object]]:
    """The statement to run before bars change, in the same transaction.

    Args:
        timeframe: length of the bars.
        changes: symbol, first and last time of the bars that change.
    """
    symbols, firsts, lasts = map(list, zip(*changes, strict=True))
    given: dict[str, object] = {"timeframe": timeframe.value, "symbols": symbols, "firsts": firsts, "lasts": lasts}
    return query("market_data/bars/note_change"), given


class BarStore:
    """The bars in ``market_data.bars_1m … bars_1d``, which the view ``market_data.ohlcv`` shows as one."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._partitions = PartitionMaker(database)

    def prepare(self, timeframe: Timeframe, bars: pl.DataFrame) -> None:
        """Creates the partitions for bars that a transaction is about to store; call it before the transaction."""
        self._partitions.ensure(bars_table(timeframe), bars["time"])

    def read(self, symbols: Sequence[str], timeframe: Timeframe, window: Window) -> pl.DataFrame:
        """Bars of ``BAR_SCHEMA`` in the window, sorted by (symbol, time); symbols without bars give no rows."""
        return self._database.read(
            _for("market_data/bars/read", timeframe), _window_parameters(symbols, window), BAR_SCHEMA
        )

    def read_with_history(
        self, symbols: Sequence[str], timeframe: Timeframe, window: Window, history: int
    ) -> pl.DataFrame:
        """As :meth:`read`, with up to ``history`` more bars of each symbol before the window."""
        return self._database.read(
            _for("market_data/bars/read_with_history", timeframe),
            {**_window_parameters(symbols, window), "history": history},
            BAR_SCHEMA,
        )

    def last(self, symbols: Sequence[str], timeframe: Timeframe, count: int, now: datetime) -> pl.DataFrame:
        """The last ``count`` bars of each symbol, or fewer if it has fewer; none for symbols outside the universe.

        Searches the recent window that holds them if the market has traded until now, then the whole history of the
        symbols with fewer bars in that window.

        Args:
            symbols: the symbols.
            timeframe: length of the bars.
            count: number of bars per symbol, 1 or more.
            now: current time; bars that open more than a day later are not considered.

        Returns:
            Frame of ``BAR_SCHEMA``, sorted by (symbol, time).
        """
        found = self._last(symbols, timeframe, count, now, _span_of(timeframe, count))
        if found.height == len(symbols) * count:
            return found if len(symbols) == 1 else found.sort("symbol", "time")
        enough = set(found.group_by("symbol").len().filter(pl.col("len") == count)["symbol"])
        short = [symbol for symbol in symbols if symbol not in enough]
        whole = self._last(short, timeframe, count, now, None)
        return pl.concat([found.filter(pl.col("symbol").is_in(enough)), whole]).sort("symbol", "time")

    def _last(
        self, symbols: Sequence[str], timeframe: Timeframe, count: int, now: datetime, span: timedelta | None
    ) -> pl.DataFrame:
        read = self._database.read_few if len(symbols) * count <= _FEW else self._database.read
        return read(
            _for("market_data/bars/last", timeframe), {**_until(symbols, now, span), "count": count}, BAR_SCHEMA
        )

    def latest_prices(self, symbols: Sequence[str], now: datetime) -> pl.DataFrame:
        """The latest price of each symbol; symbols without bars or outside the universe give no row.

        It is the close of a 1m bar that opened within the last hour; without one, the close of the newest bar of
        any timeframe, of the shortest timeframe where several opened at the same time.

        Args:
            symbols: the symbols.
            now: current time; bars that open more than a day later are not considered.

        Returns:
            Frame of ``LATEST_PRICE_SCHEMA``, sorted by symbol.
        """
        found: list[pl.DataFrame] = []
        wanted = list(symbols)
        for statement, span in (
            (_for("market_data/bars/latest_prices", Timeframe.M1), _FRESH),
            (query("market_data/bars/latest_prices_of_any"), _RECENT),
            (query("market_data/bars/latest_prices_of_any"), None),
        ):
            found.append(self._database.read_few(statement, _until(wanted, now, span), LATEST_PRICE_SCHEMA))
            priced = set(found[-1]["symbol"])
            wanted = [symbol for symbol in wanted if symbol not in priced]
            if not wanted:
                break
        return pl.concat(found).sort("symbol")

    def times(self, symbols: Sequence[str], timeframe: Timeframe, window: Window) -> pl.DataFrame:
        """``symbol`` and ``time`` of the stored bars in the window."""
        return self._database.read(
            _for("market_data/bars/times", timeframe),
            _window_parameters(symbols, window),
            {"symbol": pl.String(), "time": TIME},
        )

    def traded_before(self, symbol: str, timeframe: Timeframe, timestamp: datetime, count: int) -> pl.Series:
        """The opens of the last bars with trades before ``timestamp``, in order, up to ``count``."""
        given = {"symbol": symbol, "timestamp": timestamp, "count": count}
        found = self._database.read(_for("market_data/bars/traded_before", timeframe), given, {"time": TIME})
        return found["time"].sort()

    def closes(self, symbols: Sequence[str], timeframe: Timeframe, window: Window) -> pl.DataFrame:
        """``symbol``, ``time`` and ``close`` (float, for charts only): one bar per day, of daily bars one per week."""
        step = "1 day" if timeframe.is_intraday else "7 days"
        return self._database.read(
            _for("market_data/bars/closes", timeframe),
            {**_window_parameters(symbols, window), "step": step},
            {"symbol": pl.String(), "time": TIME, "close": pl.Float64()},
        )

    def spans(self, symbols: Sequence[str], timeframe: Timeframe) -> pl.DataFrame:
        """``symbol``, ``first``, ``last`` (times of bars) and ``stored`` (their number), for symbols with bars."""
        return self._database.read(_for("market_data/bars/spans", timeframe), {"symbols": list(symbols)}, _SPAN_SCHEMA)

    def history_begins(
        self, timeframe: Timeframe, needs: Sequence[tuple[str, datetime, int]]
    ) -> dict[tuple[str, datetime, int], datetime]:
        """The open of the first of the last ``count`` bars before a timestamp.

        Args:
            timeframe: length of the bars.
            needs: ``(symbol, timestamp, count)`` of each history.

        Returns:
            The open by need; needs without any bar are left out.
        """
        parameters = {
            "symbols": [symbol for symbol, _, _ in needs],
            "timestamps": [timestamp for _, timestamp, _ in needs],
            "counts": [count for _, _, count in needs],
        }
        rows = self._database.rows(_for("market_data/bars/history_begins", timeframe), parameters) if needs else []
        return {(symbol, timestamp, count): begin for symbol, timestamp, count, begin in rows if begin is not None}

    def previous_close(
        self, connection: Connection, symbol: str, timeframe: Timeframe, timestamp: datetime
    ) -> Decimal | None:
        """The close of the last bar before ``timestamp``, or None."""
        rows = execute(
            connection, _for("market_data/bars/previous_close", timeframe), {"symbol": symbol, "timestamp": timestamp}
        )
        return rows[0][0] if rows else None

    def read_within(self, connection: Connection, symbol: str, timeframe: Timeframe, window: Window) -> pl.DataFrame:
        """As :meth:`read`, for one symbol, in the caller's transaction."""
        return read_frame(
            connection, _for("market_data/bars/read", timeframe), _window_parameters([symbol], window), BAR_SCHEMA
        )

    def replace(
        self,
        connection: Connection,
        symbol: str,
        timeframe: Timeframe,
        window: Window,
        bars: pl.DataFrame,
        *,
        reason: str = "another version was stored",
    ) -> bool:
        """Replaces all bars of one symbol in a window by ``bars``, in the caller's transaction.

        Only bars that differ are written; those they replace are kept as revisions
        (:mod:`trading_platform.stores.market_data.revisions`). The bar that follows the window is re-marked for
        review, because the close before it may have changed.

        Args:
            connection: the transaction.
            symbol: the symbol.
            timeframe: length of the bars.
            window: the window to replace.
            bars: frame of ``BAR_SCHEMA``, sorted by time.
            reason: why bars that are stored may be replaced, for their revisions.

        Returns:
            Whether anything changed; equal bars are not written again.

        Raises:
            ValueError: if a bar is of another symbol or outside the window.
        """
        outside = bars.filter(
            ~pl.col("time").is_between(window.start, window.end, closed="left") | (pl.col("symbol") != symbol)
        )
        if not outside.is_empty():
            raise ValueError(f"{outside.height} of {bars.height} bars are not of {symbol} in {window}")
        ((now,),) = execute(
            connection, query("market_data/bars/lock"), {"symbol": symbol, "timeframe": timeframe.value}
        )
        stored = self.read_within(connection, symbol, timeframe, window)
        if stored.equals(bars):
            return False
        execute(connection, *note_change(timeframe, [(symbol, window.start, window.end - timeframe.duration)]))
        fingerprints.delete(connection, symbol, timeframe, window)
        replaced = stored.join(bars, on=list(BAR_SCHEMA), how="anti", nulls_equal=True)
        if not replaced.is_empty():
            execute(connection, *replacing_bars(timeframe, symbol, replaced["time"], now, reason))
        new = bars if stored.is_empty() else bars.join(stored, on=list(BAR_SCHEMA), how="anti", nulls_equal=True)
        copy_frame(connection, bars_table(timeframe), new.with_columns(recorded_at=pl.lit(now, TIME)))
        fingerprints.insert(connection, symbol, timeframe, window)
        _mark_next(connection, symbol, timeframe, window.end, now)
        return True


def _mark_next(connection: Connection, symbol: str, timeframe: Timeframe, timestamp: datetime, now: datetime) -> None:
    """Corrects the review mark of the first bar at or after a timestamp, however long after it that is."""
    wanted = {"symbol": symbol, "timestamp": timestamp, "limit": REVIEW_GAP}
    for time, quality in execute(connection, _for("market_data/bars/next_mark", timeframe), wanted):
        key = pl.DataFrame({"symbol": [symbol], "time": [time]})
        execute(connection, *keeping_bars(timeframe, key, now, "the bar before changed"))
        marked = {"symbol": symbol, "time": time, "quality": quality, "recorded_at": now}
        execute(connection, _for("market_data/bars/mark", timeframe), marked)


def _for(name: str, timeframe: Timeframe) -> str:
    return query(name).replace("{table}", bars_table(timeframe))


def _window_parameters(symbols: Sequence[str], window: Window) -> dict[str, object]:
    return {"symbols": list(symbols), "start": window.start, "end": window.end}


def _until(symbols: Sequence[str], now: datetime, span: timedelta | None) -> dict[str, object]:
    start = _BEGINNING if span is None or now - _BEGINNING < span else now - span
    return {"symbols": list(symbols), "start": start, "end": now + _AHEAD}


def _span_of(timeframe: Timeframe, count: int) -> timedelta | None:
    """How far back that many bars extend in a market with sessions; None for the whole history."""
    try:
        return _RECENT + count * timeframe.duration * (_OPEN_SHARE if timeframe.is_intraday else 2)
    except OverflowError:
        return None
