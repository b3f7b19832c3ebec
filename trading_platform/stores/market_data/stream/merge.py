"""Determines which bars of a stream to write, given the stored ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from trading_platform.domain.market.bars import BAR_SCHEMA, Quality, mark_gaps
from trading_platform.domain.time import Timeframe
from trading_platform.stores.market_data.bars import bars_table
from trading_platform.stores.postgres.database import read_frame
from trading_platform.stores.postgres.sql import query

if TYPE_CHECKING:
    from sqlalchemy import Connection

_KEY = ["symbol", "time"]


def stored_around(connection: Connection, timeframe: Timeframe, bars: pl.DataFrame) -> pl.DataFrame:
    """The stored bars in the span of these bars, with the bar before and the bar after, for each symbol."""
    if bars.is_empty():
        return bars.clear()
    spans = bars.group_by("symbol").agg(first=pl.col("time").min(), last=pl.col("time").max()).sort("symbol")
    parameters = {"symbols": spans["symbol"].to_list(), "firsts": spans["first"].to_list()}
    statement = _for("market_data/stream/around", timeframe)
    stored = read_frame(connection, statement, parameters | {"lasts": spans["last"].to_list()}, BAR_SCHEMA)
    before = stored.join(spans, on="symbol").filter(pl.col("time") < pl.col("first"))
    without = spans.join(before, on="symbol", how="anti")
    if without.is_empty():
        return stored
    parameters = {"symbols": without["symbol"].to_list(), "firsts": without["first"].to_list()}
    further = read_frame(connection, _for("market_data/stream/last_before", timeframe), parameters, BAR_SCHEMA)
    return pl.concat([stored, further]).sort(_KEY)


def without_protected(stored: pl.DataFrame, bars: pl.DataFrame) -> pl.DataFrame:
    """The bars without those that must not replace the stored bar: a repaired one, or one from another source."""
    repaired = stored.filter(pl.col("quality") == Quality.REPAIRED.value)
    others = stored.join(bars, on=[*_KEY, "source"], how="anti")
    return bars.join(pl.concat([repaired, others]), on=_KEY, how="anti")


def differences(stored: pl.DataFrame, new: pl.DataFrame) -> pl.DataFrame:
    """The bars to write: the new ones, and stored neighbours with a changed review mark."""
    merged = pl.concat([stored.join(new, on=_KEY, how="anti"), new]).sort(_KEY)
    # The first bar of a symbol keeps its mark: the bar before it is not in the frame, or there is none.
    is_first = pl.col("time") == pl.col("time").min().over("symbol")
    review = pl.col("quality") == Quality.REVIEW.value
    plain = pl.when(review & ~is_first).then(pl.lit(Quality.TRADED.value)).otherwise(pl.col("quality"))
    marked = mark_gaps(merged.with_columns(quality=plain))
    return marked.join(stored, on=list(BAR_SCHEMA), how="anti", nulls_equal=True)


def _for(name: str, timeframe: Timeframe) -> str:
    return query(name).replace("{table}", bars_table(timeframe))
