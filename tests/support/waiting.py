"""How tests wait: for what they need, for as long as it takes a machine that is many times slower than others."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Any, TypeVar

_Seen = TypeVar("_Seen")

DEADLINE = 300.0
"""Seconds after which what is waited for does not come any more; nothing that goes well is near it."""

LONG = 600.0
"""The same for whole commands, which begin with a second or two of loading and may store years."""


def wait_until(
    condition: Callable[[], _Seen],
    what: str,
    *,
    deadline: float = DEADLINE,
    every: float = 0.02,
    running: subprocess.Popen[str] | None = None,
) -> _Seen:
    """Waits until a condition holds; gives what it gave.

    Args:
        condition: asked again and again; it holds when what it gives is true.
        what: what is waited for, in words.
        deadline: seconds after which it fails, and says what it saw last.
        every: seconds between two looks.
        running: a process without which it does not come; that it has ended is a failure, shown with what it printed.
    """
    until = time.monotonic() + deadline
    while not (seen := condition()):
        if running is not None and running.poll() is not None:
            raise AssertionError(f"{running.args} ended before {what}: {running.communicate()}")
        assert time.monotonic() < until, _in_vain(what, deadline, seen)
        time.sleep(every)
    return seen


async def until(
    condition: Callable[[], _Seen | Awaitable[_Seen]], what: str, *, deadline: float = DEADLINE, every: float = 0.01
) -> _Seen:
    """The same in an event loop, which goes on meanwhile; what the condition gives may be awaitable."""
    loop = asyncio.get_running_loop()
    end = loop.time() + deadline
    while True:
        seen = condition()
        if isawaitable(seen):
            seen = await seen
        if seen:
            return seen  # type: ignore[return-value]
        assert loop.time() < end, _in_vain(what, deadline, seen)
        await asyncio.sleep(every)


def _in_vain(what: str, deadline: float, seen: Any) -> str:
    return f"waited for {what} for {deadline:g} s in vain; seen last: {seen!r}"
