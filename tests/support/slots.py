"""What a limit is by definition, to hold slots against that were given."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from trading_platform.sources.rate_limits import Limit, Rate


def holds(limit: Limit, timestamps: Sequence[float], late: float = 0.0) -> bool:
    """Whether moments keep a limit over every span, if each can be seen up to so many seconds late."""
    ordered = sorted(timestamps)
    for first, last in itertools.combinations(range(len(ordered)), 2):
        taken, span = last - first + 1, ordered[last] - ordered[first] + late
        if isinstance(limit, Rate):
            if taken > limit.burst + limit.per_second * span + 1e-4:
                return False
        elif span < limit.seconds - 1e-6 and taken > limit.count:
            return False
    return True
