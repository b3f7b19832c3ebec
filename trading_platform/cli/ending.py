"""How a command's process ends: with all output written, and without giving each object back first.

Where the exit code comes from is :mod:`trading_platform.cli.main`; what signals do is in
:mod:`trading_platform.cli.signals`.
"""

from __future__ import annotations

import atexit
import os
import sys
from contextlib import suppress
from functools import cache

WRITE_ELSEWHERE = "free space there, or let the output go elsewhere, then run the same again"

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


def flush_output() -> OSError | None:
    """Writes what is buffered on standard output; returns the error if that is not possible.

    A reader that has left, as ``head`` does, is no failure of the command.
    """
    try:
        sys.stdout.flush()
    except OSError as error:
        # The interpreter flushes again when it ends, and would report the same.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return None if isinstance(error, BrokenPipeError) else error
    return None


def write_output(text: str) -> int:
    """Writes a text to standard output; returns the exit code of a command that does nothing else."""
    try:
        sys.stdout.write(text)
        lost = flush_output()
    except BrokenPipeError:
        lost = None
    except OSError as error:  # of a stream without a buffer
        lost = error
    if lost is None:
        return 0
    sys.stderr.write(f"Error: The output cannot be written: {lost.strerror}.\n  To do: {WRITE_ELSEWHERE}\n")
    return 1


def _end() -> None:
    if _code is None:
        return
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # closed, or its reader has left
            stream.flush()
    os._exit(_code)
