"""Links between articles and instruments, a user's own names of them, and scores of sentiment."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import polars as pl

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.features.inputs import NEWS_SCHEMA
from trading_platform.domain.market.bars import TIME
from trading_platform.domain.market.instruments import check_symbol
from trading_platform.domain.news.sentiment import Label, Sentiment, SentimentModel
from trading_platform.domain.texts import is_storable, shown
from trading_platform.domain.time import Timeframe, Window
from trading_platform.stores.market_data.bars import bars_table
from trading_platform.stores.postgres.database import Database, driver, execute
from trading_platform.stores.postgres.sql import query

if TYPE_CHECKING:
    from trading_platform.domain.news.linking import Link

ARTICLE_SCHEMA: dict[str, pl.DataType] = {
    "available_at": TIME,
    "symbol": pl.String(),
    "published_at": TIME,
    "first_seen_at": TIME,
    "title": pl.String(),
    "summary": pl.String(),
    "url": pl.String(),
    "source": pl.String(),
    "language": pl.String(),
    "rule": pl.String(),
    "evidence": pl.String(),
    "news_id": pl.String(),
    "version": pl.Int64(),
    "duplicate_of": pl.String(),
}
"""An article about an instrument."""

SENTIMENT_SCHEMA: dict[str, pl.DataType] = {
    "available_at": TIME,
    "symbol": pl.String(),
    "label": pl.String(),
    "score": pl.Float64(),
    "confidence": pl.Float64(),
    "title": pl.String(),
    "model": pl.String(),
    "revision": pl.String(),
    "engine": pl.String(),
    "news_id": pl.String(),
    "version": pl.Int64(),
    "duplicate_of": pl.String(),
}
"""The sentiment of an article about an instrument."""

_LONGEST_ALIAS = 100

TextOf = Callable[[str, str | None], str]
"""The text of a title and a summary."""


class SentimentStore:
    """Links, names and scores.

    Args:
        database: the database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def articles(self, symbols: Sequence[str] | None, window: Window, as_of: datetime) -> pl.DataFrame:
        """Articles that became available in a window (``ARTICLE_SCHEMA``), as they were at a time.

        Args:
            symbols: about these; None: all articles, those about no instrument included.
            window: of ``available_at``.
            as_of: point in time, UTC: later versions are left out.
        """
        return self._database.read(query("news/articles/read"), _given(symbols, window, as_of), ARTICLE_SCHEMA)

    def sentiment(
        self, symbols: Sequence[str] | None, window: Window, as_of: datetime, model: str | None = None
    ) -> pl.DataFrame:
        """Sentiment of such articles (``SENTIMENT_SCHEMA``) by a model; None: by the one that scored each last."""
        given = _given(symbols, window, as_of) | {"model": model}
        return self._database.read(query("news/sentiment/read"), given, SENTIMENT_SCHEMA)

    def of_stories(
        self, symbols: Sequence[str], window: Window, recorded_until: datetime | None = None
    ) -> pl.DataFrame:
        """Scored versions of articles about some symbols (``NEWS_SCHEMA``); of repetitions only the first article.

        Args:
            symbols: the symbols.
            window: when an article was first available and about the symbol.
            recorded_until: leave out what was stored later; None: nothing.
        """
        given = {"symbols": list(symbols), "start": window.start, "end": window.end}
        return self._database.read(
            query("news/sentiment/of_stories"), {**given, "recorded": recorded_until}, NEWS_SCHEMA
        )

    def fingerprints(
        self, symbols: Sequence[str], partitions: Sequence[Window], timeframe: Timeframe, *, whole: bool = False
    ) -> dict[tuple[str, Window], str]:
        """A number for each symbol and partition of bars with news; it changes when these news do.

        Args:
            symbols: the symbols.
            partitions: the partitions.
            timeframe: length of the bars; news after the close of a symbol's last bar do not count yet.
            whole: with all news before each partition.
        """
        by_start = {window.start: window for window in partitions}
        given = {
            "symbols": list(symbols),
            "starts": list(by_start),
            "ends": [window.end for window in by_start.values()],
            "length": timeframe.duration,
            "whole": whole,
        }
        statement = query("news/sentiment/fingerprints").replace("{table}", bars_table(timeframe))
        rows = self._database.rows(statement, given)
        return {(symbol, by_start[start]): number for symbol, start, number in rows}

    def version(self) -> str:
        """What changes whenever a version of an article, a link or a score is stored or replaced."""
        return str(self._database.rows(query("news/sentiment/version"))[0][0])

    def quality(self, window: Window, now: datetime) -> dict[str, int]:
        """Figures of the articles that were first seen in a window, for checks and metadata, by name."""
        given = {"start": window.start, "end": window.end, "now": now}
        (row,) = self._database.rows(query("news/articles/quality"), given)
        names = "articles edited copies linked scored positive negative future empty misread without_language"
        return dict(zip(names.split(), map(int, row), strict=True))

    def aliases(self) -> dict[str, list[str]]:
        """A user's own names by symbol."""
        found: dict[str, list[str]] = {}
        for symbol, alias in self._database.rows("SELECT symbol, alias FROM news.aliases ORDER BY symbol, alias"):
            found.setdefault(symbol, []).append(alias)
        return found

    def add_alias(self, symbol: str, alias: str) -> bool:
        """Adds a name by which texts call an instrument; True if it is new.

        Raises:
            InvalidRequest: for an invalid symbol or name.
        """
        name = " ".join(alias.split())
        if not 1 < len(name) <= _LONGEST_ALIAS or not is_storable(name):
            raise InvalidRequest(
                f"{shown(alias)} cannot be a name.",
                expected=f"2 to {_LONGEST_ALIAS} characters",
                received=shown(alias),
                remedy="choose another name",
            )
        with self._database.begin() as connection:
            return bool(
                execute(
                    connection,
                    "INSERT INTO news.aliases (symbol, alias) VALUES (%(symbol)s, %(alias)s) ON CONFLICT DO NOTHING"
                    " RETURNING symbol",
                    {"symbol": check_symbol(symbol), "alias": name},
                )
            )

    def link_some(
        self, linked_by: str, links_of: Callable[[str], list[Link]], text_of: TextOf, at: datetime, limit: int
    ) -> tuple[int, int]:
        """Links up to ``limit`` versions that these rules and dictionary have not linked, in one transaction.

        Returns:
            How many versions were linked, and how many of them are about any instrument.
        """
        with self._database.begin() as connection:
            rows = execute(connection, query("news/links/unlinked"), {"linked_by": linked_by, "limit": limit})
            if not rows:
                return 0, 0
            made = [(name, version, links_of(text_of(title, summary))) for name, version, title, summary in rows]
            keys = _keys([(name, version) for name, version, _ in made])
            execute(connection, query("news/links/replace"), keys)
            with (
                driver(connection).cursor() as cursor,
                cursor.copy(
                    b"COPY news.links (news_id, version, symbol, rule, evidence, position, linked_at) FROM STDIN"
                ) as copy,
            ):
                for name, version, links in made:
                    for one in links:
                        copy.write_row((name, version, one.symbol, one.rule.value, one.evidence, one.position, at))
            execute(connection, query("news/links/finish"), {**keys, "linked_by": linked_by})
        return len(made), sum(bool(links) for _, _, links in made)

    def score_some(self, model: SentimentModel, text_of: TextOf, at: datetime, limit: int) -> tuple[int, int]:
        """Scores up to ``limit`` versions that this revision of a model has not scored, in one transaction.

        The same text is classified once; a slow model also takes over its stored scores of the same text, and begins
        with the newest versions. A version that is about no instrument is not scored.

        Returns:
            How many versions were looked at, and how many of them were scored.
        """
        scored_by = f"{model.name} {model.revision}"
        with self._database.begin() as connection:
            wanted = "news/sentiment/unscored_newest" if model.is_slow else "news/sentiment/unscored"
            rows = execute(connection, query(wanted), {"scored_by": scored_by, "limit": limit})
            if not rows:
                return 0, 0
            about = [(name, version, text_of(title, summary)) for name, version, title, summary, any_ in rows if any_]
            keys = _keys([(name, version) for name, version, _ in about])
            scores: dict[str, Sentiment] = {}
            if about and model.is_slow:
                same = {**keys, "model": model.name, "revision": model.revision}
                for title, summary, label, score, confidence in execute(
                    connection, query("news/sentiment/known"), same
                ):
                    scores[text_of(title, summary)] = Sentiment(Label(label), score, confidence)
            distinct = sorted({text for _, _, text in about} - scores.keys(), key=lambda text: (len(text), text))
            scores.update(zip(distinct, model.classify(distinct), strict=True))
            found = [scores[text] for _, _, text in about]
            given = {
                **keys,
                "model": model.name,
                "revision": model.revision,
                "engine": model.engine,
                "labels": [one.label.value for one in found],
                "scores": [one.score for one in found],
                "confidences": [one.confidence for one in found],
                "at": at,
            }
            if about:
                execute(connection, query("news/sentiment/insert"), given)
            keys = _keys([(name, version) for name, version, *_ in rows])
            execute(connection, query("news/sentiment/finish"), {**keys, "scored_by": scored_by})
        return len(rows), len(about)


def _keys(keys: Sequence[tuple[uuid.UUID, int]]) -> dict[str, Any]:
    return {"ids": [name for name, _ in keys], "versions": [version for _, version in keys]}


def _given(symbols: Sequence[str] | None, window: Window, as_of: datetime) -> dict[str, Any]:
    return {
        "symbols": None if symbols is None else list(symbols),
        "start": window.start,
        "end": window.end,
        "as_of": as_of,
    }
