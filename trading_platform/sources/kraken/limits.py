"""The rate limits of Kraken."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Literal

from trading_platform.sources.rate_limits import Cost, Rate, Within


def public_cost(url: str, requests_per_second: float) -> Cost:
    """The cost of a public request. The limit counts per address of ours and exchange, in requests per second.

    Kraken publishes no number; see docs/sources/kraken.md.

    Args:
        url: base URL of the exchange.
        requests_per_second: ``Settings.kraken_requests_per_second``.
    """
    return Cost(Rate("kraken:public", requests_per_second, max(1.0, requests_per_second)), url.rstrip("/"))


AccountTier = Literal["starter", "intermediate", "pro"]
"""Of an account at Kraken, as it was verified; its limits go by it."""

COUNTERS: Mapping[AccountTier, tuple[float, int]] = {"starter": (0.33, 15), "intermediate": (0.5, 20), "pro": (1.0, 20)}
"""How much the counter of a key falls a second, and what it may not exceed
(docs.kraken.com/exchange/guides/rest/ratelimits)."""

WEIGHTS: Mapping[str, int] = {"Balance": 1, "OpenOrders": 1, "OpenPositions": 1, "TradesHistory": 2}
"""What a request of each private endpoint adds to the counter. No other endpoint is ever requested; none of these
changes anything at Kraken."""


def fingerprint_of(key: str) -> str:
    """An identifier of an API key that does not reveal it."""
    return hashlib.sha256(key.encode()).hexdigest()[:12]


SPACING = 0.25
"""Seconds between two requests of a key: closer together they could arrive out of order, and Kraken
rejects a nonce that is smaller than the last."""


def private_costs(tier: AccountTier, fingerprint: str, method: str) -> tuple[Cost, ...]:
    """What a private request takes: of the key's call counter, and a place in the order of its requests.

    One less than Kraken allows is used, for requests that arrive closer together than they were sent.

    Args:
        tier: verification tier of the account.
        fingerprint: identifier of the key.
        method: the endpoint.
    """
    falls, most = COUNTERS[tier]
    counter = Cost(Rate("kraken:private", falls, most - 1), fingerprint, WEIGHTS[method])
    return counter, Cost(Within("kraken:nonces", 1, SPACING), fingerprint)
