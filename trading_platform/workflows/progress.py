"""How long work tells a person how far it is."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Is told of each piece of work that is done."""

    def __call__(self, what: str, done: int, total: int) -> None:
        """``done`` of ``total`` pieces of ``what`` are finished."""


def silent(what: str, done: int, total: int) -> None:
    """Tells nobody."""
