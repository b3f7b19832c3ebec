"""Which items are the same article: by GUID, else by canonical URL, else by title and date.

None of the three can be trusted alone: feeds change GUIDs, use one for all items or use one again, put volatile tokens
into links, and edit titles and dates. So the strongest identity that is known counts unless the rest of the item
contradicts it, and an identity that different articles share identifies nothing
(docs/decisions/0062-one-article-once.md).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from trading_platform.domain.news.articles import Item, StoredArticle, digest
from trading_platform.domain.news.urls import canonical_url, http_url, page_of

_WORD = re.compile(r"\w+")
_FEW_WORDS = 3
_SIMILAR = 0.5  # share of the shorter title's words that the longer one has

Known = Mapping[bytes, StoredArticle | None]
"""Stored articles by identity; None: the identity is shared by different articles and identifies none."""


@dataclass(frozen=True)
class Identities:
    """The identities of an item, as they are stored, the strongest first; 16 bytes each.

    Attributes:
        guid: of feed and GUID; None if it has none.
        url: of the canonical URL; None if it has none.
        title: of feed, title and date; of an item without date, of its page instead.
    """

    guid: bytes | None
    url: bytes | None
    title: bytes

    @property
    def all(self) -> list[bytes]:
        """Those that it has."""
        return [identity for identity in (self.guid, self.url, self.title) if identity is not None]


@dataclass
class Recognised:
    """An article and the items of a document that are it.

    Attributes:
        stored: the stored article; None: a new one.
        items: its items with their identities, in the order of the document.
    """

    stored: StoredArticle | None
    items: list[tuple[Item, Identities]] = field(default_factory=list)

    @property
    def newest(self) -> Item:
        """The item that counts: the one published last; the first of several."""
        return max(self.items, key=lambda pair: pair[0].published_at or _NEVER)[0]

    @property
    def is_edited(self) -> bool:
        """Whether its own source shows a text that no source has shown before."""
        stored = self.stored
        return stored is not None and stored.is_of_source and self.newest.text_hash not in stored.texts


@dataclass(frozen=True)
class Recognition:
    """The articles of a document.

    Attributes:
        articles: each once, in the order of the document.
        shared: identities that different articles share, to be remembered as such.
    """

    articles: list[Recognised]
    shared: frozenset[bytes]


_NEVER = datetime.min.replace(tzinfo=UTC)


def identities_of(source: str, item: Item) -> Identities:
    """The identities of an item of a source."""
    url = canonical_url(item.url)
    guid = None if not item.guid else digest("guid", source, canonical_url(item.guid) or item.guid)
    date = item.published_at.isoformat() if item.published_at else f"page {page_of(url) if url else ''}"
    return Identities(
        guid=guid,
        url=None if url is None else digest("url", url),
        title=digest("title", source, " ".join(_words(item.title)) or item.title, date),
    )


def sighting_of(item: Item) -> bytes:
    """Identifies what a source showed: GUID, page and text; not a volatile token of the link."""
    return digest(item.guid or "", page_of(canonical_url(item.url) or ""), item.text_hash.hex())


def recognise(source: str, items: Sequence[Item], known: Known) -> Recognition:
    """The articles that the items of one document are.

    Args:
        source: name of the feed; GUIDs and titles identify an article within a feed only.
        items: the items, in their order.
        known: the stored articles with any of the identities of the items.
    """
    pairs = [(item, identities_of(source, item)) for item in items]
    shared = _shared(pairs) | {identity for identity, article in known.items() if article is None}
    entries: dict[UUID, _Entry] = {}
    by_identity: dict[bytes, _Entry] = {}
    for identity, article in known.items():
        if article is not None:
            by_identity[identity] = entries.setdefault(article.id, _Entry.of(article))
    found: dict[int, Recognised] = {}
    for item, identities in pairs:
        usable = [identity for identity in identities.all if identity not in shared]
        entry = _match(item, identities, usable, by_identity) or _Entry(stored=None)
        entry.add(item)
        for identity in usable:
            other = by_identity.setdefault(identity, entry)
            if other is not entry and identity == identities.guid:
                by_identity[identity] = entry  # used again: it is the newer article's from now on
            elif other is not entry:
                shared.add(identity)
        found.setdefault(id(entry), Recognised(entry.stored)).items.append((item, identities))
    return Recognition(list(found.values()), frozenset(shared))


@dataclass(eq=False)
class _Entry:
    stored: StoredArticle | None
    titles: list[str] = field(default_factory=list)
    summaries: list[str] = field(default_factory=list)
    dates: set[datetime] = field(default_factory=set)
    urls: set[str] = field(default_factory=set)
    guids: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, article: StoredArticle) -> _Entry:
        entry = cls(article, [article.title], urls=set(article.urls))
        entry.summaries = [article.summary] if article.summary else []
        entry.dates = {article.published_at} if article.published_at else set()
        entry.guids = {guid for guid in article.guids if http_url(guid) is None}
        return entry

    def add(self, item: Item) -> None:
        """Adds what an item that is this article says."""
        self.titles.append(item.title)
        if item.summary:
            self.summaries.append(item.summary)
        if item.published_at:
            self.dates.add(item.published_at)
        if url := canonical_url(item.url):
            self.urls.add(url)
        if guid := _opaque(item):
            self.guids.add(guid)


def _match(
    item: Item, identities: Identities, usable: Sequence[bytes], by_identity: Mapping[bytes, _Entry]
) -> _Entry | None:
    rules = {identities.guid: _guid_reused, identities.url: _another_at_url, identities.title: _another_of_title}
    for identity in usable:
        entry = by_identity.get(identity)
        if entry is not None and not rules[identity](item, entry):
            return entry
    return None


def _guid_reused(item: Item, entry: _Entry) -> bool:
    """Whether a GUID now stands for another article: another title, at another address or of another date."""
    url = canonical_url(item.url)
    if url in entry.urls or item.published_at in entry.dates or _is_like(item.title, entry.titles):
        return False
    moved = url is not None and bool(entry.urls)
    return moved or (item.published_at is not None and bool(entry.dates))


def _another_at_url(item: Item, entry: _Entry) -> bool:
    """Whether the feed's own GUIDs say that two items of one URL are not the same; an edited title alone does not."""
    guid = _opaque(item)
    differs = guid is not None and bool(entry.guids) and guid not in entry.guids
    return differs and not _is_like(item.title, entry.titles)


