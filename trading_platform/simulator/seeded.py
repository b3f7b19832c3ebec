"""A generated market that is the same at any time and for requests in any order.

It has two levels, each from its own random stream keyed by a hash of (seed, pair, level, day):

* **days**: opening, highest, lowest and closing price, volume and number of trades of every day
  come from one stream per pair, so that years of daily candles are cheap;
* **trades**: a day's trades are drawn to match its candle exactly: the first is at the opening price,
  the last at the closing price, one each at the extremes, quantities add up to the volume. So every
  candle of every length equals the roll-up of the trades, at any age. Only ``vwap`` of
  candles of a day and longer is not summed over trades but computed as (high + low + close) / 3.

Numbers of trades are known without drawing them, so trade ids have no gaps.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from trading_platform.domain.errors import InvalidRequest
from trading_platform.simulator.market import (
    MINUTE_SECONDS,
    SECOND,
    Candles,
    Integers,
    Trades,
    fill_grid,
    roll_up_trades,
)
from trading_platform.simulator.pairs import DEFAULT_PAIRS, Pair

DAY_SECONDS = 86_400
DAY_MINUTES = 1_440
_DAYS = 60 * 365  # length of the market; fixed, so that a day never depends on the request
_PULL = 0.004  # a day's pull back to the usual price, which keeps decades of random walk plausible
_RESOLUTION = 100  # nanoseconds: Kraken's times of trades have seven decimals
_TICKS_PER_MINUTE = MINUTE_SECONDS * SECOND // _RESOLUTION
_CACHED_DAYS = 160  # about 50 MB; 720 candles of four hours span 120 days
_QUIET = 0.05  # share of minutes without trades
_BURST = 0.01  # share of minutes with many times the usual number of trades
_MARKET_ORDERS = 0.3  # share of trades by market orders
_SWEEP = 0.15  # share of trades at exactly the time of the previous one: one order that matched several

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Days:
    """All days of a pair, from the market's start; units as in :class:`Candles`."""

    candles: Candles
    trades_before: Integers


