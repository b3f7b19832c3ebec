"""Looks for what is wrong and sends it in child processes that kill themselves at a chosen line: SIGKILL, no handler.

A script: ``python killed_sender.py DATABASE_URL TELEGRAM_URL``. It reads lines ``TIME LINE``; a child then looks
once, at that time, and kills itself before it runs its line of that number in the modules that look and send
(0: never). The script answers ``killed``, or how many lines the child ran.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Any

# Loaded before the forks, so that no child has to.
import httpx  # noqa: F401
import psycopg  # noqa: F401
import sqlalchemy.dialects.postgresql.psycopg  # noqa: F401

from trading_platform.notifiers.telegram import Telegram
from trading_platform.stores.postgres.database import Database
from trading_platform.workflows.alerts.watch import AlertWatch, Surroundings

TOKEN = "123456:AAE"  # noqa: S105 - of nobody
SENDING = frozenset({"watch.py", "deliver.py", "outbox.py", "telegram.py"})
"""They run as many lines for a message however many incidents there are; the outbox's are also those that write it."""


class Lines:
    """Counts the lines that run in the modules that look and send, and kills the process before one of them.

    Args:
        fatal: number of that line; 0 for none.
    """

    def __init__(self, fatal: int) -> None:
        self.count = 0
        self._fatal = fatal

    def trace(self, frame: FrameType, event: str, argument: Any) -> Callable[..., Any] | None:  # noqa: ARG002
        """As :func:`sys.settrace` wants it."""
        file = Path(frame.f_code.co_filename)
        if file.name not in SENDING or "trading_platform" not in file.parts:
            return None
        if event == "line":
            self.count += 1
            if self.count == self._fatal:
                os.kill(os.getpid(), signal.SIGKILL)
        return self.trace


def look(database_url: str, telegram_url: str, now: datetime, fatal: int) -> int:
    """Looks once; returns how many lines ran."""
    database = Database(database_url)

    def clock() -> datetime:
        return now

    around = Surroundings(database, {}, lambda: None, clock, clock)
    watch = AlertWatch(around, [Telegram(TOKEN, "42", telegram_url)], None, frozenset())
    lines = Lines(fatal)
    sys.settrace(lines.trace)
    found = watch.tick()
    sys.settrace(None)
    assert found is not None, "the database is away"
    return lines.count


def main(database_url: str, telegram_url: str) -> None:
    """Takes orders until there are no more."""
    for line in sys.stdin:
        now, fatal = line.split()
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(writing, str(look(database_url, telegram_url, datetime.fromisoformat(now), int(fatal))).encode())
            os._exit(0)
        os.close(writing)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, status
        ran = os.read(reading, 100).decode()
        os.close(reading)
        sys.stdout.write("killed\n" if os.WIFSIGNALED(status) else f"{ran}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
