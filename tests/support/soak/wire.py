"""The wire between the live process and the exchange: it can be cut, reset, slowed, silenced, and tampered with."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections import deque
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from enum import Enum, auto
from typing import Any, TypeVar

_Result = TypeVar("_Result")

DRIP_SECONDS = 0.02
"""Seconds between two bytes of a wire that drips."""


class Flow(Enum):
    """How what the exchange sends gets through."""

    USUAL = auto()
    DRIP = auto()
    """A byte at a time."""
    STALL = auto()
    """Not at all, until the flow is usual again; both ends stay connected."""


class Wire:
    """A wire to a port of this machine; its own port is fixed as long as it lives.

    Attributes:
        target: the port that new connections lead to.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, target: int) -> None:
        self.target = target
        self.port = 0
        self._loop = loop
        self._server: asyncio.Server | None = None
        self._ends: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._forgotten: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._flow = Flow.USUAL
        self._moving = asyncio.Event()
        self._moving.set()
        self._forged: deque[bytes] = deque()
        self._to_lose = 0
        self._run(self._listen())

    def set_flow(self, flow: Flow) -> None:
        """How it flows from now on."""

        def change() -> None:
            self._flow = flow
            (self._moving.clear if flow is Flow.STALL else self._moving.set)()

        self._loop.call_soon_threadsafe(change)

    def cut(self, *, reset: bool = False) -> None:
        """Closes all connections; with ``reset`` by TCP's RST."""
        self._run(self._close(reset=reset))

    def forget(self) -> None:
        """The exchange's ends vanish; the other ends stay connected and learn nothing of it."""
        self._run(self._close(only_far=True))

    def refuse(self) -> None:
        """Nobody listens at its port any more, and connections are closed."""

        async def work() -> None:
            assert self._server is not None
            self._server.close()
            await self._close(reset=True)

        self._run(work())

    def accept(self) -> None:
        """It listens again."""
        self._run(self._listen())

    def forge(self, frames: list[bytes]) -> None:
        """Adds bytes between the frames of the exchange, as soon as it sends another."""
        self._loop.call_soon_threadsafe(self._forged.extend, frames)

    def lose(self, trades: int) -> None:
        """The next messages with trades do not arrive."""

        def change() -> None:
            self._to_lose = trades

        self._loop.call_soon_threadsafe(change)

    def _run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self, *, reset: bool = False, only_far: bool = False) -> None:
        for ends in list(self._ends):
            if only_far:
                self._forgotten.add(ends)
            for writer in ends[1:] if only_far else ends:
                if reset:
                    _linger(writer)
                    writer.transport.abort()
                else:
                    writer.close()

    async def _connected(self, near_reader: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        try:
            far_reader, far = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            near.transport.abort()
            return
        ends = near, far
        self._ends.add(ends)
        up = asyncio.create_task(_pump(near_reader, far))
        down = asyncio.create_task(self._down(far_reader, near))
        try:
            await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
            if ends in self._forgotten:
                await up
        finally:
            self._ends.discard(ends)
            self._forgotten.discard(ends)
            up.cancel()
            down.cancel()
            near.close()
            far.close()

    async def _down(self, reader: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        frames = Frames()
        with suppress(OSError):
            while data := await reader.read(65536):
                for frame in frames.whole(data):
                    await self._deliver(frame, near, tampered=frames.is_open)

    async def _deliver(self, frame: bytes, near: asyncio.StreamWriter, *, tampered: bool) -> None:
        await self._moving.wait()
        if near.transport.is_closing():
            return
        while tampered and self._forged:
            near.write(self._forged.popleft())
        if tampered and self._to_lose and b'"channel":"trade","type":"update"' in frame:
            self._to_lose -= 1
            return
        if self._flow is Flow.DRIP:
            for at in range(len(frame)):
                if self._flow is not Flow.DRIP:
                    near.write(frame[at:])
                    break
                near.write(frame[at : at + 1])
                await asyncio.sleep(DRIP_SECONDS)
        else:
            near.write(frame)
        await near.drain()


class Frames:
    """Splits what the exchange sends at the boundaries of WebSocket frames; an answer of HTTP passes as it is.

    Attributes:
        is_open: whether the connection is a WebSocket's.
    """

    def __init__(self) -> None:
        self.is_open = False
        self._is_http = False
        self._left = b""

    def whole(self, data: bytes) -> list[bytes]:
        """The parts that are complete with these bytes."""
        if self._is_http:
            return [data]
        self._left += data
        found = []
        if not self.is_open:
            if not self._left.startswith(b"HTTP/1.1 101"[: len(self._left)]):
                self._is_http = True
                return [self._left]
            head, end, rest = self._left.partition(b"\r\n\r\n")
            if not end:
                return []
            self.is_open, self._left = True, rest
            found.append(head + end)
        while (length := _length_of_frame(self._left)) is not None:
            found.append(self._left[:length])
            self._left = self._left[length:]
        return found


def text_frame(text: bytes) -> bytes:
    """A WebSocket's text message, as a server sends it."""
    if len(text) < 126:
        return bytes([0x81, len(text)]) + text
    if len(text) < 2**16:
        return b"\x81\x7e" + struct.pack(">H", len(text)) + text
    return b"\x81\x7f" + struct.pack(">Q", len(text)) + text


@contextmanager
def wires(*targets: int) -> Iterator[tuple[Wire, ...]]:
    """Wires to ports, on a thread of their own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="wires", daemon=True)
    thread.start()

    try:
        yield tuple(Wire(loop, target) for target in targets)
    finally:
        asyncio.run_coroutine_threadsafe(_cancel_all(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _cancel_all() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Passes on what comes; to an end that has vanished it comes to nothing."""
    with suppress(OSError):
        while data := await reader.read(65536):
            if not writer.transport.is_closing():
                writer.write(data)
                await writer.drain()


def _linger(writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        end = writer.transport.get_extra_info("socket")
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _length_of_frame(data: bytes) -> int | None:
    """The length of the frame that the bytes begin with; None if it is not complete."""
    if len(data) < 2:
        return None
    length, head = data[1] & 0x7F, 2
    if length == 126:
        head, length = 4, int.from_bytes(data[2:4], "big")
    elif length == 127:
        head, length = 10, int.from_bytes(data[2:10], "big")
    return head + length if len(data) >= head + length else None
