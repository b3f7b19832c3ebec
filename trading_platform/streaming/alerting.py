"""The part of the live process that tells people what is wrong; by its silence others know that the stream is dead.

:mod:`trading_platform.workflows.alerts.watch` looks and tells; events of the stream itself are in
:mod:`trading_platform.streaming.monitoring.incidents`.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta

from trading_platform.domain.errors import StoreError
from trading_platform.domain.time import AsyncSleep, Clock
from trading_platform.stores.alerts.incidents import IncidentStore
from trading_platform.stores.postgres.database import Database
from trading_platform.streaming.monitoring.circuit import COMPONENT as FEED
from trading_platform.streaming.monitoring.incidents import COMPONENT as STREAMER
from trading_platform.workflows.alerts.watch import EVERY, AlertWatch

OBSERVER = "stream"


class Alerting:
    """Looks and tells until it is cancelled; a stream that ends in order is no silent one.

    Args:
        watch: looks and tells.
        database: where the stream says that it is alive.
        clock: the receiver's clock.
        part: name of the part of the universe that the process follows; empty for the whole of it.
        sleep: waits between two looks.
    """

    def __init__(
        self, watch: AlertWatch, database: Database, clock: Clock, *, part: str = "", sleep: AsyncSleep = asyncio.sleep
    ) -> None:
        self._watch = watch
        self._incidents = IncidentStore(database)
        self._clock = clock
        self._name = f"{OBSERVER} {part}".strip()
        self._part = part
        self._sleep = sleep

    async def run(self) -> None:
        """Looks again and again."""
        try:
            while True:
                await asyncio.to_thread(self._look)
                await self._sleep(EVERY)
        except asyncio.CancelledError:
            await asyncio.to_thread(self._leave)
            raise

    def _look(self) -> None:
        components = [f"{name}:{self._part}" if self._part else name for name in (STREAMER, FEED)]
        every = timedelta(seconds=EVERY)
        with suppress(StoreError):  # the watch says that the database is away
            self._incidents.report(self._name, [], at=self._clock(), every=every, components=components)
        self._watch.tick()

    def _leave(self) -> None:
        with suppress(StoreError):  # then it counts as silent, which it is
            self._incidents.forget(self._name)
