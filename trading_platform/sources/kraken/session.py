"""The HTTP session of krakenex with limits: size of a body, time of a whole response, no redirects, no cookies.

requests limits neither size nor total time: its timeout is the longest pause between two bytes. This module loads
requests; import it where a request is to be sent.
"""

from __future__ import annotations

import logging
import time
from functools import partial
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from trading_platform.sources.http_limits import LARGEST_BODY, TOTAL_SECONDS, body_too_large, redirected
from trading_platform.sources.timed_response import Monotonic, TimedResponse

_CHUNK = 2**16
_VENDOR = "Kraken"


class KrakenSession(requests.Session):
    """A session whose responses are read, within the limits, when they are returned.

    Args:
        largest: bytes of a body, decompressed.
        seconds: time of a response from the request on.
        monotonic: a clock.
    """

    def __init__(
        self, *, largest: int = LARGEST_BODY, seconds: float = TOTAL_SECONDS, monotonic: Monotonic = time.monotonic
    ) -> None:
        super().__init__()
        logging.getLogger("urllib3").setLevel(logging.ERROR)  # a server can cause its warnings without end
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))  # none are needed, and a server may send many
        for scheme in ("http://", "https://"):
            self.mount(scheme, _LimitedAdapter(largest, seconds, monotonic))

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """None: a response that redirects is an error, also within a host, because nothing signed is sent twice.

        Raises:
            SourceRejected: if it redirects.
        """
        target = super().get_redirect_target(resp)
        if target is not None:
            raise redirected(_VENDOR, target, "set KRAKEN_API_URL to the address itself, if it is Kraken's")
        return None


class _LimitedAdapter(HTTPAdapter):
    """Sends requests over connections that know when a response must have ended, and reads it up to the limit."""

    def __init__(self, largest: int, seconds: float, monotonic: Monotonic) -> None:
        self._largest = largest
        self._seconds, self._monotonic = seconds, monotonic
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """Makes the pool of connections."""
        super().init_poolmanager(*args, **options)
        self._limit(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        """The pool of connections to a proxy."""
        return self._limit(super().proxy_manager_for(proxy, **options))

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        """The response to a request, with all of its body.

        Raises:
            MalformedPayload: if its body is too large.
        """
        response = super().send(request, *args, **(options | {"stream": True}))
        chunks, size = [], 0
        for chunk in response.iter_content(_CHUNK):
            size += len(chunk)
            if size > self._largest:
                response.close()
                raise body_too_large(_VENDOR, self._largest)
            chunks.append(chunk)
        response._content = b"".join(chunks)  # noqa: SLF001 - what its property `content` would have read
        response.encoding = "utf-8"  # as all JSON; guessing takes time without a limit
        return response

    def _limit(self, manager: Any) -> Any:
        pools = ((HTTPConnectionPool, HTTPConnection), (HTTPSConnectionPool, HTTPSConnection))
        manager.pool_classes_by_scheme = {
            pool.scheme: type(pool.__name__, (pool,), {"ConnectionCls": self._timed(connection)})
            for pool, connection in pools
        }
        return manager

    def _timed(self, connection: type[HTTPConnection]) -> type[HTTPConnection]:
        seconds, monotonic = self._seconds, self._monotonic

        class Timed(connection):  # type: ignore[misc, valid-type]
            def request(self, *args: Any, **options: Any) -> None:
                self.response_class = partial(TimedResponse, deadline=monotonic() + seconds, monotonic=monotonic)
                super().request(*args, **options)

        return Timed
