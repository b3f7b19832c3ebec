"""Detects gaps within the covered span of each symbol, and maintains their list (``market_data.gaps``).

Gaps are: time that no source has answered for between times with an answer; empty responses pending confirmation; and
bars or indicators that were stored and are missing or modified since
(:mod:`trading_platform.workflows.gaps.verify_integrity`). Time before the first and after the last request, coverage or
bar is left to the backfill. :mod:`trading_platform.workflows.gaps.repair_gaps` repairs gaps.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import polars as pl

from trading_platform.domain.market.bars import TIME
from trading_platform.domain.market.calendars import expected_times, last_closed
from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.quality.gaps import Gap, GapKind, reconcile
from trading_platform.domain.time import Clock, Timeframe, Window, partition_windows, within
from trading_platform.sources.base import is_recorded
from trading_platform.stores.market_data.checks import CheckStore
from trading_platform.stores.market_data.completeness.outages import OutageState
from trading_platform.stores.market_data.fingerprints import Difference
from trading_platform.stores.stores import Stores
from trading_platform.workflows.bars.bar_sources import Sources
from trading_platform.workflows.bars.roll_up_bars import bars_dataset, parts_known, rollable
from trading_platform.workflows.derived.compute_indicators import indicators_dataset
from trading_platform.workflows.gaps.gap_alerts import PublishAlert, alert_resolved, unpublished
from trading_platform.workflows.gaps.verify_integrity import (
    RECENT,
    Proof,
    missing_indicators,
    verify_bar_integrity,
)
from trading_platform.workflows.progress import Progress, silent

_AT_WORK = (OutageState.OPEN, OutageState.CLOSED, OutageState.REPAIRING)
_MANY = 10_000


@dataclass
class Found:
    """Result of a detection.

    Attributes:
        gaps: the listed gaps of the examined datasets.
        missing_or_modified: periods with bars that differed from the committed ones.
    """

    gaps: list[Gap] = field(default_factory=list)
    missing_or_modified: list[Difference] = field(default_factory=list)


def detect_gaps(
    stores: Stores,
    sources: Sources,
    instruments: Sequence[Instrument],
    *,
    clock: Clock,
    timeframes: Sequence[Timeframe] = tuple(Timeframe),
    proof: Proof = Proof.NONE,
    repaired: Collection[int] = (),
    publish: PublishAlert = unpublished,
    progress: Progress = silent,
) -> Found:
    """Brings the list of gaps of some instruments up to date.

    Args:
        stores: the stores, with the role ``ingest``.
        sources: the configured sources.
        instruments: the instruments.
        clock: source of the current time.
        timeframes: the timeframes.
        proof: which stored bars are compared with what was committed; differences become gaps.
        repaired: ids of gaps with a finished repair; other gaps that are being repaired stay on the list.
        publish: publishes resolved incidents.
        progress: receives a report after each timeframe.
    """
    found = Found()
    over: list[str] = []
    for number, timeframe in enumerate(timeframes, start=1):
        if instruments:
            missing_or_modified, lost = verify_bar_integrity(stores, instruments, timeframe, proof, clock)
            found.missing_or_modified += missing_or_modified
            over += _list_bars(stores, sources, instruments, timeframe, lost, repaired, clock, found)
            if proof is not Proof.NONE:
                over += _list_indicators(stores, instruments, timeframe, proof, clock, found)
        progress("gaps", number, len(timeframes))
    if over:
        alert_resolved(stores, over, clock, publish)
    return found


# Bars


def _list_bars(
    stores: Stores,
    sources: Sources,
    instruments: Sequence[Instrument],
    timeframe: Timeframe,
    lost: Mapping[str, Sequence[Window]],
    repaired: Collection[int],
    clock: Clock,
    found: Found,
) -> list[str]:
    """Lists the gaps of one timeframe; returns the resolved incidents."""
    symbols, now, dataset = [instrument.symbol for instrument in instruments], clock(), bars_dataset(timeframe)
    answered = stores.coverage.answered_by_any(symbols, timeframe, now)
    expired = stores.coverage.expired_by_any(symbols, timeframe, now)
    suspect: dict[str, list[Window]] = {}
    for each in stores.coverage.pending_confirmation(symbols, timeframe, now):
        suspect.setdefault(each.symbol, []).append(each.window)
    spans = CheckStore(stores.database).recorded_spans(symbols, timeframe)
    known: dict[str, list[Gap]] = {}
    for gap in stores.gaps.of(symbols, [dataset]):
        known.setdefault(gap.symbol, []).append(gap)
    outages = _at_work(stores, now) if timeframe is Timeframe.M1 else {}
    over: list[str] = []
    for instrument in instruments:
        symbol = instrument.symbol
        end = last_closed(instrument.calendar, timeframe, now)
        span = spans.get(symbol)
        listed = known.get(symbol, [])
        if span is None or span.start >= end:
            if not listed:
                continue
            windows: list[tuple[Window, GapKind]] = []
        else:
            span = Window(span.start, min(span.end, end))
            pending = Window.merge(suspect.get(symbol, []))
            settled = [*answered.get(symbol, []), *expired.get(symbol, []), *pending, *outages.get(symbol, [])]
            unanswered = span.subtract(settled)
            gone = lost.get(symbol, [])
            kept = [*(gap.window for gap in listed), *gone]
            missing = requestable_windows(stores, sources, instrument, timeframe, unanswered, kept, now)
            windows = _kinds(instrument, timeframe, missing, pending, gone)
        change = reconcile(dataset, symbol, timeframe, listed, windows, now, repaired)
        over += stores.gaps.apply(dataset, symbol, timeframe, change)
    found.gaps += stores.gaps.of(symbols, [dataset])
    return over


def requestable_windows(
    stores: Stores,
    sources: Sources,
    instrument: Instrument,
    timeframe: Timeframe,
    unanswered: Sequence[Window],
    kept: Sequence[Window],
    now: datetime,
) -> list[Window]:
    """The parts of unanswered windows that a source could answer or that were stored before, within retention.

    Args:
        stores: the stores to read.
        sources: the configured sources.
        instrument: the instrument.
        timeframe: length of the bars; those that no source offers are rolled up where their parts are known.
        unanswered: the windows, in order.
        kept: windows with bars that were stored before.
        now: current time.
    """
    if not unanswered:
        return []
    held = stores.retention.held(timeframe, Window(unanswered[0].start, unanswered[-1].end), now)
    unanswered = [part for window in unanswered for part in within(held, window)]
    names = [instrument.source, *instrument.fallback_sources]
    asked = [sources[name] for name in names if name in sources]
    if any(source.available_history(instrument, timeframe) for source in asked) or timeframe is Timeframe.M1:
        if asked and all(is_recorded(source) for source in asked):
            available_history = [
                window for source in asked for window in source.available_history(instrument, timeframe)
            ]
        else:
            return list(unanswered)
    else:
        end = last_closed(instrument.calendar, timeframe, now)
        parts = parts_known(stores, instrument.symbol, timeframe, now, dropped=True)
        available_history = [
            made
            for window in unanswered
            for partition in partition_windows(timeframe, window)
            for made, _ in rollable(parts, instrument.calendar, timeframe, partition, end)
        ]
    candidates = Window.merge([*available_history, *kept])
    return [part for window in unanswered for part in within(candidates, window)]


def _kinds(
    instrument: Instrument,
    timeframe: Timeframe,
    missing: Sequence[Window],
    suspect: Sequence[Window],
    lost: Sequence[Window],
) -> list[tuple[Window, GapKind]]:
    """The windows with their kinds, cut to the bars that the calendar expects; windows without any are left out."""
    missing_or_modified = Window.merge(lost)
    parts = [
        *((part, GapKind.MISSING_OR_MODIFIED) for window in missing for part in within(missing_or_modified, window)),
        *((part, GapKind.MISSING) for window in missing for part in window.subtract(missing_or_modified)),
        *((window, GapKind.PENDING_CONFIRMATION) for window in suspect),
    ]
    if not parts:
        return []
    parts.sort()
    whole = Window(parts[0][0].start, max(window.end for window, _ in parts))
    slots = expected_times(instrument.calendar, timeframe, whole)  # once: a stream leaves every night unanswered
    firsts = slots.search_sorted(pl.Series([window.start for window, _ in parts], dtype=TIME))
    ends = slots.search_sorted(pl.Series([window.end for window, _ in parts], dtype=TIME))
    return [
        (Window(slots[first], slots[end - 1] + timeframe.duration), kind)
        for first, end, (_, kind) in zip(firsts, ends, parts, strict=True)
        if first < end
    ]


def _at_work(stores: Stores, now: datetime) -> dict[str, list[Window]]:
    """For each symbol, the outages of its feed that are open or being repaired."""
    found: dict[str, list[Window]] = {}
    for outage in stores.outages.all(_AT_WORK, _MANY):
        window = outage.window()
        if window is None and outage.down_at < now:
            window = Window(outage.down_at.replace(second=0, microsecond=0), now + timedelta(minutes=1))
        if window is not None:
            found.setdefault(outage.symbol, []).append(window)
    return found


# Indicators


def _list_indicators(
    stores: Stores,
    instruments: Sequence[Instrument],
    timeframe: Timeframe,
    proof: Proof,
    clock: Clock,
    found: Found,
) -> list[str]:
    """Lists the partitions with missing indicators; returns the resolved incidents.

    A verification of recent rows adds gaps but removes none: a partition extends further back than it looks.
    """
    now, dataset = clock(), indicators_dataset(timeframe)
    symbols = [instrument.symbol for instrument in instruments]
    since = now - RECENT if proof is Proof.RECENT else None
    lacking = missing_indicators(stores, symbols, timeframe, since)
    known: dict[str, list[Gap]] = {}
    for gap in stores.gaps.of(symbols, [dataset]):
        known.setdefault(gap.symbol, []).append(gap)
    over: list[str] = []
    for symbol in sorted({*lacking, *known}):
        windows = lacking.get(symbol, ())
        listed = known.get(symbol, [])
        if since is not None:
            listed = [gap for gap in listed if any(gap.window.intersect(window) for window in windows)]
        change = reconcile(
            dataset, symbol, timeframe, listed, [(window, GapKind.MISSING_OR_MODIFIED) for window in windows], now
        )
        over += stores.gaps.apply(dataset, symbol, timeframe, change)
    found.gaps += stores.gaps.of(symbols, [dataset])
    return over
