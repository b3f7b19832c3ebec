"""The sensor ``repair_outages``: a run of the job ``repair_outages`` for each disconnection that is over.

What hit many symbols at once is one run; each of its outages has attempts of its own
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
from trading_platform.stores.market_data.outages import Outage

INTERVAL_SECONDS = 30
OUTAGES_A_TICK = 500
RUNS_A_TICK = 5
"""What is left waits for the next tick, so that a restart after days does not bury the machine in runs."""


@sensor(
    job_name=jobs.repair_outages_job.name,
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=DefaultSensorStatus.RUNNING,
    description="Starts a repair for each outage of a feed that is over: its minutes are asked for from the source.",
)
def repair_outages(
    _context: SensorEvaluationContext, platform: ResourceParam[PlatformContext]
) -> SensorResult | SkipReason:
    """Asks for a run for what is due; the same attempt at the same outage is never asked for twice."""
    due = platform.stores.outages.due(platform.clock(), OUTAGES_A_TICK)
    if not due:
        return SkipReason("No outage is to be repaired.")
    together: dict[tuple[str, datetime, datetime | None, int], list[Outage]] = {}
    for each in due:
        together.setdefault((each.source, each.down_at, each.up_at, each.attempts), []).append(each)
    return SensorResult(run_requests=[_request(found) for found in list(together.values())[:RUNS_A_TICK]])


def _request(found: list[Outage]) -> RunRequest:
    first = min(found, key=lambda each: each.id)
    return RunRequest(
        # With the time it fell due, because the attempts of one that goes on again are counted anew.
        run_key=f"{first.id}-{first.attempts}-{first.next_attempt_at:%Y%m%dT%H%M%S.%f}",
        run_config={"ops": {jobs.repair_outages.name: {"config": {"outages": [each.id for each in found]}}}},
        tags={"source": found[0].source, "outage": str(found[0].window())},
    )
