"""What can go wrong at an exchange, on demand and repeatably."""

from __future__ import annotations

import random
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt

Probability = Annotated[float, Field(ge=0, le=1)]
"""From never to always."""


class Fault(StrEnum):
    """The ways an answer can break."""

    RATE_LIMIT = "rate_limit"
    """HTTP 200 with ``EAPI:Rate limit exceeded``."""
    SERVER_ERROR = "server_error"
    """HTTP 503 with a page instead of JSON."""
    UNAVAILABLE = "unavailable"
    """HTTP 200 with ``EService:Unavailable``."""
    SLOW = "slow"
    """The right answer, late."""
    TRUNCATE = "truncate"
    """Half of the body, then the connection ends."""
    DROP = "drop"
    """The connection ends without an answer."""


class Faults(BaseModel):
    """What shall go wrong: the JSON of ``POST /faults`` and the options of ``simulate-exchange``.

    Attributes:
        probability: of each fault, for every request.
        next: so many of the next requests break in this way, before any chance is asked.
        slow_seconds: how late a slow answer is.
        seed: equal seeds give equal faults for equal sequences of requests.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    probability: dict[Fault, Probability] = Field(default_factory=dict)
    next: dict[Fault, NonNegativeInt] = Field(default_factory=dict)
    slow_seconds: float = Field(default=2.0, ge=0)
    seed: int = 0


class FaultInjector:
    """Decides for each request whether, and how, it breaks."""

    def __init__(self, faults: Faults | None = None) -> None:
        self.set(faults or Faults())

    def set(self, faults: Faults) -> None:
        """From now on these faults, their counts and chances begun anew."""
        self.faults = faults
        self._left = dict(faults.next)
        self._random = random.Random(faults.seed)  # noqa: S311  (repeatable, not secret)

    def draw(self) -> Fault | None:
        """How the next request breaks, or None."""
        for fault, left in self._left.items():
            if left:
                self._left[fault] = left - 1
                return fault
        chance = self._random.random()
        for fault, probability in self.faults.probability.items():
            if chance < probability:
                return fault
            chance -= probability
        return None
