"""Articles as sources send them.

:mod:`trading_platform.domain.news.identity` decides which of them are the same article;
:mod:`trading_platform.sources.news` reads them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

LONGEST_TITLE = 1_000
LONGEST_SUMMARY = 10_000
LONGEST_CONTENT = 200_000
"""Characters that are kept of each text; longer ones are cut."""

LONGEST_ID = 2_000
"""Characters of a GUID or URL; an item's longer one is not used."""


@dataclass(frozen=True)
class Item:
    """One item of a feed, a response or a file, as its source sent it, texts without markup.

    Attributes:
        title: headline; never empty.
        guid: the source's id of the item, if it gave one.
        url: absolute http(s) URL of the full text, if known.
        summary: what the source says it is about.
        content: full text, where the source sends it.
        author: who wrote it.
        language: language as its source or a detector states it (BCP 47).
        published_at: time of publication according to the source, UTC; may be wrong or missing.
        first_seen_at: when it became available to its reader, UTC, for history that states it; None: when it is read.
    """

    title: str
    guid: str | None = None
    url: str | None = None
    summary: str | None = None
    content: str | None = None
    author: str | None = None
    language: str | None = None
    published_at: datetime | None = None
    first_seen_at: datetime | None = None

    @property
    def text(self) -> str:
        """Headline and summary, the text that is linked and classified."""
        return f"{self.title}\n{self.summary}" if self.summary else self.title

    @property
    def text_hash(self) -> bytes:
        """Identifies what a version of an article says: 16 bytes; dates and addresses are no part of it."""
        return digest(self.title, self.summary or "", self.content or "")


@dataclass(frozen=True)
class RejectedItem:
    """An item that was not accepted.

    Attributes:
        position: which one of its document it was, from 1.
        reason: value of :class:`trading_platform.domain.rejection_reasons.Reason`.
        detail: what was expected, in words.
        record: the beginning of the item, for a person.
    """

    position: int
    reason: str
    detail: str
    record: str


@dataclass(frozen=True)
class Document:
    """What was read of one feed, response or file.

    Attributes:
        items: the accepted items, in their order.
        rejected: the others.
        title: title of the feed.
        time_to_live: seconds for which the feed asks not to be fetched again, if it does.
        warning: what is wrong with the document although it was read, for example that it is not well-formed.
    """

    items: tuple[Item, ...]
    rejected: tuple[RejectedItem, ...] = ()
    title: str | None = None
    time_to_live: float | None = None
    warning: str | None = None

    @property
    def count(self) -> int:
        """Items of the document, accepted or not."""
        return len(self.items) + len(self.rejected)


@dataclass(frozen=True)
class StoredArticle:
    """What of a stored article decides whether an item is the same, and whether it says something new.

    Attributes:
        id: the article.
        title: headline of its newest version.
        summary: summary of its newest version.
        published_at: its time of publication according to its source.
        urls: canonical URLs under which it was seen.
        guids: GUIDs that it had in the feed of the item.
        texts: what its sources have said: hashes of texts.
        is_of_source: whether the source of the item has shown it before.
        sightings: what that source has shown, as
            :func:`trading_platform.domain.news.identity.sighting_of` identifies it.
        version: number of its newest version.
    """

    id: UUID
    title: str
    summary: str | None = None
    published_at: datetime | None = None
    urls: frozenset[str] = field(default_factory=frozenset)
    guids: frozenset[str] = field(default_factory=frozenset)
    texts: frozenset[bytes] = field(default_factory=frozenset)
    is_of_source: bool = True
    sightings: frozenset[bytes] = field(default_factory=frozenset)
    version: int = 1


def digest(*parts: str) -> bytes:
    """Identifies a sequence of texts: 16 bytes of SHA-256; no two sequences are joined to the same text."""
    joined = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.sha256(joined.encode("utf-8", "backslashreplace")).digest()[:16]
