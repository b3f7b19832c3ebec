"""The sensor ``repair_outages``: starts a run of the job ``repair_outages`` for each disconnection that has ended.

A disconnection of many symbols is one run; each of its outages counts its own attempts
(:mod:`trading_platform.workflows.gaps.repair_outages`). A tick is one short query.
"""

from __future__ import annotations

from datetime import datetime

from dagster import (
    DefaultSensorStatus,
    ResourceParam,
    RunRequest,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    sensor,
)

from trading_platform import jobs
from trading_platform.resources.platform import PlatformContext
from trading_platform.stores.market_data.completeness.outages import Outage

INTERVAL_SECONDS = 30
OUTAGES_A_TICK = 500
RUNS_A_TICK = 5
"""The rest waits for the next tick, so that a restart after days does not overload the machine with runs."""


@sensor(
    job_name=jobs.repair_outages_job.name,
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=DefaultSensorStatus.RUNNING,
    description="Starts a repair for each feed outage that has ended: requests its minutes from the source.",
)
def repair_outages(
    _context: SensorEvaluationContext, platform: ResourceParam[PlatformContext]
) -> SensorResult | SkipReason:
    """Requests runs for the outages that are due; each attempt at an outage is requested once."""
    due = platform.stores.outages.due(platform.clock(), OUTAGES_A_TICK)
    if not due:
        return SkipReason("No outage is due for repair.")
    by_disconnection: dict[tuple[str, datetime, datetime | None, int], list[Outage]] = {}
    for each in due:
        by_disconnection.setdefault((each.source, each.down_at, each.up_at, each.attempts), []).append(each)
    return SensorResult(run_requests=[_request(found) for found in list(by_disconnection.values())[:RUNS_A_TICK]])


def _request(found: list[Outage]) -> RunRequest:
    first = min(found, key=lambda each: each.id)
    return RunRequest(
        # The key holds the due time, because the attempts restart at zero when the outage goes on.
        run_key=f"{first.id}-{first.attempts}-{first.next_attempt_at:%Y%m%dT%H%M%S.%f}",
        run_config={"ops": {jobs.repair_outages_op.name: {"config": {"outages": [each.id for each in found]}}}},
        tags={"source": found[0].source, "outage": str(found[0].window())},
    )
