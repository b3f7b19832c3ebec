"""Progress reports of long-running work."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receives progress reports."""

    def __call__(self, what: str, done: int, total: int) -> None:
        """Reports progress: ``done`` of ``total`` steps of ``what`` are finished."""


def silent(what: str, done: int, total: int) -> None:
    """Tells nobody."""
