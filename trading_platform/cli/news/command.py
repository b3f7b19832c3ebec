"""``news``: fetches feeds, imports files, lists articles, links and scores them; feeds and names of instruments.

``news feeds`` is in :mod:`trading_platform.cli.news.feeds`, ``news model`` in
:mod:`trading_platform.cli.news.models`. docs/news.md explains what is stored.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trading_platform.cli.news.feeds import aliases, feeds
from trading_platform.cli.news.models import models
from trading_platform.cli.output import out, print_json, progress_bars, table
from trading_platform.cli.parameters import in_capitals
from trading_platform.domain.time import parse_timestamp, utc_now
from trading_platform.stores.postgres.roles import Role

if TYPE_CHECKING:
    from trading_platform.resources.platform import PlatformContext
    from trading_platform.workflows.news.classify_news import Classified
    from trading_platform.workflows.news.fetch_news import FeedResult
    from trading_platform.workflows.progress import Progress

news = typer.Typer(help="News from feeds and files, linked to instruments, with their sentiment.", no_args_is_help=True)
news.add_typer(feeds, name="feeds")
news.add_typer(aliases, name="aliases")
news.add_typer(models, name="model")

_DAYS = 2
_SHOWN = 50


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(news, name="news")


@news.command()
def fetch(
    names: Annotated[list[str] | None, typer.Argument(help="Feeds, due or not. Default: all that are due.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Fetch feeds, store new articles, link and score them. Ends with exit code 1 if a feed failed.

    Example: trading-platform news fetch
    """
    from trading_platform.resources.news import news_fetcher
    from trading_platform.resources.platform import open_platform
    from trading_platform.settings import load_settings
    from trading_platform.workflows.news.fetch_news import fetch_news

    settings = load_settings()
    with open_platform(settings) as platform, progress_bars(quiet=json) as progress:
        fetcher = news_fetcher(settings, platform.rate_limiter, platform.clock)
        results = fetch_news(platform.stores, fetcher, clock=platform.clock, names=names, progress=progress)
        classified = _classify(platform, progress)
        present = bool(platform.stores.feeds.all())
    if json:
        print_json({"feeds": [_as_dict(one) for one in results], "classified": vars(classified)})
    elif results:
        columns = ("feed", "status", "items", "new", "edited", "duplicates", "rejected", "error")
        rows = [
            (
                one.name,
                one.status.replace("_", " "),
                one.items,
                one.added.new,
                one.added.edited,
                one.added.duplicates,
                one.rejected,
                one.error.message if one.error else one.warning or "",
            )
            for one in results
        ]
        out.print(table("Feeds", columns, rows, right=columns[2:7], keys=("feed",)))
        _print_classified(classified)
    elif present:
        out.print("No feed is due. `trading-platform news fetch NAME` fetches one all the same.")
    else:
        out.print("There are no feeds. `trading-platform news feeds add NAME URL` adds one.")
    if any(one.status == "failed" for one in results):
        raise typer.Exit(1)


@news.command("import")
def import_files(
    files: Annotated[list[Path], typer.Argument(help="JSON lines, a JSON array, a response of NewsAPI, or CSV.")],
    as_published: Annotated[
        bool, typer.Option("--as-published", help="Count articles as first seen when they were published.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Import articles from files, link and score them; rejected ones are quarantined.

    Example: trading-platform news import history.jsonl --as-published
    """
    from trading_platform.resources.platform import open_platform
    from trading_platform.settings import load_settings
    from trading_platform.workflows.news.import_news import import_news

    with open_platform(load_settings()) as platform, progress_bars(quiet=json) as progress:
        done = {
            file.name: import_news(
                platform.stores,
                file.expanduser(),
                clock=platform.clock,
                as_published=as_published,
                progress=progress,
            )
            for file in files
        }
        classified = _classify(platform, progress)
    if json:
        imported = {name: {**vars(one), "added": vars(one.added)} for name, one in done.items()}
        print_json({"files": imported, "classified": vars(classified)})
        return
    columns = ("file", "articles", "rejected", "new", "known", "duplicates")
    rows = [
        (name, one.items, one.rejected, one.added.new, one.added.unchanged, one.added.duplicates)
        for name, one in done.items()
    ]
    out.print(table("Imported news", columns, rows, right=columns[1:], keys=("file",)))
    _print_classified(classified)


@news.command("list")
def list_news(
    symbols: Annotated[
        list[str] | None, typer.Argument(callback=in_capitals, help="About these. Default: all.")
    ] = None,
    start: Annotated[str | None, typer.Option(help="Available from then on. Default: two days ago.")] = None,
    end: Annotated[str | None, typer.Option(help="Available before. Default: now.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Number of the newest articles to show.")] = _SHOWN,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """List the newest articles with their instruments and sentiment.

    Example: trading-platform news list AAPL --start 2026-11-01
    """
    from datetime import timedelta

    import polars as pl

    from trading_platform.domain.time import Window
    from trading_platform.resources.platform import open_platform
    from trading_platform.settings import load_settings

    now = utc_now()
    until = parse_timestamp(end) if end else now + timedelta(microseconds=1)
    window = Window(parse_timestamp(start) if start else until - timedelta(days=_DAYS), until)
    with open_platform(load_settings(), role=Role.DASHBOARD) as platform:
        known = list(platform.stores.instruments.require(symbols)) if symbols else None
        found = platform.stores.sentiment.articles(known, window, now)
        scores = platform.stores.sentiment.sentiment(known, window, now)
    keys = ["news_id", "version", "symbol"]
    both = found.join(scores.select(*keys, "label", "score"), on=keys, how="left", maintain_order="left").tail(limit)
    if json:
        print_json(both.with_columns(pl.col(pl.Datetime).dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")).to_dicts())
    elif both.is_empty():
        out.print("No article became available in this time. `trading-platform news fetch` fetches feeds.")
    else:
        columns = ("available (UTC)", "symbol", "sentiment", "score", "source", "headline")
        rows = [
            (
                f"{row['available_at']:%Y-%m-%d %H:%M}",
                row["symbol"],
                row["label"],
                None if row["score"] is None else f"{row['score']:+.2f}",
                row["source"],
                f"{row['title']}{' (repeats another)' if row['duplicate_of'] else ''}",
            )
            for row in both.to_dicts()
        ]
        out.print(table("News", columns, rows, right=("score",), keys=("available (UTC)",)))


@news.command()
def score(json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False) -> None:
    """Link and score stored articles that are not, for example after instruments were added.

    Example: trading-platform news score
    """
    from trading_platform.resources.platform import open_platform
    from trading_platform.settings import load_settings

    with open_platform(load_settings()) as platform, progress_bars(quiet=json) as progress:
        classified = _classify(platform, progress)
    if json:
        print_json(vars(classified))
    else:
        _print_classified(classified)


def _classify(platform: PlatformContext, progress: Progress) -> Classified:
    from trading_platform.resources.news import sentiment_model
    from trading_platform.settings import load_settings
    from trading_platform.workflows.news.classify_news import classify_news

    return classify_news(platform.stores, sentiment_model(load_settings()), clock=platform.clock, progress=progress)


def _print_classified(classified: Classified) -> None:
    out.print(
        f"{classified.linked:,} texts compared with the universe, {classified.about:,} of them about an instrument; "
        f"{classified.scored:,} scored.",
        highlight=False,
    )


def _as_dict(one: FeedResult) -> dict[str, object]:
    return {
        **vars(one),
        "added": vars(one.added),
        "error": None if one.error is None else one.error.as_dict(),
    }
