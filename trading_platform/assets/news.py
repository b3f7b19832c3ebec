"""The assets ``raw_news`` and ``news_sentiment``, partitioned by the day on which articles were first seen.

A run of today's partition fetches the feeds that are due; a day of the past cannot be fetched again, and a run of it
counts what is stored. The workflows are in :mod:`trading_platform.workflows.news`.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from dagster import (
    AssetExecutionContext,
    BackfillPolicy,
    DailyPartitionsDefinition,
    MaterializeResult,
    MetadataValue,
    ResourceParam,
    TableColumn,
    TableRecord,
    TableSchema,
    asset,
)

from trading_platform.assets.metadata import OWNERS, column_schema
from trading_platform.domain.charts import sparkline
from trading_platform.domain.time import Window
from trading_platform.failures import STEP_RETRIES, dagster_failures
from trading_platform.resources.platform import PlatformContext
from trading_platform.stores.news.feeds import Feed
from trading_platform.stores.news.sentiment import ARTICLE_SCHEMA, SENTIMENT_SCHEMA
from trading_platform.workflows.news.fetch_news import FeedResult

news_days = DailyPartitionsDefinition(start_date="2020-01-01", end_offset=1)
"""Days in UTC, the present one included; articles that were first seen before have no partition."""

_CHART_DAYS = 30
_COLUMNS = {
    "available_at": "the later of its time of publication and the time at which the platform first saw it, UTC",
    "symbol": "instrument that the article is about; NULL: none",
    "published_at": "time of publication according to its source, UTC; may be wrong or missing",
    "first_seen_at": "when the platform received this version, UTC",
    "title": "headline",
    "summary": "summary by the source",
    "url": "URL of the full text",
    "source": "feed, NewsAPI or file that showed it first",
    "language": "language (BCP 47), where known",
    "rule": "how the instrument was recognised: exchange, cashtag, name or ticker",
    "evidence": "the words of the text by which it was recognised",
    "news_id": "id of the article",
    "version": "version of its text, from 1",
    "duplicate_of": "the earlier article that it nearly repeats",
    "label": "positive, neutral or negative",
    "score": "probability of positive minus that of negative, from -1 to 1",
    "confidence": "probability of the label",
    "model": "name of the model",
    "revision": "revision of the model",
    "engine": "what computed it",
}
_FEED_COLUMNS = TableSchema(
    [
        TableColumn(name, "int" if name in {"fetches", "unchanged", "failed", "new"} else "string")
        for name in ("feed", "status", "last fetch", "fetches", "unchanged", "failed", "new", "error")
    ]
)


@asset(
    group_name="news",
    description="Articles of feeds and files, each once, linked to the instruments that they are about. The metadata "
    "shows how the last fetch of each feed ended.",
    owners=OWNERS,
    kinds={"postgres"},
    partitions_def=news_days,
    backfill_policy=BackfillPolicy.single_run(),
    retry_policy=STEP_RETRIES,
    metadata={"dagster/column_schema": column_schema(ARTICLE_SCHEMA, _COLUMNS, {"available_at", "title", "news_id"})},
)
def raw_news(context: AssetExecutionContext, platform: ResourceParam[PlatformContext]) -> MaterializeResult[None]:
    """Fetches the feeds that are due, if the run has the present day; a feed that fails does not fail the run."""
    from trading_platform.resources.news import news_fetcher
    from trading_platform.settings import load_settings
    from trading_platform.workflows.news.fetch_news import fetch_news

    windows = _windows(context)
    results: list[FeedResult] = []
    with dagster_failures():
        if any(platform.clock() in window for window in windows):
            fetcher = news_fetcher(load_settings(), platform.rate_limiter, platform.clock)
            results = fetch_news(platform.stores, fetcher, clock=platform.clock, progress=platform.progress)
        feeds = platform.stores.feeds.all().values()
        figures = _figures(platform, windows)
        chart = _chart(platform)
    for one in results:
        if one.error is not None:
            context.log.warning("The feed %s failed: %s", one.name, one.error)
    new = {one.name: one.added.new for one in results}
    return MaterializeResult(
        metadata={
            "dagster/partition_row_count": MetadataValue.int(figures["articles"]),
            "new": MetadataValue.int(sum(new.values())),
            "near-duplicates": MetadataValue.int(figures["copies"]),
            "edited": MetadataValue.int(figures["edited"]),
            "feeds": MetadataValue.table([_record(feed, new.get(feed.name, 0)) for feed in feeds], _FEED_COLUMNS),
            f"articles of {_CHART_DAYS} days": MetadataValue.md(chart),
        }
    )


@asset(
    group_name="news",
    description="Links between articles and instruments, and the sentiment of the articles that have any. No news is "
    "no row: an instrument without news has no sentiment, and not a neutral one.",
    owners=OWNERS,
    kinds={"postgres", "numpy"},
    partitions_def=news_days,
    backfill_policy=BackfillPolicy.single_run(),
    deps=[raw_news],
    retry_policy=STEP_RETRIES,
    metadata={"dagster/column_schema": column_schema(SENTIMENT_SCHEMA, _COLUMNS, set(SENTIMENT_SCHEMA))},
)
def news_sentiment(context: AssetExecutionContext, platform: ResourceParam[PlatformContext]) -> MaterializeResult[None]:
    """Links and scores everything that is not, and counts the partitions of the run."""
    from trading_platform.resources.news import sentiment_model
    from trading_platform.settings import load_settings
    from trading_platform.workflows.news.classify_news import classify_news

    with dagster_failures():
        model = sentiment_model(load_settings())
        done = classify_news(platform.stores, model, clock=platform.clock, progress=platform.progress)
        figures = _figures(platform, _windows(context))
    return MaterializeResult(
        metadata={
            "dagster/partition_row_count": MetadataValue.int(figures["scored"]),
            "linked in this run": MetadataValue.int(done.linked),
            "scored in this run": MetadataValue.int(done.scored),
            "about an instrument": MetadataValue.int(figures["linked"]),
            "positive": MetadataValue.int(figures["positive"]),
            "negative": MetadataValue.int(figures["negative"]),
            "model": MetadataValue.text(f"{model.name} {model.revision}, {model.engine}"),
        }
    )


def windows_of(keys: list[str]) -> list[Window]:
    """The days of some partition keys, joined where they follow each other."""
    starts = [datetime.fromisoformat(key).replace(tzinfo=UTC) for key in keys]
    return Window.merge(Window(start, start + timedelta(days=1)) for start in starts)


def _windows(context: AssetExecutionContext) -> list[Window]:
    return windows_of(list(context.partition_keys))


def _figures(platform: PlatformContext, windows: list[Window]) -> dict[str, int]:
    figures: dict[str, int] = {}
    for window in windows:
        for name, value in platform.stores.sentiment.quality(window, platform.clock()).items():
            figures[name] = figures.get(name, 0) + value
    return figures


def _chart(platform: PlatformContext) -> str:
    """Articles of each of the last days, as a small chart."""
    today = platform.clock().replace(hour=0, minute=0, second=0, microsecond=0)
    days = [today - timedelta(days=ago) for ago in reversed(range(_CHART_DAYS))]
    counts: list[float] = [_figures(platform, [Window(day, day + timedelta(days=1))])["articles"] for day in days]
    return sparkline(counts, 240, 48)


def _record(feed: Feed, new: int) -> TableRecord:
    values: dict[str, Any] = {
        "feed": feed.name,
        "status": feed.status,
        "last fetch": "" if feed.fetched_at is None else feed.fetched_at.isoformat(),
        "fetches": feed.fetches,
        "unchanged": feed.not_modified,
        "failed": feed.failed,
        "new": new,
        "error": feed.error or "",
    }
    return TableRecord(values)
