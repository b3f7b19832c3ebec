"""An event loop whose time is not the machine's: seconds pass when all there is to do has been done.

A feed and the exchange it follows, both in one loop, see the same delays on any machine, however busy: what takes the
machine long takes no time here, and what waits costs the machine nothing. Everything asyncio knows of time follows,
timeouts included. Work in threads is waited for, sockets are real, and what is on its way between two of the loop is
waited for as well; a server outside of the process is not, so a loop like this has none.
"""

from __future__ import annotations

import asyncio
import fcntl
import selectors
import socket
import struct
import termios
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, TypeVar

_Result = TypeVar("_Result")

STUCK = 120.0
"""Seconds of the machine after which a loop that waits for nothing it knows of is given up."""

_UNREAD_LOOKS = 20  # milliseconds after which bytes that do not move lie before somebody who does not read


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """See above; its time begins at 0."""

    def __init__(self) -> None:
        super().__init__(_Selector(self))
        self.now = 0.0
        self.threads = 0

    def time(self) -> float:
        return self.now

    def stall(self, seconds: float) -> None:
        """Lets time pass in which the process does nothing, as if it were stopped."""
        self.now += seconds

    def run_in_executor(self, executor: Any, func: Callable[..., _Result], *args: Any) -> asyncio.Future[_Result]:
        running = super().run_in_executor(executor, func, *args)
        self.threads += 1
        running.add_done_callback(self._ended)
        return running

    def _ended(self, _: asyncio.Future[Any]) -> None:
        self.threads -= 1


class _Selector(selectors.DefaultSelector):
    """Waits for sockets as asyncio asks for it, until there is nothing to wait for but time; then it passes."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        found = super().select(0)
        if found or (timeout is not None and timeout <= 0):
            return found
        if timeout is None or self._loop.threads:
            return self._wait()
        unread, looks = self._on_their_way(), 0
        while unread and looks < _UNREAD_LOOKS:
            found = super().select(0.001)
            if found:
                return found
            before, unread = unread, self._on_their_way()
            looks = looks + 1 if unread == before else 0
        self._loop.now += timeout
        return []

    def _wait(self) -> list[Any]:
        deadline = time.monotonic() + STUCK
        while time.monotonic() < deadline:
            found = super().select(STUCK)
            if found:
                return found
        raise TimeoutError(f"nothing came in {STUCK:g} s, and no timer is set; {self._loop.threads} threads run")

    def _on_their_way(self) -> int:
        """Bytes that were sent and not taken yet by the other side's kernel."""
        ends = [key.fd for key in self.get_map().values()]
        for fd in ends:
            _acknowledge(fd)
        return sum(map(_unacknowledged, ends))


def _acknowledge(fd: int) -> None:
    """Has the kernel say at once what has come on a connection, as it else does within some forty milliseconds."""
    with suppress(OSError):
        end = socket.socket(fileno=fd)
        try:
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        finally:
            end.detach()


def _unacknowledged(fd: int) -> int:
    with suppress(OSError):  # no connection
        return int(struct.unpack("i", fcntl.ioctl(fd, termios.TIOCOUTQ, bytes(4)))[0])
    return 0


class LoopClock:
    """A clock that goes by the time of the running loop, from a moment on."""

    def __init__(self, start: datetime) -> None:
        self._start = start
        self._loop = asyncio.get_running_loop()

    def __call__(self) -> datetime:
        return self._start + timedelta(seconds=self._loop.time())


def run(main: Coroutine[Any, Any, _Result]) -> _Result:
    """As ``asyncio.run``, in a loop of virtual time."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)
