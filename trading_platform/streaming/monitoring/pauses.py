"""Notices that the process itself did not run: it was stopped, or the machine was busy with other things.

Nothing else shows it: the feeds' connections stay, and what they sent meanwhile is read late. Servers are watched by
:mod:`trading_platform.streaming.monitoring.servers`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

from trading_platform.domain.severity import Severity
from trading_platform.domain.time import AsyncSleep, Clock
from trading_platform.streaming.monitoring.incidents import Incidents

EVERY = 1.0
"""Seconds between two looks."""

LONGEST = 10.0
"""Seconds by which a look may be late before the process counts as paused."""


class PauseWatch:
    """Watches the process until it is cancelled.

    Args:
        incidents: where a pause is recorded, with its beginning and its end.
        clock: the receiver's clock.
        sleep: waits between two looks.
        monotonic: a clock in seconds that never goes back; by default the event loop's.
    """

    def __init__(
        self,
        incidents: Incidents,
        clock: Clock,
        *,
        sleep: AsyncSleep = asyncio.sleep,
        monotonic: Callable[[], float] | None = None,
    ) -> None:
        self._incidents = incidents
        self._clock = clock
        self._sleep = sleep
        self._monotonic = monotonic

    async def run(self) -> None:
        """Looks again and again."""
        monotonic = self._monotonic or asyncio.get_running_loop().time
        while True:
            before, since = monotonic(), self._clock()
            await self._sleep(EVERY)
            missed = monotonic() - before - EVERY
            if missed >= LONGEST:
                # The clock may have been set meanwhile; an end before its beginning would be no interval.
                self._record(max(self._clock() - timedelta(seconds=missed), since), missed)

    def _record(self, since: datetime, missed: float) -> None:
        message = (
            f"The stream did not run for {missed:,.0f} s: it was stopped, or the machine was busy or suspended. "
            "What the feeds sent meanwhile is read now; what they lost is requested."
        )
        self._incidents.begin("process", "stream_paused", Severity.WARNING, message, at=since)
        self._incidents.end("process", "The stream runs again.")
