"""Watches the servers that the live process uses: says that one does not answer, and starts an embedded one again.

An external server is waited for. The other parts wait for the stores themselves; this one says what they wait for, and
that it is over (:mod:`trading_platform.streaming.monitoring.incidents`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence

from trading_platform.domain.errors import StoreError, StoreUnavailable, TradingPlatformError
from trading_platform.domain.severity import Severity
from trading_platform.domain.time import AsyncSleep
from trading_platform.streaming.monitoring.incidents import Incidents

log = logging.getLogger(__name__)

EVERY = 2.0
"""Seconds between two looks at the servers."""

CONNECT_SECONDS = 10
"""Seconds that a server may take to answer."""

Check = Callable[[], Awaitable[None]]
"""Raises StoreError if the server does not answer."""

Revive = Callable[[], Sequence[str]]
"""Starts the embedded servers that do not run; returns their names."""

NAMES = {"postgresql": "PostgreSQL", "redis": "Redis"}


class ServerWatch:
    """Watches the servers until it is cancelled.

    Args:
        checks: a check of each server, by its name.
        incidents: where it is said.
        revive: starts embedded servers again; None if all are external.
        sleep: waits between two looks.
    """

    def __init__(
        self,
        checks: Mapping[str, Check],
        incidents: Incidents,
        *,
        revive: Revive | None = None,
        sleep: AsyncSleep = asyncio.sleep,
    ) -> None:
        self._checks = checks
        self._incidents = incidents
        self._revive = revive
        self._sleep = sleep
        self._revived: set[str] = set()

    async def run(self) -> None:
        """Looks at the servers again and again."""
        while True:
            await self.look()
            await self._sleep(EVERY)

    async def look(self) -> None:
        """Looks at all servers once; starts those that can be started."""
        away = [name for name, check in self._checks.items() if not await self._answers(name, check)]
        if away and self._revive is not None:
            await self._start_again(self._revive)

    async def _answers(self, name: str, check: Check) -> bool:
        try:
            await check()
        except StoreError as error:
            state = "does not answer" if isinstance(error, StoreUnavailable) else "cannot be used"
            what = f"{NAMES[name]} {state} and is waited for: {error}"
            if self._incidents.is_open(f"server:{name}"):
                log.warning("%s", what, extra={"cause": f"away {name}"})
            self._incidents.begin(f"server:{name}", "server_away", Severity.ERROR, what, server=name)
            return False
        how = "was started again by the stream" if name in self._revived else "answers again"
        self._incidents.end(f"server:{name}", f"{NAMES[name]} {how}.")
        self._revived.discard(name)
        return True

    async def _start_again(self, revive: Revive) -> None:
        try:
            started = await asyncio.to_thread(revive)
        except TradingPlatformError as error:
            log.warning("an embedded server cannot be started: %s", error)
            return
        for name in started:
            log.warning("%s had died; it is started again", NAMES[name], extra={"cause": f"started {name}"})
        self._revived |= set(started)
