"""Rate limits of news: ours for every host, and NewsAPI's for its free plan."""

from __future__ import annotations

from trading_platform.sources.rate_limits import Cost, Rate, Within

HOST = Rate("news:host", 0.5, 4.0)
"""Our limit for each host: four requests at once, one every two seconds on average."""

NEWSAPI = Within("newsapi:requests", 100, 86_400.0)
"""The free plan (https://newsapi.org/pricing) has 100 requests a day, and articles of the day before."""


def costs(host: str) -> tuple[Cost, ...]:
    """The cost of a request to a host."""
    return (Cost(NEWSAPI, "key"),) if host == "newsapi.org" else (Cost(HOST, host),)
