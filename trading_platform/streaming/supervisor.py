"""Keeps the parts of the live process running: what fails is started again, what is told to stop leaves in order.

The parts themselves: :mod:`trading_platform.streaming.pipeline` and its neighbours. They share nothing but
the stores, so that one that fails takes no other with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from trading_platform.domain.errors import TradingPlatformError
from trading_platform.domain.time import AsyncSleep
from trading_platform.sources.live import Backoff

Part = Callable[[], Awaitable[None]]


@dataclass
class PartState:
    """How a part fares.

    Attributes:
        name: of the part.
        running: whether it does.
        restarts: how often it was started again.
        error: why it failed last.
    """

    name: str
    running: bool = False
    restarts: int = 0
    error: str | None = None


@dataclass
class Supervisor:
    """Runs parts until it is told to stop.

    Attributes:
        publish: called with a part's state and its error whenever it failed.
        sleep: waits before a part is started again.
        make_backoff: gives the waits of one part before it is started again; they begin anew after it ran for a while.
        parts: how each part fares, by name.
    """

    publish: Callable[[PartState, Exception], None]
    sleep: AsyncSleep = asyncio.sleep
    make_backoff: Callable[[], Backoff] = Backoff
    parts: dict[str, PartState] = field(default_factory=dict)

    async def run(self, parts: dict[str, Part], stop: asyncio.Event, *, main: Sequence[str]) -> None:
        """Runs parts side by side.

        Args:
            parts: what each does, by name; one that returns has done its work.
            stop: set from outside to end all; the ``main`` parts see to their own end by it, the others are cancelled
                when these have ended.
            main: the parts whose end ends the others.
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
            except Exception as error:  # noqa: BLE001 - whatever it is, the other parts go on
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
            await self.sleep(backoff.next_wait())
            state.restarts += 1
