"""Describes the stored values of a feature: by which definitions they were computed, and how they are distributed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from trading_platform.domain.time import Window, parse_timestamp
from trading_platform.stores.features.files import FeatureStore

EVERYTHING = Window(parse_timestamp("1970-01-01"), parse_timestamp("2200-01-01"))
QUANTILES = (0.05, 0.5, 0.95)


@dataclass(frozen=True)
class StoredVersion:
    """A definition by which stored values were computed.

    Attributes:
        version: its number; None where a file has the feature without saying by which definition.
        definition_hash: its hash; None as for ``version``, empty where a file was computed by several.
        months: number of month files.
        is_current: whether it is the present definition.
    """

    version: int | None
    definition_hash: str | None
    months: int
    is_current: bool


@dataclass(frozen=True)
class Distribution:
    """The stored values of a feature of one symbol.

    Attributes:
        symbol: the symbol.
        rows: number of rows.
        first: time of the first row.
        last: time of the last row.
        null_share: share of rows without a value.
        mean: mean of the values; None without any, as the following.
        deviation: standard deviation of the sample.
        quantiles: those of :data:`QUANTILES`.
        values: all values in order, for a chart.
    """

    symbol: str
    rows: int
    first: datetime
    last: datetime
    null_share: float
    mean: float | None
    deviation: float | None
    quantiles: tuple[float | None, ...]
    values: Sequence[float | None]


def stored_versions(store: FeatureStore, name: str, symbols: Sequence[str]) -> list[StoredVersion]:
    """The definitions by which the stored values of a feature were computed, the most frequent first."""
    counts: dict[tuple[int | None, str | None], int] = {}
    for symbol in symbols:
        months = store.months(symbol)
        if not months:
            continue
        first, last = parse_timestamp(f"{months[0]}-01"), parse_timestamp(f"{months[-1]}-02")
        for stamps in store.stamps(symbol, Window(first, last)).values():
            stamp = stamps.get(name, (None, None))
            counts[stamp] = counts.get(stamp, 0) + 1
    present = store.definitions.hashes.get(name)
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    return [StoredVersion(*stamp, count, stamp[1] == present) for stamp, count in ordered]


def distributions(store: FeatureStore, name: str, symbols: Sequence[str]) -> list[Distribution]:
    """The stored values of a feature, symbol by symbol; symbols without rows are left out.

    Raises:
        InvalidRequest: if there is no such feature.
    """
    found = []
    for symbol in symbols:
        rows = store.read([symbol], EVERYTHING, [name]).select("time", value=pl.col(name).cast(pl.Float64))
        if rows.is_empty():
            continue
        first, last, nulls, mean, deviation, *quantiles = rows.select(
            pl.col("time").min().alias("first"),
            pl.col("time").max().alias("last"),
            pl.col("value").null_count().alias("nulls"),
            pl.col("value").mean().alias("mean"),
            pl.col("value").std().alias("deviation"),
            *(pl.col("value").quantile(share, "linear").alias(f"p{share}") for share in QUANTILES),
        ).row(0)
        share = nulls / rows.height
        values = rows["value"].to_list()
        found.append(Distribution(symbol, rows.height, first, last, share, mean, deviation, tuple(quantiles), values))
    return found
