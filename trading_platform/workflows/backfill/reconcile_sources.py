"""Compares a second version of bars with the stored one; the version of higher source priority wins.

Conflicts are stored (:mod:`trading_platform.stores.market_data.conflicting_versions`) until the versions agree; the
check ``sources_agree`` reports them. Reasons for the priority: docs/decisions/0026-kraken-in-three-tiers.md.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import polars as pl

from trading_platform.domain.market.bars import mark_gaps
from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.quality.conflicting_versions import Comparison, compare_bars
from trading_platform.domain.time import Timeframe, Window
from trading_platform.sources.base import SecondVersion
from trading_platform.stores.market_data.completeness.coverage import Outcome, Request
from trading_platform.stores.stores import Stores

if TYPE_CHECKING:
    from sqlalchemy import Connection


def reconcile_versions(
    stores: Stores,
    connection: Connection,
    version: SecondVersion,
    instrument: Instrument,
    timeframe: Timeframe,
    *,
    source: str,
    origin: str,
    now: datetime,
) -> tuple[Comparison, bool]:
    """Compares a second version of bars with the stored bars of the same source, and records the result.

    Args:
        stores: the stores.
        connection: the transaction.
        version: the second version, and whether it has the higher priority.
        instrument: the instrument.
        timeframe: length of the bars.
        source: source of the bars; stored bars of other sources are not compared.
        origin: the request or the file.
        now: current time.

    Returns:
        The comparison, and whether stored bars were replaced.
    """
    comparison = _compare(stores, connection, version.bars, instrument.symbol, timeframe, source)
    replaced = version.finer and not comparison.differences.is_empty()
    if replaced:
        times = comparison.differences["time"]
        _replace(stores, connection, version.bars.filter(pl.col("time").is_in(times.implode())), timeframe)
        touched = Window(times[0], times[-1] + timeframe.duration)
        note = f"{version.kind} differs from {times.len()} stored bars and has the higher priority"
        stores.coverage.record(
            connection,
            Request(
                instrument.symbol, timeframe, source, touched, Outcome.STORED, origin, now,
                stored=times.len(), changed=True, note=note,
            ),
        )  # fmt: skip
    stores.conflicting_versions.record(
        connection,
        comparison,
        symbol=instrument.symbol,
        timeframe=timeframe,
        source=source,
        kind=version.kind,
        replaced=replaced,
        origin=origin,
        compared_at=now,
    )
    return comparison, replaced


def _compare(
    stores: Stores, connection: Connection, received: pl.DataFrame, symbol: str, timeframe: Timeframe, source: str
) -> Comparison:
    if received.is_empty():
        return compare_bars(received, received, timeframe)
    span = Window(received["time"][0], received["time"][-1] + timeframe.duration)
    stored = stores.bars.read_within(connection, symbol, timeframe, span)
    return compare_bars(stored.filter(pl.col("source") == source), received, timeframe)


def _replace(stores: Stores, connection: Connection, bars: pl.DataFrame, timeframe: Timeframe) -> None:
    for bar in bars.iter_slices(1):
        time, symbol = bar["time"][0], bar["symbol"][0]
        before = stores.bars.previous_close(connection, symbol, timeframe, time)
        window = Window(time, time + timeframe.duration)
        marked = mark_gaps(bar, before)
        stores.bars.replace(connection, symbol, timeframe, window, marked, reason="its source has a later version")
