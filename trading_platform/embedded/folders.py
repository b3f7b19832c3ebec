"""Where the embedded servers live on disk, whom they run as, and where their sockets are.

Everything is private to its user: directories are 0700, so that the file system is the access
control of a server without a network port. Which server lives where stands in
:mod:`trading_platform.embedded.postgres` and :mod:`trading_platform.embedded.redis`.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from trading_platform.domain.errors import ConfigurationError, StoreError, StoreFull

if TYPE_CHECKING:
    import pwd

SOCKET_PATH_LIMIT = 103
"""Bytes of the longest socket path every supported system takes (macOS 103, Linux 107)."""

FULL_BELOW = 1_000_000
"""Bytes."""

SERVER_USER = "pgserver"
"""System user that PostgreSQL runs as when the platform runs as root, which PostgreSQL refuses."""

ROOT_STATE = Path("/var/lib/trading-platform")
"""Where root's server keeps what the system user must reach but the user's own folders hide."""


def no_space(path: Path) -> StoreFull:
    """The error that says the disk under ``path`` is full, with what is left of it."""
    left = shutil.disk_usage(nearest_existing(path)).free
    return StoreFull(
        f"No space is left where the embedded servers write, under {path}.",
        expected="a few hundred MB of free space",
        received=f"{left / 1e6:.1f} MB free",
        remedy="free some space, or point DATA_DIR at a larger disk",
    )


def is_full(path: Path) -> bool:
    """Whether the disk under ``path`` has so little left that a server could not even write its log."""
    return shutil.disk_usage(nearest_existing(path)).free < FULL_BELOW


def explain_os_error(error: OSError, path: Path) -> StoreError | ConfigurationError:
    """The platform's own error for what the system says about the data directory."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return no_space(path)
    return ConfigurationError(
        f"The data directory {path} cannot be used.",
        expected="a directory the present user owns and may write to",
        received=f"{type(error).__name__}: {error}",
        remedy="correct its owner and permissions, or set DATA_DIR to a directory of your own",
    )


def private_directory(path: Path) -> Path:
    """``path``, made if missing, for its owner's eyes only.

    Raises:
        ConfigurationError: if it cannot be made or belongs to someone else.
        StoreFull: if the disk is full.
    """
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.chmod(0o700)
    except OSError as error:
        raise explain_os_error(error, path) from error
    return path


def nearest_existing(path: Path) -> Path:
    """``path`` or the closest of its parents that exists."""
    while not path.exists():
        path = path.parent
    return path


def server_account() -> pwd.struct_passwd | None:
    """Whom PostgreSQL runs as: None for the present user, a system user (made once) for root.

    Raises:
        ConfigurationError: if root cannot make that user.
    """
    if os.geteuid() != 0:
        return None
    import pwd

    try:
        return pwd.getpwnam(SERVER_USER)
    except KeyError:
        pass
    command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", SERVER_USER]
    try:
        made = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 - fixed command
        return pwd.getpwnam(SERVER_USER)  # also there if another process made it at the same moment
    except (FileNotFoundError, KeyError) as error:
        response = str(error) if isinstance(error, FileNotFoundError) else made.stderr.strip()
        raise ConfigurationError(
            "PostgreSQL refuses to run as root, and the system user for it could not be made.",
            expected=f"a system user {SERVER_USER!r}",
            received=response,
            remedy=f"make it ({' '.join(command)}), work as an ordinary user, or set DATABASE_URL to a server of yours",
        ) from None


def reachable_by(account: pwd.struct_passwd, path: Path) -> bool:
    """Whether ``account`` may walk through all existing folders above ``path``, as permissions stand."""
    folders = [parent for parent in path.absolute().parents if parent.exists()]
    return all(_may_enter(account, folder.stat()) for folder in folders)


def _may_enter(account: pwd.struct_passwd, folder: os.stat_result) -> bool:
    if folder.st_uid == account.pw_uid:
        return bool(folder.st_mode & stat.S_IXUSR)
    if folder.st_gid == account.pw_gid:
        return bool(folder.st_mode & stat.S_IXGRP)
    return bool(folder.st_mode & stat.S_IXOTH)


def socket_directory(home: Path, socket_name: str, account: pwd.struct_passwd | None = None) -> Path:
    """The folder for a server's socket: ``home``, or a short private one where that path is too long.

    Args:
        home: the server's own directory.
        socket_name: file name of the socket.
        account: whom the server runs as, if not the present user; the short folder is given to it.
    """
    if len(os.fsencode(home / socket_name)) <= SOCKET_PATH_LIMIT:
        return home
    short = hashlib.sha256(os.fsencode(home)).hexdigest()[:12]
    for base in _runtime_bases():
        folder = base / f"trading-platform-{os.geteuid()}" / short
        if len(os.fsencode(folder / socket_name)) <= SOCKET_PATH_LIMIT:
            _own_folder(folder.parent, 0o700 if account is None else 0o711)
            _own_folder(folder, 0o700, account)
            return folder
    raise ConfigurationError(
        "No folder was found with a path short enough for a socket.",
        expected=f"at most {SOCKET_PATH_LIMIT} bytes",
        received=", ".join(str(base) for base in _runtime_bases()),
        remedy="set XDG_RUNTIME_DIR to a short, private folder, or DATA_DIR to a shorter path",
    )


def _runtime_bases() -> list[Path]:
    named = os.environ.get("XDG_RUNTIME_DIR")
    wanted = [Path(named)] if named and os.access(named, os.W_OK) else []
    return [*wanted, Path(tempfile.gettempdir()), Path("/tmp")]  # noqa: S108 - what is made in it is checked below


def _own_folder(folder: Path, mode: int, account: pwd.struct_passwd | None = None) -> None:
    """Make ``folder``, or make sure that nobody else prepared it for us (/tmp belongs to everyone)."""
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=mode)
    owners = {os.geteuid()} | ({account.pw_uid} if account else set())
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in owners:
        raise ConfigurationError(
            f"The folder for sockets, {folder}, belongs to someone else.",
            expected="a folder of the present user",
            received=f"owner id {found.st_uid}, mode {stat.filemode(found.st_mode)}",
            remedy="remove it, or set XDG_RUNTIME_DIR to a private folder of yours",
        )
    folder.chmod(mode)
    if account is not None:
        os.chown(folder, account.pw_uid, account.pw_gid)
