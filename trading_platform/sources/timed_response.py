"""An HTTP response of which all bytes, headers included, come before a deadline.

The standard library limits the pause between two bytes alone. The sessions of vendors use this:
:mod:`trading_platform.sources.kraken.session`, :mod:`trading_platform.sources.news.http`.
"""

from __future__ import annotations

import http.client
import io
import socket
from collections.abc import Callable
from typing import Any

Monotonic = Callable[[], float]
"""A clock in seconds that never goes back."""


class TimedResponse(http.client.HTTPResponse):
    """A response whose bytes, those of its headers included, come before a deadline."""

    def __init__(self, sock: socket.socket, *args: Any, deadline: float, monotonic: Monotonic, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp.close()
        self.fp = io.BufferedReader(TimedReader(sock, deadline, monotonic))


class TimedReader(io.RawIOBase):
    """Reads a socket until a deadline; each read waits no longer than the socket's own timeout."""

    def __init__(self, sock: socket.socket, deadline: float, monotonic: Monotonic) -> None:
        super().__init__()
        self._socket = sock
        self._raw = sock.makefile("rb", buffering=0)
        self._pause = sock.gettimeout()
        self._deadline = deadline
        self._monotonic = monotonic

    def readable(self) -> bool:
        """Whether it can be read: yes."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Reads what has come; waits if nothing has.

        Raises:
            TimeoutError: at the deadline, or after the socket's timeout without a byte.
        """
        left = self._deadline - self._monotonic()
        if left <= 0:
            raise TimeoutError("the response did not end in time")
        self._socket.settimeout(left if self._pause is None else min(left, self._pause))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        """Releases the socket."""
        self._raw.close()
        super().close()
