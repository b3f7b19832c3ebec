"""Feeds of all kinds into a real database, linked and scored; files; reads as of a time."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from commands import rows
from news_server import NewsServer, feed, news_server

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.market.instruments import guess_instrument
from trading_platform.domain.news.articles import Item
from trading_platform.domain.time import Window
from trading_platform.resources.news import news_fetcher
from trading_platform.settings import Settings
from trading_platform.sources.news.feeds import read_feed
from trading_platform.sources.news.http import NewsHttp
from trading_platform.sources.rate_limits import LocalRateLimiter
from trading_platform.stores.news.articles import Added
from trading_platform.stores.news.feeds import Feed
from trading_platform.stores.news.model_file import own_model
from trading_platform.stores.stores import Stores, open_stores
from trading_platform.workflows.news.classify_news import Classified, classify_news
from trading_platform.workflows.news.fetch_news import FeedResult, FetchedDocument, fetch_news
from trading_platform.workflows.news.import_news import import_news

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
DAY = Window(NOON - timedelta(days=1), NOON + timedelta(days=2))


@pytest.fixture(scope="module")
def opened(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    with open_stores(database_url, tmp_path_factory.mktemp("features")) as stores:
        yield stores


@pytest.fixture
def stores(opened: Stores, database_url: str) -> Stores:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("TRUNCATE news.raw_news, news.identities, news.feeds, news.aliases CASCADE")
        connection.execute("TRUNCATE config.instruments, market_data.quarantine CASCADE")
    for symbol in ("AAPL", "TSLA", "BTCUSD"):
        opened.instruments.add(guess_instrument(symbol, "file"))
    return opened


@pytest.fixture(scope="module")
def server() -> Iterator[NewsServer]:
    with news_server() as running:
        yield running


def fetch(stores: Stores, at: datetime = NOON, names: list[str] | None = None) -> dict[str, FeedResult]:
    limiter = LocalRateLimiter(sleep=lambda _: None)
    fetcher = news_fetcher(Settings(_env_file=None, news_allowed_hosts="127.0.0.1"), limiter, lambda: at)
    return {one.name: one for one in fetch_news(stores, fetcher, clock=lambda: at, names=names)}


def test_feeds_that_fail_hold_up_no_other(stores: Stores, server: NewsServer, caplog: pytest.LogCaptureFixture):
    server.serve("/good", feed("good"))
    server.serve_validated("/same", feed("same"))
    server.serve("/busy", b"", 429, Retry_After="7200")
    server.serve("/broken", b"", 500)
    server.serve("/page", b"<html><body>Sign in</body></html>", Content_Type="text/html")
    server.serve_cut("/cut", feed("cut", 100))
    server.serve("/large", b" " * 50_000_000)
    server.serve(
        "/bomb", b'<!DOCTYPE x [<!ENTITY a "b">]><rss><channel><item><title>&a;</title></item></channel></rss>'
    )
    server.serve("/odd", b"<rss version='2.0'><channel><item><category>x</category></item></channel></rss>")
    names = ["good", "same", "busy", "broken", "page", "cut", "large", "bomb", "odd"]
    for name in names:
        stores.feeds.add(name, server.url(f"/{name}"))
    with caplog.at_level(logging.WARNING):
        first = fetch(stores)
    assert sorted(first) == sorted(names)
    assert {name: one.status for name, one in first.items() if one.status != "failed"} == dict.fromkeys(
        ("good", "same", "odd"), "ok"
    )
    said = [record.message for record in caplog.records if "feed" in record.message]
    assert len(said) == len([name for name in names if first[name].status == "failed"]) == 6
    assert first["odd"].rejected == 1
    assert len(stores.quarantine.read()) == 1
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        again = fetch(stores, NOON + timedelta(minutes=15))
        assert "busy" not in again
        later = fetch(stores, NOON + timedelta(hours=3))
    assert again["good"].added == Added(unchanged=3)
    assert again["same"].status == "not_modified"
    assert later["busy"].status == "failed"
    assert [record for record in caplog.records if "failed" in record.message] == []
    server.serve("/broken", feed("broken"))
    assert fetch(stores, NOON + timedelta(days=2))["broken"].added.new == 3
    kept = stores.feeds.all()
    assert (kept["broken"].failures, kept["broken"].failed, kept["broken"].error) == (0, 3, None)
    assert (kept["same"].not_modified, kept["same"].title) == (3, "same")


def test_a_feed_that_never_answers(stores: Stores, server: NewsServer):
    server.serve_never("/never")
    server.serve("/quick", feed("quick"))
    stores.feeds.add("never", server.url("/never"))
    stores.feeds.add("quick", server.url("/quick").replace("127.0.0.1", "localhost"))
    http = NewsHttp(["127.0.0.1", "localhost"], seconds=0.5)

    def fetcher(one: Feed) -> FetchedDocument:
        return FetchedDocument(read_feed(http.get(one.url).body or b""))

    found = {one.name: one.status for one in fetch_news(stores, fetcher, clock=lambda: NOON)}
    assert found == {"never": "failed", "quick": "ok"}


def test_articles_are_linked_and_scored_once(stores: Stores, database_url: str):
    items = [
        Item("Apple shares surge 9% after earnings beat estimates", guid="1", published_at=NOON),
        Item("Tesla shares plunge as profit falls and guidance is cut", guid="2", published_at=NOON),
        Item("Weather: rain tomorrow", guid="3", published_at=NOON),
    ]
    stores.articles.add("wire", items, NOON)
    clock = lambda: NOON + timedelta(minutes=1)  # noqa: E731 - a constant time
    assert classify_news(stores, own_model(), clock=clock) == Classified(3, 2, 2)
    assert classify_news(stores, own_model(), clock=clock) == Classified(0, 0, 0)
    found = stores.sentiment.sentiment(None, DAY, NOON + timedelta(days=1), own_model().name)
    assert sorted(found.select("symbol", "label").rows()) == [("AAPL", "positive"), ("TSLA", "negative")]
    assert set(found["revision"]) == {own_model().revision}
    assert rows(database_url, "SELECT symbols FROM news.raw_news ORDER BY external_id") == [
        (["AAPL"],),
        (["TSLA"],),
        ([],),
    ]
    assert stores.sentiment.add_alias("BTCUSD", "Weather")
    assert classify_news(stores, own_model(), clock=clock).linked == 3
    assert set(stores.sentiment.articles(["BTCUSD"], DAY, NOON + timedelta(days=1))["title"]) == {
        "Weather: rain tomorrow"
    }
    assert stores.sentiment.articles(["AAPL"], DAY, NOON + timedelta(days=1))["evidence"].to_list() == ["Apple"]


def test_what_was_not_seen_yet_is_not_read(stores: Stores):
    first = Item("Apple shares fall", guid="1", published_at=NOON)
    edited = Item("Apple shares fall 5% after recall", guid="1", published_at=NOON)
    late = Item("Tesla opens plant", guid="2", published_at=NOON)
    early = Item("Bitcoin will be halved", guid="3", published_at=NOON + timedelta(hours=20))
    stores.articles.add("wire", [first, early], NOON + timedelta(minutes=5))
    stores.articles.add("wire", [edited, late], NOON + timedelta(hours=2))
    classify_news(stores, own_model(), clock=lambda: NOON + timedelta(days=9))

    def titles(after: timedelta) -> set[str]:
        found = stores.sentiment.articles(None, DAY, NOON + after)
        scored = stores.sentiment.sentiment(None, DAY, NOON + after, own_model().name)
        assert set(scored["title"]) == set(found["title"])
        return set(found["title"])

    assert titles(timedelta(minutes=4)) == set()
    assert titles(timedelta(minutes=5)) == {first.title}
    assert titles(timedelta(hours=1, minutes=59)) == {first.title}
    assert titles(timedelta(hours=2)) == {edited.title, late.title}
    assert titles(timedelta(hours=20)) == {edited.title, late.title, early.title}


def test_files_of_history(stores: Stores, tmp_path: Path):
    file = tmp_path / "history.jsonl"
    lines = [
        {"title": f"Tesla story {n} of the year", "id": n, "published_at": f"2024-01-{n:02}", "language": "en"}
        for n in range(1, 29)
    ]
    file.write_text("\n".join(map(json.dumps, lines)) + "\nbroken\n")
    done = import_news(stores, file, clock=lambda: NOON, as_published=True)
    assert (done.items, done.rejected, done.added) == (28, 1, Added(new=28))
    assert import_news(stores, file, clock=lambda: NOON, as_published=True).added == Added(unchanged=28)
    classify_news(stores, own_model(), clock=lambda: NOON)
    window = Window(datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 2, 1, tzinfo=UTC))
    assert len(stores.sentiment.articles(["TSLA"], window, datetime(2024, 1, 15, tzinfo=UTC))) == 15


def test_what_cannot_be_a_feed_or_a_name(stores: Stores):
    for name, url in (
        ("", "http://a.example/"),
        ("x" * 51, "http://a.example/"),
        ("a", "file:///x"),
        ("a", "http://u@b/"),
    ):
        with pytest.raises(InvalidRequest):
            stores.feeds.add(name, url)
    assert stores.feeds.add("a", "http://a.example/")
    with pytest.raises(InvalidRequest, match="The feed a has"):
        stores.feeds.add("b", "http://a.example/")
    with pytest.raises(InvalidRequest, match="no feed"):
        fetch(stores, names=["gone"])
    with pytest.raises(InvalidRequest):
        stores.sentiment.add_alias("AAPL", " ")
    assert stores.feeds.remove("a")
    assert not stores.feeds.remove("a")
