"""The states of runs that have not ended; sensors request no run for what such a run may do."""

from __future__ import annotations

from dagster import DagsterRunStatus

UNFINISHED_RUNS = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
]
