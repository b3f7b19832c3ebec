"""Looks at what is wrong again and again, and sends what is due; says so itself where the database is away.

Whoever hosts it calls :meth:`AlertWatch.tick` every :data:`EVERY` seconds: the command ``alerts run``, the stream and
Dagster's sensor do, so that none of them is needed by the others. What one of them writes any of them sends.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from trading_platform.domain.alerts.delivery import CannotBeSent, Notifier, TryLater
from trading_platform.domain.errors import StoreError
from trading_platform.domain.severity import Severity
from trading_platform.domain.time import Clock
from trading_platform.stores.alerts.incidents import IncidentStore
from trading_platform.stores.alerts.outbox import NotificationOutbox
from trading_platform.stores.postgres.database import Database
from trading_platform.workflows.alerts.deliver import deliver
from trading_platform.workflows.alerts.evaluate import Evaluated, evaluate
from trading_platform.workflows.alerts.host import COMPONENT as HOST
from trading_platform.workflows.alerts.host import host_problems

EVERY = 15.0
"""Seconds between two looks."""

HEARTBEAT_EVERY = timedelta(minutes=1)

AWAY = timedelta(minutes=1)
"""How long the database must be away before people are notified without it."""

log = logging.getLogger(__name__)


class Pulse(Protocol):
    """Says to somebody outside that alerting is alive."""

    def beat(self, *, well: bool) -> str | None:
        """Says it, and whether alerting can work; returns why that could not be said, if so."""


@dataclass(frozen=True)
class Surroundings:
    """What a watch looks at.

    Attributes:
        database: the database.
        folders: what the platform stores on disk, by what it is.
        redis: raises StoreError if Redis does not answer.
        clock: the clock of this machine.
        database_clock: the clock of the database's machine.
    """

    database: Database
    folders: Mapping[str, Path]
    redis: Callable[[], None]
    clock: Clock
    database_clock: Clock


class AlertWatch:
    """Looks and tells.

    Args:
        around: what it looks at.
        notifiers: the ways to people.
        pulse: the heartbeat, if there is one.
        direct: the names of the notifiers that reach people without the platform's own stores.
    """

    def __init__(
        self, around: Surroundings, notifiers: Sequence[Notifier], pulse: Pulse | None, direct: frozenset[str]
    ) -> None:
        self._around = around
        self._notifiers = notifiers
        self._pulse = pulse
        self._direct = direct
        self._away_since: datetime | None = None
        self._has_notified = False
        self._beat_at: datetime | None = None
        self._beat_well = True

    def tick(self) -> Evaluated | None:
        """One look; None if the database is away, of which people are notified after a minute."""
        now = self._around.clock()
        try:
            found = self._look(now)
        except StoreError as error:
            self._away(error, now)
            found = None
        else:
            self._back(now)
        self._beat(now)
        return found

    def _look(self, now: datetime) -> Evaluated:
        around = self._around
        problems = host_problems(around.folders, around.database_clock, around.redis, now)
        every = timedelta(seconds=EVERY)
        IncidentStore(around.database).report(HOST, problems, at=now, every=every, components=[HOST])
        names = [notifier.name for notifier in self._notifiers]
        found = evaluate(around.database, names, now)
        deliver(NotificationOutbox(around.database), self._notifiers, around.clock)
        return found

    def _away(self, error: StoreError, now: datetime) -> None:
        log.warning("alerting waits for the database: %s", error, extra={"cause": "alerting waits"})
        self._away_since = self._away_since or now
        if not self._has_notified and now - self._away_since >= AWAY:
            words = f"[critical] The database cannot be used since {self._away_since:%Y-%m-%d %H:%M:%S} UTC: {error}"
            self._has_notified = self._say(words, Severity.CRITICAL, now)

    def _back(self, now: datetime) -> None:
        if self._has_notified and self._away_since is not None:
            words = f"Over: the database can be used again; it was away since {self._away_since:%Y-%m-%d %H:%M:%S} UTC."
            if not self._say(words, Severity.INFO, now):
                return
        self._away_since, self._has_notified = None, False

    def _say(self, words: str, severity: Severity, now: datetime) -> bool:
        """Tells people without the outbox; whether any way took it."""
        taken = False
        for notifier in self._notifiers:
            if notifier.name not in self._direct:
                continue
            try:
                notifier.send(words, severity, [], now)
                taken = True
            except (TryLater, CannotBeSent) as error:
                log.warning("%s did not take a message: %s", notifier.name, error.reason)
        return taken or not self._direct

    def _beat(self, now: datetime) -> None:
        well = self._away_since is None
        due = self._beat_at is None or now - self._beat_at >= HEARTBEAT_EVERY or well != self._beat_well
        if self._pulse is None or not due:
            return
        self._beat_at, self._beat_well = now, well
        failed = self._pulse.beat(well=well)
        if failed:
            log.warning("the heartbeat could not be sent: %s", failed, extra={"cause": "heartbeat"})
