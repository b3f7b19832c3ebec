"""Checks whether a process is the server that a pid file names.

A process id can be stale: its process may have ended, be a zombie, or be another program. A server counts as the
platform's only if the process of that id has the expected name and works in the expected directory. The modules
``postgres`` and ``redis`` use this one.
"""

from __future__ import annotations

import time
from pathlib import Path

import psutil

from trading_platform.domain.time import Sleep


def server_process(pid: int, names: tuple[str, ...], directory: Path) -> psutil.Process | None:
    """The running process of an id if it is the server of a directory, else None."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE or not process.name().startswith(names):
            return None
        return process if _works_in(process, directory) else None
    except psutil.Error:
        return None


def processes_of(directory: Path, names: tuple[str, ...]) -> list[psutil.Process]:
    """All running processes of these names that work in a directory, with or without a pid file.

    A killed starter can leave a server behind that has not yet written its process id.
    """
    named = (process for process in psutil.process_iter() if _name(process).startswith(names))
    return [process for process in named if server_process(process.pid, names, directory) is not None]


def _works_in(process: psutil.Process, directory: Path) -> bool:
    """By its command line or, where a container does not hide it even from root, by its working directory."""
    try:
        return str(directory) in process.cmdline() or Path(process.cwd()) == directory
    except psutil.AccessDenied:
        return False


def _name(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.Error:
        return ""


def wait_gone(process: psutil.Process, seconds: float, sleep: Sleep = time.sleep) -> bool:
    """Waits for a process to end; returns whether it ended in time. A zombie counts as ended."""
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
