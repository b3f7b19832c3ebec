"""Backfills bars: requests what the calendar expects and sources have not answered for.

A timeframe a source does not have is rolled up from the stored 1m bars
(:mod:`trading_platform.workflows.bars.roll_up_bars`). Each request is committed whole, bars, coverage
and quarantine together, so that interrupting and running again gives the rows of an undisturbed run.
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
from trading_platform.domain.time import Clock, Timeframe, Window
from trading_platform.sources.base import NEEDS_SETTING, BarResponse, BarSource, PagedSource
from trading_platform.stores.market_data.coverage import Outcome, Request
from trading_platform.stores.stores import Stores
from trading_platform.workflows.bars.confirm_empty_responses import suspect_windows
from trading_platform.workflows.bars.count_coverage import count_coverage, within
from trading_platform.workflows.bars.reconcile_sources import reconcile_versions
from trading_platform.workflows.bars.roll_up_bars import roll_up_bars
from trading_platform.workflows.progress import Progress, silent

Sources = Mapping[str, BarSource]
"""The configured sources, by the name that an instrument gives as its source."""


class Repairs(Enum):
    """Which bars of a response are marked ``repaired``: none, those not stored before, or changed ones as well."""

    NOTHING = auto()
    NEW = auto()
    CHANGED = auto()


@dataclass(frozen=True)
class Failure:
    """A symbol with bars that could not be fetched, and the error; other symbols are not affected."""

    symbol: str
    error: SourceError | InvalidRequest | ConfigurationError


@dataclass(frozen=True)
class BackfillReport:
    """Result of a backfill: coverage counts for each symbol and partition, and the failures."""

    timeframe: Timeframe
    accounts: tuple[CoverageCount, ...]
    failures: tuple[Failure, ...]
    requests: int
    changed_symbols: frozenset[str]


def source_of(sources: Sources, instrument: Instrument) -> BarSource:
    """The source of an instrument.

    Raises:
        ConfigurationError: if that source is not configured.
    """
    try:
        return sources[instrument.source]
    except KeyError:
        setting = NEEDS_SETTING.get(instrument.source)
        if setting is not None:
            raise ConfigurationError(
                f"{instrument.symbol} wants its bars from {instrument.source}, which is not configured.",
                expected=f"{setting} set in the environment or in .env",
                received="nothing",
                remedy=f"set {setting} (.env.example explains it), or give the instrument another source",
            ) from None
        raise ConfigurationError(
            f"{instrument.symbol} wants its bars from a source there is not.",
            expected=f"one of {', '.join(sorted(sources))}",
            received=instrument.source,
            remedy=f"`trading-platform instruments add {instrument.symbol} --source …` changes it",
        ) from None


def is_rolled_up(sources: Sources, instrument: Instrument, timeframe: Timeframe) -> bool:
    """Whether these bars are rolled up from the stored 1m bars, because the source has none of that length."""
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
    """Brings the bars of the given symbols and partitions to what their sources have.

    Args:
        stores: the stores to write to.
        sources: the configured sources by name.
        instruments: the instruments to backfill.
        timeframe: length of the bars.
        partitions: disjoint whole partitions, in order.
        clock: the current time; it determines which bars are final.
        force: request everything again, whatever was answered before.
        progress: called after each symbol.

    Returns:
        The coverage counts and the failed symbols; the bars of the other symbols are stored nevertheless.
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
    if changed and timeframe is Timeframe.M1:
        stores.retention.refresh_hours(clock())
    windows = {instrument.symbol: partitions for instrument in instruments}
    accounts = count_coverage(stores, sources, instruments, timeframe, windows, clock=clock)
    return BackfillReport(timeframe, tuple(accounts), tuple(failures), requests, frozenset(changed))


def missing_windows(
    stores: Stores, source: BarSource, instrument: Instrument, timeframe: Timeframe, window: Window
) -> list[Window]:
    """The parts of a window that the source offers and has not answered for; dropped bars count as answered."""
    known = stores.coverage.settled(instrument.symbol, timeframe).get(source.name, ())
    return [
        missing
        for part in within(source.available_history(instrument, timeframe), window)
        for missing in part.subtract(known)
    ]


