"""The sensor ``report_problems``: what Dagster knows to be wrong becomes problems, of which alerts are made.

Failed checks do not fail runs, and nothing tells of a failed sensor; so the sensor reads the evaluations of checks and
the ends of runs since its last tick, and the last ticks of all sensors and schedules. Its own silence tells the others
that the daemon is dead (:mod:`trading_platform.workflows.alerts.evaluate`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from dagster import (
    AssetCheckSeverity,
    DagsterEventType,
    DagsterInstance,
    DagsterRunStatus,
    DefaultSensorStatus,
    EventRecordsFilter,
    ResourceParam,
    RunsFilter,
    ScheduleDefinition,
    SensorEvaluationContext,
    SkipReason,
    sensor,
)
from dagster._core.scheduler.instigation import InstigatorType
from dagster._utils.schedules import cron_string_iterator

from trading_platform.domain.alerts.problems import Key, Level, Problem
from trading_platform.domain.severity import Severity
from trading_platform.resources.alerts import alert_watch
from trading_platform.resources.dagster_incidents import OBSERVER, RunEnd, note_runs, note_up
from trading_platform.resources.platform import PlatformContext
from trading_platform.resources.run_monitoring import PROCESS_ENDED
from trading_platform.settings import load_settings
from trading_platform.stores.alerts.incidents import IncidentStore

if TYPE_CHECKING:
    from dagster import AssetCheckEvaluation, RunRecord

NO_ALERT = "none"
"""A check's ``alert_severity`` if its failure is an incident by itself."""

INTERVAL_SECONDS = 30
EVENTS_A_TICK = 2_000
RUNS_A_TICK = 500

FORGOTTEN_AFTER = timedelta(days=1)
"""How long a failed run is a problem if no run of the same job and partitions succeeds."""

DAEMON_SILENT = timedelta(minutes=5)

TICK_LATE = timedelta(minutes=10)
"""How long after its time a schedule's tick counts as missed; Dagster looks each minute."""

_RANGE = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")


@dataclass(frozen=True)
class _Cursor:
    """The last evaluation and the time of the last run that were read."""

    event: int = 0
    run: str = ""

    @classmethod
    def parse(cls, text: str | None) -> _Cursor | None:
        return cls(**json.loads(text)) if text else None


@dataclass
class Changes:
    """What began and what is over, the last word on each key.

    Attributes:
        begun: problems by their key.
        over: keys that are over; a subject that ends in ``*`` means all that begin so.
        runs: the runs that succeeded, and those whose process died, in order.
    """

    begun: dict[Key, Problem]
    over: list[Key]
    runs: list[RunEnd] = field(default_factory=list)

    def began(self, problem: Problem) -> None:
        """Notes a problem."""
        self.begun[problem.key] = problem

    def ended(self, key: Key) -> None:
        """Notes that a problem, or all whose subjects begin so, is over; what was noted before counts no more."""
        prefix = key.subject[:-1] if key.subject.endswith("*") else None
        for each in list(self.begun):
            same = (each.component, each.rule) == (key.component, key.rule)
            if same and (each.subject == key.subject if prefix is None else each.subject.startswith(prefix)):
                del self.begun[each]
        self.over.append(key)


@sensor(
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=DefaultSensorStatus.RUNNING,
    description="Reports failed checks, runs, sensors and schedules as problems, and tells people of what is wrong.",
)
def report_problems(context: SensorEvaluationContext, platform: ResourceParam[PlatformContext]) -> SkipReason:
    """Reports what is new since the last tick, and has the alerts looked at."""
    now = platform.clock()
    cursor = _Cursor.parse(context.cursor)
    if cursor is None:
        cursor = _Cursor(_newest_event(context.instance), now.isoformat())
    changes = Changes({}, [])
    event = read_checks(context.instance, cursor.event, changes)
    run = read_runs(context.instance, datetime.fromisoformat(cursor.run), changes)
    repository = context.repository_def
    read_ticks(context.instance, now, changes, repository.schedule_defs if repository is not None else ())
    note_up(platform.stores.database, now)
    note_runs(platform.stores.database, changes.runs)
    store = IncidentStore(platform.stores.database)
    every = timedelta(seconds=INTERVAL_SECONDS)
    store.change(OBSERVER, changes.begun.values(), changes.over, at=now, every=every, components=[OBSERVER])
    store.forget_older(OBSERVER, "run_failed", now - FORGOTTEN_AFTER)
    context.update_cursor(json.dumps(asdict(_Cursor(event, run.isoformat()))))
    settings = load_settings()
    watch = alert_watch(settings, platform.stores.database, platform.redis_url, platform.clock)
    found = watch.tick()
    going = found.going if found is not None else 0
    return SkipReason(f"{len(changes.begun)} problems reported; {going} incidents go on.")


