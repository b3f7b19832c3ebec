"""What can go wrong at an exchange, on demand and repeatably."""

from __future__ import annotations

import random
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt

Probability = Annotated[float, Field(ge=0, le=1)]
"""From never to always."""


class Fault(StrEnum):
    """The ways an answer, or a live connection, can break."""

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

    REJECT = "refuse"
    """A live connection is refused: HTTP 503 instead of the handshake."""
    STALL = "stall"
    """A live connection stays open, and nothing is said on it any more."""
    RESET = "reset"
    """A live connection is reset (TCP RST) without a close."""
    DUPLICATE = "duplicate"
    """A live message comes twice."""
    REORDER = "reorder"
    """A live message comes after up to ``reorder_within`` later ones."""
    LATE = "late"
    """A live message comes ``late_seconds`` after its time; others do not wait for it."""
    LAG = "lag"
    """A live message comes ``slow_seconds`` after its time, and everything behind it waits."""
    MALFORMED = "malformed"
    """Half of a live message comes, which is no JSON."""
    UNKNOWN = "unknown"
    """A message of a channel nobody knows comes before a live message."""


RESPONSE_FAULTS = frozenset(
    {Fault.RATE_LIMIT, Fault.SERVER_ERROR, Fault.UNAVAILABLE, Fault.SLOW, Fault.TRUNCATE, Fault.DROP}
)
"""What can befall an answer of REST."""
CONNECTION_FAULTS = frozenset({Fault.STALL, Fault.RESET, Fault.LAG})
"""What can befall any live message, heartbeats included."""
MESSAGE_FAULTS = CONNECTION_FAULTS | {Fault.DUPLICATE, Fault.REORDER, Fault.LATE, Fault.MALFORMED, Fault.UNKNOWN}
"""What can befall a live message with trades or a quote."""


class Faults(BaseModel):
    """What shall go wrong: the JSON of ``POST /faults`` and the options of ``simulate-exchange``.

    Attributes:
        probability: of each fault, for every request or live message that it can befall.
        next: so many of the next requests or live messages break in this way, before any chance is asked.
        slow_seconds: how late a slow answer is, or a live message that lags.
        late_seconds: how late a late live message is.
        reorder_within: how many later live messages one out of order can come after.
        clock_skew_seconds: how far the exchange's clock, and all that happens by it, is ahead.
        seed: equal seeds give equal faults for equal sequences of requests.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    probability: dict[Fault, Probability] = Field(default_factory=dict)
    next: dict[Fault, NonNegativeInt] = Field(default_factory=dict)
    slow_seconds: float = Field(default=2.0, ge=0)
    late_seconds: float = Field(default=1.0, ge=0)
    reorder_within: int = Field(default=3, ge=1)
    clock_skew_seconds: float = Field(default=0.0, ge=-86_400, le=86_400)
    seed: int = 0


class FaultInjector:
    """Decides for each request and each live message whether, and how, it breaks."""

    def __init__(self, faults: Faults | None = None) -> None:
        self.set(faults or Faults())

    def set(self, faults: Faults) -> None:
        """From now on these faults, their counts and chances begun anew."""
        self.faults = faults
        self._left = dict(faults.next)
        self._random = random.Random(faults.seed)  # noqa: S311  (repeatable, not secret)

    def draw(self, among: frozenset[Fault] = RESPONSE_FAULTS) -> Fault | None:
        """How the next request or live message breaks, or None.

        Args:
            among: what can befall it.
        """
        for fault, left in self._left.items():
            if left and fault in among:
                self._left[fault] = left - 1
                return fault
        chance = self._random.random()
        for fault, probability in self.faults.probability.items():
            if fault not in among:
                continue
            if chance < probability:
                return fault
            chance -= probability
        return None

    def places(self) -> int:
        """How many later live messages the next one out of order comes after."""
        return self._random.randint(1, self.faults.reorder_within)
