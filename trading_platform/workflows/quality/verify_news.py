"""The rules for stored news: texts are texts, dates are possible, and feeds deliver.

They are separate from :mod:`trading_platform.workflows.quality.suites.verify`, which checks rows of instruments and
timeframes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from trading_platform.domain.time import Clock, Window
from trading_platform.stores.news.feeds import Feed
from trading_platform.stores.stores import Stores
from trading_platform.workflows.quality.check_results import CheckResult, Row, Severity, finding

ARTICLES, SENTIMENT = "raw_news", "news_sentiment"
"""The assets that the rules are of."""

MOST_COPIES, MOST_WITHOUT_LANGUAGE, MOST_UNLINKED = 0.5, 0.5, 0.98
"""Shares from which a day is unusual. Most headlines of a general feed are about no instrument of the universe."""

_FEWEST = 50  # articles of which a share says something
_SILENT = timedelta(days=2)  # a weekend; a feed that had new articles before and has none for longer is looked at


@dataclass(frozen=True)
class NewsCheck:
    """One rule.

    Attributes:
        name: of the rule.
        description: the rule, as text.
        run: evaluates the rule over figures by name, feeds and the present time.
        asset: the asset that it is of.
    """

    name: str
    description: str
    run: Callable[[dict[str, int], Sequence[Feed], datetime], CheckResult]
    asset: str = ARTICLES


def verify_news(
    stores: Stores, windows: Sequence[Window], *, clock: Clock, asset: str | None = None
) -> list[CheckResult]:
    """The result of every rule, or of those of one asset; nothing is written.

    Args:
        stores: the stores.
        windows: of the time at which articles were first seen; disjoint.
        clock: determines what is in the future, and how long a feed has been silent.
        asset: the asset; None means both.
    """
    now, feeds = clock(), list(stores.feeds.all().values())
    figures: dict[str, int] = {}
    for window in windows:
        for name, value in stores.sentiment.quality(window, now).items():
            figures[name] = figures.get(name, 0) + value
    return [
        replace(check.run(figures, feeds, now), asset=check.asset, check=check.name)
        for check in NEWS_CHECKS
        if asset in (None, check.asset)
    ]


def _rows(fault: str, wrong: str, remedy: str, severity: Severity) -> Callable[..., CheckResult]:
    def run(figures: dict[str, int], _feeds: Sequence[Feed], _now: datetime) -> CheckResult:
        return finding(
            rows_checked=figures.get("articles", 0),
            failing_rows=figures.get(fault, 0),
            what="articles",
            wrong=wrong,
            remedy=remedy,
            severity=severity,
        )

    return run


def _share(count: str, most: float, wrong: str, remedy: str) -> Callable[..., CheckResult]:
    def run(figures: dict[str, int], _feeds: Sequence[Feed], _now: datetime) -> CheckResult:
        articles = figures.get("articles", 0)
        counted = articles - figures.get("linked", 0) if count == "unlinked" else figures.get(count, 0)
        is_unusual = articles >= _FEWEST and counted > most * articles
        return finding(
            rows_checked=articles,
            failing_rows=counted if is_unusual else 0,
            what="articles",
            wrong=wrong,
            remedy=remedy,
            severity=Severity.WARN,
            counts={count.replace("_", " "): counted},
        )

    return run


def _feeds_deliver(_figures: dict[str, int], feeds: Sequence[Feed], now: datetime) -> CheckResult:
    enabled = [feed for feed in feeds if feed.is_enabled]
    wrong: list[Row] = []
    for feed in enabled:
        if feed.status == "failed":
            wrong.append({"feed": feed.name, "fault": (feed.error or "failed")[:200], "failures": feed.failures})
        elif feed.new_at is not None and now - feed.new_at > _SILENT:
            wrong.append(
                {"feed": feed.name, "fault": f"no new article since {feed.new_at:%Y-%m-%d %H:%M}", "failures": 0}
            )
    return finding(
        rows_checked=len(enabled),
        failing_rows=len(wrong),
        what="feeds",
        wrong="failed the last time, or have had nothing new for two days",
        remedy="open their addresses; `trading-platform news feeds remove NAME` removes one",
        severity=Severity.WARN,
        sample=wrong[:20],
    )


NEWS_CHECKS = (
    NewsCheck(
        "text_present",
        "Every article has a headline.",
        _rows("empty", "have an empty headline", "restore the rows from a backup", Severity.ERROR),
    ),
    NewsCheck(
        "text_readable",
        "No headline has a character that stands for bytes that could not be read (U+FFFD).",
        _rows(
            "misread",
            "have characters that were misread",
            "tell the feed's owner: its encoding is wrong",
            Severity.WARN,
        ),
    ),
    NewsCheck(
        "no_future_date",
        "No article says that it was published more than a day after it was seen; it would be available only then.",
        _rows("future", "have a date in the future", "tell the feed's owner: its clock is wrong", Severity.WARN),
    ),
    NewsCheck(
        "language_known",
        "Of most articles the language is known.",
        _share("without_language", MOST_WITHOUT_LANGUAGE, "have no language", "look at the feeds' texts"),
    ),
    NewsCheck(
        "duplicate_rate",
        "At most half of the articles nearly repeat earlier ones.",
        _share("copies", MOST_COPIES, "nearly repeat earlier ones", "remove feeds that only repeat others"),
    ),
    NewsCheck(
        "linked_share",
        "At least one of fifty articles is about an instrument of the universe.",
        _share(
            "unlinked", MOST_UNLINKED, "are about no instrument", "add names by `trading-platform news aliases add`"
        ),
        SENTIMENT,
    ),
    NewsCheck(
        "feeds_deliver",
        "No feed failed the last time it was fetched, and each had a new article within two days.",
        _feeds_deliver,
    ),
)
