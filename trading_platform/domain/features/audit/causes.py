"""The likely cause of a difference: what must have been used so that the stored value comes out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import accumulate
from operator import mul

from trading_platform.domain.features.audit.stored_part import Computed, StoredPart

_SHIFTS = 20  # rows that a value is looked for ahead of its own
_OTHERS = 5  # other symbols that are tried one by one
_NEAR_SPLIT = timedelta(days=45)
_EQUAL = 1e-8  # a little wider than the precision of the comparison, as both were computed


class Cause(StrEnum):
    """What a stored value seems to come from."""

    LATER_BARS = "later bars"
    SHIFTED = "a later row"
    LABEL = "a label"
    FILLED = "filled from behind"
    OTHERS = "later bars of others"
    SPLIT = "a split before it was known"
    REVISED = "a later revision"
    CALENDAR = "another calendar"
    NEVER_KNOWN = "an input that was not known"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Difference:
    """A stored value and the one from what was known; None for NULL."""

    feature: str
    time: datetime
    as_of: datetime
    stored: float | None
    recomputed: float | None


def likely_cause(part: StoredPart, difference: Difference) -> tuple[Cause, str]:
    """The first of the known causes that gives the stored value, and its description."""
    each = part.definitions.features[difference.feature]
    if each.awaits is not None:
        return Cause.NEVER_KNOWN, f"no value can be known yet: {each.awaits}"
    for causes in (_of_another_state, _of_others, _of_later_rows, _of_a_near_split):
        for found in causes(part, difference):
            return found
    return Cause.UNKNOWN, "the definition gives another value: computed by other code, or changed by hand"


def _gives(values: Computed, difference: Difference) -> bool:
    return _same(values.get(difference.feature, {}).get(difference.time), difference.stored)


def _of_another_state(part: StoredPart, difference: Difference) -> Iterator[tuple[Cause, str]]:
    """The bars or splits of the row's time as they became later."""
    if _gives(part.with_revised(difference.as_of), difference):
        yield Cause.REVISED, "bars as they were revised after the features were computed"
    if _gives(part.with_all_splits(difference.as_of), difference) or _in_later_shares(part, difference):
        yield Cause.SPLIT, "a split that was not known, or not in force, at that time"


def _of_others(part: StoredPart, difference: Difference) -> Iterator[tuple[Cause, str]]:
    """Bars of other symbols that closed later, on any date or on the row's own."""
    apart = part.closing_apart()
    if apart and _gives(part.with_others_later(difference.as_of), difference):
        yield Cause.OTHERS, "bars of a peer or benchmark that closed after the row's own"
    for others in [apart, *([name] for name in apart[:_OTHERS] if len(apart) > 1)]:
        if others and _gives(part.with_others_of_the_date(difference.as_of, others), difference):
            yield Cause.OTHERS, f"bars of the same date of {', '.join(others)}, which closed after the row's own"


def _of_later_rows(part: StoredPart, difference: Difference) -> Iterator[tuple[Cause, str]]:
    """A label, another value of the definition once later bars are there, or a later value of the feature itself."""
    for name, values in part.labels().items():
        if _same(values.get(difference.time), difference.stored):
            yield Cause.LABEL, f"the label {name}, which looks {part.definitions.labels[name].horizon} bars ahead"
    if _gives(part.hindsight(), difference):
        yield Cause.LATER_BARS, "its definition gives another value when later bars are there"
    behind = _row_behind(part, difference)
    if behind is not None and difference.recomputed is None:
        yield Cause.FILLED, f"the value of {behind:%Y-%m-%d}, where none could be known"
    if behind is not None:
        yield Cause.SHIFTED, f"the value of the later row {behind:%Y-%m-%d}"


def _of_a_near_split(part: StoredPart, difference: Difference) -> Iterator[tuple[Cause, str]]:
    near = [date for date, _ in part.later_splits(difference.time) if date - difference.time <= _NEAR_SPLIT]
    if near:
        yield Cause.SPLIT, f"probably the split of {near[0]:%Y-%m-%d}, which was not in force yet"


def _row_behind(part: StoredPart, difference: Difference) -> datetime | None:
    """The later row whose value is stored: one near, or where none could be known the next one with a value."""
    later = {
        time: value for time, value in part.hindsight().get(difference.feature, {}).items() if time > difference.time
    }
    near = list(later)[:_SHIFTS]
    following = next((time for time, value in later.items() if value is not None), None)
    if difference.recomputed is None and following is not None:
        near.append(following)
    return next((time for time in near if _same(later[time], difference.stored)), None)


def _in_later_shares(part: StoredPart, difference: Difference) -> bool:
    """Whether the stored value is the recomputed one in shares of a later split."""
    unit = part.definitions.features[difference.feature].unit
    if unit == "none" or difference.recomputed is None:
        return False
    factors = accumulate((ratio for _, ratio in part.later_splits(difference.time)), mul)
    scaled = (difference.recomputed / each if unit == "price" else difference.recomputed * each for each in factors)
    return any(_same(value, difference.stored) for value in scaled)


def _same(value: float | None, stored: float | None) -> bool:
    if value is None or stored is None:
        return False
    return abs(value - stored) <= _EQUAL * max(abs(value), abs(stored))
