"""What is suspect about some bars, and its likely cause.

The rule of each kind is in :mod:`trading_platform.domain.quality.rule_book`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from trading_platform.domain.suspicions import Suspicion


@dataclass(frozen=True)
class Finding:
    """Some bars of one instrument that are suspect for one reason.

    Attributes:
        rule: the rule.
        first: open of the first of them, UTC.
        last: open of the last of them, UTC.
        bars: how many they are; of missing sessions, how many sessions.
        evidence: what was measured, in words.
        cause: what most likely happened, in words, and what to do.
    """

    rule: Suspicion
    first: datetime | None
    last: datetime | None
    bars: int
    evidence: str
    cause: str

    @property
    def words(self) -> str:
        """The finding as a sentence."""
        when = "" if self.first is None else f" from {self.first:%Y-%m-%d %H:%M}"
        until = "" if self.last in (None, self.first) else f" to {self.last:%Y-%m-%d %H:%M}"
        return f"{self.rule.replace('_', ' ')}{when}{until}: {self.evidence}. {self.cause}"
