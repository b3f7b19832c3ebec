"""Runs commands in processes of their own that need not load the libraries, which takes longer than most commands do.

A process that has loaded them waits for requests and forks for each. What it forks is the command as a shell would
start it: a session, streams, environment, folder and arguments of its own. Commands whose start itself is tested are
started with the real program instead, and so are those with variables that the interpreter reads when it begins.
"""

from __future__ import annotations

import gc
import json
import os
import select
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

import trading_platform
from trading_platform.cli.__main__ import main
from trading_platform.cli.ending import end_without_freeing

READ_AT_THE_BEGINNING = {"COLUMNS", "FORCE_COLOR", "LANG", "LC_ALL", "NO_COLOR", "TERM", "TZ"}
"""Variables whose change an interpreter that runs already does not see, beside those that begin with PYTHON."""


class Timeout(Exception):
    """A command that did not end in time, and was killed."""


class ForkServer:
    """The process that forks, seen from the tests."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)
        self._socket, theirs = socket.socketpair()
        self._process = subprocess.Popen(
            [sys.executable, Path(__file__), str(theirs.fileno())],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
        theirs.close()

    def suits(self, environment: Mapping[str, str]) -> bool:
        """Whether a command with these variables would be the same as one of the real program."""
        differing = dict(self._environment.items() ^ environment.items())
        return not any(name in READ_AT_THE_BEGINNING or name.startswith("PYTHON") for name in differing)

    def run(
        self, arguments: Sequence[str], environment: Mapping[str, str], folder: Path, timeout: float
    ) -> tuple[int, str, str]:
        """A command, to its end.

        Returns:
            Its exit code (negative: the signal that ended it), standard output and standard error.

        Raises:
            Timeout: if it does not end within ``timeout`` seconds.
        """
        request = {"arguments": list(arguments), "environment": dict(environment), "folder": str(folder)}
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            answers, theirs = socket.socketpair()
            with answers, theirs:
                socket.send_fds(
                    self._socket,
                    [json.dumps(request).encode() + b"\n"],
                    [out.fileno(), err.fileno(), theirs.fileno()],
                )
                theirs.close()
                with answers.makefile() as lines:
                    group = int(lines.readline())
                    answers.settimeout(timeout)
                    try:
                        code = int(lines.readline())
                    except TimeoutError as error:
                        os.killpg(group, 9)
                        raise Timeout(f"{' '.join(arguments)} did not end in {timeout:.0f} seconds") from error
            out.seek(0)
            err.seek(0)
            return code, out.read(), err.read()

    def close(self) -> None:
        """Ends the process; commands that still run are left to themselves."""
        self._socket.close()
        self._process.wait()


def _serve(requests: socket.socket) -> None:
    """Forks for each request until the other end is closed; returns in a forked process, which then is the command."""
    answers: dict[int, socket.socket] = {}
    while True:
        _answer_for_ended(answers)
        # Ended processes are looked for as often as a person would not notice.
        if not select.select([requests], [], [], 0.01 if answers else None)[0]:
            continue
        text, handles, _flags, _address = socket.recv_fds(requests, 1 << 20, 3)
        if not text:
            raise SystemExit
        while not text.endswith(b"\n"):
            text += requests.recv(1 << 20)
        answer = socket.socket(fileno=handles[2])
        process = os.fork()
        if process == 0:
            requests.close()
            for each in (answer, *answers.values()):
                each.close()
            _become(json.loads(text), handles[0], handles[1])
            return
        for handle in handles[:2]:
            os.close(handle)
        answers[process] = answer
        answer.sendall(b"%d\n" % process)


def _answer_for_ended(answers: dict[int, socket.socket]) -> None:
    for process in list(answers):
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            with answers.pop(process) as answer:
                answer.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))


def _become(request: dict[str, object], out: int, err: int) -> None:
    os.setsid()
    for stream, handle in ((1, out), (2, err)):
        os.dup2(handle, stream)
        os.close(handle)
    os.environ.clear()
    os.environ.update(request["environment"])  # type: ignore[arg-type]
    os.chdir(str(request["folder"]))
    sys.argv = ["trading-platform", *request["arguments"]]  # type: ignore[misc]


ALSO_LOADED = ("dagster_postgres", "exchange_calendars", "fsspec", "psycopg2", "talib", "upath", "watchdog")
"""What commands load within their functions, beside the platform's own modules."""


def _load() -> None:
    """Loads what commands load; computes nothing with Polars, whose threads do not survive a fork."""
    for module in walk_packages(trading_platform.__path__, "trading_platform."):
        if not module.name.endswith("__main__"):
            import_module(module.name)
    for name in ALSO_LOADED:
        import_module(name)


if __name__ == "__main__":
    end_without_freeing()  # each page that is freed would be copied first, as it is shared
    _load()
    gc.collect()
    gc.freeze()
    _serve(socket.socket(fileno=int(sys.argv[1])))
    main()