def _newest_event(instance: DagsterInstance) -> int:
    """Where to begin: what was evaluated before alerts were there is not reported."""
    newest = instance.get_event_records(EventRecordsFilter(DagsterEventType.ASSET_CHECK_EVALUATION), limit=1)
    return newest[0].storage_id if newest else 0


def read_checks(instance: DagsterInstance, after: int, changes: Changes) -> int:
    """The evaluations of checks since one; returns the last that was read."""
    wanted = EventRecordsFilter(DagsterEventType.ASSET_CHECK_EVALUATION, after_cursor=after)
    tags: dict[str, Mapping[str, str]] = {}
    for record in instance.get_event_records(wanted, limit=EVENTS_A_TICK, ascending=True):
        after = record.storage_id
        event = record.event_log_entry.dagster_event
        if event is None:
            continue
        evaluation: AssetCheckEvaluation = event.asset_check_evaluation_data
        run = record.run_id
        if run not in tags:
            found = instance.get_run_by_id(run)
            tags[run] = found.tags if found is not None else {}
        partitions = evaluation.partition or _partitions(tags[run])
        name = f"{evaluation.asset_key.to_user_string()} {evaluation.check_name}"
        if evaluation.passed:
            changes.ended(Key(OBSERVER, "check_failed", f"{name} {partitions}".strip()))
            if not partitions:  # one over all partitions says that none of them fails
                changes.ended(Key(OBSERVER, "check_failed", f"{name} *"))
        elif not _is_reported_otherwise(evaluation):
            at = datetime.fromtimestamp(record.timestamp, UTC)
            changes.began(_failed_check(evaluation, f"{name} {partitions}".strip(), at))
    return after


def _is_reported_otherwise(evaluation: AssetCheckEvaluation) -> bool:
    """Whether what the check found is an incident by itself, so that a second one would be a second message."""
    said = evaluation.metadata.get("alert_severity")
    return said is not None and said.value == NO_ALERT


def _failed_check(evaluation: AssetCheckEvaluation, subject: str, at: datetime) -> Problem:
    severity = Severity.WARNING if evaluation.severity is AssetCheckSeverity.WARN else Severity.ERROR
    said = evaluation.metadata.get("alert_severity")
    if said is not None and str(said.value) in set(Severity):
        severity = Severity(str(said.value))
    words = (evaluation.description or "The check failed.").strip()
    return Problem(Key(OBSERVER, "check_failed", subject), Level.SERVICE, severity, words, at)


def _partitions(tags: Mapping[str, str]) -> str:
    if tags.get("dagster/partition"):
        return tags["dagster/partition"]
    start, end = (tags.get(name, "") for name in _RANGE)
    return f"{start}...{end}" if start != end else start


def read_runs(instance: DagsterInstance, after: datetime, changes: Changes) -> datetime:
    """The runs that ended since a time; returns the time of the last one."""
    statuses = [DagsterRunStatus.FAILURE, DagsterRunStatus.SUCCESS]
    records = instance.get_run_records(
        RunsFilter(statuses=statuses, updated_after=after),
        limit=RUNS_A_TICK,
        order_by="update_timestamp",
        ascending=True,
    )
    for record in records:
        after = max(after, _aware(record.update_timestamp))
        key = Key(
            OBSERVER, "run_failed", f"{record.dagster_run.job_name} {_partitions(record.dagster_run.tags)}".strip()
        )
        run, at = record.dagster_run.run_id, _aware(record.update_timestamp)
        if record.dagster_run.status is DagsterRunStatus.SUCCESS:
            changes.ended(key)
            changes.runs.append(RunEnd(key.subject, run, at, died=False))
        else:
            changes.began(_failed_run(record, key))
            if _has_died(instance, run):
                changes.runs.append(RunEnd(key.subject, run, at, died=True))
    return after


