"""Gaps: bars missing within the expected range, updates of the list of gaps, and the class of each slot without a bar.

:mod:`trading_platform.workflows.gaps.detect_gaps` detects gaps, :mod:`trading_platform.workflows.gaps.repair_gaps`
repairs them, :mod:`trading_platform.stores.market_data.completeness.gaps` stores them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from trading_platform.domain.time import Timeframe, Window

SETTLE = timedelta(minutes=5)
"""How long a new gap is not repaired, because running work may fill it."""

CONFIRM_AFTER = timedelta(minutes=15)
"""How long after a suspect empty response the same source may confirm it; by then most disturbances are over."""


class GapKind(StrEnum):
    """The kinds of gaps."""

    MISSING = "missing"
    PENDING_CONFIRMATION = "pending_confirmation"
    MISSING_OR_MODIFIED = "missing_or_modified"


class GapState(StrEnum):
    """Whether a gap will be repaired."""

    OPEN = "open"
    FAILED_PERMANENTLY = "failed_permanently"


@dataclass(frozen=True)
class Gap:
    """One gap.

    Attributes:
        id: its number; 0 before it is stored.
        dataset: the asset with the gap.
        symbol: symbol of the bars.
        timeframe: length of the bars.
        window: from the open of the first to the end of the last missing bar.
        kind: kind of gap.
        state: whether repairs will be attempted.
        attempts: number of repairs begun.
        found_at: when it was found, or its kind changed.
        tried_at: when a repair last began.
        next_attempt_at: when the next is due; None if it failed permanently.
        note: what came of the last attempt; None before the first, and from the begin of one until its end.
        incident: the alert that reported it.
    """

    id: int
    dataset: str
    symbol: str
    timeframe: Timeframe
    window: Window
    kind: GapKind
    state: GapState
    attempts: int
    found_at: datetime
    tried_at: datetime | None
    next_attempt_at: datetime | None
    note: str | None
    incident: str | None

    @property
    def is_tried(self) -> bool:
        """Whether a repair has begun that has not said what came of it: it is under way, or has died."""
        return self.attempts > 0 and self.note is None


@dataclass(frozen=True)
class Reconciled:
    """The changes of a list of gaps.

    Attributes:
        gone: gaps that do not exist any more, or have changed.
        new: the changed and the new gaps.
        kept: unchanged gaps.
    """

    gone: tuple[Gap, ...]
    new: tuple[Gap, ...]
    kept: tuple[Gap, ...]


def reconcile(
    dataset: str,
    symbol: str,
    timeframe: Timeframe,
    known: Sequence[Gap],
    found: Iterable[tuple[Window, GapKind]],
    now: datetime,
    over: Collection[int] = (),
) -> Reconciled:
    """Updates the list of gaps of one dataset and symbol to what is missing now.

    The rest of a gap keeps its attempts, so that a source that returns a little each time is not requested for
    ever. A gap that becomes pending confirmation restarts its attempts, to request the confirmation. A gap under
    repair stays until the repair is over, whatever is found: its bars may be stored again while what is computed
    from them is not. A gap with a repair that died falls due and is tried again.

    Args:
        dataset: dataset of the new gaps.
        symbol: symbol of the new gaps.
        timeframe: timeframe of the new gaps.
        known: the listed gaps, disjoint.
        found: what is missing now, disjoint.
        now: the present.
        over: the numbers of those whose repair is over.
    """
    present = list(found)
    gone: list[Gap] = []
    new: list[Gap] = []
    kept: list[Gap] = []
    for gap in known:
        if gap.is_tried and gap.id not in over:
            kept.append(gap)
            continue
        chunks = [
            _chunk(gap, part, kind, now)
            for window, kind in present
            if (part := window.intersect(gap.window)) is not None
        ]
        if chunks == [gap]:
            kept.append(gap)
        else:
            gone.append(gap)
            new.extend(replace(chunk, id=0) for chunk in chunks)
    listed = [gap.window for gap in known]
    for window, kind in present:
        wait = CONFIRM_AFTER if kind is GapKind.PENDING_CONFIRMATION else SETTLE
        new.extend(
            Gap(0, dataset, symbol, timeframe, part, kind, GapState.OPEN, 0, now, None, now + wait, None, None)
            for part in window.subtract(listed)
        )
    return Reconciled(tuple(gone), tuple(new), tuple(kept))


def _chunk(gap: Gap, window: Window, kind: GapKind, now: datetime) -> Gap:
    if kind is GapKind.PENDING_CONFIRMATION and gap.kind is not GapKind.PENDING_CONFIRMATION:
        return replace(
            gap,
            window=window,
            kind=kind,
            state=GapState.OPEN,
            attempts=0,
            found_at=now,
            next_attempt_at=now + CONFIRM_AFTER,
        )
    same = gap.kind if kind is GapKind.MISSING and gap.kind is GapKind.MISSING_OR_MODIFIED else kind
    return replace(gap, window=window, kind=same)


class SlotClass(StrEnum):
    """The class of an interval without bars."""

    CLOSED = "closed"
    NO_TRADES = "no trades"
    PENDING_CONFIRMATION = "pending_confirmation"
    MISSING = "missing"
    NOT_AVAILABLE = "not available"
    REJECTED = "rejected"
    FAILED_PERMANENTLY = "failed permanently"
    EXPIRED = "expired"
