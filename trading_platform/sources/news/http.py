"""Polite, safe fetching: one response within limits of size, time and redirects, from public addresses alone.

A response is fetched only if it changed (ETag, Last-Modified), and a server's wish to be left alone (Retry-After,
Cache-Control) is returned. Requests carry no cookie, and proxies of the environment are not used, because behind one
nobody could check the address. :mod:`trading_platform.sources.news.feeds` reads the body. This module loads requests;
import it where a request is to be sent.
"""

from __future__ import annotations

import re
import socket
import time
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import partial
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.util.connection import create_connection

from trading_platform.domain.errors import MalformedPayload, RateLimited, SourceRejected, SourceUnavailable
from trading_platform.domain.news.urls import http_url
from trading_platform.domain.time import Clock, utc_now
from trading_platform.sources.http_limits import LARGEST_BODY, body_too_large, not_in_time
from trading_platform.sources.news.public_addresses import Resolve, addresses_of, checked_addresses
from trading_platform.sources.timed_response import Monotonic, TimedResponse

MOST_REDIRECTS = 5
CONNECT_SECONDS, PAUSE_SECONDS, TOTAL_SECONDS = 5.0, 15.0, 30.0
"""Seconds for a connection, without a byte, and for the whole response with its redirects."""

USER_AGENT = "trading-platform-news/1"
_ACCEPT = (
    "application/rss+xml, application/atom+xml, application/rdf+xml, application/xml;q=0.9, text/xml;q=0.9, */*;q=0.1"
)
_CHUNK = 2**16
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_NOT_MODIFIED, _GONE, _TOO_MANY, _UNAVAILABLE, _FAILED = 304, 410, 429, 503, 500
_GZIP_OR_ZLIB = 47  # zlib's window bits for both, with a header
_MAX_AGE = re.compile(r"(?:^|[,\s])max-age\s*=\s*(\d{1,8})", re.IGNORECASE)
_LONGEST_WAIT = 7 * 86_400.0
_LONGEST_VALIDATOR = 1_000


@dataclass(frozen=True)
class Fetched:
    """A response.

    Attributes:
        body: decompressed; None if it has not changed since the last one (304).
        url: address that it came from, after redirects.
        content_type: its Content-Type.
        etag: to be sent back with the next request.
        last_modified: to be sent back with the next request.
        fresh_for: seconds for which the server says that it will not change; None if it does not say.
    """

    body: bytes | None
    url: str
    content_type: str | None = None
    etag: str | None = None
    last_modified: str | None = None
    fresh_for: float | None = None


