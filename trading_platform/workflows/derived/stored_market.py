"""Stored bars to try definitions on (:mod:`trading_platform.domain.features.trial`)."""

from __future__ import annotations

from datetime import datetime

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.features.invented_market import Market
from trading_platform.domain.time import Timeframe, Window, parse_timestamp
from trading_platform.stores.stores import Stores
from trading_platform.workflows.corporate_actions.adjust import splits_between
from trading_platform.workflows.derived.build_features import inputs_of
from trading_platform.workflows.derived.series_gaps import gaps_between

_LEAST = 120


def stored_market(stores: Stores, symbol: str, present: datetime) -> Market:
    """The stored daily bars of a symbol, of its sector and of its benchmark, with their splits and gaps.

    Raises:
        InvalidRequest: if the symbol is unknown or has too few bars.
    """
    stores.instruments.require([symbol])
    universe = stores.instruments.all()
    names = inputs_of(symbol, universe)
    bars = stores.bars.read(names, Timeframe.D1, Window(parse_timestamp("1900-01-01"), present))
    count = bars.filter(symbol=symbol).height
    if count < _LEAST:
        raise InvalidRequest(
            f"{symbol} has too few daily bars to try a definition on.",
            expected=f"{_LEAST} bars or more",
            received=f"{count} bars",
            remedy=f"`trading-platform backfill {symbol} -t 1d`, or leave out --symbol to use invented bars",
        )
    return Market(
        symbol,
        bars,
        {name: universe[name] for name in names},
        splits_between(stores, bars, Timeframe.D1),
        gaps_between(stores, bars, Timeframe.D1, universe, present),
        f"the stored bars of {symbol}",
    )
