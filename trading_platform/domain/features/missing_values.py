"""What a read does where too many values of a feature are missing: keep them, impute them, or exclude their rows.

All of it is decided from the rows until the row itself, so that nothing that came later changes what a reader gets. The
check ``nan_share`` warns of whole months (:mod:`trading_platform.workflows.quality.derived.verify_features`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import polars as pl

from trading_platform.domain.features.feature_set import FeatureSet
from trading_platform.domain.features.inputs import InputKind
from trading_platform.domain.market.instruments import AssetClass, Instrument

Missing = Literal["keep", "impute", "exclude"]
"""``keep`` leaves NULL as it is, ``impute`` takes an earlier value, ``exclude`` leaves the rows out."""

NULL_SHARE = 0.10
"""Share of a symbol's values of a feature in a month, until the row, above which too many are missing."""

LONGEST = 5
"""An imputed value is at most this many rows old, a week of sessions."""

IMPUTED = "_imputed"
"""Ends the name of the column that says which values of a feature are imputed: ``rsi_14_imputed``."""


def with_missing(
    rows: pl.DataFrame, missing: Missing, features: FeatureSet, universe: Mapping[str, Instrument]
) -> pl.DataFrame:
    """Applies a rule for missing values to features as they are stored.

    Args:
        rows: ``time``, ``symbol``, ``available_at`` and features, sorted by (symbol, time), of each symbol from the
            beginning of a month on.
        missing: the rule.
        features: the definitions; a feature that they do not have is judged as one that each symbol can have.
        universe: the instruments of the symbols and of the members of their sectors.

    Returns:
        With ``keep`` the rows. With ``impute`` the rows with a further column for each feature, which is true where
        the value was imputed: the last earlier value of the symbol, at most :data:`LONGEST` rows old. Values in units
        of price or volume are not imputed, as a split may lie between. With ``exclude`` the rows in which no feature
        that the symbol can have is missing too often.
    """
    names = [name for name in rows.columns if name not in ("time", "symbol", "available_at")]
    if missing == "keep" or rows.is_empty():
        marks = [pl.lit(value=False).alias(f"{name}{IMPUTED}") for name in names if missing == "impute"]
        return rows.with_columns(marks)
    judged = {name: _symbols_with(name, rows["symbol"].unique().to_list(), features, universe) for name in names}
    if missing == "exclude":
        return rows.filter(~pl.any_horizontal(pl.lit(value=False), *(_too_many(name, judged[name]) for name in names)))
    return rows.with_columns(
        part for name in names for part in _imputed(name, judged[name], imputable=_is_imputable(name, features))
    )


def _too_many(name: str, symbols: Sequence[str]) -> pl.Expr:
    """Whether more than a tenth of a feature's values in the month, until the row, are missing."""
    own = ["symbol", pl.col("time").dt.strftime("%Y-%m")]
    lacking = pl.col(name).is_null().cast(pl.Int64).cum_sum().over(own)
    rows = pl.int_range(1, pl.len() + 1).over(own)
    return pl.col("symbol").is_in(list(symbols)) & (lacking > NULL_SHARE * rows)


def _imputed(name: str, symbols: Sequence[str], *, imputable: bool) -> tuple[pl.Expr, pl.Expr]:
    """The values of a feature with imputed ones, and which these are."""
    if not imputable:
        return pl.col(name), pl.lit(value=False).alias(f"{name}{IMPUTED}")
    earlier = pl.col(name).forward_fill(limit=LONGEST).over("symbol")
    fills = pl.col(name).is_null() & earlier.is_not_null() & _too_many(name, symbols)
    return pl.when(fills).then(earlier).otherwise(pl.col(name)).alias(name), fills.alias(f"{name}{IMPUTED}")


def _is_imputable(name: str, features: FeatureSet) -> bool:
    return name not in features.features or features.features[name].unit == "none"


def _symbols_with(
    name: str, symbols: Sequence[str], features: FeatureSet, universe: Mapping[str, Instrument]
) -> list[str]:
    if name not in features.features:
        return list(symbols)
    return [symbol for symbol in symbols if symbol in universe and can_have(name, features, universe[symbol], universe)]


def can_have(name: str, features: FeatureSet, instrument: Instrument, universe: Mapping[str, Instrument]) -> bool:
    """Whether a symbol lacks a value where a feature has none: it may need peers, a benchmark, a volume or a source.

    Where there is no news a feature of news is NULL, and no value is missing.
    """
    each = features.features[name]
    if each.awaits is not None or each.names_of(InputKind.NEWS):
        return False
    if each.names_of(InputKind.PEERS) and (
        instrument.sector is None
        or not any(
            other.sector == instrument.sector for other in universe.values() if other.symbol != instrument.symbol
        )
    ):
        return False
    if each.names_of(InputKind.BENCHMARK) and instrument.benchmark is None:
        return False
    if "volume" in each.names_of(InputKind.BARS) and instrument.asset_class in (AssetClass.FX, AssetClass.INDEX):
        return False
    return all(can_have(other, features, instrument, universe) for other in each.names_of(InputKind.FEATURE))
