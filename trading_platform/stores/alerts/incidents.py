"""Problems as observers report them, the incidents that came of them, and silences.

The rules are in :mod:`trading_platform.domain.alerts`; messages are in :mod:`trading_platform.stores.alerts.outbox`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from trading_platform.domain.alerts.incidents import Incident
from trading_platform.domain.alerts.notifications import Silence
from trading_platform.domain.alerts.observers import Observer
from trading_platform.domain.alerts.problems import Key, Level, Problem, level_of
from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.severity import Severity
from trading_platform.domain.texts import storable
from trading_platform.stores.postgres.database import Database, execute
from trading_platform.stores.postgres.records import checked_count, checked_text, checked_time
from trading_platform.stores.postgres.sql import query

if TYPE_CHECKING:
    from sqlalchemy import Connection

COMPONENT = "alerts"
"""The component of alerting itself in the system events, which are no problems of others."""

FORMER = timedelta(days=31)
"""How far back system events of incidents that have no end are looked for."""

RECENT = timedelta(minutes=30)
"""How long an error without an end counts as a problem after it was last logged."""

_NAME = 50
_SUBJECT = 200
_PATTERN = 300
_TEXT = 10_000


@dataclass(frozen=True)
class StoredSilence:
    """A silence, and who wanted it.

    Attributes:
        silence: what it holds for.
        created_at: when it was made, UTC.
        created_by: who made it.
        because: for which reason.
    """

    silence: Silence
    created_at: datetime
    created_by: str
    because: str


class IncidentStore:
    """The tables of problems, incidents and silences.

    Args:
        database: the database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def report(
        self, observer: str, problems: Iterable[Problem], *, at: datetime, every: timedelta, components: Sequence[str]
    ) -> None:
        """Replaces all that an observer has found by what it finds now.

        Args:
            observer: its name.
            problems: all that is wrong, of these components.
            at: time of the look, UTC.
            every: how often it looks; if it is silent for four times as long, that is a problem.
            components: the components it reports of.
        """
        with self._database.begin() as connection:
            self._seen(connection, observer, at, every, components)
            execute(connection, "DELETE FROM audit.problems WHERE observer = %(observer)s", {"observer": observer})
            for problem in problems:
                self._put(connection, observer, problem)

    def change(
        self,
        observer: str,
        begun: Iterable[Problem],
        over: Iterable[Key],
        *,
        at: datetime,
        every: timedelta,
        components: Sequence[str],
    ) -> None:
        """As :meth:`report`, where only what has changed is known.

        A subject of ``over`` that ends in ``*`` means all that begin with what is before it.
        """
        with self._database.begin() as connection:
            self._seen(connection, observer, at, every, components)
            for key in over:
                execute(
                    connection,
                    "DELETE FROM audit.problems WHERE observer = %(observer)s AND component = %(component)s"
                    " AND rule = %(rule)s AND (subject = %(subject)s OR (right(%(subject)s, 1) = '*'"
                    " AND starts_with(subject, rtrim(%(subject)s, '*'))))",
                    {"observer": observer, **_key(key)},
                )
            for problem in begun:
                self._put(connection, observer, problem)

    def forget_older(self, observer: str, rule: str, before: datetime) -> None:
        """Forgets what an observer has found by a rule before a time."""
        with self._database.begin() as connection:
            execute(
                connection,
                "DELETE FROM audit.problems WHERE observer = %(observer)s AND rule = %(rule)s AND since < %(before)s",
                {"observer": observer, "rule": rule, "before": before},
            )

    def forget(self, observer: str) -> None:
        """Forgets an observer that has ended in order, and what it found."""
        with self._database.begin() as connection:
            execute(connection, "DELETE FROM audit.observers WHERE name = %(name)s", {"name": observer})

    def observers(self) -> list[Observer]:
        """All observers, by name."""
        rows = self._database.rows("SELECT name, seen_at, every, components FROM audit.observers ORDER BY name")
        return [Observer(name, seen, every, tuple(components)) for name, seen, every, components in rows]

    def problems(self) -> list[Problem]:
        """What all observers have found."""
        rows = self._database.rows(
            "SELECT component, rule, subject, level, severity::text, message, since, source, details"
            " FROM audit.problems ORDER BY observer, component, rule, subject"
        )
        return [_problem(*row) for row in rows]

    def problems_of_events(self, now: datetime) -> list[Problem]:
        """What the system events say is wrong: incidents that have no end, and recent errors."""
        rows = self._database.rows(
            query("audit/alerts/event_problems"), {"now": now, "former": FORMER, "recent": RECENT, "own": COMPONENT}
        )
        found = []
        for component, rule, subject, severity, message, since, source, details in rows:
            key = Key(component, rule, _subject(component, rule, subject, details))
            found.append(Problem(key, level_of(rule), Severity(severity), message, since, source, details))
        return found

    def problems_of_outages(self) -> list[Problem]:
        """The outages that no repair could fill, by source."""
        return [
            Problem(
                Key("repair", "outages_failed_permanently", source),
                Level.SERVICE,
                Severity.WARNING,
                f"Outages of {source} could not be repaired, of {count} symbols: {', '.join(symbols)}. "
                "`trading-platform outages` lists them.",
                since,
                source,
            )
            for source, count, since, symbols in self._database.rows(query("audit/alerts/outages"))
        ]

    def incidents(self, since: datetime) -> list[Incident]:
        """Incidents that go on, whose end nobody was notified of, or that ended since a time; by number."""
        return [_incident(*row) for row in self._database.rows(query("audit/alerts/incidents"), {"since": since})]

    def listed(
        self,
        *,
        open_only: bool = False,
        start: datetime | None = None,
        at_least: Severity = Severity.INFO,
        limit: int = 100,
    ) -> list[Incident]:
        """Incidents for people: first those that go on, then ended ones, the newest first.

        Args:
            open_only: only those that go on.
            start: leaves out what ended before.
            at_least: the lowest severity.
            limit: at most so many.
        """
        severe = list(Severity)[list(Severity).index(at_least) :]
        wanted = {
            "open_only": open_only,
            "start": None if start is None else checked_time(start, "start"),
            "severities": [each.value for each in severe],
            "limit": checked_count(limit, "limit"),
        }
        return [_incident(*row) for row in self._database.rows(query("audit/alerts/listed"), wanted)]

    def get(self, number: int) -> Incident:
        """An incident.

        Raises:
            InvalidRequest: if there is none of this number.
        """
        rows = self._database.rows(
            query("audit/alerts/listed").replace("WHERE (NOT", "WHERE number = %(number)s AND (NOT"),
            {
                "number": number,
                "open_only": False,
                "start": None,
                "severities": [each.value for each in Severity],
                "limit": 1,
            },
        )
        if not rows:
            raise InvalidRequest(
                f"There is no incident #{number}.",
                expected="the number of an incident",
                received=str(number),
                remedy="`trading-platform alerts list` shows them",
            )
        return _incident(*rows[0])

    @staticmethod
    def add(connection: Connection, incident: Incident) -> int:
        """Stores a new incident; returns its number."""
        return int(execute(connection, query("audit/alerts/insert_incident"), _row(incident))[0][0])

    @staticmethod
    def update(connection: Connection, incident: Incident) -> None:
        """Stores an incident as it is now."""
        execute(connection, query("audit/alerts/update_incident"), _row(incident))

    def acknowledge(self, number: int, *, by: str, because: str, at: datetime) -> Incident:
        """Acknowledges an incident: there is no reminder of it any more, but its end still is a message.

        Raises:
            InvalidRequest: if there is none of this number, or it has ended.
        """
        row = {
            "number": number,
            "by": checked_text(by, "name", _PATTERN),
            "because": checked_text(because, "reason", _TEXT),
            "at": at,
        }
        with self._database.begin() as connection:
            done = execute(
                connection,
                "UPDATE audit.incidents SET acknowledged_at = %(at)s, acknowledged_by = %(by)s,"
                " acknowledged_because = %(because)s WHERE number = %(number)s AND ended_at IS NULL RETURNING number",
                row,
            )
        found = self.get(number)
        if not done:
            raise InvalidRequest(
                f"Incident #{number} is over.",
                expected="an incident that goes on",
                received=f"one that ended at {found.ended_at:%Y-%m-%d %H:%M} UTC",
                remedy="there is nothing to do",
            )
        return found

    def silence(self, pattern: str, until: datetime, *, by: str, because: str, at: datetime) -> StoredSilence:
        """Makes a silence.

        Args:
            pattern: of ``component:rule:subject``, with ``*`` for any text.
            until: when it ends.
            by: who wants it.
            because: for which reason.
            at: the time now, UTC.

        Raises:
            InvalidRequest: if it would end before it begins, or a text is empty or too long.
        """
        end = checked_time(until, "end of the silence")
        if end <= at:
            raise InvalidRequest(
                "A silence has to end in the future.",
                expected=f"a time after {at:%Y-%m-%d %H:%M} UTC",
                received=f"{end:%Y-%m-%d %H:%M} UTC",
                remedy="give a later end",
            )
        row = {
            "pattern": checked_text(pattern, "pattern", _PATTERN),
            "until": end,
            "by": checked_text(by, "name", _PATTERN),
            "because": checked_text(because, "reason", _TEXT),
            "at": at,
        }
        with self._database.begin() as connection:
            ((number,),) = execute(
                connection,
                "INSERT INTO audit.silences (pattern, until, created_at, created_by, because)"
                " VALUES (%(pattern)s, %(until)s, %(at)s, %(by)s, %(because)s) RETURNING number",
                row,
            )
        return StoredSilence(Silence(number, pattern, end), at, by, because)

    def end_silence(self, number: int, at: datetime) -> None:
        """Ends a silence now.

        Raises:
            InvalidRequest: if there is none of this number that goes on.
        """
        with self._database.begin() as connection:
            done = execute(
                connection,
                "UPDATE audit.silences SET until = %(at)s WHERE number = %(number)s AND until > %(at)s"
                " RETURNING number",
                {"number": number, "at": at},
            )
        if not done:
            raise InvalidRequest(
                f"No silence {number} goes on.",
                expected="the number of a silence that has not ended",
                received=str(number),
                remedy="`trading-platform alerts silence` lists them",
            )

    def silences(self, now: datetime) -> list[StoredSilence]:
        """The silences that go on, by number."""
        rows = self._database.rows(
            "SELECT number, pattern, until, created_at, created_by, because FROM audit.silences"
            " WHERE until > %(now)s ORDER BY number",
            {"now": now},
        )
        return [StoredSilence(Silence(*row[:3]), *row[3:]) for row in rows]

    @staticmethod
    def _seen(connection: Connection, observer: str, at: datetime, every: timedelta, components: Sequence[str]) -> None:
        execute(
            connection,
            "INSERT INTO audit.observers (name, seen_at, every, components)"
            " VALUES (%(name)s, %(at)s, %(every)s, %(components)s) ON CONFLICT (name) DO UPDATE"
            " SET seen_at = EXCLUDED.seen_at, every = EXCLUDED.every, components = EXCLUDED.components",
            {"name": observer, "at": at, "every": every, "components": list(components)},
        )

    @staticmethod
    def _put(connection: Connection, observer: str, problem: Problem) -> None:
        execute(
            connection,
            "INSERT INTO audit.problems"
            " (observer, component, rule, subject, level, severity, message, since, source, details)"
            " VALUES (%(observer)s, %(component)s, %(rule)s, %(subject)s, %(level)s, %(severity)s, %(message)s,"
            " %(since)s, %(source)s, %(details)s) ON CONFLICT (observer, component, rule, subject) DO UPDATE"
            " SET severity = EXCLUDED.severity, message = EXCLUDED.message, details = EXCLUDED.details,"
            " level = EXCLUDED.level, source = EXCLUDED.source",
            {"observer": observer, **_of_problem(problem)},
        )


