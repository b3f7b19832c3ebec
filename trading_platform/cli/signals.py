"""How signals end a command: in an orderly way, however the command was started.

A shell lets what it starts in the background of a script ignore SIGINT, and ``nohup`` lets it ignore SIGHUP. Such a
command still has to end on SIGTERM, which Dagster forgets about while it works: it treats SIGTERM like SIGINT.

Nor may a signal be lost. Dagster forgets one that comes between the last step and the end of a run, and what a handler
raises inside a library's callback goes no further. The interpreter writes down each signal before its handler runs
(``signal.set_wakeup_fd``), and a command that works for long asks between two pieces of work.
"""

from __future__ import annotations

import signal
import socket
from types import FrameType

_ignored: set[int] = set()
"""What the command was started to ignore. The present handler of a signal does not tell: Dagster changes handlers."""

_written: socket.socket | None = None
_received: socket.socket | None = None
"""Where the interpreter writes the numbers of signals, and where they are read; None before a command begins."""


def end_on_signals() -> None:
    """From now on Ctrl-C, SIGTERM and a hang-up raise KeyboardInterrupt, so that servers in use are let go of.

    SIGINT, SIGHUP and SIGQUIT that the command was started to ignore stay without effect on it, but not on what it
    starts: a handler, unlike being ignored, is not inherited.
    """
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            _ignored.add(number)
            signal.signal(number, _stay)
    if not is_ignored(signal.SIGHUP):
        signal.signal(signal.SIGHUP, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    global _written, _received
    _written, _received = socket.socketpair()
    for end in (_written, _received):
        end.setblocking(False)
    signal.set_wakeup_fd(_written.fileno(), warn_on_full_buffer=False)


def raise_if_interrupted() -> None:
    """Raises KeyboardInterrupt if a signal that ends the command came since this was asked last.

    It does so also where the exception of the signal's handler was raised and lost.
    """
    if _received is None:
        return
    try:
        numbers = set(_received.recv(65536))
    except BlockingIOError:
        return
    if numbers & {number for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP) if not is_ignored(number)}:
        raise KeyboardInterrupt


def is_ignored(number: int) -> bool:
    """Whether the command was started to ignore a signal."""
    return number in _ignored


def _stay(number: int, _frame: FrameType | None) -> None:
    """Ignores a signal; not SIGTERM, for which Dagster takes over whatever SIGINT has."""
    if number == signal.SIGTERM:
        raise KeyboardInterrupt
