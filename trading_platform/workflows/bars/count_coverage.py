"""Counts expected bars by their state, for many symbols at once: stored, confirmed empty, rejected, missing.

:func:`trading_platform.domain.quality.completeness.count_by_partition` does the count; this module reads its input.
Backfills report it, ``trading-platform coverage`` shows it, the check ``completeness`` evaluates it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from trading_platform.domain.market.bars import TIME
from trading_platform.domain.market.calendars import expected_times, last_closed
from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.quality.completeness import CoverageCount, count_by_partition
from trading_platform.domain.time import Clock, Timeframe, Window, within
from trading_platform.sources.base import BarSource, is_recorded
from trading_platform.stores.stores import Stores
from trading_platform.workflows.bars.roll_up_bars import rollable, shorter_than

BATCH_BARS = 2_000_000
"""Number of bars read at once: large enough for few round trips, small enough for a laptop's memory."""

_NOTHING = pl.Series("time", [], dtype=TIME)


def count_coverage(
    stores: Stores,
    sources: Mapping[str, BarSource],
    instruments: Sequence[Instrument],
    timeframe: Timeframe,
    windows: Mapping[str, Sequence[Window]],
    *,
    clock: Clock,
) -> Iterator[CoverageCount]:
    """Counts the expected bars of some symbols by their current state, symbol by symbol.

    Args:
        stores: the stores to read.
        sources: the configured sources.
        instruments: the instruments.
        timeframe: length of the bars.
        windows: for each symbol the partitions to count, disjoint and in order; time that has not closed yet is
            left out.
        clock: determines what has closed.

    Yields:
        One count per symbol and window, in the order of ``instruments``.
    """
    closed = {
        instrument.symbol: _closed(instrument, timeframe, windows.get(instrument.symbol, ()), clock)
        for instrument in instruments
    }
    counted = [instrument for instrument in instruments if closed[instrument.symbol]]
    for batch in _batches(counted, timeframe, closed):
        yield from _count_batch(stores, sources, batch, timeframe, closed, clock)


def pending_windows(
    stores: Stores, sources: Mapping[str, BarSource], symbols: Sequence[str], timeframe: Timeframe, clock: Clock
) -> dict[str, list[Window]]:
    """For each symbol, the windows with an empty response that is pending confirmation.

    Times that an imported file leaves out are not among them: they are missing.
    """
    found: dict[str, list[Window]] = {}
    for each in stores.coverage.pending_confirmation(symbols, timeframe, clock()):
        if each.source not in sources or not is_recorded(sources[each.source]):
            found.setdefault(each.symbol, []).append(each.window)
    return {symbol: Window.merge(windows) for symbol, windows in found.items()}


def _closed(instrument: Instrument, timeframe: Timeframe, windows: Sequence[Window], clock: Clock) -> list[Window]:
    end = last_closed(instrument.calendar, timeframe, clock())
    return [Window(window.start, min(window.end, end)) for window in windows if window.start < end]


def _batches(
    instruments: Sequence[Instrument], timeframe: Timeframe, closed: Mapping[str, Sequence[Window]]
) -> Iterator[list[Instrument]]:
    batch: list[Instrument] = []
    bars = 0
    for instrument in instruments:
        whole = _whole(closed[instrument.symbol])
        length = (whole.end - whole.start) // timeframe.duration
        if batch and bars + length > BATCH_BARS:
            yield batch
            batch, bars = [], 0
        batch.append(instrument)
        bars += length
    if batch:
        yield batch


def _count_batch(
    stores: Stores,
    sources: Mapping[str, BarSource],
    instruments: Sequence[Instrument],
    timeframe: Timeframe,
    closed: Mapping[str, Sequence[Window]],
    clock: Clock,
) -> Iterator[CoverageCount]:
    symbols = [instrument.symbol for instrument in instruments]
    whole = _whole(sorted(window for symbol in symbols for window in closed[symbol]))
    stored = _by_symbol(stores.bars.times(symbols, timeframe, whole))
    rejected = _by_symbol(stores.quarantine.times(symbols, timeframe, whole))
    answered = stores.coverage.answered_by_any(symbols, timeframe, clock())
    expired = stores.coverage.expired_by_any(symbols, timeframe, clock())
    pending_confirmation = pending_windows(stores, sources, symbols, timeframe, clock)
    for instrument in instruments:
        symbol = instrument.symbol
        span = _whole(closed[symbol])
        source = sources.get(instrument.source)
        yield from count_by_partition(
            symbol,
            closed[symbol],
            slots=expected_times(instrument.calendar, timeframe, span),
            stored=_inside(stored.get(symbol, _NOTHING), span),
            rejected=_inside(rejected.get(symbol, _NOTHING), span),
            answered=answered.get(symbol, []),
            expired=expired.get(symbol, []),
            pending_confirmation=pending_confirmation.get(symbol, []),
            reachable=within(_reachable(source, instrument, timeframe, span), span) if source else [],
        )


def _reachable(source: BarSource, instrument: Instrument, timeframe: Timeframe, span: Window) -> Sequence[Window]:
    """The windows of the bars that a source offers, or that would be rolled up from whole parts of a recording.

    A longer bar that lacks some of its parts is expected, so that it is counted as missing.
    """
    own = source.available_history(instrument, timeframe)
    if own or timeframe is Timeframe.M1 or not is_recorded(source):
        return own
    parts = {shorter: source.available_history(instrument, shorter) for shorter in shorter_than(timeframe)}
    return Window.merge(window for window, _ in rollable(parts, instrument.calendar, timeframe, span, span.end))


def _whole(windows: Sequence[Window]) -> Window:
    return Window(windows[0].start, max(window.end for window in windows))


def _inside(times: pl.Series, window: Window) -> pl.Series:
    return times.filter(times.is_between(window.start, window.end, closed="left"))


def _by_symbol(times: pl.DataFrame) -> dict[str, pl.Series]:
    return {str(symbol): part["time"] for (symbol,), part in times.partition_by("symbol", as_dict=True).items()}
