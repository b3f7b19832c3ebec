"""Commits a response of a source: bars, coverage, quarantine and checkpoint in one transaction.

:mod:`trading_platform.workflows.backfill.request_bars` sends the requests.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import Enum, auto
from typing import TYPE_CHECKING

import polars as pl

from trading_platform.domain.market.bars import PRICES, Quality, mark_gaps
from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.quality.listed_rows import ListedRows
from trading_platform.domain.time import Timeframe, Window
from trading_platform.sources.base import BarResponse
from trading_platform.stores.market_data.completeness.coverage import Outcome, Request
from trading_platform.stores.stores import Stores
from trading_platform.workflows.backfill.reconcile_sources import reconcile_versions

if TYPE_CHECKING:
    from sqlalchemy import Connection


class Repairs(Enum):
    """Which bars of a response are marked ``repaired``: none, new ones, or new and changed ones."""

    NOTHING = auto()
    NEW = auto()
    CHANGED = auto()


def store_response(
    stores: Stores,
    source: str,
    instrument: Instrument,
    timeframe: Timeframe,
    window: Window,
    response: BarResponse,
    asked_at: datetime,
    *,
    repairs: Repairs = Repairs.NOTHING,
    suspect: Sequence[Window] = (),
) -> bool:
    """Commits a response of a source: bars, coverage and rejected rows, together or not at all.

    Args:
        stores: the stores to write to.
        source: name of the source.
        instrument: the instrument.
        timeframe: length of the bars.
        window: the requested window.
        response: the response.
        asked_at: time of the request.
        repairs: which bars to mark ``repaired``.
        suspect: windows of the response that are pending confirmation
            (:func:`~trading_platform.workflows.backfill.confirm_empty_responses.suspect_windows`): nothing is stored or
            deleted there.

    Returns:
        Whether any bar changed.
    """
    symbol = instrument.symbol
    accepted = [part for window in Window.merge(response.answered) for part in window.subtract(suspect)]
    stores.bars.prepare(timeframe, response.bars)
    with stores.database.begin() as connection:
        changed = False
        for part in accepted:
            changed |= _replace_bars(stores, connection, symbol, timeframe, part, response, repairs)
        stores.quarantine.add(
            connection,
            ListedRows().all_of(response.rejected, timeframe.duration),
            source=source,
            symbol=symbol,
            timeframe=timeframe.value,
            origin=response.origin,
        )
        if changed:
            stores.conflicting_versions.withdraw(connection, symbol, timeframe, source, response.answered)
        for version in response.second_versions:
            _, replaced = reconcile_versions(
                stores, connection, version, instrument, timeframe, source=source, origin=response.origin, now=asked_at
            )
            changed |= replaced
        if response.resume is not None:
            stores.checkpoints.save(connection, symbol, timeframe, source, response.resume, asked_at)
            if not response.answered:
                return changed  # a page inside one bar
        stores.coverage.record(
            connection,
            Request(
                symbol,
                timeframe,
                source,
                window,
                _outcome(response),
                response.origin,
                asked_at,
                stored=response.bars.height,
                rejected=int(response.rejected["row_count"].sum()),
                changed=changed,
                note=response.note,
            ),
            accepted,
            suspect,
        )
    return changed


def _replace_bars(
    stores: Stores,
    connection: Connection,
    symbol: str,
    timeframe: Timeframe,
    part: Window,
    response: BarResponse,
    repairs: Repairs,
) -> bool:
    """Replaces the stored bars of a window by those of a response; returns whether any changed."""
    before = stores.bars.previous_close(connection, symbol, timeframe, part.start)
    bars = response.bars.filter(pl.col("time").is_between(part.start, part.end, closed="left"))
    if repairs is not Repairs.NOTHING:
        bars = _mark_repaired(bars, stores.bars.read([symbol], timeframe, part), changed=repairs is Repairs.CHANGED)
    reason = f"{'requested again' if repairs is Repairs.NOTHING else 'repaired'} from {response.origin}"
    marked = mark_gaps(bars, before)
    return stores.bars.replace(connection, symbol, timeframe, part, marked, reason=reason)


def _mark_repaired(bars: pl.DataFrame, stored: pl.DataFrame, *, changed: bool) -> pl.DataFrame:
    """Marks as ``repaired`` the bars with trades that are not stored, or are stored as ``repaired`` already.

    Args:
        bars: the bars of the response.
        stored: the stored bars.
        changed: also mark bars that are stored with other values.
    """
    key = ["time", *PRICES, "volume"] if changed else ["time"]
    seen = stored.filter(pl.col("quality") != Quality.REPAIRED.value).select(*key, seen=pl.lit(value=True))
    new = (pl.col("quality") == Quality.TRADED.value) & pl.col("seen").is_null()
    return (
        bars.join(seen, on=key, how="left", nulls_equal=True)
        .with_columns(quality=pl.when(new).then(pl.lit(Quality.REPAIRED.value)).otherwise(pl.col("quality")))
        .select(bars.columns)
        .sort("time")
    )


def _outcome(response: BarResponse) -> Outcome:
    if response.bars.height:
        return Outcome.STORED
    return Outcome.EMPTY if response.answered else Outcome.FAILED
