"""Fetching from servers that behave well, badly, and as attackers do."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from news_server import NewsServer, feed, news_server

from trading_platform.domain.errors import (
    MalformedPayload,
    RateLimited,
    SourceError,
    SourceRejected,
    SourceUnavailable,
)
from trading_platform.sources.news.http import NewsHttp
from trading_platform.sources.news.public_addresses import checked_addresses, is_public

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def server() -> Iterator[NewsServer]:
    with news_server() as running:
        yield running


@pytest.fixture
def http() -> NewsHttp:
    return NewsHttp(["127.0.0.1"], largest=200_000, clock=lambda: NOON)


def test_what_has_not_changed_is_not_sent_again(server: NewsServer, http: NewsHttp):
    server.serve_validated("/tagged", feed("tagged"))
    first = http.get(server.url("/tagged"))
    assert first.body == feed("tagged")
    assert http.get(server.url("/tagged"), etag=first.etag).body is None
    server.serve(
        "/dated", feed("dated"), Last_Modified="Mon, 02 Mar 2026 10:00:00 GMT", Cache_Control="public, max-age=900"
    )
    dated = http.get(server.url("/dated"))
    assert (dated.last_modified, dated.fresh_for) == ("Mon, 02 Mar 2026 10:00:00 GMT", 900)
    http.get(server.url("/dated"), last_modified=dated.last_modified)
    assert server.requests[-1][1]["If-Modified-Since"] == dated.last_modified
    assert not {"Cookie", "Authorization"} & set(server.requests[-1][1])


def test_compressed_bodies(server: NewsServer, http: NewsHttp):
    server.serve("/packed", gzip.compress(feed("packed")), Content_Encoding="gzip")
    assert http.get(server.url("/packed")).body == feed("packed")
    server.serve_cut("/cut", feed("cut", 200))
    with pytest.raises(MalformedPayload, match="not complete") as caught:
        http.get(server.url("/cut"))
    assert caught.value.retryable
    server.serve("/no-gzip", b"plain", Content_Encoding="gzip")
    server.serve("/br", b"x", Content_Encoding="br")
    server.serve_bomb("/bomb", 50_000_000)
    server.serve("/large", b"x" * 50_000_000)
    for path, reason in (("/no-gzip", "not complete"), ("/br", "encoding"), ("/bomb", "large"), ("/large", "large")):
        with pytest.raises(MalformedPayload, match=reason):
            http.get(server.url(path))


@pytest.mark.parametrize(
    ("status", "headers", "kind", "wait"),
    [
        (429, {"Retry_After": "120"}, RateLimited, 120),
        (429, {"Retry_After": "Mon, 02 Mar 2026 12:05:00 GMT"}, RateLimited, 300),
        (503, {"Retry_After": "soon"}, RateLimited, None),
        (500, {}, SourceUnavailable, None),
        (404, {}, SourceRejected, None),
        (410, {}, SourceRejected, None),
        (401, {}, SourceRejected, None),
    ],
)
def test_refusals(server: NewsServer, http: NewsHttp, status: int, headers: dict[str, str], kind: type, wait: float):
    server.serve("/refused", b"", status, **headers)
    with pytest.raises(kind) as caught:
        http.get(server.url("/refused"))
    assert getattr(caught.value, "retry_after", None) == wait


def test_a_response_that_never_ends(server: NewsServer):
    server.serve_never("/never")
    server.serve_slow_headers("/headers")
    for path in ("/never", "/headers"):
        with pytest.raises(SourceUnavailable, match=r"in time|did not respond"):
            NewsHttp(["127.0.0.1"], seconds=0.3).get(server.url(path))


def test_nobody_there(http: NewsHttp, unused_port: int):
    with pytest.raises(SourceUnavailable, match="did not respond"):
        http.get(f"http://127.0.0.1:{unused_port}/")


@pytest.fixture
def unused_port() -> int:
    with news_server() as closed:
        return closed.port


def test_redirects_are_followed_and_each_is_checked(server: NewsServer, http: NewsHttp):
    server.serve("/target", feed("target"))
    server.serve("/moved", b"", 301, Location="/target")
    assert http.get(server.url("/moved")).url == server.url("/target")
    server.serve("/loop", b"", 302, Location="/loop")
    with pytest.raises(SourceRejected, match="again and again"):
        http.get(server.url("/loop"))
    with pytest.raises(SourceRejected, match="not followed"):
        http.get(server.url("/moved"), follow=False)
    for target in (
        "file:///etc/passwd",
        "ftp://a.example/",
        "",
        "http://",
        "javascript:x",
        f"http://[::1]:{server.port}/target",
    ):
        server.serve("/away", b"", 302, Location=target)
        before = len([path for path, _ in server.requests if path == "/target"])
        with pytest.raises(SourceError):
            http.get(server.url("/away"))
        assert len([path for path, _ in server.requests if path == "/target"]) == before


@pytest.mark.parametrize(
    "host",
    "127.0.0.1 localhost 0.0.0.0 10.1.2.3 192.168.0.1 169.254.169.254 100.64.0.1 [::1] [::] [fe80::1] [fd00::1] "
    "[::ffff:127.0.0.1] [64:ff9b::7f00:1] [2002:7f00:1::] 224.0.0.1 255.255.255.255 2130706433 0x7f.1 127.1".split(),
)
def test_local_addresses_are_refused_in_every_spelling(server: NewsServer, host: str):
    before = len(server.requests)
    with pytest.raises(SourceError):
        NewsHttp().get(f"http://{host}:{server.port}/")
    assert len(server.requests) == before


def test_a_name_that_resolves_to_another_address_the_second_time(server: NewsServer):
    """The address that was checked is the one that is connected to: nothing resolves the name again."""
    server.serve("/secret", b"secret")
    asked: list[str] = []

    def resolve(host: str, _port: int) -> list[str]:
        asked.append(host)
        return ["93.184.215.14"] if len(asked) == 1 else ["127.0.0.1"]

    assert checked_addresses("rebind.example", 80, (), resolve) == ["93.184.215.14"]
    with pytest.raises(SourceRejected, match="not on the public internet"):
        NewsHttp(resolve=resolve).get(f"http://rebind.example:{server.port}/secret")
    assert "/secret" not in [path for path, _ in server.requests]
    with pytest.raises(SourceRejected):
        checked_addresses("mixed.example", 80, (), lambda *_: ["93.184.215.14", "127.0.0.1"])


def test_only_the_hosts_that_are_allowed(server: NewsServer):
    server.serve("/own", b"own")
    assert NewsHttp([f"localhost:{server.port}"]).get(f"http://localhost:{server.port}/own").body == b"own"
    with pytest.raises(SourceRejected):
        NewsHttp(["localhost:1"]).get(f"http://localhost:{server.port}/own")


def test_public_addresses():
    assert all(map(is_public, ("93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c")))
    assert not any(map(is_public, ("", "x", "::ffff:10.0.0.1", "ff02::1", "240.0.0.1")))


@pytest.mark.parametrize(
    "url", ["", "x", "ftp://a/b", "http://u:p@a.example/", "http://a b/", "http://a.example:99999/"]
)
def test_what_is_no_address(url: str):
    with pytest.raises(SourceRejected):
        NewsHttp().get(url)
