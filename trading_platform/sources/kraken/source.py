"""Kraken as a source of bars: daily bars from its candles, minute bars from its trades.

Kraken gives only the last 720 candles of a length, which is half a day of minutes; its trades go
back to the beginning. 5m and 1h bars are rolled up from minutes by the platform.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import polars as pl

from trading_platform.domain.bars import BAR_SCHEMA, TRADE_SCHEMA, Quality, bars_from_trades, final_bars
from trading_platform.domain.calendars import ALWAYS_OPEN, last_closed
from trading_platform.domain.errors import SourceRejected
from trading_platform.domain.instruments import Instrument
from trading_platform.domain.quality import screen_bars, screen_trades
from trading_platform.domain.time import Clock, Timeframe, Window, utc_now
from trading_platform.sources.base import BarAnswer
from trading_platform.sources.kraken.client import OHLC_ROWS, KrakenClient, nanoseconds
from trading_platform.sources.kraken.cursor import PAGE, Progress
from trading_platform.sources.kraken.pairs import KrakenPair

_BEFORE = timedelta(minutes=5)
"""How far before a window its trades are asked for, to have the price it opens from: part of the first page."""
_FURTHER_BEFORE = (timedelta(hours=1), timedelta(days=1))
"""How far to look, a request each, when there was no trade in :data:`_BEFORE`."""
_DAY_MINUTES = 1440
_TIME_RESOLUTION = timedelta(seconds=1)
"""Kraken tells its time in whole seconds, so its clock may be that much further than it says."""


class KrakenSource:
    """Kraken behind ``BarSource``.

    Args:
        client: asks Kraken.
        trades_history: how far back minute bars are offered; trades go back to the beginning, but
            each thousand of them is a request.
        clock: the present, by which a bar counts as closed. Where it is ahead of Kraken's by more
            than a second, Kraken's is taken: a minute that goes on there has not ended.
        progress: told after every page of trades.
    """

    name = "kraken"

    def __init__(
        self,
        client: KrakenClient,
        *,
        trades_history: timedelta = timedelta(days=2),
        clock: Clock = utc_now,
        progress: Progress | None = None,
    ) -> None:
        self._client = client
        self._trades_history = trades_history
        self._clock = clock
        self._progress = progress
        self._ahead: timedelta | None = None

    def longest_request(self, timeframe: Timeframe) -> timedelta:
        """All the candles of a length at once; a day of trades, which is dozens of requests."""
        return timedelta(days=OHLC_ROWS) if timeframe is Timeframe.D1 else timedelta(days=1)

    def reach(self, instrument: Instrument, timeframe: Timeframe) -> tuple[Window, ...]:
        """Daily bars: the 720 days before today. Minute bars: ``trades_history`` before now. Others: none."""
        del instrument  # the same for every pair
        if timeframe not in (Timeframe.D1, Timeframe.M1):
            return ()
        end = last_closed(ALWAYS_OPEN, timeframe, self._clock())
        length = timedelta(days=OHLC_ROWS) if timeframe is Timeframe.D1 else self._trades_history
        return (Window(end - length, end),)

    def bars(self, instrument: Instrument, timeframe: Timeframe, window: Window) -> BarAnswer:
        """The bars of ``window``; minute bars also of windows before ``reach``.

        Raises:
            SourceRejected: if Kraken has no such pair, no bars of that length, or none of that window.
            SourceError: if nothing could be had.
        """
        if timeframe not in (Timeframe.D1, Timeframe.M1):
            raise _no_such_bars(timeframe, window, "5m and 1h bars are rolled up from 1m bars")
        pair = self._client.pairs().find(instrument.symbol)
        closed = _closed_part(timeframe, window, self._present())
        if closed is None:
            raise _no_such_bars(timeframe, window, "ask again when a bar of the window has ended by Kraken's clock")
        if timeframe is Timeframe.D1:
            answer = self._from_candles(instrument.symbol, pair, closed)
        else:
            answer = self._from_trades(instrument.symbol, pair, closed)
        if answer.note is None and closed.end < window.end:
            return replace(answer, note="the later bars of the window have not ended")
        return answer

    def _present(self) -> datetime:
        """Our clock, less what it was ahead of Kraken's when this was first asked."""
        if self._ahead is None:
            before = self._clock()
            self._ahead = max(timedelta(0), before - self._client.server_time() - _TIME_RESOLUTION)
        return self._clock() - self._ahead

    def _from_candles(self, symbol: str, pair: KrakenPair, window: Window) -> BarAnswer:
        since = int((window.start - Timeframe.D1.duration).timestamp())
        rows = self._client.ohlc(pair, _DAY_MINUTES, since).rows
        now = self._clock()
        closed = rows.head(-1)
        # Without a time a row cannot be said to lie outside, so it goes on to be refused.
        outside = (pl.col("time") < window.start) | (pl.col("time") >= window.end)
        screened = screen_bars(closed.filter(~outside.fill_null(value=False)), Timeframe.D1, now)
        bars = _as_bars(screened.accepted, symbol)
        answered = _answered(rows, window)
        if not answered:
            raise _no_such_bars(Timeframe.D1, window, f"Kraken gives the last {OHLC_ROWS} candles only")
        return BarAnswer(
            bars=final_bars(bars, Timeframe.D1, now),
            refused=screened.refused,
            answered=answered,
            origin=f"{self._client.url}/0/public/OHLC?pair={pair.altname}&interval={_DAY_MINUTES}&since={since}",
            note=None if answered == (window,) else f"Kraken gives the last {OHLC_ROWS} candles only",
        )

    def _from_trades(self, symbol: str, pair: KrakenPair, window: Window) -> BarAnswer:
        asked = Window(window.start - _BEFORE, window.end)
        raw = self._client.trades(pair, asked, self._progress)
        raw = raw.filter((pl.col("time") < window.end).fill_null(value=True))
        screened = screen_trades(raw, self._clock())
        trades = screened.accepted.select(pl.col(name).cast(dtype) for name, dtype in TRADE_SCHEMA.items())
        before = trades.filter(pl.col("time") < window.start)
        previous = before["price"][-1] if before.height else self._price_before(pair, window.start, raw)
        bars = bars_from_trades(
            trades,
            symbol=symbol,
            timeframe=Timeframe.M1,
            source=self.name,
            window=window,
            previous_close=previous,
        )
        origin = f"{self._client.url}/0/public/Trades?pair={pair.altname}&since={nanoseconds(asked.start) - 1}"
        return BarAnswer(bars=bars, refused=screened.refused, answered=(window,), origin=origin)

    def _price_before(self, pair: KrakenPair, start: datetime, raw: pl.DataFrame) -> Decimal | None:
        """The last price before ``start``, where one page of trades from further back tells it for certain."""
        for further in _FURTHER_BEFORE:
            rows = self._client.trades_page(pair, nanoseconds(start - further) - 1).rows
            earlier = rows.filter(pl.col("time") < start)
            if earlier.is_empty():
                continue
            last = earlier["trade_id"].max()
            is_last = rows.height < PAGE if raw.is_empty() else last == raw["trade_id"][0] - 1
            accepted = screen_trades(earlier.filter(pl.col("trade_id") == last), start).accepted
            return accepted["price"][0] if is_last and accepted.height else None
        return None


