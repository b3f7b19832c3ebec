"""Articles, each once, with all sightings and versions (``news.raw_news`` and the tables beside it).

A document is stored in one transaction: all of it or nothing. A document that shows nothing new costs two round trips
and writes nothing. :mod:`trading_platform.domain.news.identity` decides what is the same article;
:mod:`trading_platform.stores.news.reading` reads.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from trading_platform.domain.news.articles import Item, StoredArticle
from trading_platform.domain.news.identity import Identities, Recognised, identities_of, recognise, sighting_of
from trading_platform.domain.news.near_duplicates import WITHIN, Signature, first_copy, signature_of
from trading_platform.domain.news.urls import canonical_url
from trading_platform.stores.postgres.database import Database, driver, execute, execute_together
from trading_platform.stores.postgres.sql import query

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from trading_platform.domain.news.linking import InstrumentDictionary, Link

_NEWS = "news/articles"
_NEW_ARTICLE = (
    "id source external_id url title summary content author language published_at first_seen_at duplicate_of"
    " signature bands symbols"
).split()
_VERSION = "news_id version source title summary content text_hash published_at first_seen_at linked_by".split()
_LINK = "news_id version symbol rule evidence position linked_at".split()
_SIGHTING = "news_id source sighting guid url text_hash published_at first_seen_at".split()

LanguageOf = Callable[[str], str | None]
"""The language of a text (BCP 47); None if it is not known."""


def _unknown_language(_text: str) -> str | None:
    return None


@dataclass(frozen=True)
class Added:
    """What a document brought.

    Attributes:
        new: articles that are new, near-duplicates included.
        edited: further versions of known ones.
        seen: articles that another source had shown before.
        duplicates: new articles that nearly repeat an earlier one.
        unchanged: articles that the source had shown like this before.
    """

    new: int = 0
    edited: int = 0
    seen: int = 0
    duplicates: int = 0
    unchanged: int = 0

    def __add__(self, other: Added) -> Added:
        return Added(
            self.new + other.new,
            self.edited + other.edited,
            self.seen + other.seen,
            self.duplicates + other.duplicates,
            self.unchanged + other.unchanged,
        )


@dataclass(frozen=True)
class _New:
    """A new article with its id and signature, and what it repeats."""

    id: uuid.UUID
    article: Recognised
    signature: Signature | None
    duplicate_of: uuid.UUID | None


class ArticleStore:
    """Writes articles.

    Args:
        database: the database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self,
        source: str,
        items: Sequence[Item],
        seen_at: datetime,
        language_of: LanguageOf = _unknown_language,
        dictionary: InstrumentDictionary | None = None,
    ) -> Added:
        """Stores the items of one document.

        Args:
            source: name of the feed, or of what else showed them; at most 50 characters.
            items: in the order of the document.
            seen_at: when it was fetched, UTC; an item that states its own ``first_seen_at`` keeps it.
            language_of: detects the language of a new article whose source does not state it.
            dictionary: by which what is new is linked at once; None: it is linked later. Rows that are written with
                their links cost half of those that are changed afterwards.
        """
        with self._database.begin() as connection:
            return self.add_to(connection, source, items, seen_at, language_of, dictionary)

    def add_to(
        self,
        connection: Connection,
        source: str,
        items: Sequence[Item],
        seen_at: datetime,
        language_of: LanguageOf = _unknown_language,
        dictionary: InstrumentDictionary | None = None,
    ) -> Added:
        """As :meth:`add`, in the caller's transaction."""
        if not items:
            return Added()
        wanted = {identity for item in items for identity in identities_of(source, item).all}
        _, rows = execute_together(
            connection,
            (query(f"{_NEWS}/lock"), {}),
            (query(f"{_NEWS}/known"), {"identities": _hashes(sorted(wanted)), "source": source}),
        )
        known = {bytes(row[0]): _stored(row[1:]) for row in rows}
        recognition = recognise(source, items, known)
        new = _with_copies(connection, [one for one in recognition.articles if one.stored is None], seen_at)
        ids = {id(one.article): one.id for one in new}
        edited = [one for one in recognition.articles if one.is_edited]
        _write_articles(connection, source, new, edited, seen_at, language_of, dictionary)
        sightings = [
            (ids.get(id(one)) or _id_of(one), source, *_sighting(item, seen_at))
            for one in recognition.articles
            for item in _unseen(one)
        ]
        _copy(connection, "news.sightings", _SIGHTING, sightings)
        _identify(connection, _meanings(recognition.articles, ids, recognition.shared, known), known)
        elsewhere = sum(one.stored is not None and not one.stored.is_of_source for one in recognition.articles)
        return Added(
            new=len(new),
            edited=len(edited),
            seen=elsewhere,
            duplicates=sum(one.duplicate_of is not None for one in new),
            unchanged=len(recognition.articles) - len(new) - len(edited) - elsewhere,
        )


