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

Inputs = Mapping[str, Sequence[str]]
"""For each symbol those whose bars and news its features are computed from, itself included."""


def load_news(
    stores: Stores, bars: pl.DataFrame, window: Window, recorded_until: datetime | None = None
) -> pl.DataFrame:
    """The scored news that rows in a window and before it can be computed from (``NEWS_SCHEMA``).

    Args:
        stores: the stores.
        bars: the bars of the rows and of the warm-up before them, of all symbols that are needed.
        window: window of the times of the rows.
        recorded_until: leave out what was stored later; None: nothing.
    """
    symbols, first = bars["symbol"].unique().sort().to_list(), bars["time"].min()
    start = min(window.start, first) if isinstance(first, datetime) else window.start
    return stores.sentiment.of_stories(symbols, Window(start - _AROUND, window.end + _AROUND), recorded_until)


def with_news(
    stores: Stores, across: Fingerprints, inputs: Inputs, partitions: Sequence[Window], timeframe: Timeframe
) -> Fingerprints:
    """Fingerprints of partitions that also tell of their news; those of partitions without news stay as they are."""
    found = dict(across)
    for part, news in news_fingerprints(stores, inputs, partitions, timeframe).items():
        found[part] = hashlib.sha256(f"{across.get(part, '')} {news}".encode()).hexdigest()[:16]
    return found


def news_fingerprints(
    stores: Stores, inputs: Inputs, partitions: Sequence[Window], timeframe: Timeframe
) -> dict[tuple[str, Window], str]:
    """What changes whenever news that a partition is computed from do, for partitions with news.

    These are the news of its own rows; with a feature that looks back at news, all earlier ones, and those about the
    other symbols, too.
    """
    if not stores.features_of(timeframe).definitions.features.looks_back_at_news:
        return stores.sentiment.fingerprints(list(inputs), partitions, timeframe)
    needed = sorted({name for names in inputs.values() for name in names})
    single = stores.sentiment.fingerprints(needed, partitions, timeframe, whole=True)
    found = {}
    for symbol, names in inputs.items():
        for window in partitions:
            own = [f"{name} {single[name, window]}" for name in sorted(names) if (name, window) in single]
            if own:
                found[symbol, window] = " ".join(own)
    return found
