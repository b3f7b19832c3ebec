"""Compares stored rows with what was committed, and turns missing and modified rows into gaps.

Bars are compared with their fingerprints (:mod:`trading_platform.stores.market_data.fingerprints`), indicators with
the bars.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.quality.gaps import SETTLE
from trading_platform.domain.time import Clock, Timeframe, Window, partition_windows
from trading_platform.stores.market_data.fingerprints import Difference
from trading_platform.stores.market_data.indicators import Lacking
from trading_platform.stores.stores import Stores
from trading_platform.workflows.bars.roll_up_bars import bars_dataset
from trading_platform.workflows.derived.compute_indicators import indicators_dataset, stale_indicators
from trading_platform.workflows.gaps.gap_alerts import alert_missing_or_modified

RECENT = timedelta(days=2)
"""How far back a recent verification looks; all rows are verified at night."""

_BEGINNING = datetime(1900, 1, 1, tzinfo=UTC)


class Proof(StrEnum):
    """How much of the stored rows is compared with what was committed."""

    NONE = "none"
    RECENT = "recent"
    ALL = "all"


def verify_bar_integrity(
    stores: Stores, instruments: Sequence[Instrument], timeframe: Timeframe, proof: Proof, clock: Clock
) -> tuple[list[Difference], dict[str, list[Window]]]:
    """Removes periods with missing or modified bars from coverage, so that they are requested again.

    Args:
        stores: the stores, with the role ``ingest``.
        instruments: the instruments.
        timeframe: length of the bars.
        proof: how much to compare.
        clock: source of the current time.

    Returns:
        The differing periods, and for each symbol the windows in them that a source had answered for.
    """
    if proof is Proof.NONE:
        return [], {}
    now = clock()
    window = Window(now - RECENT if proof is Proof.RECENT else _BEGINNING, now + timedelta(days=1))
    symbols = [instrument.symbol for instrument in instruments]
    by_symbol: dict[str, list[Difference]] = {}
    for each in stores.fingerprints.differing(symbols, timeframe, window, now):
        by_symbol.setdefault(each.symbol, []).append(each)
    missing_or_modified, lost = [], {}
    for symbol, differences in by_symbol.items():
        # Longer bars that no source supplies are rolled up again from their minutes.
        parts = [part for each in differences for part in partition_windows(timeframe, each.window)]
        stores.input_versions.delete(bars_dataset(timeframe), symbol, sorted(set(parts)))
        withdrawn, lost[symbol] = stores.fingerprints.withdraw(symbol, timeframe, differences, now)
        missing_or_modified += withdrawn
        alert_missing_or_modified(stores, symbol, timeframe, withdrawn)
    return missing_or_modified, lost


def missing_indicators(
    stores: Stores, symbols: Sequence[str], timeframe: Timeframe, since: datetime | None
) -> dict[str, list[Window]]:
    """For each symbol, the partitions without indicators that were stored or should have been computed.

    Of a stale partition only the bars stored after its computation are excused: it may not be due for recomputation.
    Partitions that were never computed are left to the backfill.

    Args:
        stores: the stores to read.
        symbols: the symbols.
        timeframe: length of the bars.
        since: open of the first bars to examine; None means the whole history.
    """
    lacking = stores.indicators.lacking(symbols, timeframe, since)
    names = sorted({each.symbol for each in lacking})
    if not names:
        return {}
    computed_at = stores.input_versions.computed_at(indicators_dataset(timeframe), names)
    partitions = sorted({each.window for each in lacking})
    stale = stale_indicators(stores, names, timeframe, partitions)
    found: dict[str, list[Window]] = {}
    for each in lacking:
        is_stale = each.window in stale.get(each.symbol, {})
        if _is_lost(each, computed_at.get((each.symbol, each.window.start)), timeframe, is_stale=is_stale):
            found.setdefault(each.symbol, []).append(each.window)
    return found


def _is_lost(lacking: Lacking, computed_at: datetime | None, timeframe: Timeframe, *, is_stale: bool) -> bool:
    """Whether indicators are missing for a bar that was stored before the last computation."""
    latest = lacking.latest
    if computed_at is None:  # only by compute_new_indicators, which records no input version, if at all
        return lacking.begun and lacking.inside is not None and latest is not None and lacking.inside < latest
    # A bar may be stored some time after it has ended.
    was_there = lacking.first + timeframe.duration + SETTLE <= computed_at
    return not is_stale or was_there or (latest is not None and lacking.first < latest)
