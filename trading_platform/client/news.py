"""Reads of news and their sentiment, now or point-in-time.

:class:`trading_platform.client.platform.Platform` has these reads. docs/news.md explains when an article is available.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from trading_platform.client.names import symbols_of
from trading_platform.client.timestamps import Timestamp, as_timestamp, as_window
from trading_platform.domain.time import Clock
from trading_platform.stores.stores import Stores


class News:
    """The stored news.

    Args:
        stores: the stores to read.
        clock: the time of reads as of now.
    """

    def __init__(self, stores: Stores, clock: Clock) -> None:
        self._stores = stores
        self._clock = clock

    def news(
        self, symbols: str | Sequence[str] | None, start: Timestamp, end: Timestamp, as_of: Timestamp | None = None
    ) -> pl.DataFrame:
        """Articles that became available in a half-open window.

        Args:
            symbols: articles about these; None: all articles, those about no instrument included.
            start: start of the window of ``available_at``, included.
            end: end of the window, not included.
            as_of: point in time of the read: leaves out what had not been seen or published by then, later versions of
                an article included; None means now.

        Returns:
            One row for each article and instrument: ``available_at`` (the later of ``published_at`` and the time at
            which the platform first saw the article, UTC), ``symbol`` (NULL: about none), ``published_at`` (what the
            source says; may be NULL), ``first_seen_at`` (of this version), ``title``, ``summary``, ``url``,
            ``source``, ``language``, ``rule`` and ``evidence`` of the link, ``news_id``, ``version`` and
            ``duplicate_of`` (the earlier article that it nearly repeats); sorted by (available_at, news_id, symbol).

        Raises:
            InvalidRequest: unknown symbol, or an end before the start.
        """
        window, timestamp = as_window(start, end), self._clock() if as_of is None else as_timestamp(as_of)
        return self._stores.sentiment.articles(self._known(symbols), window, timestamp)

    def sentiment(
        self,
        symbols: str | Sequence[str] | None,
        start: Timestamp,
        end: Timestamp,
        as_of: Timestamp | None = None,
        model: str | None = None,
    ) -> pl.DataFrame:
        """Sentiment of the articles about some instruments that became available in a half-open window.

        An instrument without news has no row: no news is not neutral news.

        Args:
            symbols: one or several; None: all.
            start: start of the window of ``available_at``, included.
            end: end of the window, not included.
            as_of: as for :meth:`news`.
            model: name of a model; None means the one that scored each article last (SENTIMENT_MODEL, else the
                platform's own). Scores of earlier models are kept, and are read by their names.

        Returns:
            One row for each article and instrument: ``available_at``, ``symbol``, ``label`` (``positive``, ``neutral``
            or ``negative``), ``score`` (probability of positive minus that of negative, from -1 to 1), ``confidence``
            (probability of the label), ``title``, ``model``, ``revision``, ``engine``, ``news_id``, ``version`` and
            ``duplicate_of``; sorted by (available_at, news_id, symbol).

        Raises:
            InvalidRequest: unknown symbol, or an end before the start.
        """
        window, timestamp = as_window(start, end), self._clock() if as_of is None else as_timestamp(as_of)
        return self._stores.sentiment.sentiment(self._known(symbols), window, timestamp, model)

    def _known(self, symbols: str | Sequence[str] | None) -> list[str] | None:
        return None if symbols is None else list(self._stores.instruments.require(symbols_of(symbols)))
