"""What Dagster knows to be wrong becomes incidents: failed checks, runs and ticks, and their ends."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    DagsterInstance,
    Definitions,
    ScheduleDefinition,
    asset,
    asset_check,
    build_sensor_context,
    define_asset_job,
    job,
)
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteInstigatorOrigin, RemoteRepositoryOrigin
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    ScheduleInstigatorData,
    TickData,
    TickStatus,
)
from dagster._daemon.types import DaemonHeartbeat

from trading_platform.domain.alerts.problems import Key, Level, Problem
from trading_platform.domain.severity import Severity
from trading_platform.resources.dagster_incidents import RUN_DIED
from trading_platform.resources.platform import PlatformContext
from trading_platform.resources.run_monitoring import PROCESS_ENDED
from trading_platform.sensors.report_problems import Changes, _daemons, read_ticks, report_problems
from trading_platform.stores.alerts.incidents import IncidentStore
from trading_platform.stores.audit.journal import AuditStore
from trading_platform.stores.postgres.database import execute
from trading_platform.stores.stores import Stores, open_stores


@pytest.fixture
def stores(database_url: str, tmp_path: Path) -> Iterator[Stores]:
    with open_stores(database_url, tmp_path / "features") as opened:
        yield opened
        tables = ", ".join(
            f"audit.{name}" for name in ("observers", "problems", "incidents", "notifications", "deliveries")
        )
        with opened.database.begin() as connection:
            execute(connection, f"TRUNCATE {tables}, audit.system_events RESTART IDENTITY")


class Scene:
    """An asset with a check whose results the test decides, and ticks of the sensor."""

    def __init__(self, stores: Stores, home: Path) -> None:
        self.platform = PlatformContext(stores, {})
        # One log of all runs, as the platform's own configuration has it.
        storage = {"module": "dagster._core.storage.event_log", "class": "ConsolidatedSqliteEventLogStorage"}
        overrides = {"event_log_storage": {**storage, "config": {"base_dir": str(home)}}}
        self.instance = DagsterInstance.local_temp(str(home), overrides=overrides)
        self.passes, self.works, self.severity = True, True, AssetCheckSeverity.ERROR
        self.metadata: dict[str, str] = {}
        self._cursor: str | None = None

        @asset
        def prices() -> None:
            if not self.works:
                raise RuntimeError("no prices today")

        @asset_check(asset=prices)
        def plausible() -> AssetCheckResult:
            return AssetCheckResult(
                passed=self.passes, severity=self.severity, description="11 prices are not.", metadata=self.metadata
            )

        job = define_asset_job("refresh")
        self._job = Definitions(assets=[prices], asset_checks=[plausible], jobs=[job]).resolve_job_def("refresh")

    def run(self) -> None:
        self._job.execute_in_process(instance=self.instance, raise_on_error=False)

    def die(self) -> None:
        """A run begins, and its process is gone, as Dagster's monitoring finds out."""
        run = self.instance.create_run_for_job(self._job)
        self.instance.report_run_failed(run, PROCESS_ENDED)

    def tick(self) -> None:
        context = build_sensor_context(
            instance=self.instance, cursor=self._cursor, resources={"platform": self.platform}
        )
        report_problems(context)
        self._cursor = context.cursor

    def problems(self) -> dict[str, Severity]:
        return {
            str(each.key): each.severity
            for each in IncidentStore(self.platform.stores.database).problems()
            if each.key.component == "dagster"
        }


@pytest.fixture
def scene(stores: Stores, tmp_path: Path) -> Scene:
    return Scene(stores, tmp_path)


def test_a_run_whose_process_died_is_in_the_system_events_until_one_succeeds(scene: Scene) -> None:
    def told() -> list[tuple[str, bool]]:
        audit = AuditStore(scene.platform.stores.database)
        events = sorted(audit.events(event_type=RUN_DIED), key=lambda event: event.id)
        return [(event.metadata["incident"], event.metadata["over"]) for event in events]

    scene.tick()
    for _ in range(2):
        scene.works = False
        scene.run()
        scene.tick()
        assert told() == [], "a run that failed by itself has not died"
        scene.die()
        scene.die()
        scene.tick()
        assert told() == [("run:refresh", False)]
        assert "dagster:run_failed:refresh" in scene.problems()
        scene.works = True
        scene.run()
        scene.tick()
        assert told() == [("run:refresh", False), ("run:refresh", True)]
        with scene.platform.stores.database.begin() as connection:
            execute(connection, "TRUNCATE audit.system_events")


def test_failed_checks_and_runs_are_problems_until_they_succeed(scene: Scene) -> None:
    scene.passes = False
    scene.run()
    scene.tick()
    assert scene.problems() == {}  # what was evaluated before alerts were there is not told
    scene.run()
    scene.tick()
    assert scene.problems() == {"dagster:check_failed:prices plausible": Severity.ERROR}
    scene.severity = AssetCheckSeverity.WARN
    scene.works = False
    scene.run()
    scene.tick()
    assert scene.problems()["dagster:run_failed:refresh"] is Severity.ERROR
    scene.works = scene.passes = True
    scene.run()
    scene.tick()
    assert scene.problems() == {}


