"""Fetches the feeds that are due and stores what they have; no feed holds up another, and each failure is said once.

Feeds of one host are fetched one after the other, hosts at the same time. The articles of a feed, its rejected items
and its state are stored in one transaction, with the links of what is new.
:mod:`trading_platform.workflows.news.classify_news` scores what was stored.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from trading_platform.domain.errors import InvalidRequest, RateLimited, SourceError, TradingPlatformError
from trading_platform.domain.news.articles import Document, RejectedItem
from trading_platform.domain.news.linking import InstrumentDictionary
from trading_platform.domain.quality.rules import rejected_frame
from trading_platform.domain.time import Clock, shifted
from trading_platform.sources.news.languages import detect_language
from trading_platform.sources.rate_limits import Cost, RateLimiter
from trading_platform.stores.news.articles import Added
from trading_platform.stores.news.feeds import Feed, FetchEnd
from trading_platform.stores.stores import Stores
from trading_platform.workflows.news.classify_news import instrument_dictionary
from trading_platform.workflows.progress import Progress, silent

if TYPE_CHECKING:
    from sqlalchemy import Connection

_log = logging.getLogger(__name__)

INTERVAL = timedelta(minutes=15)
"""How often a feed is fetched, if it does not ask for longer pauses."""

_EARLY = timedelta(minutes=1)  # a schedule's run may begin a little before the last one's end plus the interval
_LONGEST_PAUSE = timedelta(days=1)
_HOSTS = 8  # that are fetched from at the same time


@dataclass(frozen=True)
class FetchedDocument:
    """A document and what its response said.

    Attributes:
        document: None: it has not changed.
        etag: of the response.
        last_modified: of the response.
        fresh_for: seconds for which the server says that it will not change.
    """

    document: Document | None
    etag: str | None = None
    last_modified: str | None = None
    fresh_for: float | None = None


FetchFeed = Callable[[Feed], FetchedDocument]
"""Fetches and reads a feed; raises a ``SourceError`` if it cannot."""


@dataclass(frozen=True)
class FeedResult:
    """What the fetch of one feed brought.

    Attributes:
        name: the feed.
        status: ``ok``, ``not_modified`` or ``failed``.
        items: number of accepted items.
        rejected: number of rejected ones.
        added: what was stored.
        error: why it failed.
        warning: what is wrong with it although it was read.
        is_news: whether it did not end like this the time before, so that it is worth a line of a log.
    """

    name: str
    status: str
    items: int = 0
    rejected: int = 0
    added: Added = field(default_factory=Added)
    error: TradingPlatformError | None = None
    warning: str | None = None
    is_news: bool = False


def fetch_news(
    stores: Stores,
    fetch: FetchFeed,
    *,
    clock: Clock,
    names: Sequence[str] | None = None,
    progress: Progress = silent,
) -> list[FeedResult]:
    """Fetches feeds and stores their articles.

    Args:
        stores: the stores.
        fetch: fetches and reads one feed, within its host's limits.
        clock: returns the current time.
        names: these feeds, due or not; None: all that are due.
        progress: receives the number of fetched feeds.

    Returns:
        One result for each feed that was fetched, by name.

    Raises:
        InvalidRequest: for a name that no feed has.
        StoreError: if the database fails; feeds that were stored before stay.
    """
    known = stores.feeds.all()
    unknown = [name for name in names or () if name not in known]
    if unknown:
        raise InvalidRequest(
            f"There is no feed {', '.join(map(repr, unknown))}.",
            expected=f"some of {', '.join(known) or 'none: there are no feeds'}",
            received=", ".join(unknown),
            remedy="`trading-platform news feeds list` shows them",
        )
    now = clock()
    wanted = [known[name] for name in names] if names else [feed for feed in known.values() if _is_due(feed, now)]
    by_host: dict[str, list[Feed]] = {}
    for feed in wanted:
        by_host.setdefault(feed.host, []).append(feed)
    results: list[FeedResult] = []
    dictionary = instrument_dictionary(stores)

    def fetch_host(feeds: Sequence[Feed]) -> None:
        for feed in feeds:
            results.append(_fetch_one(stores, fetch, feed, dictionary, clock))
            progress("feeds", len(results), len(wanted))

    with ThreadPoolExecutor(max_workers=_HOSTS) as pool:
        for done in [pool.submit(fetch_host, feeds) for feeds in by_host.values()]:
            done.result()
    for one in results:
        if one.is_news and one.error is not None:
            _log.warning("The feed %s failed: %s", one.name, one.error)
        elif one.is_news and one.warning is not None:
            _log.warning("The feed %s was read, but %s.", one.name, one.warning)
    return sorted(results, key=lambda one: one.name)


def _is_due(feed: Feed, now: datetime) -> bool:
    return feed.is_enabled and (feed.due_at is None or feed.due_at <= now)


def _fetch_one(
    stores: Stores, fetch: FetchFeed, feed: Feed, dictionary: InstrumentDictionary, clock: Clock
) -> FeedResult:
    try:
        fetched = fetch(feed)
    except SourceError as error:
        return _failed(stores, feed, error, clock())
    now = clock()
    document = fetched.document
    pauses = [INTERVAL.total_seconds(), fetched.fresh_for or 0.0, (document.time_to_live if document else None) or 0.0]
    due_at = shifted(now, min(timedelta(seconds=max(pauses)), _LONGEST_PAUSE) - _EARLY)
    if document is None:
        with stores.database.begin() as connection:
            stores.feeds.record(connection, feed.name, FetchEnd("not_modified", now, due_at))
        return FeedResult(feed.name, "not_modified", is_news=feed.status == "failed")
    with stores.database.begin() as connection:
        added = stores.articles.add_to(connection, feed.name, document.items, now, detect_language, dictionary)
        add_rejected(stores, connection, document.rejected, feed.url)
        end = FetchEnd(
            "ok",
            now,
            due_at,
            title=document.title,
            etag=fetched.etag,
            last_modified=fetched.last_modified,
            has_new=added.new > 0,
        )
        stores.feeds.record(connection, feed.name, end)
    return FeedResult(
        feed.name,
        "ok",
        len(document.items),
        len(document.rejected),
        added,
        warning=document.warning,
        is_news=feed.status in {"failed", "new"},
    )


def _failed(stores: Stores, feed: Feed, error: SourceError, now: datetime) -> FeedResult:
    backoff = INTERVAL * 2 ** min(feed.failures, 7)
    asked = timedelta(seconds=error.retry_after or 0.0) if isinstance(error, RateLimited) else timedelta(0)
    due_at = shifted(now, max(asked, min(backoff, _LONGEST_PAUSE) - _EARLY))
    said = str(error)
    with stores.database.begin() as connection:
        stores.feeds.record(connection, feed.name, FetchEnd("failed", now, due_at, error=said))
    return FeedResult(feed.name, "failed", error=error, is_news=feed.error != said or feed.status != "failed")


def add_rejected(stores: Stores, connection: Connection, rejected: Sequence[RejectedItem], origin: str) -> None:
    """Stores rejected items in the quarantine, in the caller's transaction; the same item once."""
    rows = ({"reason": one.reason, "detail": one.detail, "record": one.record} for one in rejected)
    frame = rejected_frame(*rows)
    stores.quarantine.add(connection, frame, source="news", symbol=None, timeframe=None, origin=origin)


def limited(fetch: FetchFeed, rate_limiter: RateLimiter, costs: Callable[[str], Sequence[Cost]]) -> FetchFeed:
    """The same, within the limits of each host."""

    def wait_and_fetch(feed: Feed) -> FetchedDocument:
        rate_limiter.take(costs(feed.host))
        return fetch(feed)

    return wait_and_fetch
