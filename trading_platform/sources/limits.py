"""How often a source may be asked, declared once a source, and whoever keeps to it.

Limits are declared beside the source they belong to (``sources/<vendor>/limits.py``). Keeping to them
together, over streamer, Dagster's runs and commands, is the business of a :class:`Budget` over Redis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Rate:
    """A token bucket: ``per_second`` on average, up to ``burst`` at once.

    Attributes:
        name: which limit, such as ``kraken:public``.
        per_second: tokens that come back each second.
        burst: tokens at most.
    """

    name: str
    per_second: float
    burst: float


@dataclass(frozen=True)
class Within:
    """At most ``count`` in any stretch of ``seconds``.

    Attributes:
        name: which limit, such as ``ibkr:history``.
        count: how many.
        seconds: how long a stretch is.
    """

    name: str
    count: int
    seconds: float


@dataclass(frozen=True)
class Charge:
    """What a request takes from one limit.

    Attributes:
        limit: which.
        key: whose: the account, the contract, the request itself.
        weight: how much.
    """

    limit: Rate | Within
    key: str
    weight: int = 1


class Budget(Protocol):
    """Keeps to limits, together with all who share it."""

    def take(self, charges: Sequence[Charge]) -> float:
        """Waits until all charges fit at once and takes them, all or none; gives the seconds waited.

        Raises:
            ValueError: for a charge that its limit can never allow.
        """
