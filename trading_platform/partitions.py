"""The partitions of the assets: symbol × time.

Intraday assets have one partition for each symbol and month, daily assets one for each symbol and year, because every
partition costs Dagster some 3 ms of bookkeeping in a run (docs/architecture.md, partitions). The unit of *work* is
finer and unknown to Dagster: coverage holds what is missing. Dagster sorts dimensions by name, so ``symbol`` comes
first and the whole history of one symbol is one contiguous range.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from dagster import (
    BetaWarning,
    DimensionPartitionMapping,
    DynamicPartitionsDefinition,
    IdentityPartitionMapping,
    MultiPartitionKey,
    MultiPartitionMapping,
    MultiPartitionsDefinition,
    TimeWindowPartitionMapping,
    TimeWindowPartitionsDefinition,
)

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.texts import shown
from trading_platform.domain.time import (
    DAILY_START,
    INTRADAY_START,
    Timeframe,
    Window,
    month_window,
    partition_windows,
    year_window,
)

# Dagster marks two-dimensional partitions and backfill policies as beta. The lock file pins the release that they
# were tested with, and the warning is of no use to a person at a terminal.
warnings.filterwarnings("ignore", category=BetaWarning)

SYMBOL = "symbol"
TIME = "time"

symbols = DynamicPartitionsDefinition(name="symbols")
"""The universe in Dagster; the sensor ``sync_symbol_partitions`` syncs it with ``config.instruments``."""

months = TimeWindowPartitionsDefinition(
    start=INTRADAY_START, fmt="%Y-%m", cron_schedule="0 0 1 * *", timezone="UTC", end_offset=1
)
years = TimeWindowPartitionsDefinition(
    start=DAILY_START, fmt="%Y", cron_schedule="0 0 1 1 *", timezone="UTC", end_offset=1
)
intraday = MultiPartitionsDefinition({SYMBOL: symbols, TIME: months})
daily = MultiPartitionsDefinition({SYMBOL: symbols, TIME: years})

months_of_year = MultiPartitionMapping(
    {
        SYMBOL: DimensionPartitionMapping(SYMBOL, IdentityPartitionMapping()),
        TIME: DimensionPartitionMapping(TIME, TimeWindowPartitionMapping()),
    }
)
"""A daily partition depends on the months of its year, of the same symbol."""


def partitions_of(timeframe: Timeframe) -> MultiPartitionsDefinition:
    """The partitions of the assets of a timeframe."""
    return intraday if timeframe.is_intraday else daily


def first_window(timeframe: Timeframe) -> Window:
    """The window of the first partition of a timeframe."""
    return month_window(INTRADAY_START) if timeframe.is_intraday else year_window(DAILY_START)


def time_key(timeframe: Timeframe, window: Window) -> str:
    """Name of a time partition: ``2024-01`` for a month, ``2024`` for a year."""
    return window.start.strftime("%Y-%m" if timeframe.is_intraday else "%Y")


def partition_key(symbol: str, timeframe: Timeframe, window: Window) -> MultiPartitionKey:
    """The key of one partition."""
    return MultiPartitionKey({SYMBOL: symbol, TIME: time_key(timeframe, window)})


def window_of(timeframe: Timeframe, key: str) -> Window:
    """The window of a time partition's name.

    Raises:
        InvalidRequest: if ``key`` is not a partition of the timeframe.
    """
    try:
        timestamp = datetime.strptime(key, "%Y-%m" if timeframe.is_intraday else "%Y").replace(tzinfo=UTC)
    except ValueError:
        raise InvalidRequest(
            f"{key!r} is not a partition of {timeframe} bars.",
            expected="2024-01" if timeframe.is_intraday else "2024",
            received=shown(key),
            remedy="write the partition in the expected form",
        ) from None
    return month_window(timestamp) if timeframe.is_intraday else year_window(timestamp)


def work_of(timeframe: Timeframe, keys: Iterable[str]) -> list[tuple[list[str], list[Window]]]:
    """Groups partition keys into pairs of symbols and windows: symbols that need the same windows come together.

    Dagster may pass any selection of partitions to a run; workflows take symbols × windows.
    """
    by_symbol: dict[str, list[Window]] = {}
    for key in keys:
        symbol, _, time = str(key).partition("|")
        by_symbol.setdefault(symbol, []).append(window_of(timeframe, time))
    by_windows: dict[tuple[Window, ...], list[str]] = {}
    for symbol, windows in by_symbol.items():
        by_windows.setdefault(tuple(sorted(windows)), []).append(symbol)
    return [(names, list(windows)) for windows, names in by_windows.items()]


def ranges_of(
    known: Sequence[str], wanted: Mapping[str, Sequence[Window]], timeframe: Timeframe
) -> list[tuple[MultiPartitionKey, MultiPartitionKey]]:
    """The fewest partition ranges that hold exactly the wanted partitions, by start; each range is one run.

    A range holds all combinations of the symbols and the times between its two corners. Earlier times come first,
    because later ones are computed with their bars.

    Args:
        known: the dynamic partitions ``symbols``, in Dagster's order.
        wanted: the partitions of each symbol, in any order.
        timeframe: timeframe of the assets.
    """
    blocks: dict[Window, list[str]] = {}
    for symbol in known:
        for whole in Window.merge(wanted.get(symbol, ())):
            blocks.setdefault(whole, []).append(symbol)
    ranges: list[tuple[MultiPartitionKey, MultiPartitionKey]] = []
    for whole, names in sorted(blocks.items()):
        partitions = partition_windows(timeframe, whole)
        ranges.extend(
            (partition_key(run[0], timeframe, partitions[0]), partition_key(run[-1], timeframe, partitions[-1]))
            for run in _contiguous(names, known)
        )
    return ranges


def _contiguous(names: Sequence[str], known: Sequence[str]) -> list[list[str]]:
    position = {symbol: number for number, symbol in enumerate(known)}
    runs: list[list[str]] = []
    for symbol in names:
        if runs and position[symbol] == position[runs[-1][-1]] + 1:
            runs[-1].append(symbol)
        else:
            runs.append([symbol])
    return runs
