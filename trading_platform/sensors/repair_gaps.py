"""The sensor ``repair_gaps``: detects gaps and starts the runs that repair them.

A tick checks a few symbols, in turn, so that each is checked hourly: coverage against the calendars, and the last two
days of stored data against what was committed. The asset ``coverage`` checks everything each night. Gaps that are due
are repaired by runs of the job ``repair_gaps``; each attempt is requested once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from dagster import (
    DefaultSensorStatus,
    ResourceParam,
    RunRequest,
    SensorEvaluationContext,
    SensorResult,
    sensor,
)

from trading_platform import jobs
from trading_platform.domain.quality.gaps import Gap
from trading_platform.resources.platform import PlatformContext
from trading_platform.workflows.gaps.detect_gaps import detect_gaps
from trading_platform.workflows.gaps.verify_integrity import Proof

INTERVAL_SECONDS = 60
SYMBOLS_A_TICK = 25
"""Number of symbols that a tick checks: 1,500 an hour, each in some hundredths of a second."""
GAPS_A_RUN = 100
RUNS_A_TICK = 3
"""The rest waits for the next tick, so that a restored backup does not overload the machine with runs."""


@dataclass(frozen=True)
class _Cursor:
    """The hour of the current round and the last symbol checked in it; ``after`` is empty when the round is done."""

    hour: str = ""
    after: str = ""
    done: bool = False

    @classmethod
    def parse(cls, text: str | None) -> _Cursor:
        return cls(**json.loads(text)) if text else cls()


@sensor(
    job_name=jobs.repair_gaps_job.name,
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=DefaultSensorStatus.RUNNING,
    description="Detects gaps every hour and starts the runs that repair them.",
)
def repair_gaps(context: SensorEvaluationContext, platform: ResourceParam[PlatformContext]) -> SensorResult:
    """Checks the next symbols of this hour's round, and requests runs for the gaps that are due."""
    cursor = _check_next(platform, _Cursor.parse(context.cursor))
    due = platform.stores.gaps.due(platform.clock(), GAPS_A_RUN * RUNS_A_TICK)
    requests = [_request(due[start : start + GAPS_A_RUN]) for start in range(0, len(due), GAPS_A_RUN)]
    return SensorResult(
        run_requests=requests,
        cursor=json.dumps(asdict(cursor)),
        skip_reason=None if requests else "No gap is due for repair.",
    )


def _check_next(platform: PlatformContext, cursor: _Cursor) -> _Cursor:
    """Checks the next few symbols; returns the position of the round."""
    hour = f"{platform.clock():%Y-%m-%dT%H}"
    if cursor.hour != hour:
        cursor = _Cursor(hour) if cursor.done or not cursor.hour else _Cursor(hour, cursor.after)
    if cursor.done:
        return cursor
    universe = platform.stores.instruments.all()
    chosen = [symbol for symbol in universe if symbol > cursor.after][:SYMBOLS_A_TICK]
    detect_gaps(
        platform.stores,
        platform.sources,
        [universe[symbol] for symbol in chosen],
        clock=platform.clock,
        proof=Proof.RECENT,
        publish=platform.publish,
    )
    whole = len(chosen) < SYMBOLS_A_TICK
    return _Cursor(hour, "" if whole else chosen[-1], whole)


def _request(due: Sequence[Gap]) -> RunRequest:
    attempts = ",".join(f"{gap.id}-{gap.attempts}-{gap.next_attempt_at:%Y%m%dT%H%M%S}" for gap in due)
    return RunRequest(
        run_key=hashlib.sha256(attempts.encode()).hexdigest()[:32],
        run_config={"ops": {jobs.repair_gaps_op.name: {"config": {"gaps": [gap.id for gap in due]}}}},
        tags={"gaps": str(len(due)), "symbols": ", ".join(sorted({gap.symbol for gap in due})[:10])},
    )
