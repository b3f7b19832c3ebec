"""Minute bars from trades that come page by page, and where to go on after each page.

A page ends anywhere in a minute. The minutes that surely ended are told; of the one that goes on is kept
what its bar needs, so that nothing of it has to be asked for again.
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
"""What stands in the ``source`` column of Kraken's bars."""


@dataclass(frozen=True)
class MinuteCursor:
    """Between two pages.

    Attributes:
        position: the minutes before it are told.
        since: cursor of the next page, nanoseconds since 1970.
        seen: id of the last trade had; None before the first.
        close: the last price before ``position``; None where that is not known.
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
        """Nothing had yet."""
        return cls(position, since, None, None, pl.DataFrame(schema=TRADE_SCHEMA))

    @classmethod
    def of(cls, token: Mapping[str, Any]) -> MinuteCursor | None:
        """What :meth:`point` kept; None if it is not in its words, as after a change of them."""
        try:
            position = datetime.fromisoformat(token["position"])
            close = None if token["close"] is None else Decimal(token["close"])
            running = _trades(position, [Decimal(text) for text in token["running"]])
            return cls(position, int(token["since"]), token["seen"], close, running)
        except (KeyError, TypeError, ValueError, ArithmeticError):
            return None

    def point(self, at: datetime) -> Checkpoint:
        """This as the platform keeps it, for a request that begins at ``at``."""
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
    """The bars of the minutes that a page shows to have ended, and where to go on.

    Args:
        cursor: where things stood before the page.
        page: the page.
        accepted: its trades before ``end`` that passed the rules; frame with the columns of ``TRADE_SCHEMA``.
        symbol: whose they are.
        end: no minute from here on is told.
        end_cursor: the same moment in nanoseconds since 1970.

    Raises:
        MalformedPayload: if a trade belongs to a minute that had ended by the pages before.
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
    if not later.is_empty():  # whoever goes on at the end wants these
        first = int(later["trade_id"][0])
        since, seen = end_cursor - 1, first - 1 if first > page.rows["trade_id"][0] else cursor.seen
    if until <= cursor.position:
        running = _trades(cursor.position, _bar_values(trades, cursor.position))
        return empty_bars(), replace(cursor, since=since, seen=seen, running=running)
    begin = cursor.position
    if cursor.close is None:  # nothing can be told before the first trade, which may be years after
        begin = min(_floor(trades["time"].min(), until), until)
    bars = empty_bars()
    if begin < until:
        told = Window(begin, until)
        bars = bars_from_trades(
            trades, symbol=symbol, timeframe=_MINUTE, source=SOURCE, window=told, previous_close=cursor.close
        )
    close = bars["close"][-1] if bars.height else cursor.close
    left = trades.filter(pl.col("time") >= until)
    return bars, MinuteCursor(until, since, seen, close, _trades(until, _bar_values(left, until)))


def _floor(timestamp: object, otherwise: datetime) -> datetime:
    if not isinstance(timestamp, datetime):
        return otherwise
    return timestamp.replace(second=0, microsecond=0)


def _bar_values(trades: pl.DataFrame, minute: datetime) -> list[Decimal]:
    """Open, high, low, close and volume of the trades of one minute; nothing where there are none."""
    if trades.is_empty():
        return []
    window = Window(minute, minute + _MINUTE.duration)
    bar = bars_from_trades(trades, symbol="", timeframe=_MINUTE, source=SOURCE, window=window, fill=False)
    return list(bar.select("open", "high", "low", "close", "volume").row(0))


def _trades(minute: datetime, values: list[Decimal]) -> pl.DataFrame:
    """Four trades that make a bar of these values, together with whatever comes after them in the minute."""
    if not values:
        return pl.DataFrame(schema=TRADE_SCHEMA)
    *prices, volume = values
    zero = Decimal(0)
    columns = {"time": [minute] * 4, "price": prices, "quantity": [volume, zero, zero, zero]}
    return pl.DataFrame(columns, schema_overrides={"price": PRICE, "quantity": VOLUME}).cast(TRADE_SCHEMA)  # type: ignore[arg-type]


def _too_early(timestamp: datetime, position: datetime) -> MalformedPayload:
    return MalformedPayload(
        "Kraken tells of a trade in a minute that had ended by the trades before it.",
        expected=f"trades from {position.isoformat()} on",
        received=f"one of {timestamp.isoformat()}",
        remedy="ask again from earlier: `trading-platform backfill --force`",
    )
