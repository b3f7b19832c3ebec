"""Compares what is stored with what was committed, and makes work of what is lost or changed.

Bars are held against their fingerprints (:mod:`trading_platform.stores.market_data.fingerprints`), indicators against
the bars.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.time import Clock, Timeframe, Window, partition_windows
from trading_platform.stores.market_data.fingerprints import Difference
from trading_platform.stores.stores import Stores
from trading_platform.workflows.derived import compute_indicators
from trading_platform.workflows.gaps.gap_alerts import alert_missing_or_modified

RECENT = timedelta(days=2)
"""How far back a look at what is recent goes; older rows seldom vanish unnoticed, and the night looks at all."""

_BEGINNING = datetime(1900, 1, 1, tzinfo=UTC)


class Proof(StrEnum):
    """How much of what is stored is compared with what was committed."""

    NONE = "none"
    RECENT = "recent"
    ALL = "all"


def bars_dataset(timeframe: Timeframe) -> str:
    """The asset that has the bars of a timeframe."""
    return f"ohlcv_{timeframe.value}"


def indicators_dataset(timeframe: Timeframe) -> str:
    """The asset that has its indicators."""
    return f"indicators_{timeframe.value}"


def verify_bar_integrity(
    stores: Stores, instruments: Sequence[Instrument], timeframe: Timeframe, proof: Proof, clock: Clock
) -> tuple[list[Difference], dict[str, list[Window]]]:
    """Takes what is not stored as it was committed out of coverage, so that it is asked for again.

    Args:
        stores: what there is; as the role ``ingest``.
        instruments: whose bars.
        timeframe: their length.
        proof: how much to compare.
        clock: the present.

    Returns:
        What differs, and for each symbol where of it somebody had answered.
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
        # The longer bars are made again of their minutes where no source gives them.
        parts = [part for each in differences for part in partition_windows(timeframe, each.window)]
        stores.input_versions.delete(bars_dataset(timeframe), symbol, sorted(set(parts)))
        withdrawn, lost[symbol] = stores.fingerprints.withdraw(symbol, timeframe, differences, now)
        missing_or_modified += withdrawn
        alert_missing_or_modified(stores, symbol, timeframe, withdrawn)
    return missing_or_modified, lost


def missing_indicators(
    stores: Stores, symbols: Sequence[str], timeframe: Timeframe, since: datetime | None
) -> dict[str, list[Window]]:
    """For each symbol the partitions whose indicators were made of the present bars and are not all there.

    Args:
        stores: what there is.
        symbols: whose.
        timeframe: of which bars.
        since: where to begin to count; None means all of history.
    """
    lacking = stores.indicators.missing(symbols, timeframe, since)
    return {symbol: _computed(stores, symbol, timeframe, windows) for symbol, windows in lacking.items()}


def _computed(stores: Stores, symbol: str, timeframe: Timeframe, windows: Iterable[Window]) -> list[Window]:
    """Those partitions that are up to date by the record: what is missing in others comes with their computation."""
    partitions = sorted({part for window in windows for part in partition_windows(timeframe, window)})
    if not partitions:
        return []
    made = stores.input_versions.read(indicators_dataset(timeframe), [symbol])
    stale = compute_indicators.stale_indicators(stores, [symbol], timeframe, partitions).get(symbol, {})
    return [window for window in partitions if (symbol, window.start) in made and window not in stale]