def repair_window(
    stores: Stores, source: BarSource, instrument: Instrument, timeframe: Timeframe, window: Window, clock: Clock
) -> list[bool]:
    """Requests the unanswered parts of a window, even outside the source's available history.

    The response replaces the bars stored there; bars that were not stored before are marked ``repaired``.

    Returns:
        One entry per request: whether it changed anything.

    Raises:
        SourceError: if a request failed; the failure is recorded, and what was stored before stays.
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
    """Requests all of a window as :func:`repair_window` does, whatever the source has answered before.

    Bars that were stored with other values are marked ``repaired``, too: they had been modified.

    Args:
        stores: the stores to write to.
        source: the source to request from.
        instrument: the instrument to fetch.
        timeframe: length of the bars.
        window: the window to request.
        clock: the current time, recorded as the time of the request.
        confirms: where a repeated empty response counts as confirmed.
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
    """Requests what is missing; returns one entry per request: whether it changed anything."""
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
    """Requests a window and commits each response as it arrives; returns for each whether it changed anything."""
    symbol, asked_at = instrument.symbol, clock()
    changes: list[bool] = []
    left = window
    try:
        for response in _answers(stores, source, instrument, timeframe, window):
            told = _told(response, left) if isinstance(source, PagedSource) else left
            suspect = suspect_windows(stores, source, instrument, timeframe, response, confirms=confirms)
            changed = store_response(
                stores, source.name, instrument, timeframe, told, response, asked_at, repairs=repairs, suspect=suspect
            )
            changes.append(changed)
            done = told.end if response.answered else left.start
            left, asked_at = Window(done, window.end) if done < window.end else left, clock()
            length = timeframe.duration
            progress(f"{symbol} {timeframe}", (done - window.start) // length, (window.end - window.start) // length)
    except SourceError as error:
        stores.coverage.record_failure(
            Request(symbol, timeframe, source.name, left, Outcome.FAILED, source.name, asked_at, note=str(error))
        )
        raise
    return changes


def _answers(
    stores: Stores, source: BarSource, instrument: Instrument, timeframe: Timeframe, window: Window
) -> Iterable[BarResponse]:
    if not isinstance(source, PagedSource):
        return [source.bars(instrument, timeframe, window)]
    resume = stores.checkpoints.read(instrument.symbol, timeframe, source.name)
    return source.bars_in_parts(instrument, timeframe, window, resume)


def _told(response: BarResponse, left: Window) -> Window:
    """The part of ``left`` that a page covers: up to the end of what it answers."""
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
        instrument: the instrument requested.
        timeframe: length of the bars.
        window: the requested window.
        response: the response of the source.
        asked_at: time of the request.
        repairs: which bars to mark ``repaired``.
        suspect: the parts of the response that are pending confirmation
            (:func:`~trading_platform.workflows.bars.confirm_empty_responses.suspect_windows`): nothing is stored or
            deleted there.

    Returns:
        Whether any bar changed.
    """
    symbol = instrument.symbol
    believed = [part for window in Window.merge(response.answered) for part in window.subtract(suspect)]
    stores.bars.prepare(timeframe, response.bars)
    with stores.database.begin() as connection:
        changed = False
        for part in believed:
            before = stores.bars.previous_close(connection, symbol, timeframe, part.start)
            bars = response.bars.filter(pl.col("time").is_between(part.start, part.end, closed="left"))
            if repairs is not Repairs.NOTHING:
                bars = _mark_repaired(
                    bars, stores.bars.read([symbol], timeframe, part), changed=repairs is Repairs.CHANGED
                )
            changed |= stores.bars.replace(connection, symbol, timeframe, part, mark_gaps(bars, before))
        stores.quarantine.add(
            connection,
            response.rejected,
            source=source,
            symbol=symbol,
            timeframe=timeframe.value,
            origin=response.origin,
        )
        if changed:
            stores.conflicting_versions.withdraw(connection, symbol, timeframe, source, response.answered)
        for version in response.second_versions:
            _, gave_way = reconcile_versions(
                stores, connection, version, instrument, timeframe, source=source, origin=response.origin, now=asked_at
            )
            changed |= gave_way
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
            believed,
            suspect,
        )
    return changed


def _mark_repaired(bars: pl.DataFrame, stored: pl.DataFrame, *, changed: bool) -> pl.DataFrame:
    """The same bars; those made of trades that are not stored, or stored only by a repair, are marked ``repaired``.

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
