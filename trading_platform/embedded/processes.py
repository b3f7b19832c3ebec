"""Finding out whether a server process is really the one that its file of process ids names.

A process id outlives its process: it may be nobody's, a zombie's, or a stranger's by now. A server
counts as ours only if a process of that id has the expected name and works in the expected
directory. Used by the neighbours ``postgres`` and ``redis``.
"""

from __future__ import annotations

import time
from pathlib import Path

import psutil

from trading_platform.domain.time import Sleep


def server_process(pid: int, names: tuple[str, ...], directory: Path) -> psutil.Process | None:
    """The living process of that id if it is the server of that directory, else None."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE or not process.name().startswith(names):
            return None
        return process if _works_in(process, directory) else None
    except psutil.Error:
        return None


def _works_in(process: psutil.Process, directory: Path) -> bool:
    """By its working directory or, where a container hides that even from root, by its command line."""
    try:
        return Path(process.cwd()) == directory
    except psutil.AccessDenied:
        return str(directory) in process.cmdline()


def wait_gone(process: psutil.Process, seconds: float, sleep: Sleep = time.sleep) -> bool:
    """Whether the process has ended within that time; a zombie has ended."""
    deadline = time.monotonic() + seconds
    while _is_alive(process):
        if time.monotonic() > deadline:
            return False
        sleep(0.02)
    return True


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
