"""How often Yahoo is asked. It documents no limit and answers 429 beyond one it does not tell."""

from __future__ import annotations

from trading_platform.sources.rate_limits import Cost, Rate

REQUESTS = Rate("yahoo:requests", 0.5, 10.0)
"""Ours: a request every two seconds on average. Reports of 429 are of far more, see docs/sources/yahoo.md."""

WAIT = 60.0
"""Seconds in which nothing is asked after a 429; Yahoo does not say how long it wants."""


def costs() -> tuple[Cost, ...]:
    """What a question takes: Yahoo counts by address, so all processes of a machine share it."""
    return (Cost(REQUESTS, "address"),)
