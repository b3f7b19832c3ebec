"""Heat maps of coverage: the covered share of the expected bars, by symbol and month or year."""

from __future__ import annotations

from collections.abc import Sequence

from trading_platform.domain.charts import heat_map
from trading_platform.domain.market.calendars import last_closed
from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.time import Clock, Timeframe, Window, partition_windows, within
from trading_platform.stores.market_data.checks import CheckStore
from trading_platform.stores.stores import Stores
from trading_platform.workflows.bars.bar_sources import Sources
from trading_platform.workflows.bars.count_coverage import count_coverage


def coverage_maps(
    stores: Stores, sources: Sources, instruments: Sequence[Instrument], *, clock: Clock
) -> dict[tuple[str, str], str]:
    """One map in Markdown for each timeframe with data, by timeframe and unit of its columns.

    A cell is the share of the expected bars that are stored, rejected or confirmed empty; missing bars and those
    pending confirmation lower it.
    """
    drawn = {}
    for timeframe in Timeframe:
        shares: dict[str, dict[str, float]] = {}
        windows = _windows(stores, instruments, timeframe, clock)
        for count in count_coverage(stores, sources, instruments, timeframe, windows, clock=clock):
            if count.expected:
                name = f"{count.window.start:%Y-%m}" if timeframe.is_intraday else f"{count.window.start:%Y}"
                uncovered = count.missing + count.pending_confirmation
                shares.setdefault(count.symbol, {})[name] = 1 - uncovered / count.expected
        if shares:
            drawn[timeframe.value, "month" if timeframe.is_intraday else "year"] = heat_map(shares)
    return drawn


def _windows(
    stores: Stores, instruments: Sequence[Instrument], timeframe: Timeframe, clock: Clock
) -> dict[str, list[Window]]:
    """For each symbol, the partitions from the first to the last request, coverage or stored bar."""
    now = clock()
    spans = CheckStore(stores.database).recorded_spans([each.symbol for each in instruments], timeframe)
    found = {}
    for instrument in instruments:
        span = spans.get(instrument.symbol)
        end = last_closed(instrument.calendar, timeframe, now)
        if span is not None and span.start < end:
            closed = Window(span.start, min(span.end, end))
            found[instrument.symbol] = within(partition_windows(timeframe, closed), closed)
    return found
