"""Interactive Brokers as a source of bars.

A request states its end and how far back it goes, and the meaning of "1 D" differs between markets. So a response
covers only the time between its first bar and the end of the request, or everything if it states that there is
nothing earlier. docs/sources/ibkr.md has the reasons.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl

from trading_platform.domain.errors import SourceError, SourceRejected
from trading_platform.domain.market.bars import empty_bars
from trading_platform.domain.market.calendars import ALWAYS_OPEN, FX_WEEK, expected_times, last_closed, timezone_of
from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.quality.rules import empty_rejected
from trading_platform.domain.time import Clock, Timeframe, Window, utc_now
from trading_platform.sources.base import BarResponse
from trading_platform.sources.ibkr.client import IbkrClient
from trading_platform.sources.ibkr.contracts import Qualified
from trading_platform.sources.ibkr.durations import BAR_SIZES, duration_for, longest_duration
from trading_platform.sources.ibkr.parse import raw_bars, read_bars, slot_of, time_of
from trading_platform.sources.ibkr.requests import HistoryRequest

if TYPE_CHECKING:
    from ib_async import BarData

_SETTLING = {True: timedelta(minutes=1), False: timedelta(minutes=30)}
"""How long after its end a bar is requested, intraday or not: by then late trades and the closing auction are in it."""

_MOST_PAGES = 12
"""Maximum number of requests for one interval; two are normal if nothing was traded at its beginning."""

_HISTORY = {True: timedelta(days=2 * 365), False: timedelta(days=20 * 365)}
"""The available history, intraday or not."""


@dataclass(frozen=True)
class _Read:
    """The result for an interval: bars, the covered part of it, and why not all of it is covered."""

    bars: list[BarData]
    answered: Window | None
    failure: SourceError | None = None


class IbkrSource:
    """Interactive Brokers as a ``BarSource``.

    Args:
        open_client: opens the client; called at the first request for bars.
        clock: the present, by which a bar counts as closed; if it is ahead of theirs, theirs is used.
    """

    name = "ibkr"

    def __init__(self, open_client: Callable[[], IbkrClient], *, clock: Clock = utc_now) -> None:
        self._open_client = open_client
        self._clock = clock
        self._client: IbkrClient | None = None

    def longest_request(self, timeframe: Timeframe) -> timedelta:
        """The window of one request: a day of minutes, a year of days."""
        return longest_duration(timeframe)

    def available_history(self, instrument: Instrument, timeframe: Timeframe) -> tuple[Window, ...]:
        """Two years of intraday bars, twenty of daily ones.

        None if the vendor's bars are not aligned with ours: days of markets that do not close, and hours where
        the clock is not whole hours from UTC. These are rolled up from minutes.
        """
        if not _cut_alike(instrument.calendar, timeframe, self._clock()):
            return ()
        end = last_closed(instrument.calendar, timeframe, self._clock() - _SETTLING[timeframe.is_intraday])
        start = (end - _HISTORY[timeframe.is_intraday]).replace(hour=0, minute=0, second=0, microsecond=0)
        return (Window(start, end),)

    def bars(self, instrument: Instrument, timeframe: Timeframe, window: Window) -> BarResponse:
        """The bars of ``window``; also of windows before ``available_history``.

        Raises:
            ConfigurationError: if Interactive Brokers is not configured.
            InvalidRequest: if the instrument's exchange is unknown.
            RateLimited: if the limits were exceeded.
            SourceRejected: if it has no such bars, no such contract, or rejects the request.
            SourceUnavailable: if there was no response.
        """
        if not _cut_alike(instrument.calendar, timeframe, window.start):
            raise _no_such_bars(timeframe, window, "they are rolled up from 1m bars")
        client = self._connected()
        now = self._clock() - client.ahead()
        end = min(window.end, last_closed(instrument.calendar, timeframe, now - _SETTLING[timeframe.is_intraday]))
        if end <= window.start:
            raise _no_such_bars(timeframe, window, "request it again when a bar of the window has ended")
        closed = Window(window.start, end)
        intervals = list(_intervals(instrument.calendar, timeframe, closed))
        if not intervals:
            return BarResponse(empty_bars(), empty_rejected(), (closed,), f"calendar {instrument.calendar}: closed")
        of = client.contract(instrument)
        reads = list(_read_all(client, of, timeframe, intervals, now))
        if all(read.answered is None for read in reads) and (failure := reads[-1].failure) is not None:
            raise failure
        return self._response(of, timeframe, window, closed, intervals, reads)

    def close(self) -> None:
        """Closes the connection, if there is one."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _connected(self) -> IbkrClient:
        if self._client is None:
            self._client = self._open_client()
        return self._client

    def _response(
        self,
        of: Qualified,
        timeframe: Timeframe,
        window: Window,
        closed: Window,
        intervals: list[Window],
        reads: list[_Read],
    ) -> BarResponse:
        unanswered = _unanswered(intervals, reads)
        failure = reads[-1].failure
        if failure is not None:
            note: str | None = str(failure)
        elif unanswered:
            note = "Interactive Brokers returned no bars for the earlier part and did not state that there are none"
        else:
            note = None if closed.end == window.end else "the later bars of the window have not ended"
        raw = raw_bars(
            [bar for read in reads for bar in read.bars], timeframe, min_tick=of.min_tick, has_volume=of.has_volume
        )
        read = read_bars(raw, of.instrument.symbol, timeframe, closed, source=self.name, now=self._clock())
        answered = tuple(closed.subtract(unanswered))
        inside = [
            pl.lit(value=False),
            *(pl.col("time").is_between(part.start, part.end, closed="left") for part in answered),
        ]
        return BarResponse(
            bars=read.bars.filter(pl.any_horizontal(inside)),
            rejected=read.rejected,
            answered=answered,
            origin=f"{self._connected().gateway} reqHistoricalData conId={of.contract.conId} {of.what} "
            f"{BAR_SIZES[timeframe]}, {closed}",
            note=note,
        )


