"""Computes indicators from stored bars, for partitions with changed bars or splits.

Formulas are in :mod:`trading_platform.domain.derived.indicators`. Each partition loads the warm-up it needs, so that
recomputing it alone equals the computation over the full history.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from trading_platform.domain.derived.indicators import WARM_UP, compute_indicators
from trading_platform.domain.time import Clock, Timeframe, Window
from trading_platform.stores.market_data.input_versions import Derived
from trading_platform.stores.stores import Stores
from trading_platform.workflows.corporate_actions.adjust import Fingerprints, fingerprints, splits_between
from trading_platform.workflows.derived.series_gaps import gaps_between
from trading_platform.workflows.progress import Progress, silent

CODE_VERSION = "2"
"""Increase it when a formula changes: everything computed before is then stale."""

BATCH_ROWS = 400_000
"""Bars computed at once: large enough to keep round trips few, small enough for a laptop's memory."""

NEW_WITHIN = timedelta(days=1)
"""How far back :func:`compute_new_indicators` looks; older bars are left to the computation of the partition."""


def indicators_dataset(timeframe: Timeframe) -> str:
    """The asset with the indicators of a timeframe."""
    return f"indicators_{timeframe.value}"


@dataclass(frozen=True)
class ComputeReport:
    """Result of a computation: rows of each stale (symbol, partition); the others were left unchanged."""

    dataset: str
    rows: Mapping[tuple[str, Window], int]
    up_to_date: int


def stale_partitions(
    stores: Stores,
    dataset: str,
    inputs: Mapping[str, Sequence[str]],
    timeframe: Timeframe,
    partitions: Sequence[Window],
    code_versions: Mapping[str, str],
    across: Fingerprints,
    *,
    force: bool = False,
) -> dict[str, dict[Window, Derived]]:
    """For each symbol, the partitions not computed from the current bars and splits, with the current input versions.

    Args:
        stores: source of the input versions.
        dataset: the derived dataset.
        inputs: for each symbol, the symbols of the bars it is derived from.
        timeframe: length of those bars.
        partitions: the partitions to consider.
        code_versions: for each symbol, the version of the code.
        across: the splits that partitions are computed across.
        force: treat every partition with bars as stale.
    """
    all_inputs = sorted({name for names in inputs.values() for name in names})
    versions = stores.input_versions.bar_versions(all_inputs, timeframe)
    recorded = stores.input_versions.read(dataset, list(inputs))
    stale: dict[str, dict[Window, Derived]] = {}
    for symbol, names in inputs.items():
        for window in partitions:
            present = Derived(
                versions.before(names, window.end), code_versions[symbol], across.get((symbol, window), "")
            )
            if present.input_version and (force or recorded.get((symbol, window.start)) != present):
                stale.setdefault(symbol, {})[window] = present
    return stale


def stale_indicators(
    stores: Stores,
    symbols: Sequence[str],
    timeframe: Timeframe,
    partitions: Sequence[Window],
    *,
    force: bool = False,
) -> dict[str, dict[Window, Derived]]:
    """For each symbol, the partitions with indicators not computed from the current bars and splits."""
    splits = stores.corporate_actions.splits(symbols)
    needs = {
        symbol: {window: [(symbol, window.start, WARM_UP)] for window in partitions}
        for symbol in symbols
        if symbol in splits
    }
    return stale_partitions(
        stores,
        indicators_dataset(timeframe),
        {symbol: [symbol] for symbol in symbols},
        timeframe,
        partitions,
        dict.fromkeys(symbols, CODE_VERSION),
        fingerprints(stores, timeframe, splits, needs),
        force=force,
    )


def compute_indicators_of(
    stores: Stores,
    symbols: Sequence[str],
    timeframe: Timeframe,
    partitions: Sequence[Window],
    *,
    clock: Clock,
    force: bool = False,
    progress: Progress = silent,
) -> ComputeReport:
    """Computes the stale indicators of some symbols and partitions.

    Args:
        stores: stores of bars (input) and indicators (output).
        symbols: the symbols.
        timeframe: length of the bars.
        partitions: disjoint whole partitions, in order.
        clock: source of the recorded time.
        force: compute everything, stale or not.
        progress: receives a report after each batch.
    """
    dataset = indicators_dataset(timeframe)
    stale = stale_indicators(stores, symbols, timeframe, partitions, force=force)
    rows: dict[tuple[str, Window], int] = {}
    done = 0
    for batch, windows in _batches(stale, timeframe):
        computed_by_window = {
            window: _compute(stores, batch, timeframe, window, clock()) for window in Window.merge(windows)
        }
        for computed in computed_by_window.values():
            stores.indicators.prepare(timeframe, computed["time"])
        with stores.database.begin() as connection:
            for window, computed in computed_by_window.items():
                stores.indicators.replace(connection, batch, timeframe, window, computed)
                rows.update(_count(computed, batch, windows, window))
            derived = {
                (symbol, window): (stale[symbol][window], rows[symbol, window])
                for symbol in batch
                for window in windows
            }
            stores.input_versions.record(connection, dataset, derived, clock())
        done += len(batch)
        progress(f"{timeframe} indicators", done, len(stale))
    return ComputeReport(dataset, rows, len(symbols) * len(partitions) - len(rows))


