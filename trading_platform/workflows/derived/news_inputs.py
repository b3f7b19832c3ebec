"""The news that features are computed from, and what tells whether they have changed since.

Scores are made by :mod:`trading_platform.workflows.news.classify_news`; the formula is
:func:`trading_platform.domain.features.formulas.news_sentiment_24h`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import polars as pl

from trading_platform.domain.time import Timeframe, Window
from trading_platform.stores.stores import Stores
from trading_platform.workflows.corporate_actions.adjust import Fingerprints

_AROUND = timedelta(days=2)
"""News count for a day, and a row is available at most a day after its bar's time."""


def load_news(
    stores: Stores, symbols: Sequence[str], window: Window, recorded_until: datetime | None = None
) -> pl.DataFrame:
    """The scored news about some symbols that rows in a window can be computed from (``NEWS_SCHEMA``).

    Args:
        stores: the stores.
        symbols: the symbols.
        window: window of the times of the bars.
        recorded_until: leave out what was stored later; None: nothing.
    """
    around = Window(window.start - _AROUND, window.end + _AROUND)
    return stores.sentiment.of_stories(symbols, around, recorded_until)


def with_news(
    stores: Stores,
    across: Fingerprints,
    symbols: Sequence[str],
    partitions: Sequence[Window],
    timeframe: Timeframe,
) -> Fingerprints:
    """Fingerprints of partitions that also tell of their news; those of partitions without news stay as they are."""
    found = dict(across)
    for part, news in news_fingerprints(stores, symbols, partitions, timeframe).items():
        found[part] = hashlib.sha256(f"{across.get(part, '')} {news}".encode()).hexdigest()[:16]
    return found


def news_fingerprints(
    stores: Stores, symbols: Sequence[str], partitions: Sequence[Window], timeframe: Timeframe
) -> Mapping[tuple[str, Window], str]:
    """What changes whenever news that a partition is computed from do, for partitions with news."""
    return stores.sentiment.fingerprints(symbols, partitions, timeframe)
