"""The kinds of faults of a soak, by what they befall; each ends by itself, and what comes after is the platform's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from soak.platform import SoakPlatform


@dataclass(frozen=True)
class Kind:
    """A kind of fault.

    Attributes:
        name: what happens, in words.
        inflict: makes it happen, and ends it.
        shows: kinds of system events, one of which must tell of it, with its beginning and its end.
        needs_disk: whether it needs a small disk, which only root may mount.
    """

    name: str
    inflict: Callable[[SoakPlatform], None]
    shows: frozenset[str]
    needs_disk: bool = False


def kind(name: str, *shows: str, needs_disk: bool = False) -> Callable[[Callable[[SoakPlatform], None]], Kind]:
    """Makes a kind of a function that inflicts it."""
    return lambda inflict: Kind(name, inflict, frozenset(shows), needs_disk)
