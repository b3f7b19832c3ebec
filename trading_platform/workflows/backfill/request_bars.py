"""Requests windows of bars of one instrument from its source, and stores each response as it comes.

A window is cut into requests no longer than the source takes. Each response, or page of one, is committed by itself
(:mod:`trading_platform.workflows.backfill.store_response`), so that an interrupted and repeated run gives the same rows
as an undisturbed one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta

from trading_platform.domain.errors import SourceError
from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.time import Clock, Timeframe, Window, within
from trading_platform.sources.base import BarResponse, BarSource, PagedSource
from trading_platform.stores.market_data.completeness.coverage import Outcome, Request
from trading_platform.stores.stores import Stores
from trading_platform.workflows.backfill.confirm_empty_responses import suspect_windows
from trading_platform.workflows.backfill.reject_fillers import without_fillers
from trading_platform.workflows.backfill.store_response import Repairs, store_response
from trading_platform.workflows.progress import Progress, silent


def fetch_missing(
    stores: Stores,
    source: BarSource,
    instrument: Instrument,
    timeframe: Timeframe,
    closed: Sequence[Window],
    *,
    clock: Clock,
    force: bool,
    progress: Progress,
) -> list[bool]:
    """Requests the bars of some windows that the source has not answered for.

    Args:
        stores: the stores to write to.
        source: the source.
        instrument: the instrument.
        timeframe: length of the bars.
        closed: the windows, which have ended.
        clock: source of the time of the request.
        force: request everything in its available history again, regardless of coverage.
        progress: receives a report after each response.

    Returns:
        One entry per response: whether it changed anything.

    Raises:
        SourceError: if a request failed; the failure is recorded, and earlier responses stay stored.
    """
    changes: list[bool] = []
    for window in Window.merge(closed):
        if force:
            missing = within(source.available_history(instrument, timeframe), window)
        else:
            missing = missing_windows(stores, source, instrument, timeframe, window)
        for gap in missing:
            for request in _cut(gap, source.longest_request(timeframe)):
                changes.extend(_fetch_one(stores, source, instrument, timeframe, request, clock, progress=progress))
    return changes


def missing_windows(
    stores: Stores, source: BarSource, instrument: Instrument, timeframe: Timeframe, window: Window
) -> list[Window]:
    """The parts of a window in the source's available history without an answer; dropped bars count as answered."""
    settled = stores.coverage.settled(instrument.symbol, timeframe).get(source.name, ())
    return [
        missing
        for part in within(source.available_history(instrument, timeframe), window)
        for missing in part.subtract(settled)
    ]


def repair_window(
    stores: Stores, source: BarSource, instrument: Instrument, timeframe: Timeframe, window: Window, clock: Clock
) -> list[bool]:
    """Requests the parts of a window that the source has not answered for, even beyond its available history.

    The responses replace stored bars; bars that were not stored before are marked ``repaired``.

    Returns:
        One entry per request: whether it changed anything.

    Raises:
        SourceError: if a request failed; the failure is recorded, and earlier responses stay stored.
    """
    return [
        changed
        for gap in unanswered(stores, source, instrument, timeframe, window)
        for request in _cut(gap, source.longest_request(timeframe))
        for changed in _fetch_one(stores, source, instrument, timeframe, request, clock, repairs=Repairs.NEW)
    ]


def unanswered(
    stores: Stores, source: BarSource, instrument: Instrument, timeframe: Timeframe, window: Window
) -> list[Window]:
    """The parts of a window that the source has not answered for; dropped bars count as answered."""
    return window.subtract(stores.coverage.settled(instrument.symbol, timeframe).get(source.name, ()))


def fill_window(
    stores: Stores,
    source: BarSource,
    instrument: Instrument,
    timeframe: Timeframe,
    window: Window,
    clock: Clock,
    *,
    confirms: Sequence[Window] = (),
) -> list[bool]:
    """As :func:`repair_window`, for the whole window, regardless of coverage.

    Bars that were stored with other values are marked ``repaired``, too: they had been modified.

    Args:
        stores: the stores to write to.
        source: the source.
        instrument: the instrument.
        timeframe: length of the bars.
        window: the window to request.
        clock: source of the time of the request.
        confirms: windows in which an empty response counts as the confirmation of an earlier one.
    """
    changes: list[bool] = []
    for request in _cut(window, source.longest_request(timeframe)):
        changes += _fetch_one(
            stores, source, instrument, timeframe, request, clock, repairs=Repairs.CHANGED, confirms=confirms
        )
    return changes


def _fetch_one(
    stores: Stores,
    source: BarSource,
    instrument: Instrument,
    timeframe: Timeframe,
    window: Window,
    clock: Clock,
    *,
    repairs: Repairs = Repairs.NOTHING,
    confirms: Sequence[Window] = (),
    progress: Progress = silent,
) -> list[bool]:
    """Requests a window and commits each page as it arrives; returns for each page whether it changed anything."""
    symbol, asked_at = instrument.symbol, clock()
    changes: list[bool] = []
    left = window
    try:
        for received in _responses(stores, source, instrument, timeframe, window):
            response = without_fillers(received, instrument, timeframe)
            page = _page_window(response, left) if isinstance(source, PagedSource) else left
            suspect = suspect_windows(stores, source, instrument, timeframe, response, confirms=confirms)
            changed = store_response(
                stores, source.name, instrument, timeframe, page, response, asked_at, repairs=repairs, suspect=suspect
            )
            changes.append(changed)
            done = page.end if response.answered else left.start
            left, asked_at = Window(done, window.end) if done < window.end else left, clock()
            length = timeframe.duration
            progress(f"{symbol} {timeframe}", (done - window.start) // length, (window.end - window.start) // length)
    except SourceError as error:
        stores.coverage.record_failure(
            Request(symbol, timeframe, source.name, left, Outcome.FAILED, source.name, asked_at, note=str(error))
        )
        raise
    return changes


def _responses(
    stores: Stores, source: BarSource, instrument: Instrument, timeframe: Timeframe, window: Window
) -> Iterable[BarResponse]:
    if not isinstance(source, PagedSource):
        return [source.bars(instrument, timeframe, window)]
    resume = stores.checkpoints.read(instrument.symbol, timeframe, source.name)
    return source.bars_in_parts(instrument, timeframe, window, resume)


def _page_window(response: BarResponse, left: Window) -> Window:
    """The part of ``left`` that a page covers: up to the end of its answer."""
    end = response.answered[-1].end if response.answered else left.end
    return Window(left.start, end)


def _cut(window: Window, longest: timedelta) -> Iterator[Window]:
    start = window.start
    while start < window.end:
        end = min(start + longest, window.end)
        yield Window(start, end)
        start = end