def _has_died(instance: DagsterInstance, run: str) -> bool:
    """Whether a run failed because its process was gone."""
    failures = instance.get_records_for_run(run, of_type=DagsterEventType.RUN_FAILURE).records
    return any(PROCESS_ENDED in (each.event_log_entry.get_dagster_event().message or "") for each in failures)


def _failed_run(record: RunRecord, key: Key) -> Problem:
    at = _aware(record.update_timestamp)
    words = f"The run {record.dagster_run.run_id[:8]} of {key.subject} failed. Its page in the UI has the error."
    return Problem(key, Level.SERVICE, Severity.ERROR, words, at, details={"run": record.dagster_run.run_id})


def _aware(at: datetime) -> datetime:
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def read_ticks(
    instance: DagsterInstance, now: datetime, changes: Changes, schedules: Iterable[ScheduleDefinition] = ()
) -> None:
    """The last tick of each sensor and schedule that runs, those that schedules missed, and the daemons' heartbeats."""
    for problem, key in (*_ticks(instance), *_missed(instance, now, schedules), *_daemons(instance, now)):
        if problem is None:
            changes.ended(key)
        else:
            changes.began(problem)


def _ticks(instance: DagsterInstance) -> Iterator[tuple[Problem | None, Key]]:
    for state in instance.all_instigator_state():
        key = Key(OBSERVER, "tick_failed", state.instigator_name)
        last = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1) if state.is_running else []
        if last and last[0].status.value == "FAILURE":
            error = last[0].error
            reason = (
                error.message.strip().splitlines()[0]
                if error is not None and error.message.strip()
                else "no reason given"
            )
            at = datetime.fromtimestamp(last[0].timestamp, UTC)
            words = f"The last tick of {state.instigator_name} failed: {reason}"
            yield Problem(key, Level.SERVICE, Severity.ERROR, words, at), key
        else:
            yield None, key


def _missed(
    instance: DagsterInstance, now: datetime, schedules: Iterable[ScheduleDefinition]
) -> Iterator[tuple[Problem | None, Key]]:
    """Schedules that are on and have no tick at their last time, as when their daemon hangs."""
    defined = {each.name: each for each in schedules}
    for state in instance.all_instigator_state(instigator_type=InstigatorType.SCHEDULE):
        key, schedule = Key(OBSERVER, "tick_missed", state.instigator_name), defined.get(state.instigator_name)
        started = getattr(state.instigator_data, "start_timestamp", None)
        if not state.is_running or schedule is None or started is None:
            yield None, key
            continue
        ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)
        since = max([started, *(tick.timestamp for tick in ticks)])
        zone = schedule.execution_timezone or "UTC"
        due = next(
            at for at in cron_string_iterator(since, str(schedule.cron_schedule), zone) if at.timestamp() > since
        ).astimezone(UTC)
        if now < due + TICK_LATE:
            yield None, key
        else:
            words = (
                f"The schedule {state.instigator_name} did not tick at {due:%Y-%m-%d %H:%M} UTC. To do: see whether "
                "Dagster's daemon runs; turn the schedule off and on again."
            )
            yield Problem(key, Level.SERVICE, Severity.ERROR, words, due + TICK_LATE), key


def _daemons(instance: DagsterInstance, now: datetime) -> Iterator[tuple[Problem | None, Key]]:
    beats = instance.get_daemon_heartbeats()
    for name in instance.get_required_daemon_types():
        key, beat = Key(OBSERVER, "daemon_silent", name), beats.get(name)
        at = datetime.fromtimestamp(beat.timestamp, UTC) if beat is not None else None
        if at is None or now - at < DAEMON_SILENT:
            yield None, key
        else:
            words = (
                f"The daemon {name} has said nothing since {at:%Y-%m-%d %H:%M:%S} UTC. To do: restart Dagster's daemon."
            )
            yield Problem(key, Level.SERVICE, Severity.ERROR, words, at), key
