"""One request to Kraken's REST: sent through krakenex, paced, tried again where that can help.

What the endpoints are is in :mod:`trading_platform.sources.kraken.client`, and of an account in
:mod:`trading_platform.sources.kraken.account.private`, which signs its requests.
"""

from __future__ import annotations

import logging
import random
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlsplit

from trading_platform.domain.errors import (
    MalformedPayload,
    RateLimited,
    SourceError,
    SourceRejected,
    SourceUnavailable,
)
from trading_platform.domain.time import Clock, Sleep, utc_now
from trading_platform.sources.rate_limits import Cost, RateLimiter

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

_TOO_MANY_REQUESTS = 429
_SERVER_ERRORS = 500
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_SLOW_DOWN = (
    "EAPI:Rate limit exceeded",
    "EService:Throttled",
    "EGeneral:Temporary lockout",
    "EGeneral:Too many requests",
)
_BROKEN = ("EService:", "EGeneral:Internal error")


@dataclass(frozen=True)
class Retries:
    """How often and after which waits a request is tried again.

    Attributes:
        attempts: requests in all, the first included.
        first_wait: seconds before the second attempt; doubled before each further one.
        longest_wait: no wait is longer; a vendor that asks for more gets the error raised at once.
        jitter: a number in [0, 1) that takes up to half of a wait away, so that many do not return together.
        sleep: waits.
    """

    attempts: int = 5
    first_wait: float = 1.0
    longest_wait: float = 60.0
    jitter: Callable[[], float] = random.random
    sleep: Sleep = time.sleep

    def call(self, request: Callable[[], Answer]) -> Answer:
        """What ``request`` answers, tried again after failures that this can help.

        Raises:
            SourceError: the last failure, once attempts are used up or at once if trying again cannot help.
        """
        for attempt in range(1, self.attempts + 1):
            try:
                return request()
            except SourceError as error:
                wait = self._wait(attempt, error)
                if not error.retryable or attempt == self.attempts or wait > self.longest_wait:
                    raise
                log.warning("attempt %d of %d failed, next in %.1f s: %s", attempt, self.attempts, wait, error.message)
                self.sleep(wait)
        raise AssertionError("a loop of attempts ends by return or raise")

    def _wait(self, attempt: int, error: SourceError) -> float:
        doubled: float = self.first_wait * 2.0 ** (attempt - 1)
        backoff = min(doubled, self.longest_wait) * (1 - self.jitter() / 2)
        asked = error.retry_after if isinstance(error, RateLimited) else None
        return max(backoff, asked or 0.0)


class KrakenHttp:
    """Kraken's public REST over krakenex: results as Python objects, numbers as ``Decimal``, failures as our errors.

    Args:
        url: base URL, without ``/0``.
        rate_limiter: what every attempt takes from.
        cost: what it takes.
        retries: what to do about failures.
        timeout: seconds to connect, and seconds without a byte, before an attempt is given up.
        clock: tells how long a throttling lasts that is given as a moment.
    """

    def __init__(
        self,
        url: str,
        *,
        rate_limiter: RateLimiter,
        cost: Cost,
        retries: Retries,
        timeout: tuple[float, float] = (5.0, 30.0),
        clock: Clock = utc_now,
    ) -> None:
        self._api = open_api(url)
        self._rate_limiter = rate_limiter
        self._cost = cost
        self._retries = retries
        self._timeout = timeout
        self._clock = clock

    @property
    def url(self) -> str:
        """The base URL."""
        return str(self._api.uri)

    def public(self, method: str, parameters: Mapping[str, object], read: Callable[[dict[str, Any]], Answer]) -> Answer:
        """What ``read`` makes of the ``result`` of a public endpoint.

        Reading is part of an attempt: where it raises an error that trying again can help, the
        endpoint is asked again.

        Raises:
            SourceError: as the failure is, after the attempts that may help.
        """
        return self._retries.call(lambda: read(self._once(method, parameters)))

    def close(self) -> None:
        """Ends the connections."""
        self._api.close()

    def _once(self, method: str, parameters: Mapping[str, object]) -> dict[str, Any]:
        self._rate_limiter.take([self._cost])
        ask = partial(self._api.query_public, method, dict(parameters), timeout=self._timeout)
        return unwrap(method, envelope_of(method, ask), self._clock)


