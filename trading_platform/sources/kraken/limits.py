"""How often Kraken may be asked."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Literal

from trading_platform.sources.limits import Charge, Rate


def public_charge(url: str, requests_per_second: float) -> Charge:
    """What a public request takes: one of a second's worth, counted per address of ours and so per exchange.

    Kraken states no number; see docs/sources/kraken.md.

    Args:
        url: base URL of the exchange.
        requests_per_second: ``Settings.kraken_requests_per_second``.
    """
    return Charge(Rate("kraken:public", requests_per_second, max(1.0, requests_per_second)), url.rstrip("/"))


Tier = Literal["starter", "intermediate", "pro"]
"""Of an account at Kraken, as it was verified; its limits go by it."""

COUNTERS: Mapping[Tier, tuple[float, int]] = {"starter": (0.33, 15), "intermediate": (0.5, 20), "pro": (1.0, 20)}
"""How much the counter of a key falls a second, and what it may not exceed
(docs.kraken.com/exchange/guides/rest/ratelimits)."""

WEIGHTS: Mapping[str, int] = {"Balance": 1, "OpenPositions": 1, "TradesHistory": 2}
"""What a request of each private endpoint adds to the counter. These are all that are ever asked: none changes
anything at Kraken."""


def fingerprint_of(key: str) -> str:
    """Tells an API key without being it."""
    return hashlib.sha256(key.encode()).hexdigest()[:12]


def private_charge(tier: Tier, fingerprint: str, method: str) -> Charge:
    """What a private request takes of the key's counter.

    One less than Kraken allows is used, for requests that arrive closer together than they were sent.

    Args:
        tier: of the account.
        fingerprint: tells the key without being it.
        method: the endpoint.
    """
    falls, most = COUNTERS[tier]
    return Charge(Rate("kraken:private", falls, most - 1), fingerprint, WEIGHTS[method])
