"""OHLCV bars: their columns, and their construction from trades or from shorter bars.

Bars are Polars frames of :data:`BAR_SCHEMA` with decimal prices. :mod:`trading_platform.domain.quality.rules` decides
which rows cannot become a bar; :mod:`trading_platform.stores.market_data.bars` stores bars.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

import polars as pl

from trading_platform.domain.time import Timeframe, Window

TIME = pl.Datetime("us", "UTC")
PRICE = pl.Decimal(18, 8)
VOLUME = pl.Decimal(24, 8)

BAR_SCHEMA: dict[str, pl.DataType] = {
    "time": TIME,
    "symbol": pl.String(),
    "timeframe": pl.String(),
    "open": PRICE,
    "high": PRICE,
    "low": PRICE,
    "close": PRICE,
    "volume": VOLUME,
    "source": pl.String(),
    "quality": pl.String(),
}
"""A bar: ``time`` is its open in UTC, the interval is half-open. A daily bar is stamped with
midnight UTC of its session's date, for every calendar. Frames are sorted by (symbol, time)."""

TRADE_SCHEMA: dict[str, pl.DataType] = {
    "time": TIME,
    "price": PRICE,
    "quantity": VOLUME,
}
"""One executed trade (or one quote taken as a price, with quantity 0), in the order it happened."""

PRICES = ("open", "high", "low", "close")


class Quality(StrEnum):
    """The quality of a stored bar."""

    TRADED = "traded"
    NO_TRADE = "no_trade"
    REPAIRED = "repaired"
    REVIEW = "review"


REVIEW_GAP = Decimal("0.10")
"""A bar that opens further than this share from the previous close is stored and marked for review."""
_REVIEW_PARTS = int(1 / REVIEW_GAP)


def empty_bars() -> pl.DataFrame:
    """An empty frame of :data:`BAR_SCHEMA`."""
    return pl.DataFrame(schema=BAR_SCHEMA)


def bars_from_trades(
    trades: pl.DataFrame,
    *,
    symbol: str,
    timeframe: Timeframe,
    source: str,
    window: Window,
    previous_close: Decimal | None = None,
    fill: bool = True,
) -> pl.DataFrame:
    """Bars of one symbol from its trades.

    Args:
        trades: frame of :data:`TRADE_SCHEMA`, ordered by time; equal stamps keep their order.
            Trades outside ``window`` are not used.
        symbol: symbol of the trades.
        timeframe: length of the bars; an intraday one, aligned to UTC.
        source: source of the trades.
        window: the interval that ``trades`` is complete for.
        previous_close: last price before the window, needed for bars of leading intervals without a trade.
        fill: give intervals without a trade a bar of volume 0 at the last price, marked
            ``no_trade``, as exchanges that trade without pause do. Intervals before the first
            known price stay without a bar.

    Returns:
        Frame of :data:`BAR_SCHEMA`.
    """
    inside = trades.filter(pl.col("time").is_between(window.start, window.end, closed="left"))
    bars = (
        inside.sort("time", maintain_order=True)
        .group_by_dynamic("time", every=timeframe.value)
        .agg(
            open=pl.col("price").first(),
            high=pl.col("price").max(),
            low=pl.col("price").min(),
            close=pl.col("price").last(),
            volume=pl.col("quantity").sum(),
        )
        .with_columns(quality=pl.lit(Quality.TRADED.value))
    )
    if fill:
        bars = _fill_without_trades(bars, timeframe, window, previous_close)
    return _as_bars(bars, symbol=symbol, timeframe=timeframe, source=source)


def fill_without_trades(
    bars: pl.DataFrame,
    *,
    symbol: str,
    timeframe: Timeframe,
    source: str,
    window: Window,
    previous_close: Decimal | None = None,
) -> pl.DataFrame:
    """The same bars, and one of volume 0 at the last price, marked ``no_trade``, for each interval without one.

    Args:
        bars: frame of :data:`BAR_SCHEMA`, of one symbol, inside ``window``.
        symbol: symbol of the bars.
        timeframe: length of the bars.
        source: source of the bars.
        window: the interval that ``bars`` are complete for.
        previous_close: last price before it; without one, intervals before the first bar get no bar.
    """
    filled = _fill_without_trades(bars.select("time", *PRICES, "volume", "quality"), timeframe, window, previous_close)
    return _as_bars(filled, symbol=symbol, timeframe=timeframe, source=source)


def _fill_without_trades(
    bars: pl.DataFrame, timeframe: Timeframe, window: Window, previous_close: Decimal | None
) -> pl.DataFrame:
    grid = pl.DataFrame(
        {
            "time": pl.datetime_range(
                window.start, window.end, timeframe.value, closed="left", time_unit="us", eager=True
            )
        }
    )
    last = pl.col("close").forward_fill()
    if previous_close is not None:
        last = last.fill_null(pl.lit(previous_close, dtype=PRICE))
    return (
        grid.join(bars, on="time", how="left")
        .with_columns(last=last)
        .drop_nulls("last")
        .with_columns(
            *(pl.col(name).fill_null(pl.col("last")) for name in PRICES),
            pl.col("volume").fill_null(pl.lit(Decimal(0), dtype=VOLUME)),
            pl.col("quality").fill_null(Quality.NO_TRADE.value),
        )
        .drop("last")
    )