def open_api(url: str, key: str = "", secret: str = "") -> Any:
    """A client of an exchange by krakenex, which reads numbers as ``Decimal``."""
    import krakenex

    api = krakenex.API(key, secret).json_options(parse_float=Decimal)
    api.uri = url.rstrip("/")
    if urlsplit(url).hostname in _LOOPBACK:
        api.session.trust_env = False  # no proxy stands between this machine and itself
    return api


def envelope_of(method: str, ask: Callable[[], object]) -> object:
    """The envelope that a request through krakenex is answered with.

    Args:
        method: endpoint, for messages.
        ask: makes the request.

    Raises:
        SourceError: if there is none.
    """
    import requests

    try:
        return ask()
    except requests.exceptions.HTTPError as error:
        raise _from_status(method, error) from None
    except requests.exceptions.JSONDecodeError as error:
        raise _unavailable(method, f"a body that is no JSON ({error})") from None
    except requests.exceptions.InvalidURL as error:
        raise _rejected(method, str(error), "correct KRAKEN_API_URL") from None
    except requests.exceptions.RequestException as error:
        raise _unavailable(method, f"{type(error).__name__}: {error}") from None


def unwrap(
    method: str,
    envelope: object,
    clock: Clock = utc_now,
    explain: Callable[[str], SourceError | None] = lambda _: None,
) -> dict[str, Any]:
    """The ``result`` of an answer's envelope.

    Entries of ``error`` that begin with W are warnings; they are logged.

    Args:
        method: endpoint, for messages.
        envelope: the answer's JSON.
        clock: tells how long a throttling lasts that is given as a moment.
        explain: makes of an error's words what the endpoint knows better; None leaves it to what all have.

    Raises:
        SourceError: as the first error in the envelope is; MalformedPayload if it is no envelope.
    """
    if not isinstance(envelope, Mapping) or not isinstance(envelope.get("error"), list):
        raise _malformed(method, envelope)
    messages = [str(message) for message in envelope["error"]]
    for message in messages:
        if not message.startswith("W"):
            raise explain(message) or _from_message(method, message, clock)
        log.warning("Kraken %s warns: %s", method, message)
    result = envelope.get("result")
    if not isinstance(result, dict):
        raise _malformed(method, envelope)
    return result


def _from_message(method: str, message: str, clock: Clock) -> SourceError:
    compact = re.sub(r":\s+", ":", message)
    if compact.startswith(_SLOW_DOWN):
        until = re.search(r"Throttled:(\d+)", compact)
        return RateLimited(
            f"Kraken limits our requests ({method}).",
            retry_after=max(0.0, int(until[1]) - clock().timestamp()) if until else None,
            received=message,
            remedy="lower KRAKEN_REQUESTS_PER_SECOND",
        )
    if compact.startswith(_BROKEN):
        return _unavailable(method, message)
    return _rejected(method, message, "correct the request")


def _from_status(method: str, error: Any) -> SourceError:
    response = error.response
    received = f"HTTP {response.status_code}"
    if response.status_code == _TOO_MANY_REQUESTS:
        seconds = response.headers.get("Retry-After", "")
        return RateLimited(
            f"Kraken limits our requests ({method}).",
            retry_after=float(seconds) if seconds.isdigit() else None,
            received=received,
            remedy="lower KRAKEN_REQUESTS_PER_SECOND",
        )
    if response.status_code >= _SERVER_ERRORS:
        return _unavailable(method, received)
    return _rejected(method, received, "check KRAKEN_API_URL, and that this network may reach Kraken")


def _unavailable(method: str, received: str) -> SourceUnavailable:
    return SourceUnavailable(
        f"Kraken did not answer {method}.",
        received=received,
        remedy="check the network and https://status.kraken.com, or KRAKEN_API_URL for a local exchange",
    )


def _rejected(method: str, received: str, remedy: str) -> SourceRejected:
    return SourceRejected(f"Kraken refuses {method}.", received=received, remedy=remedy)


def _malformed(method: str, envelope: object) -> MalformedPayload:
    return MalformedPayload(
        f"Kraken's answer to {method} has not the agreed shape.",
        expected='an object with "error" (a list) and "result" (an object)',
        received=repr(envelope)[:200],
        remedy="check that KRAKEN_API_URL is Kraken's; if it is, its interface has changed",
    )
