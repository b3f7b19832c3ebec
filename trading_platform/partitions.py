"""How the platform's work is sliced, in one place: symbol × time.

Intraday assets have a partition a symbol and month, daily ones a symbol and year, because every
partition costs Dagster some 3 ms of bookkeeping in a run (docs/architecture.md, partitions). The
unit of *work* is finer and is not Dagster's business: coverage says what is missing. Dagster sorts
dimensions by name, so ``symbol`` leads and the whole history of one symbol is one contiguous range.
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
from trading_platform.domain.time import Timeframe, Window, month_window, partition_windows, year_window

# Partitions of two dimensions and backfill policies carry a beta mark; the lock file pins the release
# they were tested with, and a person at a terminal has nothing to do about it.
warnings.filterwarnings("ignore", category=BetaWarning)

SYMBOL = "symbol"
TIME = "time"

symbols = DynamicPartitionsDefinition(name="symbols")
"""The universe as Dagster sees it; the sensor ``sync_symbol_partitions`` keeps it like ``config.instruments``."""

INTRADAY_START = datetime(2013, 1, 1, tzinfo=UTC)
"""First month of intraday partitions: 500 symbols stay below Dagster's 100,000 partitions an asset."""

DAILY_START = datetime(1990, 1, 1, tzinfo=UTC)
"""First year of daily partitions: where the exchange calendars begin."""

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
    """The slices of the assets of a timeframe."""
    return intraday if timeframe.is_intraday else daily


def first_window(timeframe: Timeframe) -> Window:
    """The first partition there is of a timeframe."""
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
        InvalidRequest: if it is not one.
    """
    try:
        timestamp = datetime.strptime(key, "%Y-%m" if timeframe.is_intraday else "%Y").replace(tzinfo=UTC)
    except ValueError:
        raise InvalidRequest(
            f"{key!r} is not a partition of {timeframe} bars.",
            expected="2024-01" if timeframe.is_intraday else "2024",
            received=repr(key),
            remedy="write it in this form",
        ) from None
    return month_window(timestamp) if timeframe.is_intraday else year_window(timestamp)


def work_of(timeframe: Timeframe, keys: Iterable[str]) -> list[tuple[list[str], list[Window]]]:
    """Partition keys as rectangles: symbols that need the same windows, together.

    Dagster may hand any selection to a run; a rectangle is what workflows take.
    """
    by_symbol: dict[str, list[Window]] = {}
    for key in keys:
        symbol, _, time = str(key).partition("|")
        by_symbol.setdefault(symbol, []).append(window_of(timeframe, time))
    alike: dict[tuple[Window, ...], list[str]] = {}
    for symbol, windows in by_symbol.items():
        alike.setdefault(tuple(sorted(windows)), []).append(symbol)
    return [(names, list(windows)) for windows, names in alike.items()]


def ranges_of(
    known: Sequence[str], wanted: Mapping[str, Sequence[Window]], timeframe: Timeframe
) -> list[tuple[MultiPartitionKey, MultiPartitionKey]]:
    """The fewest partition ranges, each one run, that hold exactly the wanted partitions.

    The corners of a range span the cross product of contiguous symbols and contiguous times.

    Args:
        known: the dynamic partitions ``symbols``, in Dagster's order.
        wanted: for each symbol the partitions, in any order.
        timeframe: of the assets.
    """
    blocks: dict[Window, list[str]] = {}
    for symbol in known:
        for whole in Window.merge(wanted.get(symbol, ())):
            blocks.setdefault(whole, []).append(symbol)
    ranges: list[tuple[MultiPartitionKey, MultiPartitionKey]] = []
    for whole, names in blocks.items():
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
