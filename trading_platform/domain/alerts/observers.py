"""Observers: the processes that look for problems, and whether they still do.

What they find is in :mod:`trading_platform.domain.alerts.problems`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

SILENT_AFTER = 4
"""After how many missed reports an observer counts as silent."""

START_ONE = "`trading-platform alerts run`, `stream` or `dev` looks for them."


@dataclass(frozen=True)
class Observer:
    """A process that looks for problems.

    Attributes:
        name: its name.
        seen_at: when it last reported, UTC.
        every: how often it does.
        components: the components it reports of.
    """

    name: str
    seen_at: datetime
    every: timedelta
    components: tuple[str, ...]

    def is_silent(self, now: datetime) -> bool:
        """Whether it has not reported for :data:`SILENT_AFTER` times its interval."""
        return now - self.seen_at > SILENT_AFTER * self.every


def without_incidents(observers: Sequence[Observer], now: datetime) -> str:
    """What it means that no incident goes on: a sentence that depends on who looks for problems.

    Args:
        observers: all observers.
        now: the time, UTC.
    """
    active = sorted(each.name for each in observers if not each.is_silent(now))
    if active:
        return f"Nothing is wrong as far as {', '.join(active)} can see."
    if not observers:
        return f"No incident is known, and nothing has looked for problems yet: {START_ONE}"
    last = max(observers, key=lambda each: each.seen_at)
    return (
        f"No incident is known, but nothing has looked for problems since {last.seen_at:%Y-%m-%d %H:%M:%S} UTC"
        f" ({last.name}): {START_ONE}"
    )
