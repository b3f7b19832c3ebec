"""Disks that are soon full: only root may mount one."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def mounted(folder: Path, size: str) -> Iterator[Path]:
    """A disk of a size, such as ``1m``, at an empty folder; the test is skipped where none can be mounted."""
    options = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", folder]
    done = subprocess.run(options, capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted: {done.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