class SeededMarket:
    """A random market, generated from a seed.

    Args:
        seed: equal seeds give equal markets (of one version of numpy, because the random streams are numpy's).
        symbols: symbols of ``pairs`` to list, in the platform's spelling; None means all.
        start: first day of trading (its midnight in UTC counts).
        trades_per_minute: the usual number of trades a minute; a day has between half and twice of it.
        pairs: the available pairs.

    Raises:
        InvalidRequest: if a symbol is not among ``pairs``.
    """

    def __init__(
        self,
        seed: int,
        symbols: Sequence[str] | None = None,
        start: datetime = datetime(2020, 1, 1, tzinfo=UTC),
        *,
        trades_per_minute: float = 5.0,
        pairs: Sequence[Pair] = DEFAULT_PAIRS,
    ) -> None:
        by_symbol = {pair.symbol: pair for pair in pairs}
        unknown = [symbol for symbol in symbols or () if symbol not in by_symbol]
        if unknown:
            raise InvalidRequest(
                "The seeded market has no such pair.",
                expected=f"some of {', '.join(by_symbol)}",
                received=", ".join(unknown),
                remedy="choose among the listed pairs",
            )
        self._seed = seed
        self._pairs = tuple(by_symbol[symbol] for symbol in symbols) if symbols else tuple(pairs)
        self._first_day = int(start.astimezone(UTC).timestamp()) // DAY_SECONDS
        self._trades_per_minute = trades_per_minute
        self._days: dict[str, _Days] = {}
        self._trades: OrderedDict[tuple[str, int], Trades] = OrderedDict()

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The listed pairs."""
        return self._pairs

    def trades_after(self, pair: Pair, since: int, until: int, limit: int) -> Trades:
        """The first ``limit`` trades later than ``since`` and not later than ``until`` (nanoseconds)."""
        day = max(self._day_of(since), 0)
        parts, found = [Trades.none()], 0
        while found < limit and day <= min(self._day_of(until), _DAYS - 1):
            part = self._trades_of(pair, day).between(since + 1, until + 1)[: limit - found]
            parts.append(part)
            found += len(part)
            day += 1
        return Trades.joined(parts)

    def latest_trades(self, pair: Pair, until: int, limit: int) -> Trades:
        """The last ``limit`` trades not later than ``until`` (nanoseconds)."""
        day = min(self._day_of(until), _DAYS - 1)
        parts, found = [Trades.none()], 0
        while found < limit and day >= 0:
            part = self._trades_of(pair, day).between(0, until + 1)
            parts.append(part[max(len(part) - (limit - found), 0) :])
            found += len(parts[-1])
            day -= 1
        return Trades.joined(parts[::-1])

    def candles(self, pair: Pair, minutes: int, first: int, until: int) -> Candles:
        """Candles of ``minutes`` length opening from ``first`` (seconds) up to the one running at ``until``."""
        length = minutes * MINUTE_SECONDS
        first = max(-(-first // length) * length, self._first_day * DAY_SECONDS // length * length)
        running = until // SECOND // length * length
        if running < first:
            return Candles.none()
        day = max(self._day_of(first * SECOND), 0)
        if minutes < DAY_MINUTES:
            available = self._intraday(pair, minutes, day, until)
        else:
            available = _merge_days(self._daily(pair, day, until), length)
        before = int(self._of(pair).candles.close[day - 1]) if day else None
        return fill_grid(available, minutes, first, running, before)

    def _daily(self, pair: Pair, day: int, until: int) -> Candles:
        today = min(self._day_of(until), _DAYS - 1)
        so_far = roll_up_trades(self._trades_of(pair, today).between(0, until + 1), DAY_MINUTES)
        return Candles.joined([self._of(pair).candles[day:today], so_far])

    def _intraday(self, pair: Pair, minutes: int, day: int, until: int) -> Candles:
        days = range(day, min(self._day_of(until), _DAYS - 1) + 1)
        trades = Trades.joined([self._trades_of(pair, number) for number in days])
        return roll_up_trades(trades.between(0, until + 1), minutes)

    def _day_of(self, nanoseconds: int) -> int:
        return nanoseconds // (DAY_SECONDS * SECOND) - self._first_day

    def _random(self, *what: object) -> np.random.Generator:
        text = "/".join(str(part) for part in (self._seed, *what))
        key = int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "little")
        return np.random.Generator(np.random.Philox(key=key))

    def _of(self, pair: Pair) -> _Days:
        if pair.symbol not in self._days:
            self._days[pair.symbol] = self._draw_days(pair)
        return self._days[pair.symbol]

    def _draw_days(self, pair: Pair) -> _Days:
        random, common = self._random("days", pair.symbol), self._random("days")
        shock = pair.beta * common.standard_normal(_DAYS) + np.sqrt(1 - pair.beta**2) * random.standard_normal(_DAYS)
        away, level = np.empty(_DAYS), 0.0
        for number, step in enumerate((shock * pair.daily_volatility).tolist()):
            level += step - _PULL * level
            away[number] = level
        scale = 10**pair.price_decimals
        close = np.maximum(np.rint(pair.price * np.exp(away) * scale), 2.0)
        available_history = pair.daily_volatility / 2 * np.abs(random.standard_normal((2, _DAYS)))
        opening = np.append(np.rint(pair.price * scale), close[:-1])
        opening = np.maximum(opening + np.rint(random.normal(0, 2, _DAYS)), 2.0)
        top, bottom = np.maximum(opening, close), np.minimum(opening, close)
        high, low = (
            np.rint(top * (1 + available_history[0])),
            np.maximum(np.rint(bottom / (1 + available_history[1])), 1.0),
        )
        activity = np.clip(random.lognormal(0, 0.25, _DAYS), 0.5, 2.0)
        count = np.maximum(np.rint(self._trades_per_minute * DAY_MINUTES * activity), 8.0)
        mean_lot = 400.0 / pair.price * 1e8
        volume = np.rint(count * mean_lot * random.lognormal(0, 0.3, _DAYS))
        time = (self._first_day + np.arange(_DAYS, dtype=np.int64)) * DAY_SECONDS
        columns = (opening, high, low, close, np.rint((high + low + close) / 3), volume, count)
        candles = Candles(time, *(column.astype(np.int64) for column in columns))
        return _Days(candles, np.cumsum(candles.count) - candles.count)

    def _trades_of(self, pair: Pair, day: int) -> Trades:
        key = (pair.symbol, day)
        if key in self._trades:
            self._trades.move_to_end(key)
        else:
            self._trades[key] = self._draw_trades(pair, day)
            if len(self._trades) > _CACHED_DAYS:
                self._trades.popitem(last=False)
        return self._trades[key]

    def _draw_trades(self, pair: Pair, day: int) -> Trades:
        days = self._of(pair)
        candle = days.candles[day : day + 1]
        count = int(candle.count[0])
        random = self._random("trades", pair.symbol, day)
        time = _trade_times(random, count)
        buyer = random.integers(0, 2, count)
        return Trades(
            time=time * _RESOLUTION + int(candle.time[0]) * SECOND,
            price=_bridge(candle, self._movement(pair, day, time, random), buyer, random),
            quantity=_split(int(candle.volume[0]), random.lognormal(0, 1.2, count)),
            buyer=buyer,
            market=(random.random(count) < _MARKET_ORDERS).astype(np.int64),
            trade_id=int(days.trades_before[day]) + 1 + np.arange(count, dtype=np.int64),
        )

    def _movement(self, pair: Pair, day: int, time: Integers, random: np.random.Generator) -> Floats:
        """A free walk in ticks over a day's trades; a part of it is the movement of the whole market."""
        at = time / (_TICKS_PER_MINUTE * DAY_MINUTES)
        common = np.append(0.0, np.cumsum(self._random("minutes", day).standard_normal(DAY_MINUTES)))
        together = np.interp(at, np.linspace(0, 1, DAY_MINUTES + 1), common) / np.sqrt(DAY_MINUTES)
        alone = np.cumsum(random.standard_normal(len(at)) * np.sqrt(np.diff(at, prepend=at[0])))
        ticks = pair.daily_volatility * float(self._of(pair).candles.open[day])
        movement: Floats = ticks * (pair.beta * together + np.sqrt(1 - pair.beta**2) * alone)
        return movement


