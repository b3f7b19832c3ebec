"""Recomputes what was derived from bars that a repair may have changed: longer bars, indicators, features.

The results equal those of a backfill, which finds stale partitions by their recorded input versions
(:mod:`trading_platform.workflows.bars.plan_backfill`); this module handles only partitions computed before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from trading_platform.domain.errors import ConfigurationError
from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.time import Clock, Timeframe, Window, partition_windows
from trading_platform.stores.stores import Stores
from trading_platform.workflows.bars.backfill_bars import Sources, is_rolled_up
from trading_platform.workflows.bars.roll_up_bars import bars_of, roll_up_bars
from trading_platform.workflows.derived.build_features import DATASET as FEATURES
from trading_platform.workflows.derived.build_features import build_features, dependents_of
from trading_platform.workflows.derived.compute_indicators import compute_indicators_of
from trading_platform.workflows.gaps.verify_integrity import bars_dataset, indicators_dataset
from trading_platform.workflows.progress import Progress, silent

Windows = Mapping[tuple[str, Timeframe], Sequence[Window]]
"""By symbol and timeframe, windows of bars."""


def recompute_derived(
    stores: Stores,
    sources: Sources,
    instruments: Sequence[Instrument],
    changed: Windows,
    clock: Clock,
    *,
    lost: Windows | None = None,
    progress: Progress = silent,
) -> None:
    """Recomputes what was derived from bars that a repair may have changed: longer bars, indicators, features.

    Longer bars are rolled up wherever their 1m bars may have changed. Indicators and features are recomputed only
    in partitions that were computed before; a backfill computes the others.

    Args:
        stores: bars are read; longer bars, indicators and features are written.
        sources: the configured sources by name; they determine which longer bars are rolled up from 1m bars.
        instruments: the instruments to recompute.
        changed: where bars may have changed.
        clock: the current time.
        lost: where indicators are recomputed although their recorded input versions are up to date.
        progress: called after each instrument.
    """
    for number, instrument in enumerate(instruments, start=1):
        for timeframe in Timeframe:
            first = _roll_up(stores, sources, instrument, timeframe, changed, clock)
            gone = (lost or {}).get((instrument.symbol, timeframe), ())
            partitions = sorted({part for window in gone for part in partition_windows(timeframe, window)})
            if partitions:
                compute_indicators_of(stores, [instrument.symbol], timeframe, partitions, clock=clock, force=True)
            if first is not None:
                _compute(stores, instrument, timeframe, first, clock)
        progress("computed again", number, len(instruments))


def _roll_up(
    stores: Stores, sources: Sources, instrument: Instrument, timeframe: Timeframe, changed: Windows, clock: Clock
) -> datetime | None:
    """Rolls up longer bars from their 1m bars, then returns the first time at which bars may have changed."""
    touched = [*changed.get((instrument.symbol, timeframe), ())]
    minutes = changed.get((instrument.symbol, Timeframe.M1), ())
    if timeframe is not Timeframe.M1 and minutes and _is_rolled_up(sources, instrument, timeframe):
        holding = [bar for window in minutes for bar in bars_of(instrument.calendar, timeframe, window)]
        touched += holding
        partitions = {part for bar in holding for part in partition_windows(timeframe, bar)}
        if holding:
            first = min(bar.start for bar in holding)
            partitions |= set(_made(stores, bars_dataset(timeframe), instrument.symbol, timeframe, first, clock))
        roll_up_bars(stores, instrument, timeframe, sorted(partitions), clock=clock)
    return min((window.start for window in touched), default=None)


def _is_rolled_up(sources: Sources, instrument: Instrument, timeframe: Timeframe) -> bool:
    try:
        return is_rolled_up(sources, instrument, timeframe)
    except ConfigurationError:  # the source is not configured; its repair has reported that
        return False


def _compute(stores: Stores, instrument: Instrument, timeframe: Timeframe, first: datetime, clock: Clock) -> None:
    """Computes what is derived from bars that may have changed from ``first`` on."""
    symbol = instrument.symbol
    partitions = _made(stores, indicators_dataset(timeframe), symbol, timeframe, first, clock)
    if partitions:
        compute_indicators_of(stores, [symbol], timeframe, partitions, clock=clock)
    if timeframe is not Timeframe.D1:
        return
    universe = stores.instruments.all()
    for other in dependents_of(symbol, universe):
        years = _made(stores, FEATURES, other, timeframe, first, clock)
        if years:
            build_features(stores, universe, [other], years, clock=clock)


def _made(
    stores: Stores, dataset: str, symbol: str, timeframe: Timeframe, first: datetime, clock: Clock
) -> list[Window]:
    """The partitions from the given time on that were computed before."""
    made = set(stores.input_versions.computed_partitions(dataset, symbol))
    window = Window(first, max(clock(), first + timeframe.duration))
    return [part for part in partition_windows(timeframe, window) if part.start in made]
