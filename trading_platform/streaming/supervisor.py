"""Runs the parts of the live process: restarts a part that fails, and stops the parts in order.

The parts are :mod:`trading_platform.streaming.pipeline` and the modules beside it. They share nothing but the stores,
so that the failure of one does not affect the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from trading_platform.domain.errors import TradingPlatformError
from trading_platform.domain.time import AsyncSleep
from trading_platform.sources.live import Backoff, until_closing

Part = Callable[[], Awaitable[None]]


@dataclass
class PartState:
    """The state of a part.

    Attributes:
        name: name of the part.
        running: whether it is running.
        restarts: number of restarts.
        error: its last error.
    """

    name: str
    running: bool = False
    restarts: int = 0
    error: str | None = None


@dataclass
class Supervisor:
    """Runs parts until it is stopped.

    Attributes:
        publish: called with a part's state and error after each failure.
        sleep: waits before a restart.
        make_backoff: returns the waits before the restarts of one part; they reset after it ran for a while.
        parts: state of each part, by name.
    """

    publish: Callable[[PartState, Exception], None]
    sleep: AsyncSleep = asyncio.sleep
    make_backoff: Callable[[], Backoff] = Backoff
    parts: dict[str, PartState] = field(default_factory=dict)

    async def run(self, parts: dict[str, Part], stop: asyncio.Event, *, main: Sequence[str]) -> None:
        """Runs parts concurrently.

        Args:
            parts: the parts by name; a part that returns has finished.
            stop: set by the caller to end all parts; the ``main`` parts end by themselves when it is set, the others
                are cancelled after that.
            main: names of the main parts; when they have ended, the others are cancelled.
        """
        self.parts = {name: PartState(name) for name in parts}
        tasks = {name: asyncio.create_task(self._keep(name, part, stop)) for name, part in parts.items()}
        await asyncio.gather(*(tasks[name] for name in main))
        stop.set()
        for name, task in tasks.items():
            if name not in main:
                task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)

    async def _keep(self, name: str, part: Part, stop: asyncio.Event) -> None:
        state, backoff = self.parts[name], self.make_backoff()
        while True:
            state.running = True
            began = asyncio.get_running_loop().time()
            try:
                await part()
            except asyncio.CancelledError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever the error, the other parts go on
                state.error = (
                    str(error) if isinstance(error, TradingPlatformError) else f"{type(error).__name__}: {error}"
                )
                self.publish(state, error)
            else:
                return
            finally:
                state.running = False
            if stop.is_set():
                return
            backoff.ended(asyncio.get_running_loop().time() - began)
            await until_closing(self.sleep(backoff.next_wait()), stop)
            if stop.is_set():
                return
            state.restarts += 1
