"""Articles in a real database: each once, with sightings and versions, whatever is interrupted."""

from __future__ import annotations

import threading
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from multiprocessing import get_context
from multiprocessing.process import BaseProcess

import psycopg
import pytest
from commands import rows
from waiting import wait_until

from trading_platform.domain.errors import StoreError
from trading_platform.domain.market.instruments import guess_instrument
from trading_platform.domain.news.articles import Item
from trading_platform.domain.news.linking import dictionary_of
from trading_platform.stores.news import articles as module
from trading_platform.stores.news.articles import Added, ArticleStore
from trading_platform.stores.postgres.database import Database
from trading_platform.stores.postgres.roles import Role, as_role

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
TABLES = ("raw_news", "versions", "sightings", "identities")
WORDS = "Acme agrees to buy its rival Bolt for two billion dollars in cash and shares"


@pytest.fixture
def store(database: Database, database_url: str) -> ArticleStore:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("TRUNCATE news.raw_news CASCADE")
        connection.execute("TRUNCATE news.identities CASCADE")
    return ArticleStore(database)


def counts(url: str) -> tuple[int, ...]:
    return tuple(rows(url, f"SELECT count(*) FROM news.{table}")[0][0] for table in TABLES)  # noqa: S608 - the names above


def items(count: int, start: int = 0) -> list[Item]:
    return [
        Item(f"Story {n} of many", guid=f"g{n}", url=f"https://wire.example/{n}?utm_source=x", published_at=NOON)
        for n in range(start, start + count)
    ]


def test_the_same_document_again_writes_nothing(store: ArticleStore, database_url: str):
    assert store.add("wire", items(20), NOON) == Added(new=20)
    before = counts(database_url)
    written = rows(database_url, "SELECT xmin::text FROM news.raw_news ORDER BY id")
    assert store.add("wire", items(20), NOON + timedelta(hours=1)) == Added(unchanged=20)
    assert store.add("wire", items(25), NOON + timedelta(hours=2)) == Added(new=5, unchanged=20)
    assert before == (20, 20, 20, 60)
    assert counts(database_url) == (25, 25, 25, 75)
    assert set(written) <= set(rows(database_url, "SELECT xmin::text FROM news.raw_news ORDER BY id"))


def test_one_article_of_many_feeds_has_all_its_sightings(store: ArticleStore, database_url: str):
    store.add("world", items(1), NOON)
    other = replace(items(1)[0], guid="w-1", url="http://www.wire.example/0?utm_source=y", summary="Another summary")
    assert store.add("business", [other], NOON + timedelta(minutes=5)) == Added(seen=1)
    assert store.add("business", [other], NOON + timedelta(minutes=9)) == Added(unchanged=1)
    assert counts(database_url)[:3] == (1, 1, 2)
    seen = rows(database_url, "SELECT source, first_seen_at FROM news.sightings ORDER BY first_seen_at")
    assert seen == [("world", NOON), ("business", NOON + timedelta(minutes=5))]


def test_an_edited_article_keeps_its_versions(store: ArticleStore, database_url: str):
    first = items(1)[0]
    store.add("wire", [first], NOON + timedelta(minutes=1))
    edited = replace(first, title="Story 0 of many, corrected", published_at=NOON + timedelta(hours=3))
    assert store.add("wire", [edited], NOON + timedelta(hours=2)) == Added(edited=1)
    assert store.add("wire", [edited], NOON + timedelta(hours=4)) == Added(unchanged=1)
    assert store.add("wire", [first], NOON + timedelta(hours=5)) == Added(unchanged=1)
    found = rows(database_url, "SELECT version, title, first_seen_at, available_at FROM news.versions ORDER BY version")
    assert found == [
        (1, first.title, NOON + timedelta(minutes=1), NOON + timedelta(minutes=1)),
        (2, edited.title, NOON + timedelta(hours=2), NOON + timedelta(hours=3)),
    ]
    assert rows(database_url, "SELECT version, title, published_at FROM news.raw_news") == [(2, edited.title, NOON)]


def test_copies_are_marked_and_kept(store: ArticleStore, database_url: str):
    original = Item(WORDS, url="https://a.example/1", published_at=NOON)
    copy = Item(f"{WORDS} - Reuters", url="https://b.example/2", published_at=NOON + timedelta(hours=2))
    again = Item(f"UPDATE 1: {WORDS}", url="https://c.example/3", published_at=NOON + timedelta(hours=3))
    other = Item(WORDS.replace("Acme", "Zeta").replace("Bolt", "Nut").replace("two", "nine"), url="https://b.example/4")
    late = replace(copy, url="https://d.example/5", published_at=NOON + timedelta(days=30))
    assert store.add("a", [original], NOON) == Added(new=1)
    assert store.add("b", [copy, other, late], NOON) == Added(new=3, duplicates=1)
    assert store.add("c", [again], NOON) == Added(new=1, duplicates=1)
    marked = rows(
        database_url,
        "SELECT article.url, original.url FROM news.raw_news AS article"
        " JOIN news.raw_news AS original ON original.id = article.duplicate_of ORDER BY 1",
    )
    assert marked == [("https://b.example/2", "https://a.example/1"), ("https://c.example/3", "https://a.example/1")]


