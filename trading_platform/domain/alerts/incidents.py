"""Incidents: problems over time. One that comes back within the hold is the same incident.

Notifications of them are in :mod:`trading_platform.domain.alerts.notifications`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from trading_platform.domain.alerts.problems import Key, Problem
from trading_platform.domain.severity import Severity

HOLD = timedelta(minutes=2)
"""How long a problem must be gone before its incident is over, so that one that comes and goes is one incident."""


@dataclass(frozen=True)
class Incident:
    """An incident.

    Attributes:
        number: its number; 0 until it is stored.
        problem: as it was last seen; ``since`` is when it began.
        noticed_at: when it was first seen, UTC; it may have begun before.
        seen_at: when it was last seen, UTC.
        times: how often it has come back.
        absent_since: from when on it has not been seen, UTC; None while it is seen.
        ended_at: when it ended, UTC.
        closed_at: when that was certain, UTC: after the hold.
        notified_at: when a person was last notified that it goes on, UTC; None if never.
        notified_severity: the severity that this message named.
        end_notified_at: when a person was notified that it is over, UTC.
        hidden_by: number of the incident that explains it; None if it stands for itself.
        acknowledged_at: when a person acknowledged it, UTC.
        acknowledged_by: who did.
        acknowledged_because: what for.
    """

    number: int
    problem: Problem
    noticed_at: datetime
    seen_at: datetime
    times: int = 1
    absent_since: datetime | None = None
    ended_at: datetime | None = None
    closed_at: datetime | None = None
    notified_at: datetime | None = None
    notified_severity: Severity | None = None
    end_notified_at: datetime | None = None
    hidden_by: int | None = None
    acknowledged_at: datetime | None = None
    acknowledged_by: str | None = None
    acknowledged_because: str | None = None

    @property
    def key(self) -> Key:
        """Identifies the problem."""
        return self.problem.key

    @property
    def since(self) -> datetime:
        """When it began, UTC."""
        return self.problem.since

    @property
    def is_open(self) -> bool:
        """Whether it goes on, or may come back within the hold."""
        return self.ended_at is None


def followed(
    incidents: Sequence[Incident],
    problems: Iterable[Problem],
    now: datetime,
    *,
    silent: frozenset[str] = frozenset(),
    hold: timedelta = HOLD,
) -> list[Incident]:
    """The incidents after a look: those known, changed by what was seen, and new ones with the number 0.

    Args:
        incidents: those that have not ended.
        problems: all that is wrong now; of several with one key the most severe counts.
        now: time of the look, UTC.
        silent: components whose observer does not report: their incidents stay as they are, because nobody knows.
        hold: how long a problem must be gone before its incident is over.
    """
    seen = _by_key(problems)
    known = {incident.key: incident for incident in incidents if incident.is_open}
    after = [_after(incident, seen.get(incident.key), now, silent, hold) for incident in known.values()]
    began = [Incident(0, problem, now, now) for key, problem in sorted(seen.items()) if key not in known]
    return [*after, *began]


def _by_key(problems: Iterable[Problem]) -> Mapping[Key, Problem]:
    order = list(Severity)
    found: dict[Key, Problem] = {}
    for problem in problems:
        other = found.get(problem.key)
        if other is None or order.index(problem.severity) > order.index(other.severity):
            found[problem.key] = problem
    return found


def _after(
    incident: Incident, problem: Problem | None, now: datetime, silent: frozenset[str], hold: timedelta
) -> Incident:
    if problem is not None:
        back = incident.absent_since is not None
        return replace(
            incident,
            problem=replace(problem, since=min(incident.since, problem.since)),
            seen_at=now,
            times=incident.times + back,
            absent_since=None,
        )
    if incident.key.component in silent:
        return incident
    absent = incident.absent_since or now
    if now - absent < hold:
        return replace(incident, absent_since=absent)
    return replace(incident, absent_since=absent, ended_at=absent, closed_at=now)
