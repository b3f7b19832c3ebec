"""That Dagster was down, in the system events: begun by who sees it end, ended by the first tick of its sensor.

A daemon or code server that dies takes ``trading-platform dev`` with it, which says so. One that was killed itself is
missed by the next one, from the file that it left. :mod:`trading_platform.resources.run_monitoring` has the runs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from trading_platform.domain.severity import Severity
from trading_platform.domain.time import Clock, rfc3339, utc_now

if TYPE_CHECKING:
    from trading_platform.settings import Settings
    from trading_platform.stores.audit.journal import AuditStore
    from trading_platform.stores.postgres.database import Database

COMPONENT = "dagster"
EVENT = "dagster_down"
INCIDENT = "dagster:session"
OBSERVER = "dagster"
"""Name under which the sensor ``report_problems`` says that it lives."""

_FILE = Path("run", "dagster-session")


def note_down(settings: Settings, message: str, *, clock: Clock = utc_now, since_last_tick: bool = False) -> None:
    """Records that Dagster is down, unless that is known.

    Args:
        settings: the platform's; embedded servers are started if need be.
        message: what happened.
        clock: the present.
        since_last_tick: it ended unseen, at the earliest when its sensor last ticked.

    Raises:
        TradingPlatformError: if the database cannot be had.
    """
    from trading_platform.resources.platform import open_platform
    from trading_platform.stores.audit.journal import AuditStore

    with open_platform(settings) as platform:
        audit, ticked = AuditStore(platform.stores.database), _last_tick(platform.stores.database)
        if _open_since(audit, ticked) is not None:
            return
        audit.log(
            event_type=EVENT,
            severity=Severity.ERROR,
            component=COMPONENT,
            message=message,
            metadata={"incident": INCIDENT, "over": False},
            timestamp=ticked if since_last_tick and ticked is not None else clock(),
        )


def note_up(database: Database, now: datetime) -> None:
    """Records that Dagster runs again, if it was down; called by a sensor, which shows that all parts of it do.

    Args:
        database: where the events are.
        now: time of the tick, before it is stored as the last one.
    """
    from trading_platform.stores.audit.journal import AuditStore

    audit = AuditStore(database)
    since = _open_since(audit, _last_tick(database))
    if since is None:
        return
    seconds = (now - since).total_seconds()
    audit.log(
        event_type=EVENT,
        severity=Severity.INFO,
        component=COMPONENT,
        message=f"Dagster runs again. It was down for {seconds:,.0f} s.",
        metadata={"incident": INCIDENT, "over": True, "since": rfc3339(since), "seconds": round(seconds, 1)},
        timestamp=now,
    )


@contextmanager
def session_file(root: Path) -> Iterator[bool]:
    """Marks a session for as long as the block lasts; gives whether one before it was killed.

    Args:
        root: the data directory.
    """
    file = root / _FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    was_killed = False
    with suppress(OSError, ValueError):
        was_killed = not psutil.pid_exists(int(file.read_text()))
    file.write_text(str(os.getpid()))
    try:
        yield was_killed
    finally:
        file.unlink(missing_ok=True)


def _open_since(audit: AuditStore, ticked: datetime | None) -> datetime | None:
    """Since when Dagster is down by the last event since its last tick; None if it is not."""
    for event in audit.events(start=ticked, event_type=EVENT, component=COMPONENT, limit=1):
        if isinstance(event.metadata, dict) and event.metadata.get("over") is False:
            return event.timestamp
    return None


def _last_tick(database: Database) -> datetime | None:
    from trading_platform.stores.alerts.incidents import IncidentStore

    return next((each.seen_at for each in IncidentStore(database).observers() if each.name == OBSERVER), None)
