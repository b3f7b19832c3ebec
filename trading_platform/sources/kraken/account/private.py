"""Read access to the private endpoints of Kraken's REST: signed requests, and the meaning of their errors.

Only the endpoints of :data:`~trading_platform.sources.kraken.limits.WEIGHTS` can be requested; none of them
places, changes or cancels anything. :mod:`trading_platform.sources.kraken.account.source` parses the responses.
"""

from __future__ import annotations

import base64
import binascii
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from trading_platform.domain.errors import ConfigurationError, RateLimited, SourceError, SourceRejected
from trading_platform.domain.time import Clock, utc_now
from trading_platform.sources.kraken.account.nonces import LocalNonces, Nonces
from trading_platform.sources.kraken.http import Result, Retries, envelope_of, open_api, parsed, unwrap
from trading_platform.sources.kraken.limits import AccountTier, fingerprint_of, private_costs
from trading_platform.sources.rate_limits import LocalRateLimiter, RateLimiter

NONCE_ATTEMPTS = 10
"""How often a request is sent again with a new nonce after a later request has overtaken it."""

_PERMISSIONS = {
    "Balance": "Query (under Funds permissions)",
    "OpenOrders": "Query open orders & trades",
    "OpenPositions": "Query open orders & trades",
    "TradesHistory": "Query closed orders & trades",
}
_INVALID_NONCE = "EAPI:Invalid nonce"


@dataclass(frozen=True)
class Credentials:
    """An API key; neither part of it appears in a repr, a log or an error.

    Attributes:
        key: KRAKEN_API_KEY.
        secret: KRAKEN_API_SECRET, in Base64 as Kraken shows it.

    Raises:
        ConfigurationError: if the secret is not Base64.
    """

    key: str = field(repr=False)
    secret: str = field(repr=False)

    def __post_init__(self) -> None:
        try:
            usable = bool(self.key) and self.key.isascii() and bool(base64.b64decode(self.secret, validate=True))
        except (binascii.Error, ValueError):
            usable = False
        if not usable:
            raise ConfigurationError(
                "Kraken's key cannot be used.",
                expected="KRAKEN_API_KEY and KRAKEN_API_SECRET as Kraken shows them; the secret is Base64",
                received="something else",
                remedy="copy both again, whole, or make a new key at Kraken (Settings, API)",
            )

    @property
    def fingerprint(self) -> str:
        """An identifier that does not reveal the key."""
        return fingerprint_of(self.key)


class KrakenPrivate:
    """The private endpoints for reading.

    Args:
        url: base URL, ``Settings.kraken_api_url``.
        credentials: API key of the account.
        tier: verification tier of the account.
        rate_limiter: enforces the key's call counter; by default this client's own.
        nonces: nonces of the key; by default this client's own.
        retries: retry policy.
        timeout: seconds to connect, and seconds without a byte.
        clock: needed for the duration of a throttling that is given as a timestamp.
    """

    def __init__(
        self,
        url: str,
        credentials: Credentials,
        *,
        tier: AccountTier = "starter",
        rate_limiter: RateLimiter | None = None,
        nonces: Nonces | None = None,
        retries: Retries | None = None,
        timeout: tuple[float, float] = (5.0, 30.0),
        clock: Clock = utc_now,
    ) -> None:
        self._api = open_api(url, credentials.key, credentials.secret)
        self._api._nonce = nonces or LocalNonces()  # noqa: SLF001 - krakenex asks it for each request's nonce
        self._fingerprint = credentials.fingerprint
        self._tier = tier
        self._retries = retries or Retries()
        self._rate_limiter = rate_limiter or LocalRateLimiter(sleep=self._retries.sleep)
        self._timeout = timeout
        self._clock = clock
        self._sending = threading.Lock()

    def ask(self, method: str, parameters: Mapping[str, object], read: Callable[[dict[str, Any]], Result]) -> Result:
        """Parses the ``result`` of a private endpoint with ``read``; parsing is part of an attempt.

        Raises:
            SourceError: the failure, after the retries.
            KeyError: for an endpoint that is not among the permitted ones.
        """
        return self._retries.call(lambda: parsed(method, self._once(method, parameters), read))

    def close(self) -> None:
        """Closes the connections."""
        self._api.close()

    def _once(self, method: str, parameters: Mapping[str, object]) -> dict[str, Any]:
        costs = private_costs(self._tier, self._fingerprint, method)
        for attempt in range(1, NONCE_ATTEMPTS + 1):
            self._rate_limiter.take(costs)
            ask = partial(self._api.query_private, method, dict(parameters), timeout=self._timeout)
            with self._sending:  # else requests of several threads would arrive out of nonce order
                envelope = envelope_of(method, ask, self._clock)
            try:
                return unwrap(method, envelope, self._clock, partial(_explain, method))
            except _OvertakenError:
                if attempt == NONCE_ATTEMPTS:
                    raise
        raise AssertionError("a loop of attempts ends by return or raise")


class _OvertakenError(SourceRejected):
    """The nonce is not larger than that of an earlier request."""


def _explain(method: str, message: str) -> SourceError | None:
    """The error for a message of a private endpoint; None if the message is enough."""
    rejected = f"Kraken rejects {method}."
    if message.startswith(_INVALID_NONCE):
        return _OvertakenError(
            rejected,
            expected="a larger nonce with each request of a key",
            received=f"{message}, {NONCE_ATTEMPTS} times",
            remedy="give each program a key of its own: another one uses this key, with larger nonces",
        )
    if message.startswith("EAPI:Rate limit exceeded"):
        return RateLimited(
            f"Kraken limits the requests of this key ({method}).",
            received=message,
            remedy="set KRAKEN_TIER to the account's tier, and use a separate key for each program",
        )
    remedies = {
        "EGeneral:Permission denied": f"give the key the permission: {_PERMISSIONS[method]}; it needs no other",
        "EAPI:Invalid key": "copy KRAKEN_API_KEY again, and check at Kraken that the key still exists, has not "
        "expired and allows this address",
        "EAPI:Invalid signature": "copy KRAKEN_API_SECRET again, whole; it belongs to KRAKEN_API_KEY",
    }
    for words, remedy in remedies.items():
        if message.startswith(words):
            return SourceRejected(rejected, received=message, remedy=remedy)
    return None