def roll_up(bars: pl.DataFrame, timeframe: Timeframe, session_dates: pl.DataFrame | None = None) -> pl.DataFrame:
    """Longer bars from shorter ones of the same symbols and source.

    Args:
        bars: frame of :data:`BAR_SCHEMA`, sorted by (symbol, time).
        timeframe: the longer timeframe.
        session_dates: for daily bars of an exchange with sessions, a frame of ``open``, ``close``
            (UTC) and ``session`` (midnight UTC of the session's date): only bars inside a session
            count. None means calendar days in UTC.

    Returns:
        Frame of :data:`BAR_SCHEMA`; prices are those of the parts with trades, because the price of a ``no_trade``
        part is carried from an earlier one. If every part is ``no_trade``, so is the bar, at their price. The volume
        is NULL if that of any part is unknown.
    """
    if session_dates is None:
        stamped = bars.with_columns(bucket=pl.col("time").dt.truncate(timeframe.value))
    else:
        stamped = (
            bars.sort("time")
            .join_asof(session_dates.sort("open"), left_on="time", right_on="open", suffix="_session")
            .filter(pl.col("time") < pl.col("close_session"))
            .rename({"session": "bucket"})
        )
    rolled = (
        stamped.sort("symbol", "time")
        .group_by("symbol", "bucket", maintain_order=True)
        .agg(
            open=_of_traded(pl.col("open").first(), pl.col("open").filter(_TRADED).first()),
            high=_of_traded(pl.col("high").max(), pl.col("high").filter(_TRADED).max()),
            low=_of_traded(pl.col("low").min(), pl.col("low").filter(_TRADED).min()),
            close=_of_traded(pl.col("close").last(), pl.col("close").filter(_TRADED).last()),
            volume=pl.when(pl.col("volume").is_not_null().all()).then(pl.col("volume").sum()),
            source=pl.col("source").last(),
            quality=_of_traded(pl.lit(Quality.NO_TRADE.value), pl.lit(Quality.TRADED.value)),
        )
        .rename({"bucket": "time"})
        .with_columns(timeframe=pl.lit(timeframe.value))
    )
    return rolled.select(pl.col(name).cast(dtype) for name, dtype in BAR_SCHEMA.items())


_TRADED = pl.col("quality") != Quality.NO_TRADE.value


def _of_traded(without: pl.Expr, traded: pl.Expr) -> pl.Expr:
    """A value of the parts with trades, or another where no part has any."""
    return pl.when(_TRADED.any()).then(traded).otherwise(without)


def mark_gaps(bars: pl.DataFrame, previous_close: Decimal | None = None) -> pl.DataFrame:
    """The same bars; those that open more than 10 % from the previous close of their symbol are marked ``review``.

    Only traded bars are marked. The comparison is in decimals, so that the database, which marks single bars
    (``sql/queries/market_data/bars/mark_next.sql``), gets the same result.

    Args:
        bars: frame of :data:`BAR_SCHEMA`, sorted by (symbol, time).
        previous_close: for bars of one symbol, the close before the first, if there is one.
    """
    before = pl.col("close").shift(1).over("symbol")
    if previous_close is not None:
        before = before.fill_null(pl.lit(previous_close, dtype=PRICE))
    wide = pl.Decimal(38, 8)
    move = (pl.col("open").cast(wide) - before.cast(wide)).abs()
    gap = move * _REVIEW_PARTS > before.cast(wide)
    traded = pl.col("quality") == Quality.TRADED.value
    return bars.with_columns(
        quality=pl.when(traded & gap.fill_null(value=False))
        .then(pl.lit(Quality.REVIEW.value))
        .otherwise(pl.col("quality"))
    )


def final_bars(bars: pl.DataFrame, timeframe: Timeframe, now: datetime) -> pl.DataFrame:
    """Only the bars whose interval has ended at ``now``; a running candle is not a bar."""
    return bars.filter(pl.col("time") + timeframe.duration <= now)


def content_hash(bars: pl.DataFrame) -> str:
    """A SHA-256 over the values; equal bars have equal hashes, on every machine."""
    return hashlib.sha256(bars.sort("symbol", "time").write_csv().encode()).hexdigest()


def _as_bars(frame: pl.DataFrame, *, symbol: str, timeframe: Timeframe, source: str) -> pl.DataFrame:
    return frame.with_columns(symbol=pl.lit(symbol), timeframe=pl.lit(timeframe.value), source=pl.lit(source)).select(
        pl.col(name).cast(dtype) for name, dtype in BAR_SCHEMA.items()
    )
