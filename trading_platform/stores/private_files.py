"""Files and folders with access for their owner alone: what a second user of the machine has no business with.

The platform's files hold positions, decisions and the reasons for them. :mod:`trading_platform.stores.atomic_files`
replaces files atomically. ``trading-platform doctor`` reports folders that are open to others.
"""

from __future__ import annotations

import os
from pathlib import Path

FOLDER_MODE, FILE_MODE = 0o700, 0o600


def private_folder(folder: Path) -> set[Path]:
    """Creates a folder and its missing parents; returns the folders that gained an entry.

    An existing folder keeps its permissions: its owner may have chosen them.

    Raises:
        OSError: if it cannot be created.
    """
    if folder.exists():
        return set()
    changed = private_folder(folder.parent)
    folder.mkdir(exist_ok=True, mode=FOLDER_MODE)
    return changed | {folder.parent}


def private_opener(path: str, flags: int) -> int:
    """For ``open(…, opener=private_opener)``: a file that it creates is private."""
    return os.open(path, flags, FILE_MODE)


def make_private(file: Path) -> None:
    """Makes a file private that a library has written.

    Raises:
        OSError: if it belongs to somebody else.
    """
    file.chmod(FILE_MODE)
