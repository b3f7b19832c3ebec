"""Fails the runs whose process has ended without saying so, and launches runs so that this can be noticed.

``dagster.yaml`` names the launcher, which Dagster's daemon asks once a minute; commands ask when they begin. The leases
are in :mod:`trading_platform.embedded.run_leases`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from dagster._config.config_schema import UserConfigSchema
from dagster._core.launcher import CheckRunHealthResult, DefaultRunLauncher, LaunchRunContext, WorkerStatus
from dagster._core.storage.dagster_run import IN_PROGRESS_RUN_STATUSES, DagsterRun, DagsterRunStatus, RunsFilter
from dagster._serdes import ConfigurableClassData

from trading_platform.embedded.run_leases import RunLeases, RunProcess
from trading_platform.settings import load_settings

if TYPE_CHECKING:
    from dagster import DagsterInstance

PROCESS_ENDED = "The process of this run ended without reporting it: it was killed, or its machine was switched off."


class PlatformRunLauncher(DefaultRunLauncher):
    """Dagster's own launcher, which in addition can tell whether the process of a run is alive."""

    def launch_run(self, context: LaunchRunContext) -> None:
        """Launches a run by its code server; called by Dagster."""
        RunLeases(load_settings().root).expect(context.dagster_run.run_id)
        super().launch_run(context)

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Dagster's monitoring may ask."""
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Whether the process of a started run is alive; asked by Dagster's monitoring."""
        if RunLeases(load_settings().root).process_of(run.run_id) is RunProcess.ENDED:
            return CheckRunHealthResult(WorkerStatus.FAILED, PROCESS_ENDED)
        return CheckRunHealthResult(WorkerStatus.RUNNING)

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        """Takes no configuration from ``dagster.yaml``."""
        return {}

    @classmethod
    def from_config_value(
        cls,
        inst_data: ConfigurableClassData,
        config_value: Mapping[str, Any],  # noqa: ARG003 - Dagster's signature
    ) -> Self:
        """Called by Dagster."""
        return cls(inst_data)


def fail_ended_runs(instance: DagsterInstance, leases: RunLeases) -> list[str]:
    """Fails the unfinished runs whose process has ended, and forgets the leases of ended runs; returns their ids.

    Runs that wait in the queue are left to it.
    """
    # A run says that it ended before its process ends, so this order takes no ended run for an unfinished one.
    ended = [run_id for run_id in leases.known() if leases.process_of(run_id) is RunProcess.ENDED]
    if not ended:
        return []
    statuses = [*IN_PROGRESS_RUN_STATUSES, DagsterRunStatus.NOT_STARTED]
    unfinished = instance.get_runs(RunsFilter(run_ids=ended, statuses=statuses))
    for run in unfinished:
        instance.report_run_failed(run, PROCESS_ENDED)
    for run_id in ended:
        leases.forget(run_id)
    return [run.run_id for run in unfinished]
