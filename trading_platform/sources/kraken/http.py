"""Requests to Kraken's REST: sent through krakenex, rate limited, retried if a retry can help.

Whatever a server responds, a request ends with a result or a ``SourceError``: size, time and redirects are limited by
:mod:`trading_platform.sources.kraken.session`, the text is parsed by :mod:`trading_platform.sources.strict_json`.
:mod:`trading_platform.sources.kraken.client` has the public endpoints,
:mod:`trading_platform.sources.kraken.account.private` the signed requests of an account.
"""

from __future__ import annotations

import logging
import random
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import cached_property, partial
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
from trading_platform.sources.strict_json import StrictDecoder, excerpt

log = logging.getLogger(__name__)

Result = TypeVar("Result")
_Content = TypeVar("_Content")

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
_SECONDS = re.compile("[0-9]{1,12}")
_LONGEST_MESSAGE = 300


@dataclass(frozen=True)
class Retries:
    """The retry policy: number of attempts and waits between them.

    Attributes:
        attempts: number of requests, including the first.
        first_wait: seconds before the second attempt; doubled before each further one.
        longest_wait: maximum wait; if a vendor asks for a longer one, the error is raised at once.
        jitter: a number in [0, 1) that removes up to half of a wait, so that many clients do not return together.
        sleep: waits.
    """

    attempts: int = 5
    first_wait: float = 1.0
    longest_wait: float = 60.0
    jitter: Callable[[], float] = random.random
    sleep: Sleep = time.sleep

    def call(self, request: Callable[[], Result]) -> Result:
        """The result of ``request``, repeated after retryable failures.

        Raises:
            SourceError: the last failure, when attempts are used up, or at once if it is not retryable.
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
        requested_wait = error.retry_after if isinstance(error, RateLimited) else None
        return max(backoff, requested_wait or 0.0)


class KrakenHttp:
    """Kraken's public REST over krakenex: results as Python objects, numbers as ``Decimal``, failures as our errors.

    Args:
        url: base URL, without ``/0``.
        rate_limiter: rate limiter of every attempt.
        cost: cost of an attempt.
        retries: retry policy.
        timeout: seconds to connect, and seconds without a byte, before an attempt fails.
        clock: needed for the duration of a throttling that is given as a timestamp.

    Attributes:
        url: the base URL.
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
        self.url = url.rstrip("/")
        self._rate_limiter = rate_limiter
        self._cost = cost
        self._retries = retries
        self._timeout = timeout
        self._clock = clock

    @cached_property
    def _api(self) -> Any:
        """The client, made by the first request: a command that only asks what is stored loads no HTTP library."""
        return open_api(self.url)

    def public(self, method: str, parameters: Mapping[str, object], read: Callable[[dict[str, Any]], Result]) -> Result:
        """Parses the ``result`` of a public endpoint with ``read``.

        Parsing is part of an attempt: if it raises a retryable error, the endpoint is
        requested again.

        Raises:
            SourceError: the failure, after the retries.
        """
        return self._retries.call(lambda: parsed(method, self._once(method, parameters), read))

    def close(self) -> None:
        """Closes the connections."""
        if "_api" in self.__dict__:
            self._api.close()

    def _once(self, method: str, parameters: Mapping[str, object]) -> dict[str, Any]:
        self._rate_limiter.take([self._cost])
        ask = partial(self._api.query_public, method, dict(parameters), timeout=self._timeout)
        return unwrap(method, envelope_of(method, ask, self._clock), self._clock)


def open_api(url: str, key: str = "", secret: str = "") -> Any:
    """A krakenex client of an exchange, with limits, which parses numbers as ``Decimal``."""
    import krakenex

    from trading_platform.sources.kraken.session import KrakenSession

    api = krakenex.API(key, secret).json_options(cls=StrictDecoder)
    session = KrakenSession()
    session.headers.update(api.session.headers)
    api.session = session
    api.uri = url.rstrip("/")
    if urlsplit(url).hostname in _LOOPBACK:
        api.session.trust_env = False  # no proxy for this machine's own address
    return api


def envelope_of(method: str, ask: Callable[[], object], clock: Clock = utc_now) -> object:
    """The envelope of the response to a request through krakenex.

    Args:
        method: endpoint, for messages.
        ask: sends the request.
        clock: needed for a wait that is given as a timestamp.

    Raises:
        SourceError: if there is none.
    """
    import requests

    try:
        return ask()
    except requests.exceptions.HTTPError as error:
        raise _from_status(method, error, clock) from None
    except requests.exceptions.JSONDecodeError as error:
        raise _unavailable(method, f"a body that is not JSON ({error})") from None
    except requests.exceptions.InvalidURL as error:
        raise _rejected(method, str(error), "correct KRAKEN_API_URL") from None
    except requests.exceptions.RequestException as error:
        raise _unavailable(method, f"{type(error).__name__}: {error}"[:300]) from None
    except ValueError as error:  # of the decoder
        raise _malformed(method, str(error)[:200]) from None