def _another_of_title(item: Item, entry: _Entry) -> bool:
    """Whether two items of one title and date differ in GUID and page, or in what they say."""
    guid, url = _opaque(item), canonical_url(item.url)
    pages = {page_of(each) for each in entry.urls}
    if guid and entry.guids and guid not in entry.guids and (url is None or page_of(url) not in pages):
        return True
    return bool(item.summary and entry.summaries) and not _is_like(item.summary or "", entry.summaries)


def _shared(pairs: Sequence[tuple[Item, Identities]]) -> set[bytes]:
    """The identities that different items of one document have."""
    shared: set[bytes] = set()
    first: dict[bytes, _Entry] = {}
    for item, identities in pairs:
        rules = (
            (identities.guid, _not_one_guid),
            (identities.url, _not_one_page),
            (identities.title, _another_of_title),
        )
        for identity, differs in rules:
            if identity is None or identity in shared:
                continue
            if identity not in first:
                first[identity] = _Entry(stored=None)
                first[identity].add(item)
            elif differs(item, first[identity]):
                shared.add(identity)
    return shared


def _not_one_guid(item: Item, entry: _Entry) -> bool:
    other_page = canonical_url(item.url) not in entry.urls
    return (other_page or _other_date(item, entry)) and not _is_like(item.title, entry.titles)


def _not_one_page(item: Item, entry: _Entry) -> bool:
    guid = _opaque(item)
    other_guid = guid is not None and bool(entry.guids) and guid not in entry.guids
    return (other_guid or _other_date(item, entry)) and not _is_like(item.title, entry.titles)


def _other_date(item: Item, entry: _Entry) -> bool:
    return item.published_at is not None and bool(entry.dates) and item.published_at not in entry.dates


def _opaque(item: Item) -> str | None:
    """The GUID, unless it is a URL, which may change with what it addresses."""
    return item.guid if item.guid and http_url(item.guid) is None else None


def _is_like(text: str, others: Sequence[str]) -> bool:
    parts = _parts(text)
    return any(len(parts & (those := _parts(other))) >= _SIMILAR * min(len(parts), len(those)) for other in others)


def _parts(text: str) -> set[str]:
    """Words; of texts with few, pairs of characters, because not all scripts have spaces."""
    words = _words(text)
    if len(words) >= _FEW_WORDS:
        return set(words)
    joined = "".join(words)
    return {joined[at : at + 2] for at in range(max(1, len(joined) - 1))}


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())
