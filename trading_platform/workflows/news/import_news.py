"""Stores the articles of a user's own files: JSON lines, a JSON array, a response of NewsAPI, or CSV."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from trading_platform.domain.news.articles import Item
from trading_platform.domain.time import Clock
from trading_platform.sources.news.files import read_news_file
from trading_platform.sources.news.languages import detect_language
from trading_platform.stores.news.articles import Added
from trading_platform.stores.stores import Stores
from trading_platform.workflows.news.classify_news import instrument_dictionary
from trading_platform.workflows.news.fetch_news import add_rejected
from trading_platform.workflows.progress import Progress, silent

SOURCE = "file"
_BATCH = 2_000  # items of one transaction


@dataclass(frozen=True)
class ImportedNews:
    """What a file brought.

    Attributes:
        items: accepted items.
        rejected: rejected ones, which are in the quarantine.
        added: what was stored.
    """

    items: int
    rejected: int
    added: Added


def import_news(
    stores: Stores, path: Path, *, clock: Clock, as_published: bool = False, progress: Progress = silent
) -> ImportedNews:
    """Stores the articles of a file; the same file again changes nothing.

    Args:
        stores: the stores.
        path: the file.
        clock: returns the current time, at which articles count as first seen.
        as_published: articles count as first seen when they were published, for history whose reader had it then; an
            article that states its own ``first_seen_at`` keeps it.
        progress: receives the number of articles.
    """
    document = read_news_file(path)
    now, added = clock(), Added()
    dictionary = instrument_dictionary(stores)
    for start in range(0, len(document.items), _BATCH):
        batch = [_seen(item, as_published=as_published) for item in document.items[start : start + _BATCH]]
        added += stores.articles.add(SOURCE, batch, now, detect_language, dictionary)
        progress("articles", start + len(batch), len(document.items))
    with stores.database.begin() as connection:
        add_rejected(stores, connection, document.rejected, path.name)
    return ImportedNews(len(document.items), len(document.rejected), added)


def _seen(item: Item, *, as_published: bool) -> Item:
    if not as_published or item.first_seen_at is not None or item.published_at is None:
        return item
    return replace(item, first_seen_at=item.published_at)
