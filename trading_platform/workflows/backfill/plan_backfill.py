"""Plans a backfill: determines the partitions that are incomplete or stale.

A plan uses only coverage and input versions, before anything is started, so that repeating a finished backfill
costs a few queries.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trading_platform.domain.errors import SourceError
from trading_platform.domain.market.calendars import last_closed
from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.time import Clock, Timeframe, Window, partition_windows, within
from trading_platform.sources.base import PagedSource
from trading_platform.stores.market_data.completeness.coverage import ROLLED_UP
from trading_platform.stores.stores import Stores
from trading_platform.workflows.backfill.request_bars import missing_windows
from trading_platform.workflows.bars import roll_up_bars
from trading_platform.workflows.bars.bar_sources import Sources, source_of
from trading_platform.workflows.derived import build_features, compute_indicators


@dataclass(frozen=True)
class AvailableHistory:
    """The available history of an instrument's bars of one timeframe.

    Attributes:
        instrument: the instrument.
        timeframe: length of the bars.
        windows: disjoint windows, in order.
        rolled_up: whether the bars are rolled up from minutes.
        left_out: available bars from before the first partition, which are not stored; None if there are none.
    """

    instrument: Instrument
    timeframe: Timeframe
    windows: tuple[Window, ...]
    rolled_up: bool
    left_out: Window | None = None

    def partitions(self, requested: Window | None) -> list[Window]:
        """The whole partitions that overlap it within ``requested`` (None: the whole history)."""
        parts = self.windows if requested is None else within(self.windows, requested)
        return sorted({partition for part in parts for partition in partition_windows(self.timeframe, part)})


def available_history_of(
    stores: Stores, sources: Sources, instrument: Instrument, timeframe: Timeframe, clock: Clock
) -> AvailableHistory | None:
    """The available history of an instrument's bars: from its source, or rolled up from shorter ones.

    It includes bars that a source has answered for before, even if the source no longer offers them.
    """
    source = source_of(sources, instrument)
    own = source.available_history(instrument, timeframe)
    rolled_up = not own and timeframe is not Timeframe.M1
    windows: list[Window] = []
    for length in roll_up_bars.shorter_than(timeframe) if rolled_up else [timeframe]:
        windows += source.available_history(instrument, length)
        for name, answered in stores.coverage.answered(instrument.symbol, length).items():
            windows += answered if name != ROLLED_UP or not rolled_up else []
    end = last_closed(instrument.calendar, timeframe, clock())
    windows = Window.merge(Window(window.start, min(window.end, end)) for window in windows if window.start < end)
    if not windows:
        return None
    first = timeframe.stored_from
    stored = tuple(Window(max(window.start, first), window.end) for window in windows if window.end > first)
    begin = windows[0].start
    left_out = Window(begin, min(windows[-1].end, first)) if begin < first else None
    return AvailableHistory(instrument, timeframe, stored, rolled_up, left_out)


@dataclass(frozen=True)
class Ahead:
    """The estimated requests to a paged source.

    Attributes:
        symbol: the symbol.
        timeframe: length of the requested bars; longer ones may be rolled up from them.
        source: name of the source.
        window: from the first to the last missing bar.
        requests: approximate number of requests.
        seconds: approximate duration.
    """

    symbol: str
    timeframe: Timeframe
    source: str
    window: Window
    requests: int
    seconds: float


def efforts_of(
    stores: Stores,
    sources: Sources,
    instruments: Sequence[Instrument],
    timeframes: Sequence[Timeframe],
    asked: Window | None,
    *,
    clock: Clock,
    force: bool,
) -> list[Ahead]:
    """Estimates the requests of a backfill to paged sources; sources without an estimate are left out.

    Args:
        stores: the stores to read.
        sources: the configured sources.
        instruments: the instruments.
        timeframes: the timeframes to backfill.
        asked: the part of history; None means all of it.
        clock: determines what has closed.
        force: everything is requested again.
    """
    found = []
    for instrument in instruments:
        source = source_of(sources, instrument)
        if not isinstance(source, PagedSource):
            continue
        own = {length if source.available_history(instrument, length) else Timeframe.M1 for length in timeframes}
        for timeframe in sorted(own, key=list(Timeframe).index):
            available_history = available_history_of(stores, sources, instrument, timeframe, clock)
            if available_history is None:
                continue
            missing = [
                part
                for whole in Window.merge(available_history.partitions(asked))
                for part in (
                    within(available_history.windows, whole)
                    if force
                    else missing_windows(stores, source, instrument, timeframe, whole)
                )
            ]
            found.extend(_ahead(source, instrument, timeframe, missing))
    return found


def _ahead(source: PagedSource, instrument: Instrument, timeframe: Timeframe, missing: Sequence[Window]) -> list[Ahead]:
    try:
        efforts = [source.effort(instrument, timeframe, part) for part in missing]
    except SourceError:
        return []  # the backfill itself will report the error
    if not efforts:
        return []
    requests, seconds = sum(one.requests for one in efforts), sum(one.seconds for one in efforts)
    window = Window(missing[0].start, missing[-1].end)
    return [Ahead(instrument.symbol, timeframe, instrument.source, window, requests, seconds)]


def unfinished_partitions(
    stores: Stores, sources: Sources, available: Sequence[AvailableHistory], asked: Window | None, *, force: bool
) -> dict[str, list[Window]]:
    """For each symbol, the unfinished partitions, of available histories with the same kind of partition.

    Args:
        stores: the stores to read.
        sources: the configured sources.
        available: available histories, all intraday or all daily.
        asked: the part of history; None means all of it.
        force: treat every partition as unfinished.
    """
    unfinished: dict[str, set[Window]] = {}
    for available_history in available:
        partitions = available_history.partitions(asked)
        found = set(partitions) if force else _unfinished_windows(stores, sources, available_history, partitions)
        unfinished.setdefault(available_history.instrument.symbol, set()).update(found)
    return {symbol: sorted(windows) for symbol, windows in unfinished.items() if windows}


def _unfinished_windows(
    stores: Stores, sources: Sources, available_history: AvailableHistory, partitions: Sequence[Window]
) -> set[Window]:
    symbol, timeframe = available_history.instrument.symbol, available_history.timeframe
    unfinished_windows: set[Window] = set()
    if not partitions:
        return unfinished_windows
    if available_history.rolled_up:
        unfinished_windows |= set(roll_up_bars.stale_roll_ups(stores, symbol, timeframe, partitions))
    else:
        source = source_of(sources, available_history.instrument)
        missing = missing_windows(stores, source, available_history.instrument, timeframe, _whole(partitions))
        closed = [part for window in available_history.windows for part in within(missing, window)]
        unfinished_windows |= {window for window in partitions if within(closed, window)}
    stale = compute_indicators.stale_indicators(stores, [symbol], timeframe, partitions)
    unfinished_windows |= set(stale.get(symbol, ()))
    if timeframe is Timeframe.D1:
        universe = stores.instruments.all()
        unfinished_windows |= set(build_features.stale_features(stores, universe, [symbol], partitions).get(symbol, ()))
    return unfinished_windows


def _whole(windows: Sequence[Window]) -> Window:
    return Window(windows[0].start, windows[-1].end)
