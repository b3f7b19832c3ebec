"""The rate limit for Yahoo. It documents no limit and responds 429 beyond an unpublished one."""

from __future__ import annotations

from trading_platform.sources.rate_limits import Cost, Rate

REQUESTS = Rate("yahoo:requests", 0.5, 10.0)
"""Our limit: a request every two seconds on average. Reports of 429 are of far higher rates, docs/sources/yahoo.md."""

WAIT = 60.0
"""Seconds without requests after a 429; Yahoo does not state how long to wait."""


def costs() -> tuple[Cost, ...]:
    """The cost of a request: Yahoo counts by address, so all processes of a machine share the limit."""
    return (Cost(REQUESTS, "address"),)
