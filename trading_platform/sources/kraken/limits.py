"""How often Kraken may be asked."""

from __future__ import annotations

from trading_platform.sources.limits import Charge, Rate


def public_charge(url: str, requests_per_second: float) -> Charge:
    """What a public request takes: one of a second's worth, counted per address of ours and so per exchange.

    Kraken states no number; see docs/sources/kraken.md.

    Args:
        url: base URL of the exchange.
        requests_per_second: ``Settings.kraken_requests_per_second``.
    """
    return Charge(Rate("kraken:public", requests_per_second, max(1.0, requests_per_second)), url.rstrip("/"))
