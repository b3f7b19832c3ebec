"""Directories, system users and sockets of the embedded servers.

Everything is private to its user: directories are 0700, so that the file system is the access control of a server
without a network port. :mod:`trading_platform.embedded.postgres` and :mod:`trading_platform.embedded.redis` define the
directory of each server.
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
"""Bytes of the longest socket path that every supported system accepts (macOS 103, Linux 107)."""

FULL_BELOW = 1_000_000
"""Free bytes below which a disk counts as full."""

SERVER_USER = "pgserver"
"""System user of PostgreSQL when the platform runs as root, because PostgreSQL does not run as root."""

ROOT_STATE = Path("/var/lib/trading-platform")
"""Folder of root's server for data that the system user cannot access in the user's own folders."""


def no_space(path: Path) -> StoreFull:
    """The error for a full disk under ``path``, with its free space."""
    left = shutil.disk_usage(nearest_existing(path)).free
    return StoreFull(
        f"No space is left where the embedded servers write, under {path}.",
        expected="a few hundred MB of free space",
        received=f"{left / 1e6:.1f} MB free",
        remedy="free some space, or point DATA_DIR at a larger disk",
    )


def is_full(path: Path) -> bool:
    """Whether the disk under ``path`` has too little space for a server to write even its log."""
    return shutil.disk_usage(nearest_existing(path)).free < FULL_BELOW


def explain_os_error(error: OSError, path: Path) -> StoreError | ConfigurationError:
    """The platform's error for an operating system error at the data directory."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return no_space(path)
    return ConfigurationError(
        f"The data directory {path} cannot be used.",
        expected="a directory that the present user owns and can write to",
        received=f"{type(error).__name__}: {error}",
        remedy="correct its owner and permissions, or set DATA_DIR to a directory of your own",
    )


def private_directory(path: Path) -> Path:
    """``path`` as a directory with access for its owner alone; created if missing.

    Raises:
        ConfigurationError: if it cannot be created or belongs to another user.
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
    """The user of PostgreSQL: None for the present user, a system user (created once) for root.

    Raises:
        ConfigurationError: if root cannot create that user.
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
        return pwd.getpwnam(SERVER_USER)  # also found if another process created it at the same time
    except (FileNotFoundError, KeyError) as error:
        response = str(error) if isinstance(error, FileNotFoundError) else made.stderr.strip()
        raise ConfigurationError(
            "PostgreSQL does not run as root, and a system user for it could not be created.",
            expected=f"a system user {SERVER_USER!r}",
            received=response,
            remedy=f"create it ({' '.join(command)}), use an ordinary user, or set DATABASE_URL to your own server",
        ) from None


def reachable_by(account: pwd.struct_passwd, path: Path) -> bool:
    """Whether ``account`` has permission to enter all existing folders above ``path``."""
    folders = [parent for parent in path.absolute().parents if parent.exists()]
    return all(_may_enter(account, folder.stat()) for folder in folders)


def _may_enter(account: pwd.struct_passwd, folder: os.stat_result) -> bool:
    if folder.st_uid == account.pw_uid:
        return bool(folder.st_mode & stat.S_IXUSR)
    if folder.st_gid == account.pw_gid:
        return bool(folder.st_mode & stat.S_IXGRP)
    return bool(folder.st_mode & stat.S_IXOTH)


def socket_directory(home: Path, socket_name: str, account: pwd.struct_passwd | None = None) -> Path:
    """The folder of a server's socket: ``home``, or a short private folder if that path is too long.

    Args:
        home: the server's own directory.
        socket_name: file name of the socket.
        account: user of the server, if not the present user; the owner of the short folder.
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
    return [*wanted, Path(tempfile.gettempdir()), Path("/tmp")]  # noqa: S108 - a folder in it is checked below


def _own_folder(folder: Path, mode: int, account: pwd.struct_passwd | None = None) -> None:
    """Create ``folder``, or check that an existing one belongs to no other user (/tmp is open to everyone)."""
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=mode)
    owners = {os.geteuid()} | ({account.pw_uid} if account else set())
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in owners:
        raise ConfigurationError(
            f"The folder for sockets, {folder}, belongs to another user.",
            expected="a folder of the present user",
            received=f"owner id {found.st_uid}, mode {stat.filemode(found.st_mode)}",
            remedy="remove it, or set XDG_RUNTIME_DIR to a private folder of yours",
        )
    folder.chmod(mode)
    if account is not None:
        os.chown(folder, account.pw_uid, account.pw_gid)
