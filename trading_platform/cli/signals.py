"""How signals end a command: in an orderly way, however the command was started.

A shell lets what it starts in the background of a script ignore SIGINT, and ``nohup`` lets it ignore SIGHUP. Such a
command still has to end on SIGTERM, which Dagster forgets about while it works: it treats SIGTERM like SIGINT.
"""

from __future__ import annotations

import signal
from types import FrameType


def end_on_signals() -> None:
    """From now on Ctrl-C, SIGTERM and a hang-up raise KeyboardInterrupt, so that servers in use are let go of.

    SIGINT, SIGHUP and SIGQUIT that the command was started to ignore stay without effect on it, but not on what it
    starts: a handler, unlike being ignored, is not inherited.
    """
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, _stay)
    if not is_ignored(signal.SIGHUP):
        signal.signal(signal.SIGHUP, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def is_ignored(number: int) -> bool:
    """Whether the command was started to ignore a signal."""
    return signal.getsignal(number) in (signal.SIG_IGN, _stay)


def _stay(number: int, _frame: FrameType | None) -> None:
    """Ignores a signal; not SIGTERM, for which Dagster takes over whatever SIGINT has."""
    if number == signal.SIGTERM:
        raise KeyboardInterrupt
