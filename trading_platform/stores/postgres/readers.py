"""Connections for reads: psycopg's own, kept open between reads, without SQLAlchemy.

A read is one statement and can be sent again, so it needs neither a transaction nor a ping, each of which would cost
a round trip, as long as the read itself; and a command that only reads starts faster without SQLAlchemy.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import psycopg

_KEPT = 4  # idle connections

_Result = TypeVar("_Result")


class Readers:
    """Connections in autocommit mode, with times in UTC.

    Args:
        parameters: libpq parameters of the database.
    """

    def __init__(self, parameters: dict[str, Any]) -> None:
        self._parameters = parameters
        self._idle: list[psycopg.Connection[Any]] = []
        self._lock = threading.Lock()
        self._process = os.getpid()

    def run(self, work: Callable[[psycopg.Connection[Any]], _Result]) -> _Result:
        """The result of ``work`` on a connection that no other thread has meanwhile.

        Raises:
            psycopg.Error: if it cannot connect, or ``work`` fails; the connection is closed then, because an
                interrupted one may still have a response in flight.
        """
        connection = self._take()
        try:
            result = work(connection)
        except BaseException:
            connection.close()
            raise
        self._put_back(connection)
        return result

    def close(self) -> None:
        """Closes the idle connections; later reads open new ones."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _take(self) -> psycopg.Connection[Any]:
        import psycopg

        with self._lock:
            if self._process != os.getpid():  # a forked child must not write to its parent's connections
                self._process, self._idle = os.getpid(), []
            if self._idle:
                return self._idle.pop()
        return psycopg.connect(**self._parameters, autocommit=True)

    def _put_back(self, connection: psycopg.Connection[Any]) -> None:
        with self._lock:
            if len(self._idle) < _KEPT and self._process == os.getpid():
                self._idle.append(connection)
                return
        connection.close()
