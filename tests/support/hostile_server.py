"""A local HTTP server that answers whatever a test wants: bodies without an end, drips, redirects, any bytes."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import repeat

Answer = Callable[[bytes], Iterable[bytes]]
"""Gives the bytes to send for a request, in parts; endless ones are sent until the client goes."""


@dataclass
class HostileServer:
    """The server's state.

    Attributes:
        answer: what is sent for a request; a test may change it.
        port: its port on this machine.
        requests: all requests as they came.
        sent: number of bytes sent so far.
        closes: whether it closes a connection after an answer.
    """

    answer: Answer
    port: int = 0
    requests: list[bytes] = field(default_factory=list)
    sent: int = 0
    closes: bool = False

    @property
    def url(self) -> str:
        """Its address for HTTP."""
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def hostile_server(answer: Answer) -> Iterator[HostileServer]:
    """The server on a free port of this machine."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = HostileServer(answer, listening.getsockname()[1])
        stopped = threading.Event()
        accepting = threading.Thread(target=_accept, args=(server, listening, stopped), daemon=True)
        accepting.start()
        try:
            yield server
        finally:
            stopped.set()
            with suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
            accepting.join()


def response(body: bytes = b"{}", *headers: str, status: str = "200 OK") -> list[bytes]:
    """A whole response."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return ["\r\n".join(lines).encode("latin-1") + body]


def redirect(target: str, status: str = "307 Temporary Redirect") -> list[bytes]:
    """A redirect to another address."""
    return response(b"", f"Location: {target}", status=status)


def endless(part: bytes, *headers: str) -> Iterator[bytes]:
    """A body that does not end."""
    yield "\r\n".join(["HTTP/1.1 200 OK", "Content-Type: application/json", *headers, "", ""]).encode()
    yield from repeat(part)


def _accept(server: HostileServer, listening: socket.socket, stopped: threading.Event) -> None:
    threads = []
    while not stopped.is_set():
        try:
            connection, _ = listening.accept()
        except OSError:
            break
        threads.append(threading.Thread(target=_serve, args=(server, connection, stopped), daemon=True))
        threads[-1].start()
    for thread in threads:
        thread.join()


def _serve(server: HostileServer, connection: socket.socket, stopped: threading.Event) -> None:
    connection.settimeout(0.05)
    pending = b""
    with connection, suppress(OSError):
        while not stopped.is_set():
            try:
                got = connection.recv(65536)
            except TimeoutError:
                continue
            if not got:
                return
            pending += got
            while (whole := _length_of_request(pending)) is not None:
                request, pending = pending[:whole], pending[whole:]
                server.requests.append(request)
                for part in server.answer(request):
                    if stopped.is_set():
                        return
                    _send(server, connection, part, stopped)
                if server.closes:
                    return


def _length_of_request(data: bytes) -> int | None:
    head, separator, _ = data.partition(b"\r\n\r\n")
    if not separator:
        return None
    lengths = [int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    whole = len(head) + 4 + (lengths[0] if lengths else 0)
    return whole if len(data) >= whole else None


def _send(server: HostileServer, connection: socket.socket, part: bytes, stopped: threading.Event) -> None:
    left = memoryview(part)
    while left and not stopped.is_set():
        with suppress(TimeoutError):
            sent = connection.send(left)
            server.sent += sent
            left = left[sent:]
