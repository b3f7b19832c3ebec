"""Minute bars from pages of trades, and the checkpoint after each page.

A page ends anywhere in a minute. Minutes that certainly ended are returned. Of the running minute the values of its
bar are stored, so that none of its trades has to be requested again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import polars as pl

from trading_platform.domain.errors import MalformedPayload
from trading_platform.domain.market.bars import PRICE, TRADE_SCHEMA, VOLUME, bars_from_trades, empty_bars
from trading_platform.domain.market.checkpoints import Checkpoint
from trading_platform.domain.time import Timeframe, Window
from trading_platform.sources.kraken.cursor import TradesPage

_MINUTE = Timeframe.M1
SOURCE = "kraken"
"""The value of the ``source`` column of Kraken's bars."""


@dataclass(frozen=True)
class MinuteCursor:
    """The state between two pages.

    Attributes:
        position: the minutes before it were returned.
        since: cursor of the next page, nanoseconds since 1970.
        seen: id of the last trade received; None before the first.
        close: the last price before ``position``; None if it is not known.
        running: the trades of the minute at ``position`` so far, or four that make the same bar; frame of
            ``TRADE_SCHEMA``.
    """

    position: datetime
    since: int
    seen: int | None
    close: Decimal | None
    running: pl.DataFrame

    @classmethod
    def beginning(cls, position: datetime, since: int) -> MinuteCursor:
        """The state before the first page."""
        return cls(position, since, None, None, pl.DataFrame(schema=TRADE_SCHEMA))

    @classmethod
    def of(cls, token: Mapping[str, Any]) -> MinuteCursor | None:
        """The state from a token of :meth:`point`; None if the token has another form, as after a change of it."""
        try:
            position = datetime.fromisoformat(token["position"])
            close = None if token["close"] is None else Decimal(token["close"])
            running = _trades(position, [Decimal(text) for text in token["running"]])
            return cls(position, int(token["since"]), token["seen"], close, running)
        except (KeyError, TypeError, ValueError, ArithmeticError):
            return None

    def point(self, at: datetime) -> Checkpoint:
        """The state as a checkpoint, for a request that begins at ``at``."""
        running = _bar_values(self.running, self.position)
        return Checkpoint(
            at,
            {
                "position": self.position.isoformat(),
                "since": self.since,
                "seen": self.seen,
                "close": None if self.close is None else str(self.close),
                "running": [str(value) for value in running],
            },
        )


def advance(
    cursor: MinuteCursor, page: TradesPage, accepted: pl.DataFrame, symbol: str, end: datetime, end_cursor: int
) -> tuple[pl.DataFrame, MinuteCursor]:
    """The bars of the minutes that ended by a page, and the next state.

    Args:
        cursor: state before the page.
        page: the page.
        accepted: its trades before ``end`` that passed the rules; frame with the columns of ``TRADE_SCHEMA``.
        symbol: symbol of the trades.
        end: minutes from here on are not returned.
        end_cursor: ``end`` in nanoseconds since 1970.

    Raises:
        MalformedPayload: if a trade belongs to a minute that ended in an earlier page.
    """
    latest = page.rows["time"].max()
    is_over = page.is_last or (isinstance(latest, datetime) and latest >= end)
    until = end if is_over else _floor(latest, cursor.position)
    fresh = accepted.select(pl.col(name).cast(dtype) for name, dtype in TRADE_SCHEMA.items())
    early = fresh.filter(pl.col("time") < cursor.position)
    if not early.is_empty():
        raise _too_early(early["time"][0], cursor.position)
    trades = pl.concat([cursor.running, fresh])
    since, seen = page.since, page.seen
    later = page.rows.filter(pl.col("nanoseconds") >= end_cursor)
    if not later.is_empty():  # a request that continues at the end needs these
        first = int(later["trade_id"][0])
        since, seen = end_cursor - 1, first - 1 if first > page.rows["trade_id"][0] else cursor.seen
    if until <= cursor.position:
        running = _trades(cursor.position, _bar_values(trades, cursor.position))
        return empty_bars(), replace(cursor, since=since, seen=seen, running=running)
    begin = cursor.position
    if cursor.close is None:  # there are no bars before the first trade, which may be years later
        begin = min(_floor(trades["time"].min(), until), until)
    bars = empty_bars()
    if begin < until:
        emitted = Window(begin, until)
        bars = bars_from_trades(
            trades, symbol=symbol, timeframe=_MINUTE, source=SOURCE, window=emitted, previous_close=cursor.close
        )
    close = bars["close"][-1] if bars.height else cursor.close
    left = trades.filter(pl.col("time") >= until)
    return bars, MinuteCursor(until, since, seen, close, _trades(until, _bar_values(left, until)))


def _floor(timestamp: object, otherwise: datetime) -> datetime:
    if not isinstance(timestamp, datetime):
        return otherwise
    return timestamp.replace(second=0, microsecond=0)


def _bar_values(trades: pl.DataFrame, minute: datetime) -> list[Decimal]:
    """Open, high, low, close and volume of the trades of one minute; empty if there are none."""
    if trades.is_empty():
        return []
    window = Window(minute, minute + _MINUTE.duration)
    bar = bars_from_trades(trades, symbol="", timeframe=_MINUTE, source=SOURCE, window=window, fill=False)
    return list(bar.select("open", "high", "low", "close", "volume").row(0))


def _trades(minute: datetime, values: list[Decimal]) -> pl.DataFrame:
    """Four trades that make a bar of these values, together with any later trades of the minute."""
    if not values:
        return pl.DataFrame(schema=TRADE_SCHEMA)
    *prices, volume = values
    zero = Decimal(0)
    columns = {"time": [minute] * 4, "price": prices, "quantity": [volume, zero, zero, zero]}
    return pl.DataFrame(columns, schema_overrides={"price": PRICE, "quantity": VOLUME}).cast(TRADE_SCHEMA)  # type: ignore[arg-type]


def _too_early(timestamp: datetime, position: datetime) -> MalformedPayload:
    return MalformedPayload(
        "Kraken returned a trade in a minute that had ended by the trades before it.",
        expected=f"trades from {position.isoformat()} on",
        received=f"one of {timestamp.isoformat()}",
        remedy="request it again from earlier: `trading-platform backfill --force`",
    )