def compute_new_indicators(
    stores: Stores, symbols: Sequence[str], timeframe: Timeframe, *, clock: Clock
) -> dict[Window, int]:
    """Computes the indicators of the bars after the last ones with indicators, up to one day of them.

    It computes a window with its warm-up instead of the partition, which is cheap enough for every few minutes. The
    input version of the partition is not recorded, so that its next computation includes older bars that have changed
    in the meantime.

    Args:
        stores: stores of bars (input) and indicators (output).
        symbols: the symbols.
        timeframe: length of the bars.
        clock: source of the current time.

    Returns:
        For each computed window, its number of rows of indicators; windows without new bars are left out.
    """
    now = clock()
    since = now - timeframe.duration - NEW_WITHIN
    last = stores.indicators.last_times(symbols, timeframe, since)
    starts: dict[datetime, list[str]] = {}
    for symbol in symbols:
        starts.setdefault(last[symbol] + timeframe.duration if symbol in last else since, []).append(symbol)
    counted = {}
    for start, names in starts.items():
        if start >= now:
            continue
        window = Window(start, now)
        computed = _compute(stores, names, timeframe, window, now)
        if computed.is_empty():
            continue
        stores.indicators.prepare(timeframe, computed["time"])
        with stores.database.begin() as connection:
            stores.indicators.replace(connection, names, timeframe, window, computed)
        counted[window] = computed.height
    return counted


def _compute(
    stores: Stores, symbols: Sequence[str], timeframe: Timeframe, window: Window, present: datetime
) -> pl.DataFrame:
    """The indicators of a window, with the warm-up before it."""
    bars = stores.bars.read_with_history(symbols, timeframe, window, WARM_UP)
    gaps = gaps_between(stores, bars, timeframe, stores.instruments.all(), present)
    computed = compute_indicators(bars, splits_between(stores, bars, timeframe), gaps)
    computed = computed.filter(pl.col("time") >= window.start)
    expired = stores.coverage.expired_by_any(symbols, timeframe, present)
    shortened = [symbol for symbol, gone in expired.items() if gone[0].start < window.end]
    if not shortened:
        return computed
    # The first bars after dropped ones have lost their warm-up: values computed with it stay.
    short = (
        bars.filter(pl.col("symbol").is_in(shortened))
        .group_by("symbol", maintain_order=True)
        .head(WARM_UP)
        .filter(pl.col("time") >= window.start)
        .select("symbol", "time")
    )
    stored = stores.indicators.read(shortened, timeframe, window).join(short, on=["symbol", "time"], how="semi")
    return pl.concat([computed.join(stored, on=["symbol", "time"], how="anti"), stored.select(computed.columns)]).sort(
        "symbol", "time"
    )


def _batches(
    stale: Mapping[str, Mapping[Window, Derived]], timeframe: Timeframe
) -> Iterator[tuple[list[str], list[Window]]]:
    """Symbols with the same stale windows, as many together as the batch size allows."""
    alike: dict[tuple[Window, ...], list[str]] = {}
    for symbol, windows in stale.items():
        alike.setdefault(tuple(sorted(windows)), []).append(symbol)
    for wanted, symbols in alike.items():
        bars = sum((window.end - window.start) // timeframe.duration for window in wanted) + WARM_UP
        size = max(1, BATCH_ROWS // bars)
        for start in range(0, len(symbols), size):
            yield symbols[start : start + size], list(wanted)


def _count(
    computed: pl.DataFrame, symbols: Sequence[str], windows: Sequence[Window], whole: Window
) -> dict[tuple[str, Window], int]:
    starts = pl.DataFrame({"start": [window.start for window in windows]}, schema={"start": pl.Datetime("us", "UTC")})
    counted: dict[tuple[str, datetime], int] = {
        (symbol, start): count
        for symbol, start, count in computed.select("symbol", "time")
        .sort("time")
        .join_asof(starts.sort("start"), left_on="time", right_on="start", coalesce=False)
        .group_by("symbol", "start")
        .len()
        .iter_rows()
    }
    return {
        (symbol, window): counted.get((symbol, window.start), 0)
        for symbol in symbols
        for window in windows
        if whole.start <= window.start < whole.end
    }
