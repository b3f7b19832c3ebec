"""Files with prices finer than eight decimals: refused as such, whatever they hold."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from trading_platform.sources.files.actions.read_actions import read_actions
from trading_platform.sources.files.content.contents import FileContent
from trading_platform.sources.files.content.options import ImportOptions, PriceSide
from trading_platform.sources.files.reading import FileReading, read_content

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BARS = "timestamp,open,high,low,close,volume\n"
TRADES = "time,price,quantity\n"
QUOTES = "time,bid,ask\n"


def read(text: str, **said: object) -> FileReading:
    content = FileContent(Path("/somewhere/PEPEUSDT_1h.csv"), None, text.encode)
    return read_content(content, ImportOptions(**said), now=NOW, zone_of=lambda _symbol: "UTC")  # type: ignore[arg-type]


def test_each_bar_that_does_not_fit_is_rejected_and_the_others_are_exact() -> None:
    reading = read(
        BARS
        + "2023-05-01 00:00:00,9.712e-07,9.98e-07,9.555e-07,9.8765e-07,1.23e+12\n"
        + "2023-05-01 01:00:00,0.00000098,0.00000099,0.00000097,0.00000098,1\n"
        + "2023-05-01 02:00:00,4e-9,4e-9,4e-9,4e-9,1\n"
        + "2023-05-01 03:00:00,0,0,0,0,1\n"
    )
    assert reading.bars["close"].to_list() == [Decimal("0.00000098")]
    assert reading.rejected["reason"].to_list() == ["too_fine", "too_fine", "non_positive_price"]
    assert reading.rejected["detail"][0] == "open is finer than eight decimals: 9.712e-07"


@pytest.mark.parametrize(
    ("text", "side"),
    [
        (TRADES + "2023-05-01 00:00:00,0.00000100,1\n2023-05-01 00:00:30,0.000000971,1\n", PriceSide.MID),
        (QUOTES + "2023-05-01 00:00:00,9.7e-7,9.8e-7\n2023-05-01 00:00:30,9.71e-7,9.8e-7\n", PriceSide.BID),
        (
            QUOTES + "2023-05-01 00:00:00,0.00002654,0.00002656\n2023-05-01 00:00:30,0.00002654,0.00002655\n",
            PriceSide.MID,
        ),
        (QUOTES + "2023-05-01 00:00:00,1e-12,2e-12\n2023-05-01 00:00:30,1e-12,2e-12\n", PriceSide.ASK),
    ],
)
def test_ticks_are_refused_as_a_whole(text: str, side: PriceSide) -> None:
    """A minute made from the other ticks would have a wrong high or low."""
    reading = read(text, price=side)
    assert reading.rejected_whole
    assert reading.bars.is_empty()
    assert reading.rejected["reason"].to_list() == ["too_fine"]
    assert "finer than eight decimals" in reading.rejected["detail"][0]


def test_noise_of_floats_is_rounded_and_said() -> None:
    reading = read(
        BARS
        + "2023-05-01 00:00:00,230.20680236816406,233.1,230.1,230.2,5\n"
        + "2023-05-01 01:00:00,0.17100000381469727,0.18,0.17,0.175,5\n"
    )
    assert reading.bars["open"].to_list() == [Decimal("230.20680237"), Decimal("0.17100000")]
    assert "prices with more than eight decimals rounded to eight" in reading.assumption
    assert (
        "rounded"
        not in read(BARS + "2023-05-01 00:00:00,1,1,1,1,5\n2023-05-01 01:00:00,1.12345678,2,1,1,5\n").assumption
    )


def test_typed_columns_are_judged_alike() -> None:
    frame = pl.DataFrame(
        {
            "time": [datetime(2023, 5, 1, hour, tzinfo=UTC) for hour in range(3)],
            **{name: [9.712e-7, 0.00002654, 0.5] for name in ("open", "high", "low", "close")},
            "volume": [1.0, 2.0, 3.0],
        }
    )
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    content = FileContent(Path("/somewhere/PEPEUSDT_1h.parquet"), None, buffer.getvalue)
    reading = read_content(content, ImportOptions(), now=NOW, zone_of=lambda _symbol: "UTC")
    assert reading.bars["close"].to_list() == [Decimal("0.00002654"), Decimal("0.5")]
    assert reading.rejected["reason"].to_list() == ["too_fine"]


@pytest.mark.parametrize("amount", ["0.000012345678", "4e-9", "1e-13"])
def test_dividends_are_not_rounded(amount: str) -> None:
    text = f"ex_date,kind,amount\n2020-01-02,dividend,{amount}\n2020-04-02,dividend,0.205\n"
    content = FileContent(Path("/somewhere/KO.csv"), None, text.encode)
    reading = read_actions(content, "KO", lambda _symbol: "XNYS")
    assert [action.amount for action in reading.actions] == [Decimal("0.205")]
    assert reading.rejected["reason"].to_list() == ["too_fine"]
    assert "finer than eight decimals" in reading.rejected["detail"][0]
