"""How a command's process ends: as soon as its work is done, without giving each object back first.

Where the exit code comes from is :mod:`trading_platform.cli.main`; what signals do is in
:mod:`trading_platform.cli.signals`.
"""

from __future__ import annotations

import atexit
import os
import sys
from contextlib import suppress
from functools import cache

_code: int | None = None


@cache
def end_without_freeing() -> None:
    """Lets the process end once threads have ended and all exit handlers have run that are registered from now on.

    To be called before the libraries are loaded. Freeing what they have made takes the interpreter about 0.8 s after
    Dagster was loaded, longer than most commands work; the system gets the memory back at once.
    """
    atexit.register(_end)


def end_with(code: object) -> None:
    """Notes what the process is about to end with; without it, the interpreter ends it in its usual way."""
    global _code  # noqa: PLW0603 - a process ends once
    _code = code if isinstance(code, int) else 0 if code is None else None


def _end() -> None:
    if _code is None:
        return
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # closed, or its reader has left
            stream.flush()
    os._exit(_code)
