"""Checkpoints of paged requests: where they continue after an interruption."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Checkpoint:
    """Where a source continues without repeating a request.

    Attributes:
        at: all bars before this were delivered; a request that begins exactly here can continue.
        token: the source's own state for continuing: JSON values by name.
    """

    at: datetime
    token: Mapping[str, object]
