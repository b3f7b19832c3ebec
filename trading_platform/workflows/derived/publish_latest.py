"""Writes today's features to Redis: the newest row of each symbol's files, while it is the present one.

The rows are read from the files that were just written, so that Redis has their numbers and no others. Of instruments
with hourly rows it is the hourly one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import polars as pl

from trading_platform.domain.features.hourly import has_hourly_rows
from trading_platform.domain.features.latest import LatestRow, kept_until, row_of
from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.time import Timeframe, Window
from trading_platform.stores.stores import Stores

_RECENT = {Timeframe.H1: timedelta(hours=4), Timeframe.D1: timedelta(days=30)}
"""How far back a row can be that is the present one; no market is closed for longer."""


def publish_latest(stores: Stores, universe: Mapping[str, Instrument], symbols: Sequence[str], now: datetime) -> None:
    """Writes the present rows of some symbols; nothing where there is none, as after building a month of the past."""
    if stores.latest_features is None:
        return
    rows = latest_rows(stores, universe, symbols, now)
    if rows:
        stores.latest_features.write([(row, kept_until(universe[symbol], row) - now) for symbol, row in rows.items()])


def latest_rows(
    stores: Stores, universe: Mapping[str, Instrument], symbols: Sequence[str], now: datetime
) -> dict[str, LatestRow]:
    """The present row of each symbol in the files; symbols without one are left out."""
    found: dict[str, LatestRow] = {}
    for timeframe, names in (
        (Timeframe.D1, list(symbols)),
        (Timeframe.H1, [symbol for symbol in symbols if has_hourly_rows(universe[symbol])]),
    ):
        window = Window(now - _RECENT[timeframe], now)
        known = stores.features_of(timeframe).read(names, window).filter(pl.col("available_at") <= now)
        for values in known.group_by("symbol", maintain_order=True).last().iter_rows(named=True):
            row = row_of(timeframe, values)
            if now < kept_until(universe[row.symbol], row):
                found[row.symbol] = row
    return found
