"""The HTTP session of yfinance with limits: size of a body, time of a response, redirects within Yahoo alone.

Yahoo wants a browser, which curl_cffi impersonates. This module loads curl_cffi; import it where a request is to be
sent.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urljoin, urlsplit, urlunsplit

from curl_cffi import requests

from trading_platform.domain.errors import SourceRejected
from trading_platform.sources.http_limits import LARGEST_BODY, TOTAL_SECONDS, body_too_large, not_in_time, redirected

MOST_REDIRECTS = 10
"""Redirects of one request; Yahoo's page of consent to cookies needs four."""

_VENDOR = "Yahoo"
_DOMAIN = "yahoo.com"
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_KEEP_METHOD = frozenset({307, 308})

Monotonic = Callable[[], float]


class YahooSession(requests.Session[Any]):
    """A session for yfinance's requests.

    Args:
        instead: base address that receives the requests to Yahoo; None: Yahoo itself.
        largest: bytes of a body, decompressed.
        seconds: time of a response, redirects included.
        monotonic: a clock.
    """

    def __init__(
        self,
        instead: str | None = None,
        *,
        largest: int = LARGEST_BODY,
        seconds: float = TOTAL_SECONDS,
        monotonic: Monotonic = time.monotonic,
    ) -> None:
        super().__init__(impersonate="chrome")
        self._instead = None if instead is None else urlsplit(instead)
        self._largest = largest
        self._seconds = seconds
        self._monotonic = monotonic

    def request(self, method: Any, url: str, **options: Any) -> Any:  # type: ignore[override]  # all come by name
        """The response to a request, after the redirects within Yahoo.

        Raises:
            SourceRejected: if it redirects to another host, or too often.
            MalformedPayload: if its body is too large.
            SourceUnavailable: if the redirects take too long.
        """
        seconds = min(_seconds_of(options.pop("timeout", None)), self._seconds)
        deadline = self._monotonic() + seconds
        options["allow_redirects"] = False
        target = self._address(url)
        for _ in range(MOST_REDIRECTS + 1):
            body = _Body(self._largest)
            left = deadline - self._monotonic()
            if left <= 0:  # for curl, zero would be no limit
                raise not_in_time(_VENDOR, seconds)
            response = super().request(method, target, timeout=left, content_callback=body.add, **options)
            response.content = body.content
            location = response.headers.get("location")
            if response.status_code not in _REDIRECTS or not location:
                return response
            target = self._followed(target, location)
            options.pop("params", None)
            if response.status_code not in _KEEP_METHOD and method != "HEAD":
                method = "GET"
                for name in ("data", "json", "content", "files"):
                    options.pop(name, None)
        raise redirected(_VENDOR, target, "try again later; Yahoo redirects without an end")

    def _followed(self, source: str, location: str) -> str:
        """The address of a redirect, if it is Yahoo's and as safe as that before it.

        Raises:
            SourceRejected: if it is not.
        """
        target = self._address(urljoin(source, location))
        before, after = urlsplit(source), urlsplit(target)
        is_same_host = (before.scheme, before.netloc) == (after.scheme, after.netloc)
        if not is_same_host and (after.scheme != "https" or not _is_yahoos(after.hostname)):
            raise _other_host(target)
        return target

    def _address(self, url: str) -> str:
        """Where a request to Yahoo goes."""
        parts = urlsplit(url)
        if self._instead is None or not _is_yahoos(parts.hostname):
            return url
        base = self._instead
        return urlunsplit(parts._replace(scheme=base.scheme, netloc=base.netloc, path=base.path + parts.path))


class _Body:
    """Collects a body up to its limit."""

    def __init__(self, largest: int) -> None:
        self._chunks: list[bytes] = []
        self._left = largest
        self._largest = largest

    @property
    def content(self) -> bytes:
        """What has come."""
        return b"".join(self._chunks)

    def add(self, chunk: bytes) -> int:
        """Takes a part; curl ends the transfer with the error.

        Raises:
            MalformedPayload: if the body is too large.
        """
        self._left -= len(chunk)
        if self._left < 0:
            raise body_too_large(_VENDOR, self._largest)
        self._chunks.append(chunk)
        return len(chunk)


def _other_host(target: str) -> SourceRejected:
    return redirected(_VENDOR, target, "check the network, or YAHOO_API_URL; only addresses of Yahoo are followed")


def _is_yahoos(host: str | None) -> bool:
    return host is not None and (host == _DOMAIN or host.endswith(f".{_DOMAIN}"))


def _seconds_of(timeout: object) -> float:
    """A caller's timeout; one for connecting and one for reading count together."""
    if isinstance(timeout, tuple):
        return sum(timeout)
    return float(timeout) if isinstance(timeout, int | float) else TOTAL_SECONDS
