"""Where a request of many pages goes on after an interruption."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Checkpoint:
    """Where a source goes on without asking for anything a second time.

    Attributes:
        at: all bars before this are told; a request that begins just here can go on.
        token: the source's own words for how: JSON values by name.
    """

    at: datetime
    token: Mapping[str, object]
