"""Recomputes longer bars, indicators and features from bars that a repair may have changed.

The result is that of a backfill, which recomputes stale partitions
(:mod:`trading_platform.workflows.backfill.plan_backfill`); this module considers only partitions that were computed
before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from trading_platform.domain.errors import ConfigurationError
from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.time import Clock, Timeframe, Window, partition_windows
from trading_platform.stores.stores import Stores
from trading_platform.workflows.bars.bar_sources import Sources, is_rolled_up
from trading_platform.workflows.bars.roll_up_bars import bars_dataset, bars_of, roll_up_bars, shorter_than
from trading_platform.workflows.derived.build_features import DATASET as FEATURES
from trading_platform.workflows.derived.build_features import build_features, dependents_of
from trading_platform.workflows.derived.build_hourly_features import DATASET as HOURLY_FEATURES
from trading_platform.workflows.derived.build_hourly_features import build_hourly_features
from trading_platform.workflows.derived.compute_indicators import compute_indicators_of, indicators_dataset
from trading_platform.workflows.progress import Progress, silent

Windows = Mapping[tuple[str, Timeframe], Sequence[Window]]
"""Windows of bars, by symbol and timeframe."""


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
    """Recomputes longer bars, indicators and features from bars that a repair may have changed.

    Longer bars are rolled up wherever their parts may have changed; of indicators and features, only partitions
    that were computed before are recomputed. The others are left to the backfill.

    Args:
        stores: stores of bars (input), longer bars, indicators and features (output).
        sources: the configured sources; they determine which longer bars are rolled up.
        instruments: the instruments.
        changed: windows in which bars may have changed.
        clock: source of the current time.
        lost: windows in which indicators are recomputed although their input versions are current.
        progress: receives a report after each instrument.
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
    """Rolls up longer bars from changed ones; returns the start of the bars of a timeframe that may have changed."""
    touched = [*changed.get((instrument.symbol, timeframe), ())]
    parts = [window for shorter in shorter_than(timeframe) for window in changed.get((instrument.symbol, shorter), ())]
    if parts and _is_rolled_up(sources, instrument, timeframe):
        holding = [bar for window in parts for bar in bars_of(instrument.calendar, timeframe, window)]
        touched += holding
        partitions = {part for bar in holding for part in partition_windows(timeframe, bar)}
        if holding:
            first = min(bar.start for bar in holding)
            partitions |= set(
                _computed_partitions(stores, bars_dataset(timeframe), instrument.symbol, timeframe, first, clock)
            )
        roll_up_bars(stores, instrument, timeframe, sorted(partitions), clock=clock)
    return min((window.start for window in touched), default=None)


def _is_rolled_up(sources: Sources, instrument: Instrument, timeframe: Timeframe) -> bool:
    try:
        return is_rolled_up(sources, instrument, timeframe)
    except ConfigurationError:  # an unknown source, which the repair has reported
        return False


def _compute(stores: Stores, instrument: Instrument, timeframe: Timeframe, first: datetime, clock: Clock) -> None:
    """Recomputes indicators and features from bars that may have changed since ``first``."""
    symbol = instrument.symbol
    partitions = _computed_partitions(stores, indicators_dataset(timeframe), symbol, timeframe, first, clock)
    if partitions:
        compute_indicators_of(stores, [symbol], timeframe, partitions, clock=clock)
    if timeframe not in (Timeframe.H1, Timeframe.D1):
        return
    universe = stores.instruments.all()
    for other in dependents_of(symbol, universe):
        months = _computed_partitions(stores, HOURLY_FEATURES, other, Timeframe.H1, first, clock)
        if months:
            build_hourly_features(stores, universe, [other], months, clock=clock)
        years = _computed_partitions(stores, FEATURES, other, Timeframe.D1, first, clock)
        if years and timeframe is Timeframe.D1:
            build_features(stores, universe, [other], years, clock=clock)


def _computed_partitions(
    stores: Stores, dataset: str, symbol: str, timeframe: Timeframe, first: datetime, clock: Clock
) -> list[Window]:
    """The partitions from ``first`` on that were computed before."""
    computed = set(stores.input_versions.computed_partitions(dataset, symbol))
    window = Window(first, max(clock(), first + timeframe.duration))
    return [part for part in partition_windows(timeframe, window) if part.start in computed]