def _cut_alike(calendar: str, timeframe: Timeframe, timestamp: datetime) -> bool:
    """Whether the vendor's bars of that length cover the same times as ours."""
    if timeframe is Timeframe.D1:
        return calendar not in (ALWAYS_OPEN, FX_WEEK)
    if timeframe is Timeframe.H1:
        offset = timestamp.astimezone(timezone_of(calendar)).utcoffset() or timedelta(0)
        return not offset % timedelta(hours=1)
    return True


def _intervals(calendar: str, timeframe: Timeframe, window: Window) -> Iterator[Window]:
    """The parts of ``window`` to request, each from the first bar the market can have to the last."""
    start = window.start
    while start < window.end:
        end = min(start + longest_duration(timeframe), window.end)
        times = expected_times(calendar, timeframe, Window(start, end))
        if len(times):
            yield Window(times[0], min(times[-1] + timeframe.duration, end))
        start = end


def _read_all(
    client: IbkrClient, of: Qualified, timeframe: Timeframe, intervals: list[Window], now: datetime
) -> Iterator[_Read]:
    """The result of each interval, up to the first that fails."""
    for interval in intervals:
        read = _read_back(client, of, timeframe, interval, now)
        yield read
        if read.failure is not None:
            return


def _read_back(client: IbkrClient, of: Qualified, timeframe: Timeframe, interval: Window, now: datetime) -> _Read:
    """Requests an interval from its end backwards until its beginning is covered."""
    bars: list[BarData] = []
    end = interval.end
    for _page in range(_MOST_PAGES):
        duration = duration_for(end - interval.start, timeframe)
        try:
            page = client.history(HistoryRequest(of, min(end, now), duration, BAR_SIZES[timeframe]))
        except SourceError as failure:
            return _Read(bars, _later(interval, end), failure)
        if not page:
            return _Read(bars, interval)
        earlier = [bar for bar in page if _slot(bar, timeframe) < end]
        if not earlier:
            break  # another request would return the same
        bars = earlier + bars
        end = _slot(earlier[0], timeframe)
        if end <= interval.start:
            return _Read(bars, interval)
    return _Read(bars, _later(interval, end))


def _later(interval: Window, timestamp: datetime) -> Window | None:
    return Window(timestamp, interval.end) if timestamp < interval.end else None


def _slot(bar: BarData, timeframe: Timeframe) -> datetime:
    """The beginning of the interval on our grid that contains a bar."""
    return slot_of(time_of(bar.date), timeframe)


def _unanswered(intervals: list[Window], reads: list[_Read]) -> list[Window]:
    left: list[Window] = []
    for number, interval in enumerate(intervals):
        answered = reads[number].answered if number < len(reads) else None
        left.extend(interval.subtract([answered] if answered is not None else []))
    return left


def _no_such_bars(timeframe: Timeframe, window: Window, remedy: str) -> SourceRejected:
    return SourceRejected(
        f"Interactive Brokers has no {timeframe} bars of that window.",
        expected="bars that have ended, aligned with the platform's",
        received=f"{timeframe}, {window}",
        remedy=remedy,
    )
