"""Kraken as a source of bars, in three tiers: imported archives, then trades, then the last candles.

Its candles reach back 720 of a length, which is half a day of minutes; its trades go back to the beginning,
a thousand a request; its bulk archives are files that a user downloads. 5m and 1h bars are rolled up from
minutes by the platform. Why so: docs/decisions/0026-kraken-in-three-tiers.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl

from trading_platform.domain.errors import MalformedPayload, SourceRejected
from trading_platform.domain.market.bars import BAR_SCHEMA, Quality
from trading_platform.domain.market.calendars import ALWAYS_OPEN, last_closed
from trading_platform.domain.market.checkpoints import Checkpoint
from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.quality.rules import screen_bars, screen_trades
from trading_platform.domain.time import Clock, Timeframe, Window, utc_now
from trading_platform.sources.base import BarResponse, Effort, SecondVersion
from trading_platform.sources.kraken.client import OHLC_ROWS, KrakenClient, nanoseconds
from trading_platform.sources.kraken.cursor import PAGE
from trading_platform.sources.kraken.landing_source import KrakenArchive
from trading_platform.sources.kraken.minutes import SOURCE, MinuteCursor, advance
from trading_platform.sources.kraken.pairs import KrakenPair

_BEFORE = timedelta(minutes=5)
"""How far before a window its trades are asked for, to have the price it opens from: part of the first page.
What is stored of these minutes is compared."""
_FURTHER_BEFORE = (timedelta(hours=1), timedelta(days=1))
"""How far to look, a request each, when there was no trade in :data:`_BEFORE`."""
_TIME_RESOLUTION = timedelta(seconds=1)
"""Kraken tells its time in whole seconds, so its clock may be that much further than it says."""
_COMPARED_CANDLES = 10
"""How many candles before those that are wanted are there at least when candles take over from trades."""
_WHOLE_HISTORY = timedelta(days=36_600)


class KrakenSource:
    """Kraken behind ``BarSource`` and ``PagedSource``.

    Args:
        client: asks Kraken.
        imports_directory: where imported archives are; None: there are none.
        trades_history: how far back minute bars are offered from trades; trades go back to the beginning,
            but each thousand of them is a request.
        requests_per_second: at what rate Kraken is asked; for estimates.
        clock: the present, by which a bar counts as closed. Where it is ahead of Kraken's by more
            than a second, Kraken's is taken: a minute that goes on there has not ended.
    """

    name = SOURCE

    def __init__(
        self,
        client: KrakenClient,
        *,
        imports_directory: Path | None = None,
        trades_history: timedelta = timedelta(days=2),
        requests_per_second: float = 1.0,
        clock: Clock = utc_now,
    ) -> None:
        self._client = client
        self._archive = KrakenArchive(imports_directory) if imports_directory else None
        self._trades_history = trades_history
        self._rate = requests_per_second
        self._clock = clock
        self._ahead: timedelta | None = None

    def longest_request(self, timeframe: Timeframe) -> timedelta:
        """Everything at once: it is answered in parts."""
        del timeframe
        return _WHOLE_HISTORY

    def available_history(self, instrument: Instrument, timeframe: Timeframe) -> tuple[Window, ...]:
        """What imported archives have; besides, daily bars: the 720 days before today, minutes: ``trades_history``."""
        if timeframe not in (Timeframe.D1, Timeframe.M1):
            return ()
        end = last_closed(ALWAYS_OPEN, timeframe, self._clock())
        length = timedelta(days=OHLC_ROWS) if timeframe is Timeframe.D1 else self._trades_history
        return tuple(Window.merge([*self._archived(instrument.symbol, timeframe), Window(end - length, end)]))

    def bars(self, instrument: Instrument, timeframe: Timeframe, window: Window) -> BarResponse:
        """The bars of ``window``, all parts together; minute bars also of windows before ``available_history``.

        Raises:
            SourceRejected: if Kraken has no such pair, no bars of that length, or none of that window.
            SourceError: if any part could not be had.
        """
        parts = list(self.bars_in_parts(instrument, timeframe, window, None))
        answered = tuple(Window.merge(part for response in parts for part in response.answered))
        return BarResponse(
            bars=pl.concat([response.bars for response in parts]).sort("time"),
            rejected=pl.concat([response.rejected for response in parts]),
            answered=answered,
            origin=parts[0].origin,
            note=None if answered == (window,) else "the rest has not ended, or lies before what Kraken gives",
            second_versions=tuple(version for response in parts for version in response.second_versions),
        )

    def bars_in_parts(
        self, instrument: Instrument, timeframe: Timeframe, window: Window, resume: Checkpoint | None
    ) -> Iterator[BarResponse]:
        """The bars of ``window`` as they come: a month of an archive, a page of trades, candles.

        Raises:
            SourceRejected: if Kraken has no such pair, no bars of that length, or none of that window.
            SourceError: if the next part could not be had.
        """
        if timeframe not in (Timeframe.D1, Timeframe.M1):
            raise _no_such_bars(timeframe, window, "5m and 1h bars are rolled up from 1m bars")
        symbol = instrument.symbol
        archived = [part for span in self._archived(symbol, timeframe) if (part := span.intersect(window))]
        for part in sorted([*archived, *window.subtract(archived)]):
            if self._archive is not None and part in archived:
                yield from self._archive.answers(symbol, timeframe, part)
            else:
                yield from self._asked(symbol, timeframe, part, resume, alone=not archived)

    def effort(self, instrument: Instrument, timeframe: Timeframe, window: Window) -> Effort:
        """Requests and seconds that a window takes, by how much of the pair was traded in the last 24 hours.

        Raises:
            SourceError: if Kraken does not say.
        """
        left = window.subtract(self._archived(instrument.symbol, timeframe))
        if timeframe is not Timeframe.M1 or not left:
            return _effort(len(left), self._rate)
        candles = self._clock() - OHLC_ROWS * timeframe.duration
        spans = [min(part.end, candles) - part.start for part in left if part.start < candles]
        days = sum(spans, timedelta(0)) / timedelta(days=1)
        if not days:
            return _effort(len(left), self._rate)
        pair = self._client.pairs().find(instrument.symbol)
        per_day = self._client.ticker([pair], _trades_of_a_day)
        return _effort(len(left) + int(days * per_day / PAGE), self._rate)

    def _archived(self, symbol: str, timeframe: Timeframe) -> list[Window]:
        return self._archive.spans(symbol, timeframe) if self._archive else []

    def _asked(
        self, symbol: str, timeframe: Timeframe, window: Window, resume: Checkpoint | None, *, alone: bool
    ) -> Iterator[BarResponse]:
        """What Kraken itself says of a window.

        Args:
            symbol: whose bars.
            timeframe: their length.
            window: which.
            resume: where to go on.
            alone: it is an error if it says nothing, as nobody else does.
        """
        pair = self._client.pairs().find(symbol)
        closed = _closed_part(timeframe, window, self._present())
        if closed is None:
            if alone:
                remedy = "ask again when a bar of the window has ended by Kraken's clock"
                raise _no_such_bars(timeframe, window, remedy)
            return
        if timeframe is Timeframe.M1:
            yield from self._minutes(symbol, pair, closed, resume)
            return
        response = self._from_candles(symbol, pair, timeframe, closed)
        if response is not None:
            yield response
        elif alone:
            raise _no_such_bars(timeframe, window, f"Kraken gives the last {OHLC_ROWS} candles only")

    def _present(self) -> datetime:
        """Our clock, less what it was ahead of Kraken's when this was first asked."""
        if self._ahead is None:
            before = self._clock()
            self._ahead = max(timedelta(0), before - self._client.server_time() - _TIME_RESOLUTION)
        return self._clock() - self._ahead

    def _minutes(
        self, symbol: str, pair: KrakenPair, window: Window, resume: Checkpoint | None
    ) -> Iterator[BarResponse]:
        """Trades until candles reach the rest, then candles; all by trades where candles cannot be taken."""
        response = self._tail(symbol, pair, window)
        if response is not None:
            yield response
            return
        tried = self._candles_history(window.start)
        for part in self._from_trades(symbol, pair, window, resume):
            yield part
            position = part.answered[-1].end if part.answered else window.start
            if not tried and position < window.end and self._candles_history(position):
                tried = True
                response = self._tail(symbol, pair, Window(position, window.end))
                if response is not None:
                    yield response
                    return

    def _candles_history(self, timestamp: datetime) -> bool:
        return self._present() - (OHLC_ROWS - _COMPARED_CANDLES) * Timeframe.M1.duration <= timestamp

    def _tail(self, symbol: str, pair: KrakenPair, window: Window) -> BarResponse | None:
        """The last minutes from candles, one request; None where they do not tell all of it without doubt."""
        if not self._candles_history(window.start):
            return None
        response = self._from_candles(symbol, pair, Timeframe.M1, window)
        whole = response is not None and response.answered == (window,) and response.rejected.is_empty()
        if response is None or not whole:
            return None
        gapless = response.bars.height == (window.end - window.start) // Timeframe.M1.duration
        return response if gapless else None

    def _from_candles(self, symbol: str, pair: KrakenPair, timeframe: Timeframe, window: Window) -> BarResponse | None:
        """The bars of a window from candles; None where it lies before the first."""
        length = timeframe.duration
        since = int((window.start - (1 + _COMPARED_CANDLES) * length).timestamp())
        rows = self._client.ohlc(pair, length // timedelta(minutes=1), since).rows
        now = self._clock()
        closed = rows.head(-1)
        answered = _answered(rows, window)
        if not answered:
            return None
        # Without a time a row cannot be said to lie outside, so it goes on to be refused.
        outside = (pl.col("time") < window.start) | (pl.col("time") >= window.end)
        screened = screen_bars(closed.filter(~outside.fill_null(value=False)), timeframe, now)
        before = screen_bars(closed.filter(pl.col("time") < window.start), timeframe, now).accepted
        second_versions = SecondVersion(_as_bars(before, symbol, timeframe), "OHLC", finer=False)
        return BarResponse(
            bars=_as_bars(screened.accepted, symbol, timeframe),
            rejected=screened.rejected,
            answered=answered,
            origin=f"{self._client.url}/0/public/OHLC?pair={pair.altname}"
            f"&interval={length // timedelta(minutes=1)}&since={since}",
            note=None if answered == (window,) else f"Kraken gives the last {OHLC_ROWS} candles only",
            second_versions=(second_versions,) if before.height else (),
        )

    def _from_trades(
        self, symbol: str, pair: KrakenPair, window: Window, resume: Checkpoint | None
    ) -> Iterator[BarResponse]:
        """A part a page: the minutes that have ended by it, and where the next goes on."""
        start, end = window.start - _BEFORE, nanoseconds(window.end)
        cursor = MinuteCursor.of(resume.token) if resume and resume.at == window.start else None
        first = cursor is None
        cursor = cursor or MinuteCursor.beginning(start, nanoseconds(start) - 1)
        for page in self._client.trade_pages(pair, cursor.since, cursor.seen):
            raw = page.rows.filter((pl.col("time") < window.end).fill_null(value=True))
            screened = screen_trades(raw, self._clock())
            if first and screened.accepted.filter(pl.col("time") < window.start).is_empty():
                close = self._price_before(pair, window.start, page.rows)
                cursor = replace(cursor, position=window.start, close=close)
            first = False
            asked, emitted_before = cursor.since, cursor.position
            bars, cursor = advance(cursor, page, screened.accepted, symbol, window.end, end)
            before = bars.filter(pl.col("time") < window.start)
            told = max(emitted_before, window.start), cursor.position
            yield BarResponse(
                bars=bars.filter(pl.col("time") >= window.start),
                rejected=screened.rejected,
                answered=(Window(*told),) if told[0] < told[1] else (),
                origin=f"{self._client.url}/0/public/Trades?pair={pair.altname}&since={asked}",
                second_versions=(SecondVersion(before, "Trades", finer=True),) if before.height else (),
                resume=cursor.point(max(cursor.position, window.start)),
            )
            if cursor.position >= window.end:
                return

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


def _as_bars(accepted: pl.DataFrame, symbol: str, timeframe: Timeframe) -> pl.DataFrame:
    empty = pl.col("volume") == 0
    return accepted.with_columns(
        symbol=pl.lit(symbol),
        timeframe=pl.lit(timeframe.value),
        source=pl.lit(SOURCE),
        quality=pl.when(empty).then(pl.lit(Quality.NO_TRADE.value)).otherwise(pl.lit(Quality.TRADED.value)),
    ).select(pl.col(name).cast(dtype) for name, dtype in BAR_SCHEMA.items())


def _trades_of_a_day(ticker: dict[str, Any]) -> float:
    """Trades of the last 24 hours of the one pair of a ticker."""
    try:
        ((_, of_pair),) = ticker.items()
        return float(of_pair["t"][1])
    except (KeyError, TypeError, ValueError, IndexError):
        raise MalformedPayload(
            "Kraken's answer to Ticker has not the agreed shape.",
            expected="one pair with t, the numbers of trades",
            received=repr(ticker)[:200],
            remedy="check that KRAKEN_API_URL is Kraken's; if it is, its interface has changed",
        ) from None


def _effort(requests: int, rate: float) -> Effort:
    return Effort(requests, requests / rate)


def _no_such_bars(timeframe: Timeframe, window: Window, remedy: str) -> SourceRejected:
    return SourceRejected(
        f"Kraken has no {timeframe} bars of that window.",
        expected="1d within the last 720 days, or 1m, of a window with bars that have ended",
        received=f"{timeframe}, {window}",
        remedy=remedy,
    )
