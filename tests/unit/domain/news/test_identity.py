"""Seven ways in which feeds break the identity of their items, and what must not be merged."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from trading_platform.domain.news.articles import Item, StoredArticle
from trading_platform.domain.news.identity import identities_of, recognise
from trading_platform.domain.news.plain_text import plain_text
from trading_platform.domain.news.urls import canonical_url

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
FEED = "wire"
STORIES = (
    "Acme agrees to buy Bolt for 2 billion dollars",
    "Central bank leaves rates unchanged",
    "Oil slips as stocks of crude rise",
    "Chip maker warns of weaker demand",
)


class Memory:
    """What a store remembers between documents, in the form in which recognise takes and gives it."""

    def __init__(self) -> None:
        self.articles: dict[uuid.UUID, StoredArticle] = {}
        self.keys: dict[bytes, uuid.UUID | None] = {}
        self.versions: dict[uuid.UUID, int] = {}

    def see(self, *items: Item, feed: str = FEED) -> None:
        wanted = {key for item in items for key in identities_of(feed, item).all}
        known = {key: self.articles.get(found) if found else None for key, found in self.keys.items() if key in wanted}
        seen = recognise(feed, items, known)
        for article in seen.articles:
            before = article.stored
            name = before.id if before else uuid.uuid4()
            self.versions[name] = self.versions.get(name, 0) + (before is None or article.is_edited)
            newest = article.newest
            items_of = [item for item, _ in article.items]
            self.articles[name] = StoredArticle(
                name,
                newest.title if before is None or article.is_edited else before.title,
                newest.summary,
                before.published_at if before else newest.published_at,
                frozenset(filter(None, map(canonical_url, (item.url for item in items_of))))
                | (before.urls if before else frozenset()),
                frozenset(item.guid for item in items_of if item.guid) | (before.guids if before else frozenset()),
                frozenset(item.text_hash for item in items_of) | (before.texts if before else frozenset()),
            )
            self.keys |= {key: name for _, keys in article.items for key in keys.all}
        self.keys |= dict.fromkeys(seen.shared)

    @property
    def counts(self) -> tuple[int, int]:
        return len(self.articles), sum(self.versions.values())


@pytest.fixture
def memory() -> Memory:
    return Memory()


def story(number: int, **values: object) -> Item:
    given = {"title": STORIES[number], "published_at": NOON + timedelta(minutes=number)} | values
    return Item(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "token", ["https://wire.example/a{story}?session={fetch}", "http://n{fetch}.wire.example/a{story}"]
)
def test_a_guid_that_is_a_changing_url(memory: Memory, token: str):
    for fetch in range(3):
        memory.see(*(story(n, guid=token.format(story=n, fetch=fetch)) for n in range(4)))
    assert memory.counts == (4, 4)


def test_no_guid_and_a_volatile_token_in_the_link(memory: Memory):
    for fetch in range(3):
        memory.see(*(story(n, url=f"https://wire.example/{fetch}x{n}/story?t={fetch}{n}") for n in range(4)))
    assert memory.counts == (4, 4)


def test_one_guid_for_all_items(memory: Memory):
    for _ in range(2):
        memory.see(*(story(n, guid="feed", url=f"https://wire.example/{n}") for n in range(3)))
    memory.see(story(3, guid="feed", url="https://wire.example/3"))
    assert memory.counts == (4, 4)


def test_one_guid_and_one_url_for_all_items(memory: Memory):
    for _ in range(2):
        memory.see(*(story(n, guid="feed", url="https://wire.example/") for n in range(4)))
    assert memory.counts == (4, 4)


def test_a_guid_used_again(memory: Memory):
    memory.see(story(0, guid="slot-1", url="https://wire.example/0"))
    for _ in range(2):
        memory.see(story(1, guid="slot-1", url="https://wire.example/1"))
    memory.see(story(1, guid="slot-1", url="https://wire.example/1", title="Central bank leaves its rates unchanged"))
    assert memory.counts == (2, 3)


@pytest.mark.parametrize("link", ["https://wire.example/a?mod=rss_{copy}", "https://wire.example/a?x={copy}"])
def test_no_guid_and_twenty_copies(memory: Memory, link: str):
    for _ in range(2):
        memory.see(*(story(0, url=link.format(copy=copy)) for copy in range(20)))
    assert memory.counts == (1, 1)


@pytest.mark.parametrize("values", [{"guid": "a7"}, {"url": "https://wire.example/a7"}])
def test_a_title_that_is_edited(memory: Memory, values: dict[str, str]):
    memory.see(story(0, **values))
    for _ in range(2):
        memory.see(story(0, **values, title="Bolt rejects bid"))
    memory.see(story(0, **values))  # a cache that serves the earlier text again
    assert memory.counts == (1, 2)


@pytest.mark.parametrize("values", [{"guid": "a7"}, {"url": "https://wire.example/a7"}])
def test_a_date_that_is_edited(memory: Memory, values: dict[str, str]):
    for minutes in range(3):
        memory.see(story(0, **values, published_at=NOON + timedelta(minutes=minutes)))
    assert memory.counts == (1, 1)


def test_what_is_different_stays_apart(memory: Memory):
    """Regulatory announcements have one title and one time, and are of different companies."""
    for _ in range(2):
        memory.see(
            *(
                Item("Holding in Company", guid=f"rns-{n}", url=f"https://x.example/{n}", published_at=NOON)
                for n in range(5)
            )
        )
    memory.see(Item("Holding in Company", guid="rns-9", url="https://x.example/9", published_at=NOON))
    assert memory.counts == (6, 6)
    memory.see(Item("Morning briefing", url="https://x.example/briefing/1", published_at=NOON))
    memory.see(Item("Morning briefing", url="https://x.example/briefing/2", published_at=NOON + timedelta(days=1)))
    memory.see(Item("Results", summary="Acme sold more.", url="https://x.example/r/1", published_at=NOON))
    memory.see(Item("Results", summary="Zeta lost money again.", url="https://x.example/r/2", published_at=NOON))
    assert memory.counts == (10, 10)


def test_one_article_in_many_feeds(memory: Memory):
    for feed in ("world", "business", "markets"):
        memory.see(story(0, guid=f"{feed}-1", url=f"https://wire.example/a?utm_source={feed}"), feed=feed)
    assert len(memory.articles) == 1


def test_canonical_urls():
    same = (
        "http://www.Example.com:80/a%7Eb/?utm_source=x&b=2&a=1#top",
        "https://example.com/a~b?a=1&b=2&fbclid=77",
        "https://example.com/a~b;jsessionid=8F?gclid=1&b=2&a=1",
    )
    assert {canonical_url(url) for url in same} == {"example.com/a~b?a=1&b=2"}
    assert canonical_url("https://example.com/story?id=1") != canonical_url("https://example.com/story?id=2")
    assert [canonical_url(url) for url in (None, "", "ftp://a/b", "https://", "http://[", "javascript:x", "/a")] == [
        None
    ] * 7


def test_plain_text():
    assert (
        plain_text("<p>AT&amp;T <b>rises</b>&nbsp;5&#37;<script>x()</script><br>today\u200b\x07</p>", 99)
        == "AT&T rises 5% today"
    )
    assert plain_text("3 < 4 and A&B", 99) == "3 < 4 and A&B"
    assert plain_text(" <p> </p>\u200b", 99) is None
    assert plain_text("a" * 50, 10) == "aaaaaaaaa…"
    assert plain_text("x\ud800y", 10) == "x?y"
