"""What every client of a vendor's HTTP accepts at most, and the errors for what is more.

The clients enforce it: :mod:`trading_platform.sources.kraken.session`, :mod:`trading_platform.sources.yahoo.session`.
A server that is broken, overtaken or not the vendor's must cost neither memory nor time without a limit, and a request
goes to the configured host alone, because it may carry a key.
"""

from __future__ import annotations

from trading_platform.domain.errors import MalformedPayload, SourceRejected, SourceUnavailable

LARGEST_BODY = 8 * 2**20
"""Bytes of a body, decompressed. The largest regular ones are Kraken's AssetPairs and the whole daily history of an
instrument at Yahoo, below 2 MB each."""

TOTAL_SECONDS = 120.0
"""Seconds from sending a request to the last byte of its response: 2 MB at 17 KB/s."""


def body_too_large(vendor: str, limit: int) -> MalformedPayload:
    """The error for a body beyond the limit; nothing of it was used."""
    return MalformedPayload(
        f"{vendor}'s response is too large and was not read to its end.",
        expected=f"at most {limit:,} bytes",
        received="more",
        remedy="check that the configured address is the vendor's, and the network between",
    )


def not_in_time(vendor: str, seconds: float) -> SourceUnavailable:
    """The error for a response that did not end in time, redirects included."""
    return SourceUnavailable(
        f"{vendor}'s response did not end in time.",
        expected=f"all of it within {seconds:g} s",
        received="a part of it",
        remedy="check the network; try again later",
    )


def redirected(vendor: str, target: str, remedy: str) -> SourceRejected:
    """The error for a redirect, which was not followed: the request may carry a key that is for one host alone."""
    return SourceRejected(
        f"{vendor}'s address redirects to another one; that was not followed.",
        expected="a response from the configured address",
        received=f"a redirect to {target[:200]!r}",
        remedy=remedy,
    )
