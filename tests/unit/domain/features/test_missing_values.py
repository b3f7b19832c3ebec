"""What reads do where values are missing too often, decided from the rows until each row alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import get_args

import numpy as np
import polars as pl
import pytest

from trading_platform.domain.features.built_in import BUILT_IN
from trading_platform.domain.features.missing_values import LONGEST, NULL_SHARE, Missing, with_missing
from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.settings import Settings

UNIVERSE = {
    "AAA": Instrument("AAA", AssetClass.EQUITY, "XNYS", "file", sector="s", benchmark="BBB"),
    "BBB": Instrument("BBB", AssetClass.EQUITY, "XNYS", "file", sector="s"),
    "EUR": Instrument("EUR", AssetClass.FX, "FX", "file"),
}
NAMES = ("rsi_14", "atr_14", "volume_ratio_20d", "sector_momentum", "news_sentiment_24h")


def rows(seed: int, share: float = 0.2) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    start, days = datetime(2024, 1, 1, tzinfo=UTC), 91
    times = [start + timedelta(days=day) for day in range(days)]
    parts = []
    for symbol in UNIVERSE:
        values = {
            name: pl.Series(np.where(random.random(days) < share, np.nan, random.normal(size=days)), nan_to_null=True)
            for name in NAMES
        }
        values["news_sentiment_24h"] = pl.Series([None] * days, dtype=pl.Float64)
        if symbol == "EUR":
            values["volume_ratio_20d"] = values["sector_momentum"] = pl.Series([None] * days, dtype=pl.Float64)
        available = [time + timedelta(days=1) for time in times]
        parts.append(pl.DataFrame({"time": times, "symbol": [symbol] * days, "available_at": available, **values}))
    return pl.concat(parts)


def by_hand(frame: pl.DataFrame, symbol: str, name: str) -> list[tuple[float | None, bool, bool]]:
    """For each row of a symbol: the value, whether it is imputed, and whether too many are missing until it."""
    found: list[tuple[float | None, bool, bool]] = []
    own = frame.filter(symbol=symbol).select("time", value=name).rows()
    for at, (time, value) in enumerate(own):
        month = [each for when, each in own[: at + 1] if (when.year, when.month) == (time.year, time.month)]
        many = month.count(None) / len(month) > NULL_SHARE
        earlier = [each for _, each in own[max(0, at - LONGEST) : at] if each is not None]
        fills = value is None and many and bool(earlier)
        found.append((earlier[-1] if fills else value, fills, many))
    return found


def test_an_imputed_value_is_marked_beside_it() -> None:
    frame = rows(1)
    found = with_missing(frame, "impute", BUILT_IN, UNIVERSE)
    assert found.columns == [*frame.columns, *(f"{name}_imputed" for name in NAMES)]
    for symbol, name in (("AAA", "rsi_14"), ("BBB", "sector_momentum"), ("EUR", "rsi_14")):
        own = found.filter(symbol=symbol)
        expected = by_hand(frame, symbol, name)
        assert own.select(name, f"{name}_imputed").rows() == [(value, fills) for value, fills, _ in expected]
    assert found["rsi_14_imputed"].sum() > 20
    unchanged = found.filter(~pl.col("rsi_14_imputed"))
    assert unchanged["rsi_14"].equals(frame.filter(~found["rsi_14_imputed"])["rsi_14"])
    assert not found["atr_14_imputed"].any(), "a split may lie between two prices"


def test_rows_with_too_many_missing_values_are_excluded() -> None:
    frame = rows(2)
    found = with_missing(frame, "exclude", BUILT_IN, UNIVERSE)
    for symbol, needed in (("AAA", NAMES[:4]), ("EUR", NAMES[:2])):
        many = [by_hand(frame, symbol, name) for name in needed]
        kept = [all(not each[2] for each in cells) for cells in zip(*many, strict=True)]
        assert found.filter(symbol=symbol).equals(frame.filter(symbol=symbol).filter(pl.Series(kept)))
    assert 0 < found.height < frame.height


@pytest.mark.parametrize("missing", ["keep", "impute", "exclude"])
def test_nothing_that_comes_later_changes_a_row(missing: Missing) -> None:
    frame = rows(3)
    whole = with_missing(frame, missing, BUILT_IN, UNIVERSE)
    for day in (1, 17, 40, 77):
        until = pl.col("time") < datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=day)
        assert with_missing(frame.filter(until), missing, BUILT_IN, UNIVERSE).equals(whole.filter(until))


@pytest.mark.parametrize("missing", ["keep", "impute", "exclude"])
def test_no_rows_have_the_columns_of_many(missing: Missing) -> None:
    frame = rows(4)
    nothing = with_missing(frame.clear(), missing, BUILT_IN, UNIVERSE)
    assert nothing.schema == with_missing(frame, missing, BUILT_IN, UNIVERSE).schema


def test_the_setting_knows_the_rules() -> None:
    assert get_args(Settings.model_fields["feature_missing"].annotation) == get_args(Missing)
