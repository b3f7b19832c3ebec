"""Faults of an exchange, injected on demand and repeatably."""

from __future__ import annotations

import random
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt

Probability = Annotated[float, Field(ge=0, le=1)]
"""A probability, from never to always."""


class Fault(StrEnum):
    """The faults of a response or a live connection."""

    RATE_LIMIT = "rate_limit"
    """HTTP 200 with ``EAPI:Rate limit exceeded``."""
    SERVER_ERROR = "server_error"
    """HTTP 503 with a page instead of JSON."""
    UNAVAILABLE = "unavailable"
    """HTTP 200 with ``EService:Unavailable``."""
    SLOW = "slow"
    """The correct response, late."""
    TRUNCATE = "truncate"
    """Half of the body, then the connection is closed."""
    DROP = "drop"
    """The connection is closed without a response."""

    REJECT = "refuse"
    """A live connection is rejected: HTTP 503 instead of the handshake."""
    STALL = "stall"
    """A live connection stays open, and nothing more is sent on it."""
    RESET = "reset"
    """A live connection is reset (TCP RST) without a close."""
    DUPLICATE = "duplicate"
    """A live message is sent twice."""
    REORDER = "reorder"
    """A live message is sent after up to ``reorder_within`` later ones."""
    LATE = "late"
    """A live message is sent ``late_seconds`` after its time; others do not wait for it."""
    LAG = "lag"
    """A live message is sent ``slow_seconds`` after its time, and everything behind it waits."""
    MALFORMED = "malformed"
    """Half of a live message is sent, which is not JSON."""
    UNKNOWN = "unknown"
    """A message of an unknown channel is sent before a live message."""


RESPONSE_FAULTS = frozenset(
    {Fault.RATE_LIMIT, Fault.SERVER_ERROR, Fault.UNAVAILABLE, Fault.SLOW, Fault.TRUNCATE, Fault.DROP}
)
"""Faults of responses of REST."""
CONNECTION_FAULTS = frozenset({Fault.STALL, Fault.RESET, Fault.LAG})
"""Faults of any live message, including heartbeats."""
MESSAGE_FAULTS = CONNECTION_FAULTS | {Fault.DUPLICATE, Fault.REORDER, Fault.LATE, Fault.MALFORMED, Fault.UNKNOWN}
"""Faults of live messages with trades or a quote."""


class Faults(BaseModel):
    """The faults to inject: the JSON of ``POST /faults`` and the options of ``simulate-exchange``.

    Attributes:
        probability: of each fault, for every request or live message it applies to.
        next: number of next requests or live messages that break in this way, before any probability applies.
        slow_seconds: delay of a slow response, or of a live message that lags.
        late_seconds: delay of a late live message.
        reorder_within: maximum number of later live messages sent before one out of order.
        clock_skew_seconds: how far the exchange's clock, and everything it times, is ahead.
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
    """Decides for each request and each live message which fault is injected, if any."""

    def __init__(self, faults: Faults | None = None) -> None:
        self.set(faults or Faults())

    def set(self, faults: Faults) -> None:
        """Sets the faults and restarts their counts and random numbers."""
        self.faults = faults
        self._left = dict(faults.next)
        self._random = random.Random(faults.seed)  # noqa: S311  (repeatable, not secret)

    def draw(self, among: frozenset[Fault] = RESPONSE_FAULTS) -> Fault | None:
        """The fault of the next request or live message, or None.

        Args:
            among: faults that apply to it.
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
        """The number of later live messages sent before the next one out of order."""
        return self._random.randint(1, self.faults.reorder_within)
