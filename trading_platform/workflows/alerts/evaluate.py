"""One look at all that is wrong: incidents begin and end, and the message that is due is written.

Several processes may look at once; one at a time does. Everything is written in one transaction, so that whoever dies
leaves it as it was, and no message is written twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from trading_platform.domain.alerts.incidents import Incident, followed
from trading_platform.domain.alerts.notifications import AFTER_CAUSE, Due, due, settled, with_causes
from trading_platform.domain.alerts.observers import Observer
from trading_platform.domain.alerts.problems import Key, Level, Problem
from trading_platform.domain.alerts.wording import message_of
from trading_platform.domain.severity import Severity
from trading_platform.stores.alerts.incidents import COMPONENT, IncidentStore
from trading_platform.stores.alerts.outbox import NotificationOutbox
from trading_platform.stores.audit.journal import AuditStore
from trading_platform.stores.postgres.database import Database, execute

if TYPE_CHECKING:
    from sqlalchemy import Connection

_LOCK = "SELECT pg_try_advisory_xact_lock(hashtext('alerts'), hashtext('evaluate'))"


@dataclass(frozen=True)
class Evaluated:
    """What a look has found.

    Attributes:
        looked: whether this process looked; another one may have been at it.
        going: number of incidents that go on.
        message: number of the message that was written, if one was.
        due: its incidents.
    """

    looked: bool
    going: int = 0
    message: int | None = None
    due: Due | None = None


def evaluate(database: Database, channels: Sequence[str], now: datetime) -> Evaluated:
    """Looks at what is wrong, and writes the message that is due for some channels.

    Raises:
        StoreError: if the database cannot be used; nothing is changed then.
    """
    incidents = IncidentStore(database)
    with database.begin() as connection:
        if not execute(connection, _LOCK)[0][0]:
            return Evaluated(looked=False)
        observers = incidents.observers()
        problems = [
            *incidents.problems(),
            *incidents.problems_of_events(now),
            *incidents.problems_of_outages(),
            *silent_observers(observers, now),
        ]
        known = incidents.incidents(now - AFTER_CAUSE)
        after = _stored(connection, known, problems, observers, now)
        return _notify(connection, database, after, channels, now)


def silent_observers(observers: Sequence[Observer], now: datetime) -> list[Problem]:
    """The observers that do not report any more, as problems."""
    return [
        Problem(
            Key(each.name, "silent"),
            Level.SERVICE,
            Severity.ERROR,
            f"{_NAMES.get(each.name.partition(' ')[0], each.name)} has said nothing since"
            f" {each.seen_at:%Y-%m-%d %H:%M:%S} UTC. "
            "To do: see whether it runs, and start it again; `trading-platform doctor` helps.",
            each.seen_at,
        )
        for each in observers
        if each.is_silent(now)
    ]


_NAMES = {"dagster": "Dagster's daemon", "stream": "The stream", "host": "What looks for problems of the machine"}


def _stored(
    connection: Connection,
    known: Sequence[Incident],
    problems: Sequence[Problem],
    observers: Sequence[Observer],
    now: datetime,
) -> list[Incident]:
    """The incidents after the look, stored, with their causes."""
    silent = frozenset(component for each in observers if each.is_silent(now) for component in each.components)
    before = {each.number: each for each in known}
    ended = [each for each in known if not each.is_open]
    numbered = []
    for each in followed(known, problems, now, silent=silent):
        number = each.number or IncidentStore.add(connection, each)
        numbered.append(replace(each, number=number))
        before.setdefault(number, numbered[-1])
    after = with_causes([*ended, *numbered], now)
    for each in after:
        if each != before[each.number]:
            IncidentStore.update(connection, each)
    return after


def _notify(
    connection: Connection, database: Database, incidents: Sequence[Incident], channels: Sequence[str], now: datetime
) -> Evaluated:
    store, outbox = IncidentStore(database), NotificationOutbox(database)
    silences = [each.silence for each in store.silences(now)]
    going = sum(each.is_open for each in incidents)
    current = {each.number: each for each in incidents}
    found = due(incidents, silences, outbox.sent(now), now)
    number = None
    if found is not None:
        hidden = sum(each.is_open and each.hidden_by in found.numbers for each in incidents)
        text = message_of(found, hidden)
        number = outbox.write(connection, text, found.severity, found.numbers, channels, now)
        for each in found.notified(now):
            current[each.number] = each
            IncidentStore.update(connection, each)
        _log(connection, database, found, text, number, now)
    for each in settled(current.values(), silences, now):
        IncidentStore.update(connection, each)
    return Evaluated(looked=True, going=going, message=number, due=found)


def _log(connection: Connection, database: Database, found: Due, text: str, number: int, now: datetime) -> None:
    AuditStore(database).add_event(
        connection,
        event_type="alert",
        severity=found.severity,
        component=COMPONENT,
        message=text,
        metadata={
            "message": number,
            "begun": [each.number for each in found.begun],
            "ongoing": [each.number for each in found.ongoing],
            "over": [each.number for each in found.over],
        },
        timestamp=now,
    )
