"""``dagster dev`` with all its processes as one session that ends whole, however it is ended.

Three processes take part. The command (:func:`run_session`) has the terminal and the signals. It starts a supervisor,
which is this module run as a program and leads a session of its own, and that starts ``dagster dev``, whose webserver,
daemon, code servers and runs stay in the session. The command asks the supervisor to stop by closing its standard
input. The operating system does the same if the command is killed, so that nothing stays behind then either. The
supervisor asks Dagster by SIGINT, waits, and ends by force what is left of the session.

The command catches the signals, so that the supervisor and Dagster begin with the usual reactions to them even where
the command was started to ignore some: Dagster lets SIGTERM do what SIGINT does, which then is nothing.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import psutil

from trading_platform.cli.signals import is_ignored
from trading_platform.domain.time import Sleep

ORDERLY_SECONDS = 20.0
"""How long Dagster may take to end by itself when it is asked to."""

LEFT_SECONDS = 3.0
"""How long its other processes may take to notice that it has ended."""

TERMINATED_SECONDS = 5.0
"""How long they may take after SIGTERM; then they are killed."""

KILLED_SECONDS = 10.0
"""How long a killed process may take to be gone."""

CODE_SERVER_LOOK_SECONDS = 5.0
"""Seconds between two looks at the code server's processes."""

CODE_SERVER_LOST_SECONDS = 30.0
"""How long one of them may be missing; loading the code again replaces it in less."""

_LOOK = 0.1  # seconds between two looks at processes


@dataclass(frozen=True)
class Ended:
    """How a session ended.

    Attributes:
        asked_by: the signal that asked for the end; None if the program ended by itself.
        code: the program's exit code, negative for a signal that killed it.
    """

    asked_by: signal.Signals | None
    code: int


def run_session(
    command: Sequence[str], environment: Mapping[str, str], folder: Path, *, sleep: Sleep = time.sleep
) -> Ended:
    """Runs a program in a session of its own until it ends or a signal asks for the end; nothing of it is left then.

    Asked once, the program ends in an orderly way; asked again, at once.

    Args:
        command: the program and its arguments.
        environment: its environment, which names the platform's settings as well.
        folder: where it works.
        sleep: waits.
    """
    with _asked() as asked:
        supervisor = subprocess.Popen(  # noqa: S603 - this module
            [sys.executable, "-m", __name__, *command],
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        sent = 0
        while supervisor.poll() is None:
            for again in range(sent, len(asked)):
                _tell(supervisor, again=again > 0)
            sent = len(asked)
            sleep(_LOOK)
        if supervisor.returncode < 0:  # killed, it has left this to the command
            end_session(supervisor.pid, sleep=sleep)
            _release_servers()
        return Ended(asked[0] if asked else None, supervisor.returncode)


@contextmanager
def _asked() -> Iterator[list[signal.Signals]]:
    """The signals that ask for the end, as they come."""
    came: list[signal.Signals] = []

    def note(number: int, _frame: FrameType | None) -> None:
        came.append(signal.Signals(number))

    numbers = [each for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if not is_ignored(each)]
    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _tell(supervisor: subprocess.Popen[bytes], *, again: bool) -> None:
    if again:
        supervisor.terminate()
    elif supervisor.stdin is not None:
        supervisor.stdin.close()


def supervise(command: Sequence[str], *, clock: Callable[[], float] = time.monotonic, sleep: Sleep = time.sleep) -> int:
    """Runs a program until it ends or standard input does, then ends every other process of this session.

    SIGTERM ends them at once. Dagster does not start a code server again that died, and does nothing any more without
    one: it is ended, so that whoever supervises the command starts it as a whole.

    Returns:
        The program's exit code; 1 if it was killed, or was ended without its code server.
    """
    hurried: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: hurried.append(number))
    program = subprocess.Popen(list(command), stdin=subprocess.DEVNULL)  # noqa: S603 - from run_session
    code_server = CodeServer(os.getsid(0), clock)
    while program.poll() is None and not hurried and not _is_closed(sys.stdin.fileno()) and not code_server.died():
        pass
    if code_server.is_dead:
        _say("The code server of Dagster ended, and without it nothing runs: the rest is ended, too.")
    program.send_signal(signal.SIGINT)
    deadline = clock() + ORDERLY_SECONDS
    while program.poll() is None and clock() < deadline and not hurried:
        sleep(_LOOK)
    forced = end_session(os.getsid(0), patience=0 if hurried else LEFT_SECONDS, clock=clock, sleep=sleep)
    _release_servers()
    if forced:
        _say(f"Ended by force, as they did not end by themselves: {'; '.join(forced)}.")
    return program.wait() if program.wait() >= 0 and not code_server.is_dead else 1


