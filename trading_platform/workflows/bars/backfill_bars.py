"""Backfills bars: requests the time that the calendar expects, minus coverage, and stores the responses.

A timeframe that a source does not offer is rolled up from stored shorter bars
(:mod:`trading_platform.workflows.bars.roll_up_bars`). Bars, coverage and quarantine of a request are committed
together, so that an interrupted and repeated run gives the same rows as an undisturbed one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto

import polars as pl

from trading_platform.domain.errors import ConfigurationError, InvalidRequest, SourceError
from trading_platform.domain.market.bars import PRICES, Quality, mark_gaps
from trading_platform.domain.market.calendars import last_closed
from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.quality.completeness import CoverageCount
from trading_platform.domain.quality.listed_rows import ListedRows
from trading_platform.domain.time import Clock, Timeframe, Window, within
from trading_platform.sources.base import NEEDS_SETTING, BarResponse, BarSource, PagedSource
from trading_platform.stores.market_data.coverage import Outcome, Request
from trading_platform.stores.stores import Stores
from trading_platform.workflows.bars.confirm_empty_responses import suspect_windows
from trading_platform.workflows.bars.count_coverage import count_coverage
from trading_platform.workflows.bars.reconcile_sources import reconcile_versions
from trading_platform.workflows.bars.reject_fillers import without_fillers
from trading_platform.workflows.bars.roll_up_bars import roll_up_bars
from trading_platform.workflows.progress import Progress, silent

Sources = Mapping[str, BarSource]
"""The configured sources, by the name that instruments give as their source."""


class Repairs(Enum):
    """Which bars of a response are marked ``repaired``: none, new ones, or new and changed ones."""

    NOTHING = auto()
    NEW = auto()
    CHANGED = auto()


@dataclass(frozen=True)
class Failure:
    """A symbol with failed requests, and the error; other symbols are not affected."""

    symbol: str
    error: SourceError | InvalidRequest | ConfigurationError


@dataclass(frozen=True)
class BackfillReport:
    """Result of a backfill, with the coverage count of each symbol and partition."""

    timeframe: Timeframe
    counts: tuple[CoverageCount, ...]
    failures: tuple[Failure, ...]
    requests: int
    changed_symbols: frozenset[str]


def source_of(sources: Sources, instrument: Instrument) -> BarSource:
    """The source of an instrument.

    Raises:
        ConfigurationError: if the source does not exist or is not configured.
    """
    try:
        return sources[instrument.source]
    except KeyError:
        setting = NEEDS_SETTING.get(instrument.source)
        if setting is not None:
            raise ConfigurationError(
                f"{instrument.symbol} takes its bars from {instrument.source}, which is not configured.",
                expected=f"{setting} set in the environment or in .env",
                received="nothing",
                remedy=f"set {setting} (.env.example explains it), or give the instrument another source",
            ) from None
        raise ConfigurationError(
            f"{instrument.symbol} takes its bars from an unknown source.",
            expected=f"one of {', '.join(sorted(sources))}",
            received=instrument.source,
            remedy=f"`trading-platform instruments add {instrument.symbol} --source …` changes it",
        ) from None


def is_rolled_up(sources: Sources, instrument: Instrument, timeframe: Timeframe) -> bool:
    """Whether these bars are rolled up from stored shorter bars, because the source does not offer the timeframe."""
    return timeframe is not Timeframe.M1 and not source_of(sources, instrument).available_history(instrument, timeframe)


def backfill_bars(
    stores: Stores,
    sources: Sources,
    instruments: Sequence[Instrument],
    timeframe: Timeframe,
    partitions: Sequence[Window],
    *,
    clock: Clock,
    force: bool = False,
    progress: Progress = silent,
) -> BackfillReport:
    """Fetches the missing bars of some symbols and partitions from their sources.

    Args:
        stores: the stores to write to.
        sources: the configured sources.
        instruments: the instruments.
        timeframe: length of the bars.
        partitions: disjoint whole partitions, in order.
        clock: determines which bars are final.
        force: request everything again, regardless of coverage.
        progress: receives a report after each symbol.

    Returns:
        The coverage counts, and the symbols that failed; the others are stored nevertheless.
    """
    failures: list[Failure] = []
    changed: set[str] = set()
    requests = 0
    for number, instrument in enumerate(instruments, start=1):
        try:
            if is_rolled_up(sources, instrument, timeframe):
                done = roll_up_bars(stores, instrument, timeframe, partitions, clock=clock, force=force)
            else:
                source = source_of(sources, instrument)
                done = _fetch(
                    stores, source, instrument, timeframe, partitions, clock=clock, force=force, progress=progress
                )
            requests += len(done)
            if any(done):
                changed.add(instrument.symbol)
        except (SourceError, InvalidRequest, ConfigurationError) as error:
            failures.append(Failure(instrument.symbol, error))
        progress(f"{timeframe} bars", number, len(instruments))
    if timeframe is Timeframe.M1:  # changed or not: an interrupted run may have stored minutes without refreshing hours
        stores.retention.refresh_hours(clock())
    windows = {instrument.symbol: partitions for instrument in instruments}
    counts = count_coverage(stores, sources, instruments, timeframe, windows, clock=clock)
    return BackfillReport(timeframe, tuple(counts), tuple(failures), requests, frozenset(changed))


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


def _closed(instrument: Instrument, timeframe: Timeframe, partitions: Sequence[Window], clock: Clock) -> list[Window]:
    end = last_closed(instrument.calendar, timeframe, clock())
    return [Window(window.start, min(window.end, end)) for window in partitions if window.start < end]


def _fetch(
    stores: Stores,
    source: BarSource,
    instrument: Instrument,
    timeframe: Timeframe,
    partitions: Sequence[Window],
    *,
    clock: Clock,
    force: bool,
    progress: Progress,
) -> list[bool]:
    """Requests missing bars; returns one entry per request: whether it changed anything."""
    changes: list[bool] = []
    for window in Window.merge(_closed(instrument, timeframe, partitions, clock)):
        if force:
            missing = within(source.available_history(instrument, timeframe), window)
        else:
            missing = missing_windows(stores, source, instrument, timeframe, window)
        for gap in missing:
            for request in _cut(gap, source.longest_request(timeframe)):
                changes.extend(_fetch_one(stores, source, instrument, timeframe, request, clock, progress=progress))
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


def store_response(
    stores: Stores,
    source: str,
    instrument: Instrument,
    timeframe: Timeframe,
    window: Window,
    response: BarResponse,
    asked_at: datetime,
    *,
    repairs: Repairs = Repairs.NOTHING,
    suspect: Sequence[Window] = (),
) -> bool:
    """Commits a response of a source: bars, coverage and rejected rows, together or not at all.

    Args:
        stores: the stores to write to.
        source: name of the source.
        instrument: the instrument.
        timeframe: length of the bars.
        window: the requested window.
        response: the response.
        asked_at: time of the request.
        repairs: which bars to mark ``repaired``.
        suspect: windows of the response that are pending confirmation
            (:func:`~trading_platform.workflows.bars.confirm_empty_responses.suspect_windows`): nothing is stored or
            deleted there.

    Returns:
        Whether any bar changed.
    """
    symbol = instrument.symbol
    accepted = [part for window in Window.merge(response.answered) for part in window.subtract(suspect)]
    stores.bars.prepare(timeframe, response.bars)
    with stores.database.begin() as connection:
        changed = False
        for part in accepted:
            before = stores.bars.previous_close(connection, symbol, timeframe, part.start)
            bars = response.bars.filter(pl.col("time").is_between(part.start, part.end, closed="left"))
            if repairs is not Repairs.NOTHING:
                bars = _mark_repaired(
                    bars, stores.bars.read([symbol], timeframe, part), changed=repairs is Repairs.CHANGED
                )
            changed |= stores.bars.replace(connection, symbol, timeframe, part, mark_gaps(bars, before))
        stores.quarantine.add(
            connection,
            ListedRows().all_of(response.rejected, timeframe.duration),
            source=source,
            symbol=symbol,
            timeframe=timeframe.value,
            origin=response.origin,
        )
        if changed:
            stores.conflicting_versions.withdraw(connection, symbol, timeframe, source, response.answered)
        for version in response.second_versions:
            _, replaced = reconcile_versions(
                stores, connection, version, instrument, timeframe, source=source, origin=response.origin, now=asked_at
            )
            changed |= replaced
        if response.resume is not None:
            stores.checkpoints.save(connection, symbol, timeframe, source, response.resume, asked_at)
            if not response.answered:
                return changed  # a page inside one bar
        stores.coverage.record(
            connection,
            Request(
                symbol,
                timeframe,
                source,
                window,
                _outcome(response),
                response.origin,
                asked_at,
                stored=response.bars.height,
                rejected=int(response.rejected["row_count"].sum()),
                changed=changed,
                note=response.note,
            ),
            accepted,
            suspect,
        )
    return changed


def _mark_repaired(bars: pl.DataFrame, stored: pl.DataFrame, *, changed: bool) -> pl.DataFrame:
    """Marks as ``repaired`` the bars with trades that are not stored, or are stored as ``repaired`` already.

    Args:
        bars: the bars of the response.
        stored: the stored bars.
        changed: also mark bars that are stored with other values.
    """
    key = ["time", *PRICES, "volume"] if changed else ["time"]
    seen = stored.filter(pl.col("quality") != Quality.REPAIRED.value).select(*key, seen=pl.lit(value=True))
    new = (pl.col("quality") == Quality.TRADED.value) & pl.col("seen").is_null()
    return (
        bars.join(seen, on=key, how="left", nulls_equal=True)
        .with_columns(quality=pl.when(new).then(pl.lit(Quality.REPAIRED.value)).otherwise(pl.col("quality")))
        .select(bars.columns)
        .sort("time")
    )


def _outcome(response: BarResponse) -> Outcome:
    if response.bars.height:
        return Outcome.STORED
    return Outcome.EMPTY if response.answered else Outcome.FAILED


def _cut(window: Window, longest: timedelta) -> Iterator[Window]:
    start = window.start
    while start < window.end:
        end = min(start + longest, window.end)
        yield Window(start, end)
        start = end
