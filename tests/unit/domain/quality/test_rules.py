"""Prices finer than the columns: rejected as what they are, and noise of floats removed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import polars as pl
import pytest

from trading_platform.domain.quality.rules import RAW_BAR_SCHEMA, RAW_TRADE_SCHEMA, screen_bars, screen_trades
from trading_platform.domain.time import Timeframe

NOW = datetime(2026, 1, 1, tzinfo=UTC)
START = datetime(2024, 1, 2, tzinfo=UTC)


def trades(*prices: str) -> pl.DataFrame:
    rows = [(line, None, START + timedelta(seconds=line), "", price, "1") for line, price in enumerate(prices, start=1)]
    return pl.DataFrame(rows, schema=RAW_TRADE_SCHEMA, orient="row")


@pytest.mark.parametrize(
    "price",
    [
        "9.712e-07",  # 0.00000097 is 0.1 % off
        "0.0000000048",  # would be zero
        "0.0000000051",  # would be twice as much
        "4e-9",
        "0.000012345678",
        "0.026543215",
        "1e-300",
    ],
)
def test_a_price_finer_than_eight_decimals_is_rejected_as_such(price: str) -> None:
    screened = screen_trades(trades("0.5", price), NOW)
    assert screened.rejected.select("line", "reason", "detail").rows() == [
        (2, "too_fine", f"price is finer than eight decimals: {price}")
    ]
    bar = pl.DataFrame([(1, None, START, "", "0.5", "0.5", price, "0.5", "1")], schema=RAW_BAR_SCHEMA, orient="row")
    rejected = screen_bars(bar, Timeframe.D1, NOW).rejected
    assert rejected["reason"].to_list() == ["too_fine"]
    assert rejected["detail"].to_list() == [f"low is finer than eight decimals: {price}"]


@pytest.mark.parametrize("price", ["0", "0.00", "-1", "-9.7e-7", "-4e-9", "0e-12"])
def test_only_what_is_not_above_zero_is_called_so(price: str) -> None:
    assert screen_trades(trades(price), NOW).rejected["reason"].to_list() == ["non_positive_price"]


@pytest.mark.parametrize("price", ["0.00000001", "0.00002654", "1e-8", "2.654E-5", "0.1", "9999999999.12345678"])
def test_eight_decimals_are_kept_exactly(price: str) -> None:
    screened = screen_trades(trades(price), NOW)
    assert screened.accepted["price"].to_list() == [Decimal(price)]


def test_the_noise_of_single_and_double_precision_is_removed() -> None:
    generator = np.random.default_rng(7)
    exact = [Decimal(int(units)).scaleb(-8) for units in 10 ** generator.uniform(0, 11, 2_000)]
    for kind in (np.float32, np.float64):
        texts = [repr(float(kind(str(value)))) for value in exact]
        accepted = screen_trades(trades(*texts), NOW).accepted
        assert accepted.height == len(exact)
        if kind is np.float64:
            assert accepted["price"].to_list() == exact