def _closed_part(timeframe: Timeframe, window: Window, now: datetime) -> Window | None:
    """The whole bars of ``window`` that have ended."""
    length = timeframe.duration
    past_grid = (window.start - datetime(1970, 1, 1, tzinfo=UTC)) % length
    start = window.start + (length - past_grid if past_grid else timedelta(0))
    end = min(last_closed(ALWAYS_OPEN, timeframe, window.end), last_closed(ALWAYS_OPEN, timeframe, now))
    return Window(start, end) if start < end else None


def _answered(rows: pl.DataFrame, window: Window) -> tuple[Window, ...]:
    """What an answer of OHLC tells of the window: from its first candle to the running one.

    A short answer was not cut off: it tells everything from the window's start.
    """
    times = rows["time"].drop_nulls()
    if times.is_empty():
        return ()
    first, running = times[0], times[-1]
    start = window.start if rows.height < OHLC_ROWS else max(first, window.start)
    end = min(running, window.end)
    return (Window(start, end),) if start < end else ()


def _as_bars(accepted: pl.DataFrame, symbol: str) -> pl.DataFrame:
    empty = pl.col("volume") == 0
    return accepted.with_columns(
        symbol=pl.lit(symbol),
        timeframe=pl.lit(Timeframe.D1.value),
        source=pl.lit(KrakenSource.name),
        quality=pl.when(empty).then(pl.lit(Quality.NO_TRADE.value)).otherwise(pl.lit(Quality.TRADED.value)),
    ).select(pl.col(name).cast(dtype) for name, dtype in BAR_SCHEMA.items())


def _no_such_bars(timeframe: Timeframe, window: Window, remedy: str) -> SourceRejected:
    return SourceRejected(
        f"Kraken has no {timeframe} bars of that window.",
        expected="1d within the last 720 days, or 1m, of a window with bars that have ended",
        received=f"{timeframe}, {window}",
        remedy=remedy,
    )