def parsed(method: str, result: _Content, read: Callable[[_Content], Result]) -> Result:
    """What ``read`` makes of a result.

    A result that it was not written for can make it fail in any way; that is the vendor's error, not ours, and other
    requests are to go on.

    Raises:
        SourceError: if ``read`` raises it; MalformedPayload if it fails otherwise.
    """
    try:
        return read(result)
    except SourceError:
        raise
    except Exception as error:
        log.debug("a response to %s cannot be parsed", method, exc_info=error)
        raise _malformed(method, f"{type(error).__name__} while parsing {excerpt(result)}") from error


def unwrap(
    method: str,
    envelope: object,
    clock: Clock = utc_now,
    explain: Callable[[str], SourceError | None] = lambda _: None,
) -> dict[str, Any]:
    """The ``result`` in a response's envelope.

    Entries of ``error`` that begin with W are warnings; they are logged.

    Args:
        method: endpoint, for messages.
        envelope: JSON of the response.
        clock: needed for the duration of a throttling that is given as a timestamp.
        explain: returns an endpoint's own error for an error message; None selects the common one.

    Raises:
        SourceError: for the first error in the envelope; MalformedPayload if it is not an envelope.
    """
    if not isinstance(envelope, Mapping) or not isinstance(envelope.get("error"), list):
        raise _malformed(method, excerpt(envelope))
    for entry in envelope["error"]:
        message = _one_line(entry)
        if not message.startswith("W"):
            raise explain(message) or _from_message(method, message, clock)
        log.warning("Kraken %s warns: %s", method, message)
    result = envelope.get("result")
    if not isinstance(result, dict):
        raise _malformed(method, excerpt(envelope))
    return result


def _one_line(entry: object) -> str:
    """An entry of ``error`` for messages and logs: short, and without line breaks that a log could be forged with."""
    text = entry if isinstance(entry, str) else excerpt(entry)
    return " ".join(text[:_LONGEST_MESSAGE].split())


def _from_message(method: str, message: str, clock: Clock) -> SourceError:
    compact = re.sub(r":\s+", ":", message)
    if compact.startswith(_SLOW_DOWN):
        until = re.search(r"Throttled:([^\s:]+)", compact)
        if until and not _SECONDS.fullmatch(until[1]):
            return _malformed(method, message, retryable=True)
        return _limited(method, int(until[1]) - clock().timestamp() if until else None, message)
    if compact.startswith(_BROKEN):
        return _unavailable(method, message)
    return _rejected(method, message, "correct the request")


def _from_status(method: str, error: Any, clock: Clock) -> SourceError:
    response = error.response
    received = f"HTTP {response.status_code}"
    if response.status_code == _TOO_MANY_REQUESTS:
        stated = response.headers.get("Retry-After", "").strip()
        if not stated:
            return _limited(method, None, received)
        wait = _seconds_of(stated, clock)
        if wait is None:
            return _malformed(method, f"{received} with Retry-After {stated[:50]!r}", retryable=True)
        return _limited(method, wait, received)
    if response.status_code >= _SERVER_ERRORS:
        return _unavailable(method, received)
    return _rejected(method, received, "check KRAKEN_API_URL, and that this network can connect to Kraken")


def _seconds_of(stated: str, clock: Clock) -> float | None:
    """The wait that a Retry-After states, in seconds or as a date (RFC 9110, 10.2.3); None if it is neither."""
    if _SECONDS.fullmatch(stated):
        return float(stated)
    try:
        until = parsedate_to_datetime(stated)
    except (ValueError, OverflowError, IndexError):
        return None
    return (until.replace(tzinfo=until.tzinfo or UTC) - clock()).total_seconds()


def _limited(method: str, wait: float | None, received: str) -> RateLimited:
    return RateLimited(
        f"Kraken limits our requests ({method}).",
        retry_after=None if wait is None else max(0.0, wait),
        received=received,
        remedy="lower KRAKEN_REQUESTS_PER_SECOND",
    )


def _unavailable(method: str, received: str) -> SourceUnavailable:
    return SourceUnavailable(
        f"Kraken did not respond to {method}.",
        received=received,
        remedy="check the network and https://status.kraken.com, or KRAKEN_API_URL for a local exchange",
    )


def _rejected(method: str, received: str, remedy: str) -> SourceRejected:
    return SourceRejected(f"Kraken rejects {method}.", received=received, remedy=remedy)


def _malformed(method: str, received: str, *, retryable: bool = False) -> MalformedPayload:
    return MalformedPayload(
        f"Kraken's response to {method} does not have the agreed shape.",
        expected='an object with "error" (a list) and "result" (an object)',
        received=received,
        remedy="check that KRAKEN_API_URL is Kraken's; if it is, its interface has changed",
        retryable=retryable,
    )
