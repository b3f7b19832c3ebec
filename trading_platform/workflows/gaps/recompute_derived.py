"""Makes again what was computed from bars that a repair may have changed: longer bars, indicators, features.

Each comes out as a backfill makes it, from what is stale by the record
(:mod:`trading_platform.workflows.bars.plan_backfill`); here only what was computed before is looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.quality.gaps import Gap
from trading_platform.domain.time import Clock, Timeframe, Window, partition_windows
from trading_platform.stores.stores import Stores
from trading_platform.workflows.bars.backfill_bars import Sources, is_rolled_up
from trading_platform.workflows.bars.roll_up_bars import roll_up_bars
from trading_platform.workflows.derived.build_features import DATASET as FEATURES
from trading_platform.workflows.derived.build_features import build_features, inputs_of
from trading_platform.workflows.derived.compute_indicators import compute_indicators_of
from trading_platform.workflows.gaps.verify_integrity import bars_dataset, indicators_dataset
from trading_platform.workflows.progress import Progress, silent


def recompute_derived(
    stores: Stores,
    sources: Sources,
    instruments: Sequence[Instrument],
    gaps: Iterable[Gap],
    clock: Clock,
    progress: Progress = silent,
) -> None:
    """Makes again what was computed from bars that a repair may have changed: longer bars, indicators, features.

    Only partitions that were computed before: what nobody has computed yet is the business of a backfill.
    """
    touched: dict[tuple[str, Timeframe], datetime] = {}
    for gap in gaps:
        key = (gap.symbol, gap.timeframe)
        touched[key] = min(touched.get(key, gap.window.start), gap.window.start)
    if any(timeframe is Timeframe.M1 for _, timeframe in touched):
        stores.retention.refresh_hours(clock())
    for number, instrument in enumerate(instruments, start=1):
        for timeframe in Timeframe:
            first = _roll_up(stores, sources, instrument, timeframe, touched, clock)
            if first is not None:
                _compute(stores, instrument, timeframe, first, clock)
        progress("computed again", number, len(instruments))


def _roll_up(
    stores: Stores,
    sources: Sources,
    instrument: Instrument,
    timeframe: Timeframe,
    touched: dict[tuple[str, Timeframe], datetime],
    clock: Clock,
) -> datetime | None:
    """Since when bars of a timeframe may have changed; longer ones are made again of the minutes first."""
    own = touched.get((instrument.symbol, timeframe))
    minutes = touched.get((instrument.symbol, Timeframe.M1))
    if timeframe is Timeframe.M1 or minutes is None or not is_rolled_up(sources, instrument, timeframe):
        return own
    window = Window(minutes, max(clock(), minutes + timeframe.duration))
    made = set(stores.input_versions.computed_partitions(bars_dataset(timeframe), instrument.symbol))
    # The minutes of a day east of Greenwich may be of the year before.
    parts = [part for part in partition_windows(timeframe, window) if part.start in made or minutes in part]
    roll_up_bars(stores, instrument, timeframe, parts, clock=clock)
    return min(minutes, own) if own is not None else minutes


def _compute(stores: Stores, instrument: Instrument, timeframe: Timeframe, first: datetime, clock: Clock) -> None:
    symbol = instrument.symbol
    parts = _made(stores, indicators_dataset(timeframe), symbol, timeframe, first, clock)
    forgotten = [gap.window for gap in stores.gaps.of([symbol], [indicators_dataset(timeframe)])]
    parts = sorted({*parts, *(part for window in forgotten for part in partition_windows(timeframe, window))})
    if parts:
        compute_indicators_of(stores, [symbol], timeframe, parts, clock=clock)
    if timeframe is not Timeframe.D1:
        return
    universe = stores.instruments.all()
    for other in universe:
        if symbol in inputs_of(other, universe):
            years = _made(stores, FEATURES, other, timeframe, first, clock)
            if years:
                build_features(stores, universe, [other], years, clock=clock)


def _made(
    stores: Stores, dataset: str, symbol: str, timeframe: Timeframe, first: datetime, clock: Clock
) -> list[Window]:
    made = set(stores.input_versions.computed_partitions(dataset, symbol))
    window = Window(first, max(clock(), first + timeframe.duration))
    return [part for part in partition_windows(timeframe, window) if part.start in made]
