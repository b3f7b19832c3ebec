"""Kraken as a source of bars, from three kinds of data: imported archives, then trades, then the last candles.

Its candles go back 720 of a length, which is half a day of minutes. Its trades go back to the beginning,
a thousand per request. Its bulk archives are files that a user downloads. The platform rolls 5m and 1h bars up
from minutes. docs/decisions/0026-kraken-source-priority.md has the reasons.
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
from trading_platform.domain.rejection_reasons import Reason
from trading_platform.domain.time import Clock, Timeframe, Window, utc_now
from trading_platform.sources.base import BarResponse, Effort, SecondVersion
from trading_platform.sources.kraken.client import OHLC_ROWS, KrakenClient, nanoseconds
from trading_platform.sources.kraken.cursor import PAGE
from trading_platform.sources.kraken.landing_source import KrakenArchive
from trading_platform.sources.kraken.minutes import SOURCE, MinuteCursor, advance
from trading_platform.sources.kraken.pairs import KrakenPair, too_fine
from trading_platform.sources.strict_json import excerpt, number_of

_BEFORE = timedelta(minutes=5)
"""How far before a window its trades are requested, to have the price it opens from: part of the first page.
Stored bars of these minutes are compared."""
_FURTHER_BEFORE = (timedelta(hours=1), timedelta(days=1))
"""How far back to search, one request each, if there was no trade in :data:`_BEFORE`."""
_TIME_RESOLUTION = timedelta(seconds=1)
"""Kraken sends its time in whole seconds, so its clock may be up to this much ahead of the value."""
_COMPARED_CANDLES = 10
"""Minimum number of candles available before the requested ones when candles take over from trades."""
_WHOLE_HISTORY = timedelta(days=36_600)
_MOST_TRADES = 10**9  # of a pair in a day: a thousand times its busiest


class KrakenSource:
    """Kraken behind ``BarSource`` and ``PagedSource``.

    Args:
        client: client of Kraken.
        imports_directory: directory of the imported archives; None: there are none.
        trades_history: available history of minute bars from trades; trades go back to the beginning,
            but each thousand of them is a request.
        requests_per_second: request rate, for estimates.
        clock: the present, by which a bar counts as closed. If it is ahead of Kraken's by more
            than a second, Kraken's is used: a minute that is running there has not ended.
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
        """Everything at once: the response comes in pages."""
        del timeframe
        return _WHOLE_HISTORY

    def available_history(self, instrument: Instrument, timeframe: Timeframe) -> tuple[Window, ...]:
        """The imported archives; besides, for daily bars the 720 days before today, for minutes ``trades_history``."""
        if timeframe not in (Timeframe.D1, Timeframe.M1):
            return ()
        end = last_closed(ALWAYS_OPEN, timeframe, self._clock())
        length = timedelta(days=OHLC_ROWS) if timeframe is Timeframe.D1 else self._trades_history
        return tuple(Window.merge([*self._archived(instrument.symbol, timeframe), Window(end - length, end)]))

    def bars(self, instrument: Instrument, timeframe: Timeframe, window: Window) -> BarResponse:
        """The bars of ``window``, all pages together; minute bars also of windows before ``available_history``.

        Raises:
            SourceRejected: if Kraken has no such pair, no bars of that length, or none of that window.
            SourceError: if any page is not available.
        """
        parts = list(self.bars_in_parts(instrument, timeframe, window, None))
        answered = tuple(Window.merge(part for response in parts for part in response.answered))
        return BarResponse(
            bars=pl.concat([response.bars for response in parts]).sort("time"),
            rejected=pl.concat([response.rejected for response in parts]),
            answered=answered,
            origin=parts[0].origin,
            note=None if answered == (window,) else "the rest has not ended, or is before Kraken's available history",
            second_versions=tuple(version for response in parts for version in response.second_versions),
        )

    def bars_in_parts(
        self, instrument: Instrument, timeframe: Timeframe, window: Window, resume: Checkpoint | None
    ) -> Iterator[BarResponse]:
        """The bars of ``window`` page by page: a month of an archive, a page of trades, candles.

        Raises:
            SourceRejected: if Kraken has no such pair, no bars of that length, or none of that window.
            SourceError: if the next page is not available.
        """
        if timeframe not in (Timeframe.D1, Timeframe.M1):
            raise _no_such_bars(timeframe, window, "5m and 1h bars are rolled up from 1m bars")
        symbol = instrument.symbol
        archived = [part for span in self._archived(symbol, timeframe) if (part := span.intersect(window))]
        for part in sorted([*archived, *window.subtract(archived)]):
            if self._archive is not None and part in archived:
                yield from self._archive.responses(symbol, timeframe, part)
            else:
                yield from self._from_kraken(symbol, timeframe, part, resume, alone=not archived)

    def effort(self, instrument: Instrument, timeframe: Timeframe, window: Window) -> Effort:
        """Requests and seconds for a window, estimated from the pair's number of trades in the last 24 hours.

        Raises:
            SourceError: if Kraken does not provide it.
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

    def _from_kraken(
        self, symbol: str, timeframe: Timeframe, window: Window, resume: Checkpoint | None, *, alone: bool
    ) -> Iterator[BarResponse]:
        """The bars of a window from Kraken itself.

        Args:
            symbol: symbol of the bars.
            timeframe: length of the bars.
            window: requested window.
            resume: where to continue.
            alone: an empty result is an error, because no other data cover the window.
        """
        pair = self._client.pairs().find(symbol)
        closed = _closed_part(timeframe, window, self._present())
        if closed is None:
            if alone:
                remedy = "request it again when a bar of the window has ended by Kraken's clock"
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
        """Our clock, minus how far it was ahead of Kraken's at the first request."""
        if self._ahead is None:
            before = self._clock()
            self._ahead = max(timedelta(0), before - self._client.server_time() - _TIME_RESOLUTION)
        return self._clock() - self._ahead

    def _minutes(
        self, symbol: str, pair: KrakenPair, window: Window, resume: Checkpoint | None
    ) -> Iterator[BarResponse]:
        """Trades up to the start of the candles, then candles; all from trades if candles cannot be used."""
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
        """The last minutes from candles, in one request; None if the candles do not certainly cover all of it."""
        if not self._candles_history(window.start):
            return None
        response = self._from_candles(symbol, pair, Timeframe.M1, window)
        whole = response is not None and response.answered == (window,) and response.rejected.is_empty()
        if response is None or not whole:
            return None
        gapless = response.bars.height == (window.end - window.start) // Timeframe.M1.duration
        return response if gapless else None

    def _from_candles(self, symbol: str, pair: KrakenPair, timeframe: Timeframe, window: Window) -> BarResponse | None:
        """The bars of a window from candles; None if it is before the first candle."""
        length = timeframe.duration
        since = int((window.start - (1 + _COMPARED_CANDLES) * length).timestamp())
        rows = self._client.ohlc(pair, length // timedelta(minutes=1), since).rows
        now = self._clock()
        closed = rows.head(-1)
        answered = _answered(rows, window)
        if not answered:
            return None
        # A row without a time cannot be placed outside the window, so it is kept and rejected later.
        outside = (pl.col("time") < window.start) | (pl.col("time") >= window.end)
        screened = screen_bars(closed.filter(~outside.fill_null(value=False)), timeframe, now)
        _refuse_too_fine(symbol, screened.rejected)
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
        """One response per page: the minutes that ended by it, and the checkpoint of the next."""
        start, end = window.start - _BEFORE, nanoseconds(window.end)
        cursor = MinuteCursor.of(resume.token) if resume and resume.at == window.start else None
        first = cursor is None
        cursor = cursor or MinuteCursor.beginning(start, nanoseconds(start) - 1)
        for page in self._client.trade_pages(pair, cursor.since, cursor.seen):
            raw = page.rows.filter((pl.col("time") < window.end).fill_null(value=True))
            screened = screen_trades(raw, self._clock())
            _refuse_too_fine(symbol, screened.rejected)
            if first and screened.accepted.filter(pl.col("time") < window.start).is_empty():
                close = self._price_before(pair, window.start, page.rows)
                cursor = replace(cursor, position=window.start, close=close)
            first = False
            page_since, emitted_before = cursor.since, cursor.position
            bars, cursor = advance(cursor, page, screened.accepted, symbol, window.end, end)
            before = bars.filter(pl.col("time") < window.start)
            covered = max(emitted_before, window.start), cursor.position
            yield BarResponse(
                bars=bars.filter(pl.col("time") >= window.start),
                rejected=screened.rejected,
                answered=(Window(*covered),) if covered[0] < covered[1] else (),
                origin=f"{self._client.url}/0/public/Trades?pair={pair.altname}&since={page_since}",
                second_versions=(SecondVersion(before, "Trades", finer=True),) if before.height else (),
                resume=cursor.point(max(cursor.position, window.start)),
            )
            if cursor.position >= window.end:
                return

    def _price_before(self, pair: KrakenPair, start: datetime, raw: pl.DataFrame) -> Decimal | None:
        """The last price before ``start``, if one page of trades from further back contains it for certain."""
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
    """The part of the window that a response of OHLC covers: from its first candle to the running one.

    A response below the maximum size was not truncated: it covers everything from the window's start.
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
        trades = number_of(of_pair["t"][1])
    except (KeyError, TypeError, ValueError, IndexError):
        trades = None
    if trades is None or not 0 <= trades < _MOST_TRADES:
        raise MalformedPayload(
            "Kraken's response to Ticker does not have the agreed shape.",
            expected="one pair with t, the numbers of trades",
            received=excerpt(ticker),
            remedy="check that KRAKEN_API_URL is Kraken's; if it is, its interface has changed",
        )
    return float(trades)


def _effort(requests: int, rate: float) -> Effort:
    return Effort(requests, requests / rate)


def _refuse_too_fine(symbol: str, rejected: pl.DataFrame) -> None:
    """Raises an error if a row is too fine to be stored: its minute would be wrong without it."""
    fine = rejected.filter(pl.col("reason") == Reason.TOO_FINE.value)
    if fine.height:
        raise too_fine(symbol, str(fine["detail"][0]))


def _no_such_bars(timeframe: Timeframe, window: Window, remedy: str) -> SourceRejected:
    return SourceRejected(
        f"Kraken has no {timeframe} bars of that window.",
        expected="1d within the last 720 days, or 1m, of a window with bars that have ended",
        received=f"{timeframe}, {window}",
        remedy=remedy,
    )