def test_a_check_may_say_how_bad_it_is(scene: Scene) -> None:
    scene.tick()
    scene.passes, scene.metadata = False, {"alert_severity": "critical"}
    scene.run()
    scene.tick()
    assert scene.problems() == {"dagster:check_failed:prices plausible": Severity.CRITICAL}
    found = IncidentStore(scene.platform.stores.database).listed()
    assert [str(each.key) for each in found if each.key.component == "dagster"] == [
        "dagster:check_failed:prices plausible"
    ]
    assert found[0].problem.message == "11 prices are not."


def test_what_a_check_finds_may_be_reported_otherwise(scene: Scene) -> None:
    scene.tick()
    scene.passes, scene.metadata = False, {"alert_severity": "none"}
    scene.run()
    scene.tick()
    assert scene.problems() == {}
    scene.metadata = {}
    scene.run()
    scene.tick()
    assert scene.problems() == {"dagster:check_failed:prices plausible": Severity.ERROR}


def test_of_a_burst_the_last_word_counts(scene: Scene) -> None:
    scene.tick()
    for scene.passes in (False, True, False, True, False):
        scene.run()
    scene.tick()
    assert list(scene.problems()) == ["dagster:check_failed:prices plausible"]
    for scene.passes in (False, True):
        scene.run()
    scene.tick()
    assert scene.problems() == {}


def test_a_daemon_without_a_heartbeat_is_a_problem(scene: Scene) -> None:
    now = datetime(2026, 3, 2, 12, tzinfo=UTC)
    names = scene.instance.get_required_daemon_types()
    for name, age in zip(names, (timedelta(minutes=6), *[timedelta(seconds=30)] * len(names)), strict=False):
        scene.instance.add_daemon_heartbeat(DaemonHeartbeat((now - age).timestamp(), name, "id"))
    wrong = [key.subject for problem, key in _daemons(scene.instance, now) if problem is not None]
    assert wrong == [names[0]]


def test_a_schedule_that_is_on_and_does_not_tick_is_a_problem_until_it_does(tmp_path: Path) -> None:
    """New York's clocks are set back on 3 November, so that the tick of 16:05 there is at 21:05 UTC."""

    @job
    def nothing() -> None:
        """Does nothing."""

    times = "5 16 * * 1-5"
    schedule = ScheduleDefinition("close", cron_schedule=times, job=nothing, execution_timezone="America/New_York")
    on = datetime(2024, 11, 1, 21, 30, tzinfo=UTC)
    key = Key("dagster", "tick_missed", "close")
    with DagsterInstance.local_temp(str(tmp_path)) as instance:
        data = ScheduleInstigatorData(times, on.timestamp())
        remote = RemoteInstigatorOrigin(
            RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("here"), "repository"), "close"
        )
        state = InstigatorState(remote, InstigatorType.SCHEDULE, InstigatorStatus.RUNNING, data)
        instance.add_instigator_state(state)

        def missed(now: datetime, *schedules: ScheduleDefinition) -> list[Key]:
            changes = Changes({}, [])
            read_ticks(instance, now, changes, schedules)
            return [each for each in changes.begun if each.rule == "tick_missed"]

        due = datetime(2024, 11, 4, 21, 5, tzinfo=UTC)
        assert missed(due + timedelta(minutes=9), schedule) == []
        assert missed(due + timedelta(minutes=10), schedule) == [key]
        assert missed(due + timedelta(minutes=10)) == [], "of a schedule that is defined no more nothing is expected"
        instance.create_tick(
            TickData(
                instigator_origin_id=state.instigator_origin_id,
                instigator_name="close",
                instigator_type=InstigatorType.SCHEDULE,
                status=TickStatus.SUCCESS,
                timestamp=due.timestamp(),
                selector_id=state.selector_id,
                run_ids=[],
            )
        )
        assert missed(due + timedelta(hours=23), schedule) == []
        assert missed(due + timedelta(days=1, minutes=10), schedule) == [key]
        instance.update_instigator_state(state.with_status(InstigatorStatus.STOPPED))
        assert missed(due + timedelta(days=9), schedule) == []


def test_an_end_of_all_that_begin_so_spares_other_names() -> None:
    changes = Changes({}, [])
    for subject in ("bars ok 2024", "bars okay 2024", "bars ok"):
        key = Key("dagster", "check_failed", subject)
        changes.began(Problem(key, Level.SERVICE, Severity.ERROR, "x", datetime(2026, 1, 1, tzinfo=UTC)))
    changes.ended(Key("dagster", "check_failed", "bars ok *"))
    assert [key.subject for key in changes.begun] == ["bars okay 2024", "bars ok"]
