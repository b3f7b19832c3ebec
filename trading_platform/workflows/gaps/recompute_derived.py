"""Makes again what was computed from bars that a repair may have changed: longer bars, indicators, features.

Each comes out as a backfill makes it, from what is stale by the record
(:mod:`trading_platform.workflows.bars.plan_backfill`); here only what was computed before is looked at.
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
"""Some windows of a symbol's bars of one length."""


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
    """Makes again what was computed from bars that a repair may have changed: longer bars, indicators, features.

    Longer bars wherever their minutes may have changed; of the rest only partitions that were computed before:
    what nobody has computed yet is the business of a backfill.

    Args:
        stores: bars in; longer bars, indicators and features out.
        sources: tell which longer bars are made of minutes.
        instruments: whose.
        changed: where bars may have changed.
        clock: the present.
        lost: where indicators are to be computed again, though the record says that they are up to date.
        progress: told after each instrument.
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
    """Since when bars of a timeframe may have changed; longer ones are made again of the minutes first."""
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
    except ConfigurationError:  # of a source that there is not, which its repair has said
        return False


def _compute(stores: Stores, instrument: Instrument, timeframe: Timeframe, first: datetime, clock: Clock) -> None:
    """Computes what follows from bars that may have changed since a moment."""
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
    """The partitions from a moment on that were computed before."""
    made = set(stores.input_versions.computed_partitions(dataset, symbol))
    window = Window(first, max(clock(), first + timeframe.duration))
    return [part for part in partition_windows(timeframe, window) if part.start in made]
