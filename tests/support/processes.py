"""Other processes that use the embedded stack, to be watched, asked and killed."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import sysconfig
from contextlib import suppress
from pathlib import Path
from typing import Any

from isolation import isolated
from waiting import DEADLINE

REPOSITORY = Path(__file__).parents[2]

HOLD = """
import json, os, sys
from pathlib import Path
import psycopg, redis  # loaded before another user is put on, who need not be able to read them
from trading_platform.embedded.stack import running_stack
from trading_platform.settings import Settings
if len(sys.argv) > 3:
    os.setgroups([])
    os.setgid(int(sys.argv[3]))
    os.setuid(int(sys.argv[3]))
with running_stack(Settings(_env_file=None, data_dir=Path(sys.argv[1])), need_redis=sys.argv[2] == "redis") as found:
    print(json.dumps(vars(found)), flush=True)
    sys.stdin.readline()
"""


def environment() -> dict[str, str]:
    """The environment in which a fresh Python has the platform and its packages."""
    return isolated(os.environ) | {"PYTHONPATH": f"{REPOSITORY}:{sysconfig.get_path('purelib')}"}


def start_holder(
    data_dir: Path, *, redis: bool = False, as_user: int | None = None, **options: Any
) -> subprocess.Popen[str]:
    """A process that holds the stack until its standard input is closed, as another user if asked by root."""
    command = [sys.executable, "-c", HOLD, str(data_dir), "redis" if redis else "plain"]
    if as_user is not None:
        command.append(str(as_user))
    options = {"env": environment()} | options
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY, **options
    )


def endpoints_of(process: subprocess.Popen[str]) -> dict[str, str]:
    """What it says of the servers, once it has them."""
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, f"the process ended with {process.wait()} before it had the stack"
    return json.loads(line)


def leave(process: subprocess.Popen[str]) -> None:
    """Let it leave the stack in an orderly way."""
    process.communicate("\n", timeout=DEADLINE)
    assert process.returncode == 0


def answers(port: int) -> bool:
    """Whether the web server answers; it says that it serves before it listens."""
    visit = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    with suppress(OSError, http.client.HTTPException):
        visit.request("GET", "/server_info")
        return visit.getresponse().status == 200
    return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
