"""The news of the demonstration: fetched from a local feed, linked to the markets, scored, and shown."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import polars as pl

from trading_platform.cli.output import number, out, table

if TYPE_CHECKING:
    from trading_platform.resources.platform import PlatformContext

FEED = "invented"
_FETCHED_BEFORE = timedelta(hours=3)
"""How long before the demonstration's present the feed was fetched, so that the day's features know of it."""


def allow_feed(url: str) -> None:
    """Allows a feed on this machine, which is refused otherwise."""
    os.environ["NEWS_ALLOWED_HOSTS"] = urlsplit(url).netloc


def fetch_feed(platform: PlatformContext, url: str) -> None:
    """Fetches the feed once, and links and scores its articles; later runs keep them."""
    from trading_platform.resources.news import news_fetcher
    from trading_platform.settings import load_settings
    from trading_platform.stores.news.model_file import own_model
    from trading_platform.workflows.news.classify_news import classify_news
    from trading_platform.workflows.news.fetch_news import fetch_news

    def then() -> datetime:
        return platform.clock() - _FETCHED_BEFORE

    stored = platform.stores.feeds.all().get(FEED)
    if stored is None or stored.fetched_at is None:  # a run may have been killed before the fetch
        platform.stores.feeds.add(FEED, url)
        fetcher = news_fetcher(load_settings(), platform.rate_limiter, then)
        fetch_news(platform.stores, fetcher, clock=then, names=[FEED])
    classify_news(platform.stores, own_model(), clock=platform.clock)


def move_feed(url: str) -> None:
    """Gives the stored feed the address at which it is now served."""
    from trading_platform.resources.platform import open_platform
    from trading_platform.settings import load_settings

    with open_platform(load_settings()) as platform:
        platform.stores.feeds.add(FEED, url)


def scored_headlines(platform: PlatformContext) -> pl.DataFrame:
    """The articles of the last two days with symbol and score, the newest first; NULL: about no market."""
    from trading_platform.domain.time import Window

    now = platform.clock()
    window = Window(now - timedelta(days=2), now)
    articles = platform.stores.sentiment.articles(None, window, now)
    scores = platform.stores.sentiment.sentiment(None, window, now)
    return (
        articles.select("published_at", "symbol", "title", "news_id", "version")
        .join(
            scores.select("news_id", "version", "symbol", "label", "score"),
            on=["news_id", "version", "symbol"],
            how="left",
        )
        .sort("published_at", "title", descending=[True, False])
        .select("published_at", "symbol", "title", "label", "score")
    )


def print_news(headlines: pl.DataFrame, sentiments: int) -> None:
    """Prints the headlines with their scores, and how many rows of features have a sentiment."""
    rows = [
        (f"{at:%m-%d %H:%M}", symbol or "", label or "", "" if score is None else f"{score:+.2f}", title)
        for at, symbol, title, label, score in headlines.iter_rows()
    ]
    columns = ("published", "symbol", "sentiment", "score", "headline")
    out.print(table("News of a local feed", columns, rows, right=("score",), keys=("symbol",)))
    out.print(f"{number(sentiments)} rows of daily features have the sentiment of the 24 hours before them.")