def _write_articles(
    connection: Connection,
    source: str,
    new: Sequence[_New],
    edited: Sequence[Recognised],
    seen_at: datetime,
    language_of: LanguageOf,
    dictionary: InstrumentDictionary | None,
) -> None:
    """Writes new articles, further versions of known ones, and their links if there is a dictionary."""
    linked_by = None if dictionary is None else dictionary.version

    def links_of(item: Item) -> list[Link]:
        from trading_platform.domain.news.linking import link

        return [] if dictionary is None else link(item.text, dictionary)

    links = [links_of(one.article.newest) for one in new]
    rows = zip(new, links, strict=True)
    _copy(connection, "news.raw_news", _NEW_ARTICLE, [_row(source, *row, seen_at, language_of) for row in rows])
    versions = [(one.id, 1, one.article.newest) for one in new]
    for one in edited:
        number, item = (one.stored.version if one.stored else 0) + 1, one.newest
        found = links_of(item)
        texts = {"title": item.title, "summary": item.summary, "content": item.content}
        linked = {"linked_by": linked_by, "symbols": _symbols(found)}
        given = {"id": _id_of(one), "version": number, **texts, **linked}
        execute(connection, query(f"{_NEWS}/edit"), given)
        versions.append((_id_of(one), number, item))
        links.append(found)
    _copy(connection, "news.versions", _VERSION, [(*_version(*one, source, seen_at), linked_by) for one in versions])
    listed = (
        (name, number, one.symbol, one.rule.value, one.evidence, one.position, seen_at)
        for (name, number, _), found in zip(versions, links, strict=True)
        for one in found
    )
    _copy(connection, "news.links", _LINK, listed)


def _symbols(links: Iterable[Link]) -> list[str]:
    return sorted(one.symbol for one in links)


def _stored(row: tuple[Any, ...]) -> StoredArticle | None:
    identity, title, summary, published_at, version, urls, guids, texts, sightings, is_of_source = row
    if identity is None:
        return None
    return StoredArticle(
        id=identity,
        title=title,
        summary=summary,
        published_at=published_at,
        urls=frozenset(filter(None, map(canonical_url, urls or ()))),
        guids=frozenset(guids or ()),
        texts=frozenset(map(bytes, texts or ())),
        is_of_source=bool(is_of_source),
        sightings=frozenset(map(bytes, sightings or ())),
        version=version,
    )


def _with_copies(connection: Connection, articles: Sequence[Recognised], seen_at: datetime) -> list[_New]:
    """New articles with what each repeats: a stored article, or an earlier one of the same document."""
    signatures = [signature_of(one.newest.text) for one in articles]
    dates = [one.newest.published_at or one.newest.first_seen_at or seen_at for one in articles]
    bands = sorted({band for signature in signatures if signature for band in signature.bands})
    found: list[tuple[Any, ...]] = []
    if bands:
        span = {"first": min(dates) - WITHIN, "last": max(dates) + WITHIN}
        # Nobody tells the planner how rare a band is: without this it would compare each band with each article's.
        _, found = execute_together(
            connection,
            ("SET LOCAL enable_seqscan = off", {}),
            (query(f"{_NEWS}/candidates"), {"bands": bands, **span}),
        )
    by_band: dict[int, list[tuple[uuid.UUID, bytes, datetime]]] = {}
    for original, hashes, own_bands, date, _ in sorted(found, key=lambda row: (row[-1], row[0])):
        for band in own_bands:
            by_band.setdefault(band, []).append((original, bytes(hashes), date))
    new: list[_New] = []
    for article, signature, date in zip(articles, signatures, dates, strict=True):
        name, copied = uuid.uuid4(), None
        if signature is not None:
            near = {
                original: hashes
                for band in signature.bands
                for original, hashes, other in by_band.get(band, ())
                if abs(other - date) <= WITHIN
            }
            match = first_copy(signature, list(near.items()))
            copied = match if isinstance(match, uuid.UUID) else None
            for band in signature.bands:
                by_band.setdefault(band, []).append((copied or name, signature.hashes, date))
        new.append(_New(name, article, signature, copied))
    return new


