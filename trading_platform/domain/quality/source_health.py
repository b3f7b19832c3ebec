"""How well a source serves, by day: one score from 0 to 100, and the counts that it comes from.

The counts are read by :mod:`trading_platform.stores.market_data.source_health`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

HEALTHY = 90.0
"""A score below asks for a person."""


@dataclass(frozen=True)
class SourceDay:
    """A day of a source.

    Attributes:
        source: the source.
        day: the day, UTC.
        requests: requests that were sent.
        failed: those of them without an answer.
        wrongly_empty: those that were answered as empty, where a later answer had bars.
        stored: bars that answers had.
        rejected: rows that broke a rule.
        corrected: stored bars that were replaced by other values.
        conflicting: bars of the day that the source sent in two versions that differ.
        down: share of the day in which its feed was down or late, over all its instruments, 0 to 1.
    """

    source: str
    day: date
    requests: int
    failed: int
    wrongly_empty: int
    stored: int
    rejected: int
    corrected: int
    conflicting: int
    down: float

    @property
    def score(self) -> float:
        """100 times the product of the shares that went well.

        The shares are those of requests answered, of requests not wrongly empty, of rows accepted, of bars not
        corrected, of bars without a conflicting version, and of the time up; 1 where there are none of a kind.
        """
        shares = (
            1 - _share(self.failed, self.requests),
            1 - _share(self.wrongly_empty, self.requests),
            1 - _share(self.rejected, self.stored + self.rejected),
            1 - _share(self.corrected, self.stored + self.corrected),
            1 - _share(self.conflicting, self.stored + self.conflicting),
            1 - min(1.0, self.down),
        )
        found = 100.0
        for share in shares:
            found *= share
        return round(found, 1)

    @property
    def words(self) -> str:
        """What lowered the score, in words; empty if nothing did."""
        parts = [
            (self.failed, f"{self.failed:,} of {self.requests:,} requests failed"),
            (self.wrongly_empty, f"{self.wrongly_empty:,} answers were empty although there were bars"),
            (self.rejected, f"{self.rejected:,} rows were rejected"),
            (self.corrected, f"{self.corrected:,} bars were corrected later"),
            (self.conflicting, f"{self.conflicting:,} bars came in two versions"),
            (self.down, f"the feed was down or late for {self.down:.1%} of the time"),
        ]
        return "; ".join(text for count, text in parts if count)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