class NewsHttp:
    """Fetches feeds.

    Args:
        allowed: hosts that need not be on the public internet.
        largest: bytes of a body, decompressed.
        seconds: for a whole response with its redirects.
        resolve: finds the addresses of a host.
        clock: for a wait that is given as a date.
        monotonic: a clock for the time of a response.
    """

    def __init__(
        self,
        allowed: Collection[str] = (),
        *,
        largest: int = LARGEST_BODY,
        seconds: float = TOTAL_SECONDS,
        resolve: Resolve = addresses_of,
        clock: Clock = utc_now,
        monotonic: Monotonic = time.monotonic,
    ) -> None:
        self._allowed = frozenset(host.lower() for host in allowed)
        self._largest, self._seconds = largest, seconds
        self._resolve, self._clock, self._monotonic = resolve, clock, monotonic

    def get(
        self,
        url: str,
        *,
        etag: str | None = None,
        last_modified: str | None = None,
        headers: dict[str, str] | None = None,
        follow: bool = True,
    ) -> Fetched:
        """The response of an address.

        Args:
            url: http or https.
            etag: of the last response.
            last_modified: of the last response.
            headers: further headers, such as a key; then ``follow`` should be False.
            follow: whether redirects are followed; each is checked like the first address.

        Raises:
            SourceError: if there is none that can be used.
        """
        deadline = self._monotonic() + self._seconds
        sent = {"User-Agent": USER_AGENT, "Accept": _ACCEPT, "Accept-Encoding": "gzip", **(headers or {})}
        if etag:
            sent["If-None-Match"] = etag
        if last_modified:
            sent["If-Modified-Since"] = last_modified
        with self._session(deadline) as session:
            for _ in range(MOST_REDIRECTS + 1):
                response = self._send(session, url, sent, deadline)
                with response:
                    if response.status_code not in _REDIRECTS:
                        return self._fetched(response, url, deadline)
                    url = _target(response, url, follow=follow)
        raise SourceRejected(
            f"{_host(url)} redirects again and again.",
            expected=f"at most {MOST_REDIRECTS} redirects",
            received="more",
            remedy="give the address at which the feed is",
        )

    def _session(self, deadline: float) -> requests.Session:
        session = requests.Session()
        session.trust_env = False
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        adapter = _PublicAdapter(self._allowed, self._resolve, deadline, self._monotonic)
        for scheme in ("http://", "https://"):
            session.mount(scheme, adapter)
        return session

    def _send(self, session: requests.Session, url: str, headers: dict[str, str], deadline: float) -> requests.Response:
        if http_url(url) is None or urlsplit(url).username is not None:
            raise SourceRejected(
                "This is no address of a feed.",
                expected="http(s)://host/path, without user name",
                received=url[:200],
                remedy="correct the address",
            )
        left = deadline - self._monotonic()
        if left <= 0:
            raise not_in_time(_host(url), self._seconds)
        try:
            return session.get(
                url,
                headers=headers,
                stream=True,
                allow_redirects=False,
                timeout=(min(CONNECT_SECONDS, left), min(PAUSE_SECONDS, left)),
            )
        except (requests.RequestException, HTTPError, OSError) as error:
            raise _unavailable(url, _said(error)) from None
        except ValueError as error:  # a header or an address that no request can have
            raise _unavailable(url, _said(error)) from None

    def _fetched(self, response: requests.Response, url: str, deadline: float) -> Fetched:
        status, headers = response.status_code, response.headers
        if status == _NOT_MODIFIED:
            return Fetched(None, url, fresh_for=_fresh_for(headers), etag=headers.get("ETag"))
        if status in {_TOO_MANY, _UNAVAILABLE}:
            raise RateLimited(
                f"{_host(url)} asks not to be fetched now.",
                retry_after=self._wait(headers.get("Retry-After")),
                received=f"HTTP {status}",
                remedy="nothing: it is fetched again when it wants to be",
            )
        if status >= _FAILED:
            raise _unavailable(url, f"HTTP {status}")
        if status != requests.codes.ok:
            raise SourceRejected(
                f"{_host(url)} does not give this feed{' any more' if status == _GONE else ''}.",
                expected="HTTP 200",
                received=f"HTTP {status}",
                remedy="correct or remove the feed",
            )
        return Fetched(
            body=self._body(response, url, deadline),
            url=url,
            content_type=headers.get("Content-Type"),
            etag=_short(headers.get("ETag")),
            last_modified=_short(headers.get("Last-Modified")),
            fresh_for=_fresh_for(headers),
        )

    def _body(self, response: requests.Response, url: str, deadline: float) -> bytes:
        encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
        if encoding not in {"identity", "", "gzip", "x-gzip", "deflate"}:
            raise MalformedPayload(
                f"{_host(url)} sends an encoding that was not asked for.",
                expected="gzip or none",
                received=encoding[:60],
            )
        unpack = None if encoding in {"identity", ""} else zlib.decompressobj(_GZIP_OR_ZLIB)
        parts: list[bytes] = []
        size = 0
        try:
            while chunk := response.raw.read1(_CHUNK, decode_content=False):
                if self._monotonic() > deadline:
                    raise not_in_time(_host(url), self._seconds)
                part = chunk if unpack is None else unpack.decompress(chunk, self._largest + 1 - size)
                size += len(part)
                if size > self._largest:
                    raise body_too_large(_host(url), self._largest)
                parts.append(part)
        except (HTTPError, OSError) as error:
            raise _unavailable(url, _said(error)) from None
        except zlib.error as error:
            raise _cut(url, str(error)) from None
        if unpack is not None and not unpack.eof:
            raise _cut(url, "the compressed body ends early")
        return b"".join(parts)

    def _wait(self, stated: str | None) -> float | None:
        if stated is None:
            return None
        if re.fullmatch(r"\d{1,8}", stated.strip()):
            return min(float(stated), _LONGEST_WAIT)
        try:
            until = parsedate_to_datetime(stated)
        except (ValueError, OverflowError, IndexError):
            return None
        seconds = (until.replace(tzinfo=until.tzinfo or UTC) - self._clock()).total_seconds()
        return min(max(0.0, seconds), _LONGEST_WAIT)


