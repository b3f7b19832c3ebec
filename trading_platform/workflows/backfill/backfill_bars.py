"""Backfills bars: requests the time that the calendar expects, minus coverage, and stores the responses.

A timeframe that a source does not offer is rolled up from stored shorter bars
(:mod:`trading_platform.workflows.bars.roll_up_bars`); the others are requested from it
(:mod:`trading_platform.workflows.backfill.request_bars`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trading_platform.domain.errors import ConfigurationError, InvalidRequest, SourceError
from trading_platform.domain.market.calendars import last_closed
from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.quality.completeness import CoverageCount
from trading_platform.domain.time import Clock, Timeframe, Window
from trading_platform.stores.stores import Stores
from trading_platform.workflows.backfill.request_bars import fetch_missing
from trading_platform.workflows.bars.bar_sources import Sources, is_rolled_up, source_of
from trading_platform.workflows.bars.count_coverage import count_coverage
from trading_platform.workflows.bars.roll_up_bars import roll_up_bars
from trading_platform.workflows.progress import Progress, silent


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
                closed = _closed(instrument, timeframe, partitions, clock)
                done = fetch_missing(
                    stores, source, instrument, timeframe, closed, clock=clock, force=force, progress=progress
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


def _closed(instrument: Instrument, timeframe: Timeframe, partitions: Sequence[Window], clock: Clock) -> list[Window]:
    end = last_closed(instrument.calendar, timeframe, clock())
    return [Window(window.start, min(window.end, end)) for window in partitions if window.start < end]