def _subject(component: str, rule: str, incident: str, details: dict[str, Any]) -> str:
    """The subject of an incident of the system events: its symbol, else its name without what the key says anyway."""
    if details.get("symbol"):
        return str(details["symbol"])
    words = [each for each in incident.split(":") if each not in (component, rule)]
    return ":".join(words)


def _key(key: Key) -> dict[str, object]:
    return {
        "component": storable(key.component)[:_NAME],
        "rule": storable(key.rule)[:_NAME],
        "subject": storable(key.subject)[:_SUBJECT],
    }


def _of_problem(problem: Problem) -> dict[str, object]:
    return {
        **_key(problem.key),
        "level": problem.level.value,
        "severity": problem.severity.value,
        "message": storable(problem.message)[:_TEXT],
        "since": problem.since,
        "source": problem.source,
        "details": json.dumps(dict(problem.details)),
    }


def _row(incident: Incident) -> dict[str, object]:
    notified = incident.notified_severity
    return {
        **_of_problem(incident.problem),
        "number": incident.number,
        "noticed_at": incident.noticed_at,
        "seen_at": incident.seen_at,
        "times": incident.times,
        "absent_since": incident.absent_since,
        "ended_at": incident.ended_at,
        "closed_at": incident.closed_at,
        "notified_at": incident.notified_at,
        "notified_severity": None if notified is None else notified.value,
        "end_notified_at": incident.end_notified_at,
        "hidden_by": incident.hidden_by,
    }


def _problem(
    component: str,
    rule: str,
    subject: str,
    level: str,
    severity: str,
    message: str,
    since: datetime,
    source: str | None,
    details: dict[str, Any] | None,
) -> Problem:
    key = Key(component, rule, subject)
    return Problem(key, Level(level), Severity(severity), message, since, source, details or {})


def _incident(number: int, *row: Any) -> Incident:
    problem, (noticed, seen, times, absent, ended, closed, notified, severity, *rest) = _problem(*row[:9]), row[9:]
    known = None if severity is None else Severity(severity)
    return Incident(number, problem, noticed, seen, times, absent, ended, closed, notified, known, *rest)