def _bridge(candle: Candles, walk: Floats, buyer: Integers, random: np.random.Generator) -> Integers:
    """Prices along ``walk``, transformed so that they meet the candle's four prices and stay within its extremes."""
    count = len(walk)
    high, low = int(candle.high[0]), int(candle.low[0])
    at_high, at_low = 1 + random.choice(count - 2, size=2, replace=False)
    knots = np.array([0, min(at_high, at_low), max(at_high, at_low), count - 1])
    between = (high, low) if at_high < at_low else (low, high)
    values = np.array([candle.open[0], *between, candle.close[0]])
    bent = walk + np.interp(np.arange(count), knots, values - walk[knots])
    span = max(high - low, 1)  # a path that leaves the range is reflected as often as it takes, and rests at no bound
    folded = np.mod(bent - low, 2 * span)
    reflected = low + np.where(folded > span, 2 * span - folded, folded)
    prices: Integers = np.clip(np.rint(reflected).astype(np.int64) + buyer, low, high)
    prices[knots] = values
    return prices


def _trade_times(random: np.random.Generator, count: int) -> Integers:
    """Sorted times in a day, in units of 100 ns: minutes of all degrees of activity, including none."""
    activity = random.gamma(3.0, 1.0, DAY_MINUTES)
    kind = random.random(DAY_MINUTES)
    activity[kind < _BURST] *= 8
    activity[kind > 1 - _QUIET] = 0
    per_minute = random.multinomial(count, activity / activity.sum())
    minute = np.repeat(np.arange(DAY_MINUTES, dtype=np.int64), per_minute)
    time = np.sort(minute * _TICKS_PER_MINUTE + random.integers(0, _TICKS_PER_MINUTE, count))
    own = np.where(random.random(count) < _SWEEP, 0, np.arange(count))
    times: Integers = time[np.maximum.accumulate(own)]
    return times


def _split(total: int, weights: Floats) -> Integers:
    """``total`` split into as many parts as there are weights, each at least 1, adding up exactly."""
    parts: Integers = np.maximum(np.floor(weights / weights.sum() * total), 1.0).astype(np.int64)
    parts[np.argmax(parts)] += total - int(parts.sum())
    return parts


def _merge_days(days: Candles, length: int) -> Candles:
    """Candles of one or several days from daily ones."""
    opens, first = np.unique(days.time // length * length, return_index=True)
    last = np.append(first[1:], len(days)) - 1
    high, low = np.maximum.reduceat(days.high, first), np.minimum.reduceat(days.low, first)
    return Candles(
        time=opens,
        open=days.open[first],
        high=high,
        low=low,
        close=days.close[last],
        vwap=np.rint((high + low + days.close[last]) / 3).astype(np.int64),
        volume=np.add.reduceat(days.volume, first),
        count=np.add.reduceat(days.count, first),
    )
