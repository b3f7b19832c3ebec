"""Converts ib_async's values: floats to exact decimals, bars to raw rows, ticks to quotes.

Interactive Brokers sends numbers as text and ib_async parses them as floats. The shortest text that parses to the
same float is what was sent, up to 15 digits; digits beyond are noise. Noise is removed if a price is that near to a
step of its contract. Prices between steps are real (middles, improved executions) and are kept.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import polars as pl

from trading_platform.domain.market.bars import BAR_SCHEMA, PRICES, Quality, final_bars
from trading_platform.domain.market.live.events import Quote
from trading_platform.domain.money import plain_text
from trading_platform.domain.quality.rules import RAW_BAR_SCHEMA, screen_bars
from trading_platform.domain.time import Timeframe, Window

if TYPE_CHECKING:
    from ib_async import BarData, TickData

_NOISE = Decimal("1e-6")
"""As a share of a step: a price nearer to a step than this is rounded to it."""
_NOISY_DIGITS = 12
"""Noise appears only far behind the decimal point: a number with fewer digits has none."""
_UNSET = 1e300
"""The API sends larger numbers for a missing value."""

_BID, _ASK, _LAST, _VOLUME = frozenset({0, 1}), frozenset({2, 3}), frozenset({4, 5}), frozenset({8})
"""Kinds of ticks. Those of sizes contain the price they belong to, or -1. Delayed data have their own kinds, which are
not used as live ones."""


def number(value: float) -> Decimal | None:
    """A float as the decimal it was sent as; None for a missing value."""
    if not math.isfinite(value) or abs(value) > _UNSET:
        return None
    return Decimal(repr(float(value)))


def price(value: float, min_tick: Decimal | None = None) -> Decimal | None:
    """A price, rounded to its step if it differs only by noise; None if it is missing."""
    exact = number(value)
    if exact is None or min_tick is None or len(exact.as_tuple().digits) < _NOISY_DIGITS:
        return exact
    on_step = (exact / min_tick).to_integral_value() * min_tick
    return on_step if abs(on_step - exact) <= _NOISE * min_tick else exact


def time_of(stamp: datetime | date) -> datetime:
    """The open of a bar, UTC; a daily bar has only the date of its session and is stamped at midnight UTC."""
    if isinstance(stamp, datetime):
        return stamp.astimezone(UTC)
    return datetime(stamp.year, stamp.month, stamp.day, tzinfo=UTC)


def slot_of(stamp: datetime, timeframe: Timeframe) -> datetime:
    """The platform's stamp of a bar: an hour that begins within the hour (9:30) belongs to that hour."""
    return stamp.replace(minute=0) if timeframe is Timeframe.H1 else stamp


def raw_bars(
    bars: Sequence[BarData], timeframe: Timeframe, *, min_tick: Decimal | None, has_volume: bool
) -> pl.DataFrame:
    """Bars as received, in ``RAW_BAR_SCHEMA`` and a column ``bar_count``, the number of trades."""
    stamps = [time_of(bar.date) for bar in bars]
    texts = {name: [_text(price(getattr(bar, name), min_tick)) for bar in bars] for name in PRICES}
    columns: dict[str, list[object]] = {
        "line": list(range(1, len(bars) + 1)),
        "record": [_record(bar, stamp) for bar, stamp in zip(bars, stamps, strict=True)],
        "time": [slot_of(stamp, timeframe) for stamp in stamps],
        "time_text": [stamp.isoformat() for stamp in stamps],
        **{name: list(column) for name, column in texts.items()},
        "volume": [_text(number(bar.volume)) if has_volume else None for bar in bars],
        "bar_count": [bar.barCount for bar in bars],
    }
    return pl.DataFrame(columns, schema={**RAW_BAR_SCHEMA, "bar_count": pl.Int64()})


def _record(bar: BarData, stamp: datetime) -> str:
    return (
        f"{stamp:%Y-%m-%dT%H:%M:%SZ},{bar.open!r},{bar.high!r},{bar.low!r},{bar.close!r},{bar.volume!r},{bar.barCount}"
    )


@dataclass(frozen=True)
class ReadBars:
    """Bars of a response, and the rows that cannot be one (``REJECTED_SCHEMA``)."""

    bars: pl.DataFrame
    rejected: pl.DataFrame


def read_bars(
    raw: pl.DataFrame, symbol: str, timeframe: Timeframe, window: Window, *, source: str, now: datetime
) -> ReadBars:
    """The bars of :func:`raw_bars` that lie in ``window`` and have ended at ``now``, in ``BAR_SCHEMA``."""
    outside = ~pl.col("time").is_between(window.start, window.end, closed="left")
    inside = raw.filter(~outside.fill_null(value=False))
    screened = screen_bars(inside.select(*RAW_BAR_SCHEMA), timeframe, now)
    silent = ((pl.col("bar_count") == 0) & (pl.col("volume") == 0)).fill_null(value=False)
    bars = (
        screened.accepted.join(inside.select("line", "bar_count"), on="line")
        .sort("time")
        .with_columns(
            symbol=pl.lit(symbol),
            timeframe=pl.lit(timeframe.value),
            source=pl.lit(source),
            quality=pl.when(silent).then(pl.lit(Quality.NO_TRADE.value)).otherwise(pl.lit(Quality.TRADED.value)),
        )
        .select(pl.col(name).cast(dtype) for name, dtype in BAR_SCHEMA.items())
    )
    return ReadBars(final_bars(bars, timeframe, now), screened.rejected)


class QuoteFold:
    """Combines ticks of one symbol, one price or size each, to quotes with the changed values.

    Args:
        symbol: in the platform's spelling.
        min_tick: smallest price step, if known.
    """

    def __init__(self, symbol: str, min_tick: Decimal | None = None) -> None:
        self._symbol = symbol
        self._min_tick = min_tick
        self._known: dict[str, Decimal] = {}

    def fold(self, ticks: Iterable[TickData], time: datetime) -> Quote | None:
        """The quote of these ticks together, or None if they change nothing.

        Args:
            ticks: in the order of arrival.
            time: time of the quote; ticks have none of their own.
        """
        changed: dict[str, Decimal] = {}
        for tick in ticks:
            name, value = self._read(tick)
            if name and value is not None and self._known.get(name) != value:
                self._known[name] = changed[name] = value
        return Quote(self._symbol, time, **changed) if changed else None

    def _read(self, tick: TickData) -> tuple[str, Decimal | None]:
        if tick.tickType in _VOLUME:
            volume = number(tick.size)
            return "volume", volume if volume is not None and volume >= 0 else None
        for name, kinds in (("bid", _BID), ("ask", _ASK), ("last", _LAST)):
            if tick.tickType in kinds:
                found = price(tick.price, self._min_tick)
                return name, found if found is not None and found > 0 else None
        return "", None


def newer(older: Quote | None, quote: Quote) -> Quote:
    """The later of two quotes of a symbol, completed with values that only the older one has."""
    if older is None:
        return quote
    return Quote(
        quote.symbol,
        quote.time,
        bid=older.bid if quote.bid is None else quote.bid,
        ask=older.ask if quote.ask is None else quote.ask,
        last=older.last if quote.last is None else quote.last,
        volume=older.volume if quote.volume is None else quote.volume,
    )


def _text(value: Decimal | None) -> str | None:
    return None if value is None else plain_text(value)
