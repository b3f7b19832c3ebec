"""Repairs gaps: requests them again, from a fallback source if the first has nothing, up to a maximum of attempts.

:mod:`trading_platform.workflows.gaps.detect_gaps` lists the gaps. Minutes that a live feed missed are first repaired by
:mod:`trading_platform.workflows.gaps.repair_outages`; those that it fails to repair become gaps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from trading_platform.domain.errors import ConfigurationError, InvalidRequest, SourceError
from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.quality.gaps import CONFIRM_AFTER, Gap, GapKind, GapState, reconcile
from trading_platform.domain.time import Clock, Timeframe, Window, partition_windows, within
from trading_platform.sources.base import BarSource, is_recorded
from trading_platform.stores.stores import Stores
from trading_platform.workflows.backfill.request_bars import fill_window
from trading_platform.workflows.bars.bar_sources import Sources, is_rolled_up
from trading_platform.workflows.bars.roll_up_bars import bars_dataset, roll_up_bars
from trading_platform.workflows.derived.compute_indicators import indicators_dataset
from trading_platform.workflows.gaps.detect_gaps import detect_gaps
from trading_platform.workflows.gaps.gap_alerts import PublishAlert, fail_permanently, unpublished
from trading_platform.workflows.gaps.recompute_derived import recompute_derived
from trading_platform.workflows.gaps.verify_integrity import missing_indicators
from trading_platform.workflows.progress import Progress, silent

ATTEMPTS = 6
"""Attempts per gap; with the waits between them they span about two and a half hours of source downtime."""

FIRST_WAIT = timedelta(minutes=5)
"""How long to wait after the first failed attempt; twice as long after each further one."""

BEFORE_FALLBACK = 3
"""Failed attempts after which the next source is requested; after an empty response it is requested at once."""

AT_MOST = timedelta(minutes=30)
"""After this time an unfinished attempt counts as failed."""


@dataclass(frozen=True)
class GapRepair:
    """Result of an attempt.

    Attributes:
        gap: the gap as claimed, with this attempt counted.
        state: ``repaired``, ``open`` (to be tried again) or ``failed_permanently``.
        note: the outcome, as text.
    """

    gap: Gap
    state: str
    note: str


REPAIRED = "repaired"


def repair_gaps(
    stores: Stores,
    sources: Sources,
    *,
    clock: Clock,
    only: Sequence[int] | None = None,
    limit: int = 200,
    whatever: bool = False,
    publish: PublishAlert = unpublished,
    progress: Progress = silent,
) -> list[GapRepair]:
    """Repairs gaps that are due, each independently; then recomputes what is derived from the bars.

    Args:
        stores: the stores of bars and gaps.
        sources: the configured sources.
        clock: determines what is due.
        only: ids of the gaps to repair; None: those that have waited longest.
        limit: maximum number of gaps.
        whatever: also repair gaps of ``only`` that are not due or have failed permanently.
        publish: publishes permanent failures, and their resolution.
        progress: receives a report after each gap.

    Returns:
        The result of each claimed gap.

    Raises:
        StoreError: if the database does not answer; the gaps in progress are due again after :data:`AT_MOST`.
    """
    wanted = [gap.id for gap in stores.gaps.due(clock(), limit)] if only is None else list(only)[:limit]
    taken = stores.gaps.begin(wanted, clock(), AT_MOST, whatever=whatever) if wanted else []
    universe = stores.instruments.all()
    notes: dict[int, str] = {}
    order = list(Timeframe)
    for number, gap in enumerate(sorted(taken, key=lambda gap: (order.index(gap.timeframe), gap.symbol, gap.window))):
        instrument = universe.get(gap.symbol)
        notes[gap.id] = _try(stores, sources, instrument, gap, clock) if instrument else "it has left the universe"
        progress("gaps", number + 1, len(taken))
    _recompute(stores, sources, universe, [gap for gap in taken if gap.symbol in universe], clock, progress)
    return _settle(stores, sources, universe, taken, notes, clock, publish)


# One gap


def _try(stores: Stores, sources: Sources, instrument: Instrument, gap: Gap, clock: Clock) -> str:
    """Repairs one gap as far as possible; returns the outcome, as text."""
    if gap.dataset == indicators_dataset(gap.timeframe):
        return "recomputed"
    try:
        if is_rolled_up(sources, instrument, gap.timeframe):
            parts = partition_windows(gap.timeframe, gap.window)
            roll_up_bars(stores, instrument, gap.timeframe, parts, clock=clock, force=True)
            return "rolled up from the stored shorter bars"
        return _request_all(stores, sources, instrument, gap, clock)
    except (SourceError, InvalidRequest, ConfigurationError) as error:
        return str(error)


def _request_all(stores: Stores, sources: Sources, instrument: Instrument, gap: Gap, clock: Clock) -> str:
    """Requests the remaining windows from the sources, one after the other; returns the outcomes, as text."""
    outcomes: list[str] = []
    suspect = gap.kind is GapKind.PENDING_CONFIRMATION
    for rank, name in enumerate([instrument.source, *instrument.fallback_sources]):
        source = sources.get(name)
        if source is None:
            outcomes.append(f"there is no source {name}")
            continue
        if rank == 0 and suspect and is_recorded(source):
            outcomes.append(f"{name} would return the same response")
            continue
        left = _left(stores, gap, clock)
        try:
            for window in left:
                fill_window(
                    stores, source, instrument, gap.timeframe, window, clock, confirms=_confirms(gap, rank, clock())
                )
        except SourceError as error:
            outcomes.append(f"{name}: {error.message}")
            if error.retryable and gap.attempts < BEFORE_FALLBACK:
                break
            continue
        left = _left(stores, gap, clock)
        outcomes.append(
            f"{name} was requested" if not left else f"{name} has nothing of {', '.join(map(str, left[:3]))}"
        )
        if not left:
            break
    return "; ".join(outcomes)


def _confirms(gap: Gap, rank: int, now: datetime) -> list[Window]:
    """Windows in which an empty response confirms an earlier one: of another source, or of the same one before."""
    if gap.kind is not GapKind.PENDING_CONFIRMATION:
        return []
    return [gap.window] if rank or now - gap.found_at >= CONFIRM_AFTER else []


def _left(stores: Stores, gap: Gap, clock: Clock) -> list[Window]:
    answered = stores.coverage.answered_by_any([gap.symbol], gap.timeframe, clock()).get(gap.symbol, [])
    return gap.window.subtract(answered)


# Derived data


def _recompute(
    stores: Stores,
    sources: Sources,
    universe: Mapping[str, Instrument],
    taken: Sequence[Gap],
    clock: Clock,
    progress: Progress,
) -> None:
    """Recomputes what is derived from the bars of some gaps, and the indicators that are gaps themselves."""
    changed: dict[tuple[str, Timeframe], list[Window]] = {}
    lost: dict[tuple[str, Timeframe], list[Window]] = {}
    for gap in taken:
        kind = lost if gap.dataset == indicators_dataset(gap.timeframe) else changed
        kind.setdefault((gap.symbol, gap.timeframe), []).append(gap.window)
    if any(timeframe is Timeframe.M1 for _, timeframe in changed):
        stores.retention.refresh_hours(clock())
    instruments = [universe[symbol] for symbol in sorted({gap.symbol for gap in taken})]
    recompute_derived(stores, sources, instruments, changed, clock, lost=lost, progress=progress)


# Results


def _settle(
    stores: Stores,
    sources: Sources,
    universe: dict[str, Instrument],
    taken: Sequence[Gap],
    notes: dict[int, str],
    clock: Clock,
    publish: PublishAlert,
) -> list[GapRepair]:
    """Updates the list to the remaining gaps, and records when each is retried or that it has failed permanently."""
    if not taken:
        return []
    symbols = sorted({gap.symbol for gap in taken if gap.symbol in universe})
    timeframes = sorted({gap.timeframe for gap in taken}, key=list(Timeframe).index)
    detect_gaps(
        stores,
        sources,
        [universe[symbol] for symbol in symbols],
        clock=clock,
        timeframes=timeframes,
        repaired=[gap.id for gap in taken],
        publish=publish,
    )
    _delete_computed(stores, taken, clock)
    datasets = sorted({gap.dataset for gap in taken})
    left = stores.gaps.of(sorted({gap.symbol for gap in taken}), datasets)
    repairs, hopeless = [], dict[str, dict[Gap, str]]()
    for gap in taken:
        note = notes[gap.id]
        chunks = [
            each
            for each in left
            if (each.dataset, each.symbol) == (gap.dataset, gap.symbol) and within([each.window], gap.window)
        ]
        state = REPAIRED if not chunks else GapState.OPEN.value
        for chunk in chunks:
            if chunk.kind is GapKind.PENDING_CONFIRMATION and gap.kind is not GapKind.PENDING_CONFIRMATION:
                continue  # requested for the first time just now: its confirmation is due later
            instrument = universe.get(gap.symbol)
            if (
                instrument is None
                or gap.attempts >= ATTEMPTS
                or _is_hopeless(stores, sources, instrument, chunk, clock)
            ):
                hopeless.setdefault(instrument.source if instrument else "nobody", {})[chunk] = note
                state = GapState.FAILED_PERMANENTLY.value
            else:
                stores.gaps.failed(chunk, note, clock() + FIRST_WAIT * 2 ** (gap.attempts - 1))
        repairs.append(GapRepair(gap, state, note))
    for source, failed_permanently in hopeless.items():
        fail_permanently(stores, source, failed_permanently, clock, publish)
    return repairs


def _is_hopeless(stores: Stores, sources: Sources, instrument: Instrument, gap: Gap, clock: Clock) -> bool:
    """Whether a retry cannot help: there are only recorded sources, or the minutes of a longer bar were dropped."""
    names = [instrument.source, *instrument.fallback_sources]
    asked: list[BarSource] = [sources[name] for name in names if name in sources]
    if gap.dataset != bars_dataset(gap.timeframe):
        return False
    if is_rolled_up(sources, instrument, gap.timeframe):
        gone = stores.coverage.expired_by_any([gap.symbol], Timeframe.M1, clock()).get(gap.symbol, [])
        return bool(within(gone, gap.window))
    return all(is_recorded(source) for source in asked)


def _delete_computed(stores: Stores, taken: Sequence[Gap], clock: Clock) -> None:
    """Removes recomputed partitions from the list."""
    for gap in taken:
        if gap.dataset == indicators_dataset(gap.timeframe):
            listed = [each for each in stores.gaps.of([gap.symbol], [gap.dataset]) if each.id == gap.id]
            lacking = missing_indicators(stores, [gap.symbol], gap.timeframe, gap.window.start).get(gap.symbol, [])
            found = [(part, GapKind.MISSING_OR_MODIFIED) for part in within(lacking, gap.window)]
            change = reconcile(gap.dataset, gap.symbol, gap.timeframe, listed, found, clock(), [gap.id])
            stores.gaps.apply(gap.dataset, gap.symbol, gap.timeframe, change)
