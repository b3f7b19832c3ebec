"""The interface of the local exchange's markets: trades in order, and candles up to now.

Prices, quantities and times are integers here (ticks, units of 1e-8, nanoseconds), so that values served in
two ways are equal to the last digit. Markets are
:mod:`trading_platform.simulator.seeded` and :mod:`trading_platform.simulator.recorded`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt

from trading_platform.simulator.pairs import Pair

Integers = npt.NDArray[np.int64]

SECOND = 1_000_000_000
"""Nanoseconds in a second."""
MINUTE_SECONDS = 60


class _Columns:
    """Arrays of equal length, one per field."""

    def __len__(self) -> int:
        first: Integers = getattr(self, fields(self)[0].name)  # type: ignore[arg-type]
        return len(first)

    def __getitem__(self, rows: slice) -> Self:
        return type(self)(*(getattr(self, field.name)[rows] for field in fields(self)))  # type: ignore[arg-type]

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """The concatenated parts."""
        names = [field.name for field in fields(cls)]  # type: ignore[arg-type]
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    @classmethod
    def none(cls) -> Self:
        """No rows."""
        return cls(*(np.zeros(0, dtype=np.int64) for _ in fields(cls)))  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class Trades(_Columns):
    """Trades in the order they happened.

    Attributes:
        time: nanoseconds since 1970, whole multiples of 100, so that Kraken's seven decimals are exact.
        price: in ticks of the pair.
        quantity: in units of 1e-8.
        buyer: 1 if the buyer took, 0 if the seller did.
        market: 1 for a market order, 0 for a limit order.
        trade_id: counted from 1 without gaps.
    """

    time: Integers
    price: Integers
    quantity: Integers
    buyer: Integers
    market: Integers
    trade_id: Integers

    def between(self, start: int, end: int) -> Trades:
        """The trades in ``[start, end)``, nanoseconds."""
        first, last = np.searchsorted(self.time, [start, end], side="left")
        return self[int(first) : int(last)]


@dataclass(frozen=True, eq=False)
class Candles(_Columns):
    """Candles in order, without a gap in their grid.

    Attributes:
        time: open, seconds since 1970.
        open: first price, in ticks.
        high: highest price.
        low: lowest price.
        close: last price.
        vwap: volume-weighted mean price, rounded to ticks; 0 without trades.
        volume: in units of 1e-8.
        count: number of trades.
    """

    time: Integers
    open: Integers
    high: Integers
    low: Integers
    close: Integers
    vwap: Integers
    volume: Integers
    count: Integers


class Market(Protocol):
    """A source of trades and candles for the local exchange. All bounds of trades are nanoseconds."""

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The listed pairs."""

    def trades_after(self, pair: Pair, since: int, until: int, limit: int) -> Trades:
        """The first ``limit`` trades later than ``since`` and not later than ``until``."""

    def latest_trades(self, pair: Pair, until: int, limit: int) -> Trades:
        """The last ``limit`` trades not later than ``until``."""

    def candles(self, pair: Pair, minutes: int, first: int, until: int) -> Candles:
        """Candles of ``minutes`` length up to the one running at ``until`` (nanoseconds).

        They begin with the first that opens at ``first`` (seconds) or later. The running one is
        last and holds the values known so far.
        """


def nanoseconds(timestamp: datetime) -> int:
    """An aware timestamp in nanoseconds since 1970, exactly."""
    since_epoch = timestamp - datetime(1970, 1, 1, tzinfo=UTC)
    return (since_epoch.days * 86_400 + since_epoch.seconds) * SECOND + since_epoch.microseconds * 1_000


def aligned(seconds: int, minutes: int) -> int:
    """The open of the candle of that length that contains the time."""
    length = minutes * MINUTE_SECONDS
    return seconds // length * length


def roll_up_trades(trades: Trades, minutes: int) -> Candles:
    """The candles of intervals with trades."""
    if not len(trades):
        return Candles.none()
    length = minutes * MINUTE_SECONDS
    opens, first = np.unique(trades.time // (length * SECOND) * length, return_index=True)
    last = np.append(first[1:], len(trades)) - 1
    volume = np.add.reduceat(trades.quantity, first)
    value = np.add.reduceat(trades.price.astype(np.float64) * trades.quantity, first)
    return Candles(
        time=opens,
        open=trades.price[first],
        high=np.maximum.reduceat(trades.price, first),
        low=np.minimum.reduceat(trades.price, first),
        close=trades.price[last],
        vwap=np.rint(value / np.maximum(volume, 1)).astype(np.int64),
        volume=volume,
        count=last - first + 1,
    )


def fill_grid(candles: Candles, minutes: int, first: int, last: int, previous_close: int | None) -> Candles:
    """The candles from ``first`` to ``last`` (opens, seconds), gaps filled as Kraken fills them.

    A filled candle has the last price four times, volume and count 0. Leading gaps without a known
    price are not filled.
    """
    length = minutes * MINUTE_SECONDS
    grid = np.arange(first, last + 1, length, dtype=np.int64)
    before = int(np.searchsorted(candles.time, first, side="left"))
    if before:
        previous_close = int(candles.close[before - 1])
    at = np.searchsorted(candles.time, grid, side="right") - 1
    known = at >= before
    if previous_close is None:
        grid, at, known = grid[known], at[known], known[known]
    if not len(candles):
        flat = np.full(len(grid), previous_close or 0, dtype=np.int64)
        zero = np.zeros(len(grid), dtype=np.int64)
        return Candles(grid, flat, flat, flat, flat, zero, zero, zero)
    traded = known & (candles.time[at] == grid)
    flat = np.where(known, candles.close[at], previous_close or 0)

    def column(values: Integers, otherwise: Integers | int) -> Integers:
        return np.where(traded, values[at], otherwise).astype(np.int64)

    return Candles(
        time=grid,
        open=column(candles.open, flat),
        high=column(candles.high, flat),
        low=column(candles.low, flat),
        close=column(candles.close, flat),
        vwap=column(candles.vwap, 0),
        volume=column(candles.volume, 0),
        count=column(candles.count, 0),
    )
