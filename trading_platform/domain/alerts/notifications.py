"""Which messages a person gets of incidents, and when: one message when something begins, one when it is over.

What is due at the same time is one message. The more messages there have been in a day, the longer what is not critical
waits for others; so a bad day is some dozens of messages, each of them complete, and not a thousand.
:mod:`trading_platform.domain.alerts.wording` writes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

from trading_platform.domain.alerts.incidents import Incident
from trading_platform.domain.alerts.problems import can_hide, hides
from trading_platform.domain.severity import Severity

GATHER = timedelta(seconds=30)
"""How long the first of what is due waits for others of the same cause."""

PACE = ((15, GATHER), (30, timedelta(minutes=10)))
"""After up to so many messages in the last 24 hours, the time between two of them at least."""

SLOWEST = timedelta(hours=1)
"""The time between two messages after more than that. 15 + 15 + 24 is the most in a day that critical ones leave."""

REMINDERS = {
    Severity.CRITICAL: timedelta(hours=1),
    Severity.ERROR: timedelta(hours=4),
    Severity.WARNING: timedelta(days=1),
}
"""After which time a person is reminded of what goes on and is not acknowledged."""

AFTER_CAUSE = timedelta(minutes=3)
"""How long what a cause explains may outlast it before it counts by itself."""

_ORDER = list(Severity)


@dataclass(frozen=True)
class Silence:
    """Incidents of which a person does not want to be notified for a while.

    Attributes:
        number: its number.
        pattern: of the incident's key, ``component:rule:subject``, with ``*`` for any text.
        until: when it ends, UTC.
    """

    number: int
    pattern: str
    until: datetime

    def covers(self, incident: Incident, now: datetime) -> bool:
        """Whether it holds for an incident."""
        return now < self.until and fnmatchcase(str(incident.key), self.pattern)


@dataclass(frozen=True)
class Sent:
    """The messages before.

    Attributes:
        in_a_day: how many there were in the last 24 hours.
        last_at: when the last one was written, UTC; None if there was none.
    """

    in_a_day: int = 0
    last_at: datetime | None = None

    @property
    def pause(self) -> timedelta:
        """The time after the last message before another one that is not critical."""
        return next((wait for most, wait in PACE if self.in_a_day < most), SLOWEST)


@dataclass(frozen=True)
class Due:
    """One message to a person.

    Attributes:
        begun: incidents that have begun, or have become more severe.
        ongoing: incidents to be reminded of.
        over: incidents that are over.
    """

    begun: tuple[Incident, ...] = ()
    ongoing: tuple[Incident, ...] = ()
    over: tuple[Incident, ...] = ()

    @property
    def numbers(self) -> list[int]:
        """The numbers of its incidents."""
        return sorted({each.number for each in (*self.begun, *self.ongoing, *self.over)})

    @property
    def severity(self) -> Severity:
        """The highest severity of what goes on; ``info`` where all is over."""
        going = [each.problem.severity for each in (*self.begun, *self.ongoing) if each.is_open]
        return max(going, key=_ORDER.index, default=Severity.INFO)

    def notified(self, now: datetime) -> list[Incident]:
        """The incidents as they are once the message is written."""
        found = {
            each.number: replace(each, notified_at=now, notified_severity=each.problem.severity)
            for each in (*self.begun, *self.ongoing)
        }
        for each in (*self.begun, *self.over):
            if not each.is_open:
                found[each.number] = replace(found.get(each.number, each), end_notified_at=now)
        return list(found.values())


def with_causes(incidents: Sequence[Incident], now: datetime) -> list[Incident]:
    """The incidents, each that goes on with the one that explains it, if any.

    A cause that ended less than :data:`AFTER_CAUSE` ago still explains what outlasts it.
    """
    causes = [
        each
        for each in incidents
        if can_hide(each.problem) and (each.ended_at is None or now - each.ended_at < AFTER_CAUSE)
    ]
    causes.sort(key=lambda each: (each.ended_at is not None, each.number))
    found = [(each, _cause(each, causes) if each.is_open else each.hidden_by) for each in incidents]
    return [each if each.hidden_by == cause else replace(each, hidden_by=cause) for each, cause in found]


def _cause(incident: Incident, causes: Iterable[Incident]) -> int | None:
    found = (each.number for each in causes if each is not incident and hides(each.problem, incident.problem))
    return next(found, None)


def due(incidents: Sequence[Incident], silences: Sequence[Silence], sent: Sent, now: datetime) -> Due | None:
    """The message that is due now; None if none is, or it waits for what else comes.

    Args:
        incidents: those that go on, and ended ones whose end nobody was notified of; with their causes.
        silences: the silences.
        sent: the messages before.
        now: the time, UTC.
    """
    audible = [each for each in incidents if not _is_silenced(each, silences, now)]
    found = Due(
        begun=tuple(each for each in audible if _is_new(each)),
        ongoing=tuple(each for each in audible if _is_reminder(each, now)),
        over=tuple(each for each in audible if each.notified_at is not None and _is_end_pending(each)),
    )
    if not found.numbers:
        return None
    since_last = None if sent.last_at is None else now - sent.last_at
    if found.severity is Severity.CRITICAL:
        return found if since_last is None or since_last >= GATHER else None
    waited = now - _due_since(found)
    return found if waited >= GATHER and (since_last is None or since_last >= sent.pause) else None


def settled(incidents: Iterable[Incident], silences: Sequence[Silence], now: datetime) -> list[Incident]:
    """Ended incidents of which nobody is notified any more: what a cause explained to the end, and what is silenced."""
    return [
        replace(each, end_notified_at=now)
        for each in incidents
        if _is_end_pending(each)
        and ((each.notified_at is None and not _is_new(each)) or _is_silenced(each, silences, now))
    ]


def _is_silenced(incident: Incident, silences: Sequence[Silence], now: datetime) -> bool:
    return any(silence.covers(incident, now) for silence in silences)


def _is_end_pending(incident: Incident) -> bool:
    return not incident.is_open and incident.end_notified_at is None


def _is_new(incident: Incident) -> bool:
    """Whether a person has not been notified that it began, or was notified of a lower severity."""
    if incident.hidden_by is not None or incident.end_notified_at is not None:
        return False
    if incident.notified_at is None:
        return incident.acknowledged_at is None
    notified = incident.notified_severity or incident.problem.severity
    return incident.is_open and _ORDER.index(incident.problem.severity) > _ORDER.index(notified)


def _is_reminder(incident: Incident, now: datetime) -> bool:
    every = REMINDERS.get(incident.problem.severity)
    if every is None or incident.notified_at is None or not incident.is_open or _is_new(incident):
        return False
    return incident.acknowledged_at is None and incident.hidden_by is None and now - incident.notified_at >= every


def _due_since(found: Due) -> datetime:
    known = [each.noticed_at for each in found.begun]
    known += [each.notified_at + REMINDERS[each.problem.severity] for each in found.ongoing if each.notified_at]
    known += [each.closed_at for each in found.over if each.closed_at]
    return min(known)