class _PublicAdapter(HTTPAdapter):
    """Connections to checked addresses, with responses that come before a deadline."""

    def __init__(self, allowed: Collection[str], resolve: Resolve, deadline: float, monotonic: Monotonic) -> None:
        self._allowed, self._resolve = allowed, resolve
        self._deadline, self._monotonic = deadline, monotonic
        super().__init__(max_retries=0)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """Makes the pool of connections."""
        super().init_poolmanager(*args, **options)
        pools = ((HTTPConnectionPool, HTTPConnection), (HTTPSConnectionPool, HTTPSConnection))
        self.poolmanager.pool_classes_by_scheme = {
            pool.scheme: type(pool.__name__, (pool,), {"ConnectionCls": self._checked(connection)})
            for pool, connection in pools
        }

    def _checked(self, connection: type[HTTPConnection]) -> type[HTTPConnection]:
        allowed, resolve = self._allowed, self._resolve
        response = partial(TimedResponse, deadline=self._deadline, monotonic=self._monotonic)

        class Checked(connection):  # type: ignore[misc, valid-type]
            response_class = response

            def _new_conn(self) -> socket.socket:
                return _connected(checked_addresses(self.host, self.port, allowed, resolve), self.port, self.timeout)

        return Checked


def _connected(addresses: list[str], port: int, timeout: Any) -> socket.socket:
    failure: OSError = OSError("no address")
    for address in addresses:
        try:
            return create_connection((address, port), timeout)
        except OSError as error:
            failure = error
    raise failure


def _target(response: requests.Response, url: str, *, follow: bool) -> str:
    stated = response.headers.get("Location", "")
    try:
        target = http_url(urljoin(url, stated))
    except ValueError:
        target = None
    if not follow or target is None:
        raise SourceRejected(
            f"{_host(url)} redirects; that was not followed.",
            expected="a response of the address itself" if not follow else "a redirect to http(s)",
            received=f"HTTP {response.status_code} to {stated[:200]!r}",
            remedy="give the address at which the feed is",
        )
    return target


def _fresh_for(headers: Any) -> float | None:
    stated = _MAX_AGE.search(headers.get("Cache-Control", ""))
    return min(float(stated[1]), 86_400.0) if stated else None


def _short(value: str | None) -> str | None:
    """A validator to send back; one that is too long or no header value is forgotten."""
    return value if value and len(value) <= _LONGEST_VALIDATOR and value.isascii() and value.isprintable() else None


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or "the address"
    except ValueError:
        return "the address"


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:300]


def _unavailable(url: str, received: str) -> SourceUnavailable:
    return SourceUnavailable(f"{_host(url)} did not respond.", received=received, remedy="it is fetched again later")


def _cut(url: str, received: str) -> MalformedPayload:
    return MalformedPayload(
        f"The response of {_host(url)} is not complete.",
        expected="all of a compressed body",
        received=received,
        remedy="it is fetched again later",
        retryable=True,
    )