def _row(
    source: str, one: _New, links: Sequence[Link], seen_at: datetime, language_of: LanguageOf
) -> tuple[object, ...]:
    item, signature = one.article.newest, one.signature
    _, identities = one.article.items[0]
    return (
        one.id,
        source,
        item.guid or item.url or identities.title.hex(),
        item.url,
        item.title,
        item.summary,
        item.content,
        item.author,
        item.language or language_of(item.text),
        item.published_at,
        item.first_seen_at or seen_at,
        one.duplicate_of,
        signature.hashes if signature else None,
        f"{{{','.join(map(str, signature.bands))}}}" if signature else None,
        _symbols(links),
    )


def _version(name: uuid.UUID, number: int, item: Item, source: str, seen_at: datetime) -> tuple[object, ...]:
    texts = (item.title, item.summary, item.content, item.text_hash)
    return (name, number, source, *texts, item.published_at, item.first_seen_at or seen_at)


def _sighting(item: Item, seen_at: datetime) -> tuple[object, ...]:
    seen = (item.guid, item.url, item.text_hash, item.published_at, item.first_seen_at or seen_at)
    return (sighting_of(item), *seen)


def _unseen(article: Recognised) -> list[Item]:
    """The items that its source has not shown like this before, each once."""
    seen = set(article.stored.sightings) if article.stored else set()
    fresh = {sighting_of(item): item for item, _ in reversed(article.items)}
    return [item for sighting, item in fresh.items() if sighting not in seen]


def _meanings(
    articles: Sequence[Recognised],
    ids: dict[int, uuid.UUID],
    shared: Iterable[bytes],
    known: dict[bytes, StoredArticle | None],
) -> dict[bytes, uuid.UUID | None]:
    """What identities mean from now on, where that is new."""
    pairs: list[tuple[Identities, uuid.UUID]] = [
        (identities, ids.get(id(one)) or _id_of(one)) for one in articles for _, identities in one.items
    ]
    means: dict[bytes, uuid.UUID | None] = {identity: name for each, name in pairs for identity in each.all}
    means |= dict.fromkeys(shared)
    before = {identity: article.id if article else None for identity, article in known.items()}
    return {identity: name for identity, name in means.items() if identity not in before or before[identity] != name}


def _id_of(article: Recognised) -> uuid.UUID:
    if article.stored is None:
        raise ValueError("a new article has no id yet")
    return article.stored.id


def _identify(connection: Connection, means: dict[bytes, uuid.UUID | None], known: Container[bytes]) -> None:
    """Stores what identities mean; those that are not known are in no row, because other writers wait."""
    fresh = sorted((identity, name) for identity, name in means.items() if identity not in known)
    _copy(connection, "news.identities", ("identity", "news_id"), fresh)
    changed = sorted(identity for identity in means if identity in known)
    if changed:
        given = {"identities": _hashes(changed), "ids": [means[identity] for identity in changed]}
        execute(connection, query(f"{_NEWS}/identify"), given)


def _hashes(hashes: Iterable[bytes]) -> str:
    """Hashes as the text of a bytea[]; psycopg takes several times longer to write a list."""
    quoted = (f'"\\\\x{each.hex()}"' for each in hashes)
    return f"{{{','.join(quoted)}}}"


def _copy(connection: Connection, table: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Appends rows to a table by COPY; none, no round trip."""
    from psycopg import sql

    listed = list(rows)
    if not listed:
        return
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(*table.split(".")), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with driver(connection).cursor() as cursor, cursor.copy(statement) as copy:
        for row in listed:
            copy.write_row(row)
