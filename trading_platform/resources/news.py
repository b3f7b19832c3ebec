"""The fetcher of feeds and NewsAPI, and the model of sentiment, as the settings have them.

The workflows are in :mod:`trading_platform.workflows.news`.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode

from trading_platform.domain.errors import SourceRejected
from trading_platform.domain.news.sentiment import SentimentModel
from trading_platform.domain.time import Clock
from trading_platform.settings import Settings
from trading_platform.sources.news.limits import costs
from trading_platform.sources.rate_limits import RateLimiter
from trading_platform.stores.news.feeds import NEWSAPI, Feed
from trading_platform.workflows.news.fetch_news import FetchedDocument, FetchFeed, limited

if TYPE_CHECKING:
    from trading_platform.sources.news.http import NewsHttp

_log = logging.getLogger(__name__)

_MOST = "100"  # articles of a response, the most that NewsAPI gives


def sentiment_model(settings: Settings) -> SentimentModel:
    """The model that scores articles: the one of SENTIMENT_MODEL, else the platform's own.

    Raises:
        ConfigurationError: if its files do not belong together, or packages are missing.
    """
    if settings.sentiment_model is None:
        from trading_platform.stores.news.model_file import own_model

        return own_model()
    from trading_platform.stores.news.transformer_model import load_transformer

    path = settings.sentiment_model.expanduser().resolve()
    return load_transformer(path, engine=settings.sentiment_engine, revision=settings.sentiment_revision)


def news_fetcher(settings: Settings, rate_limiter: RateLimiter, clock: Clock) -> FetchFeed:
    """Fetches and reads a feed within the limits of its host, or a query to NewsAPI within its plan's."""
    from trading_platform.sources.news.feeds import read_feed
    from trading_platform.sources.news.http import NewsHttp

    allowed = [host.strip() for host in settings.news_allowed_hosts.split(",") if host.strip()]
    http = NewsHttp(allowed, clock=clock)

    def fetch(feed: Feed) -> FetchedDocument:
        if feed.url.startswith(NEWSAPI):
            return _of_newsapi(settings, http, feed)
        response = http.get(feed.url, etag=feed.etag, last_modified=feed.last_modified)
        document = None
        if response.body is not None:
            document = read_feed(response.body, url=response.url, content_type=response.content_type)
        return FetchedDocument(document, response.etag, response.last_modified, response.fresh_for)

    return limited(fetch, rate_limiter, costs)


def _of_newsapi(settings: Settings, http: NewsHttp, feed: Feed) -> FetchedDocument:
    from trading_platform.sources.news.newsapi import NEWSAPI_URL, read_newsapi

    if settings.newsapi_key is None:
        raise SourceRejected(
            "NewsAPI needs a key.",
            expected="NEWSAPI_KEY",
            received="none",
            remedy="set NEWSAPI_KEY, or remove the feed",
        )
    if feed.status == "new":
        _log.warning("NewsAPI's free plan gives articles a day late, and 100 requests a day.")
    asked = {"sortBy": "publishedAt", "pageSize": _MOST, **dict(parse_qsl(feed.url.removeprefix(NEWSAPI)))}
    key = {"X-Api-Key": settings.newsapi_key.get_secret_value()}
    response = http.get(f"{NEWSAPI_URL}?{urlencode(asked)}", headers=key, follow=False)
    return FetchedDocument(read_newsapi(response.body or b""))
