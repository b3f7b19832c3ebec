"""The time of a soak: a clock that several processes share and one of them drives, and timers that keep up with it.

Time passes :data:`PACE` times as fast for the exchange and the live process alike, timers of the process included, so
that a wait of a minute takes some seconds. Between two faults nothing is waited for, and the clock runs faster still.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import selectors
import struct
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

PACE = float(os.environ.get("TEST_SOAK_PACE", "32"))
"""How many times as fast time passes while a fault lasts and is healed: the clock's, and that of timers."""

_SLOT = struct.Struct("<dddd")
_SIZE = 1 + 2 * _SLOT.size


class SharedClock:
    """A clock in a file.

    Args:
        path: the file; it is made by :meth:`create`.
    """

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), _SIZE)

    @classmethod
    def create(cls, path: Path, start: datetime) -> SharedClock:
        """A clock that shows ``start`` now and runs at :data:`PACE`."""
        path.write_bytes(bytes(_SIZE))
        made = cls(path)
        made._write(time.monotonic(), start.timestamp(), PACE, 0.0)
        return made

    def __call__(self) -> datetime:
        """The time of the market, UTC."""
        since, shown, speed, _ = self._read()
        return _time_of(shown + (time.monotonic() - since) * speed)

    def receiver(self) -> datetime:
        """The time of the receiver, whose clock may be wrong."""
        return self() + timedelta(seconds=self._read()[3])

    def run_at(self, speed: float) -> None:
        """From now on it runs so many times as fast as the machine's."""
        now = time.monotonic()
        since, shown, before, step = self._read()
        self._write(now, shown + (now - since) * before, speed, step)

    def step_receiver(self, seconds: float) -> None:
        """Sets the receiver's clock so far ahead of the market's; 0 puts it right."""
        since, shown, speed, _ = self._read()
        self._write(since, shown, speed, seconds)

    def _read(self) -> tuple[float, float, float, float]:
        at = 1 + self._memory[0] * _SLOT.size
        since, shown, speed, step = _SLOT.unpack(self._memory[at : at + _SLOT.size])
        return since, shown, speed, step

    def _write(self, *values: float) -> None:
        other = 1 - self._memory[0]  # readers see the old or the new values, never half of each
        at = 1 + other * _SLOT.size
        self._memory[at : at + _SLOT.size] = _SLOT.pack(*values)
        self._memory[0] = other


class PacedLoop(asyncio.SelectorEventLoop):
    """An event loop whose timers keep up with the clock."""

    def __init__(self) -> None:
        super().__init__(_PacedSelector())

    def time(self) -> float:
        return super().time() * PACE


class _PacedSelector(selectors.DefaultSelector):
    def select(self, timeout: float | None = None) -> list[Any]:
        return super().select(timeout if timeout is None else timeout / PACE)


def pace_threads() -> None:
    """From now on ``time.sleep`` keeps up with the clock, too; call it before what waits is imported."""
    sleep = time.sleep
    time.sleep = lambda seconds: sleep(seconds / PACE)


def run_paced(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """As ``asyncio.run``, in such a loop."""
    with asyncio.Runner(loop_factory=PacedLoop) as runner:
        runner.run(work())


def _time_of(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