class CodeServer:
    """Watches whether the code server of a session is alive.

    Dagster runs it as two processes: ``dagster code-server``, which stays, and its child ``dagster api grpc``, which is
    replaced when the code is loaded again.

    Args:
        session: the session of ``dagster dev``.
        clock: tells seconds.
    """

    def __init__(self, session: int, clock: Callable[[], float]) -> None:
        self._session = session
        self._clock = clock
        self._next_look = clock()
        self._was_complete = False
        self._incomplete_since: float | None = None
        self.is_dead = False

    def died(self) -> bool:
        """Whether one of its processes has been missing for too long; looks now and then only."""
        now = self._clock()
        if now < self._next_look:
            return self.is_dead
        self._next_look = now + CODE_SERVER_LOOK_SECONDS
        if self._is_complete():
            self._was_complete, self._incomplete_since = True, None
        elif self._was_complete:
            self._incomplete_since = now if self._incomplete_since is None else self._incomplete_since
            self.is_dead = now - self._incomplete_since >= CODE_SERVER_LOST_SECONDS
        return self.is_dead

    def _is_complete(self) -> bool:
        words = []
        for process in _members(self._session):
            with contextlib.suppress(psutil.Error):
                words.append(set(process.cmdline()[:6]))
        return all(any(wanted <= each for each in words) for wanted in ({"code-server", "start"}, {"api", "grpc"}))


def _is_closed(pipe: int) -> bool:
    """Whether standard input has ended; waits a moment for it."""
    ready, _, _ = select.select([pipe], [], [], _LOOK)
    return bool(ready) and not os.read(pipe, 1024)


def end_session(
    session: int,
    *,
    patience: float = LEFT_SECONDS,
    clock: Callable[[], float] = time.monotonic,
    sleep: Sleep = time.sleep,
) -> list[str]:
    """Ends all processes of a session but the present one: waits a moment, asks them, kills them.

    Args:
        session: which one.
        patience: how many seconds they have to end by themselves.
        clock: tells seconds.
        sleep: waits.

    Returns:
        What had to be killed, in words.
    """
    forced: dict[int, str] = {}
    steps = ((None, patience), (signal.SIGTERM, TERMINATED_SECONDS), (signal.SIGKILL, KILLED_SECONDS))
    for number, seconds in steps:
        deadline = clock() + seconds
        signalled: set[int] = set()
        while (members := _members(session)) and clock() < deadline:
            for process in members:
                if number is not None and process.pid not in signalled:  # one that is new since
                    signalled.add(process.pid)
                    with contextlib.suppress(psutil.Error):
                        forced |= {process.pid: _words(process)} if number == signal.SIGKILL else {}
                        process.send_signal(number)
            sleep(_LOOK)
    return list(forced.values())


def _members(session: int) -> list[psutil.Process]:
    found = []
    for pid in psutil.pids():
        with contextlib.suppress(OSError, psutil.Error):
            if pid != os.getpid() and os.getsid(pid) == session:
                process = psutil.Process(pid)
                if process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
    return found


def _words(process: psutil.Process) -> str:
    return f"process {process.pid} ({' '.join(process.cmdline()[1:4])})"


def _release_servers() -> None:
    """Stops the embedded servers if those that used them were killed and nobody else does."""
    from trading_platform.domain.errors import TradingPlatformError
    from trading_platform.embedded.stack import stop_unused
    from trading_platform.settings import load_settings

    try:
        stop_unused(load_settings())
    except TradingPlatformError as error:
        _say(str(error))


def _say(text: str) -> None:
    with contextlib.suppress(OSError):  # the terminal may be gone
        sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    raise SystemExit(supervise(sys.argv[1:]))
