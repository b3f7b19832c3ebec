"""Stored bars to try definitions on (:mod:`trading_platform.domain.features.trial`)."""

from __future__ import annotations

from datetime import datetime

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.features.hourly import has_hourly_rows
from trading_platform.domain.features.trial.invented_market import Market
from trading_platform.domain.market.calendars import ALWAYS_OPEN
from trading_platform.domain.time import Timeframe, Window, parse_timestamp
from trading_platform.stores.stores import Stores
from trading_platform.workflows.corporate_actions.adjust import splits_between
from trading_platform.workflows.derived.build_features import inputs_of
from trading_platform.workflows.derived.news_inputs import load_news
from trading_platform.workflows.derived.series_gaps import gaps_between

_LEAST = 120


def stored_market(stores: Stores, symbol: str, present: datetime, timeframe: Timeframe = Timeframe.D1) -> Market:
    """The stored daily or hourly bars of a symbol, of its sector and of its benchmark, with their splits and gaps.

    Hourly bars are those of symbols that trade round the clock.

    Raises:
        InvalidRequest: if the symbol is unknown, has too few bars, or has no hourly rows.
    """
    universe = stores.instruments.all()
    own = stores.instruments.require([symbol])[symbol]
    if timeframe is Timeframe.H1 and not has_hourly_rows(own):
        raise InvalidRequest(
            f"{symbol} has no hourly rows of features.",
            expected=f"an instrument that trades round the clock (calendar {ALWAYS_OPEN})",
            received=f"calendar {own.calendar}",
            remedy="name such a symbol with --symbol, or leave it out to use invented bars",
        )
    names = [
        name for name in inputs_of(symbol, universe) if timeframe is Timeframe.D1 or has_hourly_rows(universe[name])
    ]
    bars = stores.bars.read(names, timeframe, Window(parse_timestamp("1900-01-01"), present))
    count = bars.filter(symbol=symbol).height
    if count < _LEAST:
        raise InvalidRequest(
            f"{symbol} has too few {timeframe} bars to try a definition on.",
            expected=f"{_LEAST} bars or more",
            received=f"{count} bars",
            remedy=f"`trading-platform backfill {symbol} -t {timeframe}`, or leave out --symbol to use invented bars",
        )
    return Market(
        symbol,
        bars,
        {name: universe[name] for name in names},
        splits_between(stores, bars, timeframe),
        gaps_between(stores, bars, timeframe, universe, present),
        f"the stored {timeframe} bars of {symbol}" if timeframe.is_intraday else f"the stored bars of {symbol}",
        timeframe,
        load_news(stores, bars, Window(bars["time"][0], present)),
    )