def test_what_is_interrupted_leaves_nothing(store: ArticleStore, database_url: str, monkeypatch: pytest.MonkeyPatch):
    real = module._copy
    for broken in ("news.raw_news", "news.versions", "news.links", "news.sightings", "news.identities"):

        def break_off(connection: object, table: str, *more: object, broken: str = broken) -> None:
            real(connection, table, *more)  # type: ignore[arg-type]
            if table == broken:
                raise StoreError("the process ended here")

        monkeypatch.setattr(module, "_copy", break_off)
        with pytest.raises(StoreError):
            store.add("wire", items(5), NOON)
        assert counts(database_url) == (0, 0, 0, 0)
    monkeypatch.setattr(module, "_copy", real)
    assert store.add("wire", items(5), NOON) == Added(new=5)


def test_what_is_new_is_linked_as_it_is_stored(store: ArticleStore, database_url: str):
    dictionary = dictionary_of([guess_instrument(symbol, "file") for symbol in ("TSLA", "NVDA")])
    first, edited = Item("Tesla opens a plant", guid="1"), Item("Tesla and Nvidia open a plant", guid="1")
    linked = "SELECT version, symbol, rule, evidence, position FROM news.links ORDER BY version, symbol"
    articles = "SELECT symbols FROM news.raw_news"
    versions = "SELECT DISTINCT linked_by FROM news.versions"
    store.add("wire", [first], NOON, dictionary=dictionary)
    assert rows(database_url, articles) == [(["TSLA"],)]
    store.add("wire", [edited], NOON, dictionary=dictionary)
    assert rows(database_url, articles) == [(["NVDA", "TSLA"],)]
    assert rows(database_url, linked) == [
        (1, "TSLA", "name", "Tesla", 0),
        (2, "NVDA", "name", "Nvidia", 10),
        (2, "TSLA", "name", "Tesla", 0),
    ]
    assert rows(database_url, versions) == [(dictionary.version,)]


def test_two_writers_of_one_article_store_it_once(store: ArticleStore, database_url: str):
    writers = [threading.Thread(target=store.add, args=(f"feed-{n}", items(30), NOON)) for n in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert counts(database_url) == (30, 30, 120, 30 + 4 * 60)


def test_what_texts_can_hold_is_stored(store: ArticleStore, database_url: str):
    strange = Item('Tab\tnew\\N "quoted", 年 😀', guid="\\.", summary="", content="'; DROP TABLE news.raw_news --")
    assert store.add("wire", [strange], NOON) == Added(new=1)
    assert rows(database_url, "SELECT title, external_id, content FROM news.raw_news") == [
        (strange.title, "\\.", strange.content)
    ]


@pytest.mark.usefixtures("store")
def test_who_ingests_may_write_and_others_may_not(database_url: str):
    for role in Role:
        with closing(Database(as_role(database_url, role))) as opened:
            writer = ArticleStore(opened)
            if role is Role.INGEST:
                assert writer.add("wire", items(2), NOON) == Added(new=2)
            else:
                with pytest.raises(StoreError):
                    writer.add("wire", items(3), NOON)


@pytest.mark.exhaustive
@pytest.mark.usefixtures("store")
def test_every_article_is_stored_once_whenever_the_writer_is_killed(database_url: str):
    """A process that stores documents over and over is killed fifty times, after each number of documents."""
    documents = [items(10, start) for start in range(0, 1_000, 10)]

    def write(done: int = 0) -> None:
        writer = ArticleStore(Database(database_url))
        for document in documents[max(0, done - 3) :]:
            writer.add("wire", document, NOON)

    def reached(process: BaseProcess, count: int) -> bool:
        return counts(database_url)[0] >= count or not process.is_alive()

    for number in range(1, 51):
        process = get_context("fork").Process(target=write, args=(counts(database_url)[0] // 10,))
        process.start()
        wait_until(partial(reached, process, 20 * number - 10), f"{20 * number - 10} articles")
        process.kill()
        process.join()
        found = counts(database_url)
        assert found[0] == found[1] == found[2], "an article has one version and one sighting"
        assert found[0] % 10 == 0, "a document is stored whole or not at all"
        assert found[3] == 3 * found[0]
    write()
    assert counts(database_url) == (1_000, 1_000, 1_000, 3_000)
