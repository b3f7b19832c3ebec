"""The audit of calls: each is a row of ``audit.system_events``, written in batches behind the answers.

A call that only reads does not wait for its row; one that writes does. Nothing is lost silently: what the database does
not take is kept and tried again, a full log refuses further calls, and the end of the server writes what is left or
says how many rows it could not write. Each row has the number of its call, so that a killed process leaves a gap that
shows.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import uuid4

from trading_platform.domain.errors import StoreError, TradingPlatformError

MOST_WAITING = 5_000
"""Calls whose rows are not written yet; then calls wait for the database."""

AGAIN_AFTER = 1.0
"""Seconds between attempts to write."""

GATHERED_FOR = 0.1
"""Seconds that the writer waits for further calls: a transaction for each would slow them down."""

_BATCH = 1_000

Write = Callable[[Sequence[tuple[float, str, Mapping[str, Any]]]], None]
"""Writes events: of each its age in seconds, the message and the metadata."""

_log = logging.getLogger(__name__)


class CallLog:
    """Rows of calls on their way to the database.

    Args:
        write: writes a batch, or raises and writes nothing.
        timer: seconds that pass.
        again_after: seconds between attempts to write.
        gathered_for: seconds that the writer waits for further calls.
    """

    def __init__(
        self,
        write: Write,
        timer: Callable[[], float] = time.monotonic,
        again_after: float = AGAIN_AFTER,
        gathered_for: float = GATHERED_FOR,
    ) -> None:
        self._write = write
        self._timer = timer
        self._again_after = again_after
        self._gathered_for = gathered_for
        self._server = uuid4().hex[:12]
        self._number = 0
        self._waiting: list[tuple[float, str, dict[str, Any]]] = []
        self._guard, self._writing = threading.Lock(), threading.Lock()
        self._writer: threading.Thread | None = None
        self._closed = threading.Event()

    @property
    def full(self) -> bool:
        """Whether a call has to wait for :meth:`flush` first."""
        return len(self._waiting) >= MOST_WAITING

    def add(self, message: str, metadata: Mapping[str, Any]) -> None:
        """Adds the row of a call; it is written soon."""
        with self._guard:
            self._number += 1
            numbered = {**metadata, "server": self._server, "number": self._number}
            self._waiting.append((self._timer(), message, numbered))
            if self._writer is None:
                self._writer = threading.Thread(target=self._write_behind, name="mcp-call-log", daemon=True)
                self._writer.start()

    def flush(self) -> None:
        """Writes all rows that were added before.

        Raises:
            TradingPlatformError: if the database does not take them; they are kept.
        """
        with self._writing:
            while self._waiting:
                batch = self._waiting[:_BATCH]
                now = self._timer()
                self._write([(now - at, message, metadata) for at, message, metadata in batch])
                with self._guard:
                    del self._waiting[: len(batch)]

    def close(self) -> None:
        """Writes what is left.

        Raises:
            StoreError: naming how many rows could not be written; they are in the log of the process.
        """
        self._closed.set()
        try:
            self.flush()
        except TradingPlatformError as error:
            for _, message, metadata in self._waiting:
                _log.error("not in audit.system_events: %s %s", message, metadata)
            raise StoreError(
                f"The audit of {len(self._waiting)} calls could not be written.",
                expected="a row of audit.system_events for each call",
                received=error.message,
                remedy="they are in the log of this process; see `trading-platform doctor`",
            ) from error

    def _write_behind(self) -> None:
        """Writes until nothing waits, and ends; the next call starts another thread."""
        try:
            while self._waits():
                self._closed.wait(self._gathered_for)
                try:
                    self.flush()
                except TradingPlatformError as error:
                    _log.warning("the audit of %d calls waits: %s", len(self._waiting), error)
                    if self._closed.wait(self._again_after):
                        return
        except BaseException:
            self._writer = None
            raise

    def _waits(self) -> bool:
        """Whether there is something to write; if not, the next call starts another writer."""
        with self._guard:
            if not self._waiting:
                self._writer = None
            return bool(self._waiting)
