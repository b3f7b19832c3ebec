"""What of a market was known at a time: bars that had closed, each by its own market's calendar, splits and gaps.

The trial of definitions and the audit of stored values both take what was known from here.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import polars as pl

from trading_platform.domain.features.trial.invented_market import Market
from trading_platform.domain.market.calendars import availability


def closes_of(market: Market) -> pl.DataFrame:
    """``symbol``, ``time`` and ``closed`` (from when it is known) of each bar, in the order of the bars."""
    parts = [
        part.select("symbol", "time").with_columns(
            closed=availability(market.instruments[str(symbol)].calendar, market.timeframe, part.select("time"))
        )
        for (symbol,), part in market.bars.partition_by("symbol", as_dict=True, maintain_order=True).items()
    ]
    return pl.concat(parts)


def news_by(news: pl.DataFrame, moment: datetime) -> pl.DataFrame:
    """The news as they were at a time: without later versions, and without knowing that any came."""
    later = pl.col("until") > moment
    return news.filter(pl.col("known_at") <= moment).with_columns(until=pl.when(~later).then("until"))


def known_by(market: Market, closes: pl.DataFrame, moment: datetime) -> Market:
    """The market without the bars that closed later, without later news, and splits and gaps that begin later.

    Args:
        market: the market.
        closes: its :func:`closes_of`.
        moment: the time, UTC.
    """
    return replace(
        market,
        bars=market.bars.filter(closes["closed"] <= moment),
        news=news_by(market.news, moment),
        splits={symbol: [each for each in own if each[0] <= moment] for symbol, own in market.splits.items()},
        gaps={symbol: [each for each in own if each[0] <= moment] for symbol, own in market.gaps.items()},
    )
