"""That Dagster was down, or a run's process died, in the system events, with its end.

A daemon or code server that dies takes ``trading-platform dev`` with it, which says so. One that was killed itself is
missed by the next one, from the file that it left. Both end with the first tick of the sensor ``report_problems``. It
also tells of runs that :mod:`trading_platform.resources.run_monitoring` found without a process; these end when a run
of the same job and partitions succeeds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from trading_platform.domain.severity import Severity
from trading_platform.domain.time import Clock, rfc3339, utc_now
from trading_platform.embedded.folders import explain_os_error, private_directory

if TYPE_CHECKING:
    from trading_platform.settings import Settings
    from trading_platform.stores.audit.journal import AuditStore
    from trading_platform.stores.postgres.database import Database

COMPONENT = "dagster"
EVENT = "dagster_down"
INCIDENT = "dagster:session"
OBSERVER = "dagster"
"""Name under which the sensor ``report_problems`` says that it lives."""

RUN_DIED = "run_died"

_FORMER = timedelta(days=31)
_FILE = Path("run", "dev", "session")


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
    if since is not None:
        _log_end(audit, EVENT, INCIDENT, "Dagster runs again. It was down for", since, now)


@dataclass(frozen=True)
class RunEnd:
    """The end of a run, as far as dead processes are concerned.

    Attributes:
        name: job and partitions.
        run_id: id of the run.
        at: when it ended.
        died: whether its process had ended without saying so; else it succeeded.
    """

    name: str
    run_id: str
    at: datetime
    died: bool


def note_runs(database: Database, ends: Sequence[RunEnd]) -> None:
    """Records the runs that died, and those that succeeded in their place.

    Nothing is wrong with the severity ``info``: the failed run is reported by itself.
    """
    from trading_platform.stores.audit.journal import AuditStore

    if not ends:
        return
    audit = AuditStore(database)
    going: dict[str, datetime] = {}
    known = audit.events(start=min(end.at for end in ends) - _FORMER, event_type=RUN_DIED, component=COMPONENT)
    for event in sorted(known, key=lambda event: event.id):
        name, over = event.metadata["incident"], event.metadata["over"]
        going = {each: since for each, since in going.items() if each != name} | (
            {} if over else {name: event.timestamp}
        )
    for end in ends:
        name = f"run:{end.name}"
        since = going.pop(name, None)
        if end.died:
            going[name] = since or end.at
            if since is None:
                audit.log(
                    event_type=RUN_DIED,
                    severity=Severity.INFO,
                    component=COMPONENT,
                    message=f"The process of the run {end.run_id[:8]} of {end.name} died; the run has failed.",
                    metadata={"incident": name, "over": False, "run": end.run_id},
                    timestamp=end.at,
                )
        elif since is not None:
            _log_end(
                audit,
                RUN_DIED,
                name,
                f"A run of {end.name} has succeeded; one had died before it. That took",
                since,
                end.at,
            )


def _log_end(audit: AuditStore, kind: str, incident: str, words: str, since: datetime, now: datetime) -> None:
    seconds = max((now - since).total_seconds(), 0.0)
    audit.log(
        event_type=kind,
        severity=Severity.INFO,
        component=COMPONENT,
        message=f"{words} {seconds:,.0f} s.",
        metadata={"incident": incident, "over": True, "since": rfc3339(since), "seconds": round(seconds, 1)},
        timestamp=now,
    )


@contextmanager
def session_file(root: Path) -> Iterator[bool]:
    """Marks a session for as long as the block lasts; gives whether one before it was killed.

    Args:
        root: the data directory.

    Raises:
        ConfigurationError: if the file cannot be written there.
    """
    file = private_directory(root / _FILE.parent) / _FILE.name
    try:
        was_killed = file.exists() and not _is_running(file.read_text())
        file.write_text(_words_of(psutil.Process()))
    except OSError as error:
        raise explain_os_error(error, root) from error
    try:
        yield was_killed
    finally:
        file.unlink(missing_ok=True)


def _words_of(process: psutil.Process) -> str:
    """A process, told from a later one with the same id by the time of its start."""
    return f"{process.pid} {process.create_time()}"


def _is_running(words: str) -> bool:
    with suppress(psutil.Error, ValueError):
        return words == _words_of(psutil.Process(int(words.split(maxsplit=1)[0] if words else 0)))
    return False


def _open_since(audit: AuditStore, ticked: datetime | None) -> datetime | None:
    """Since when Dagster is down by the last event since its last tick; None if it is not."""
    for event in audit.events(start=ticked, event_type=EVENT, component=COMPONENT, limit=1):
        if isinstance(event.metadata, dict) and event.metadata.get("over") is False:
            return event.timestamp
    return None


def _last_tick(database: Database) -> datetime | None:
    from trading_platform.stores.alerts.incidents import IncidentStore

    return next((each.seen_at for each in IncidentStore(database).observers() if each.name == OBSERVER), None)
