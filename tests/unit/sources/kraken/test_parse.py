"""Parsing of Kraken's answers, against recorded ones."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from trading_platform.domain.errors import MalformedPayload
from trading_platform.domain.market.bars import PRICES, TRADE_SCHEMA, bars_from_trades
from trading_platform.domain.quality.rules import screen_bars, screen_trades
from trading_platform.domain.rejection_reasons import Reason
from trading_platform.domain.time import Timeframe, Window
from trading_platform.sources.kraken.http import unwrap
from trading_platform.sources.kraken.parse import parse_ohlc, parse_trades

LATER = datetime(2025, 11, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module")
def recorded(test_data: Path) -> Path:
    return test_data / "payloads" / "nautilus_kraken"


def result_of(path: Path) -> dict[str, Any]:
    return unwrap(path.stem, json.loads(path.read_text(), parse_float=Decimal))


def test_trades_roll_up_to_the_recorded_candles_in_every_complete_minute(recorded: Path) -> None:
    candles = screen_bars(parse_ohlc(result_of(recorded / "http_ohlc.json")).rows, Timeframe.M1, LATER)
    response = parse_trades(result_of(recorded / "http_trades.json"))
    screened = screen_trades(response.rows, LATER)
    assert candles.rejected.is_empty()
    assert screened.rejected.is_empty()
    trades = screened.accepted.select(TRADE_SCHEMA.keys())
    first, last = trades["time"][0], trades["time"][-1]
    # Complete are the minutes after the one the first trade lies in, before the one of the last.
    window = Window(first.replace(second=0, microsecond=0) + MINUTE, last.replace(second=0, microsecond=0))
    before = trades.filter(pl.col("time") < window.start)
    bars = bars_from_trades(
        trades,
        symbol="BTCUSDT",
        timeframe=Timeframe.M1,
        source="kraken",
        window=window,
        previous_close=before["price"][-1],
    )
    expected = candles.accepted.filter(pl.col("time").is_between(window.start, window.end, closed="left"))
    columns = ["time", *PRICES, "volume"]
    assert bars.height == (window.end - window.start) // MINUTE
    assert bars.select(columns).equals(expected.select(columns))
    assert bars.filter(pl.col("quality") == "no_trade").height == expected.filter(pl.col("volume") == 0).height > 0


def test_the_last_row_of_ohlc_is_running_and_last_names_the_one_before(recorded: Path) -> None:
    response = parse_ohlc(result_of(recorded / "http_ohlc.json"))
    assert response.pair == "XBTUSDT"
    assert response.rows["time"][-2] == datetime.fromtimestamp(response.last, UTC)
    assert response.rows["line"].to_list() == list(range(1, response.rows.height + 1))


def test_values_keep_every_digit_of_the_wire(recorded: Path) -> None:
    text = (recorded / "http_trades.json").read_text()
    response = parse_trades(result_of(recorded / "http_trades.json"))
    row = response.rows.row(0, named=True)
    assert (row["price"], row["quantity"], row["time_text"]) == ("105433.60000", "0.00027625", "1762795433.9717445")
    assert row["nanoseconds"] == 1762795433_971744500
    assert row["time"] == datetime(2025, 11, 10, 17, 23, 53, 971744, tzinfo=UTC)
    assert f'"last": "{response.last}"' in text
    assert (response.rows["trade_id"].diff().drop_nulls() == 1).all()


def test_a_time_just_below_a_minute_stays_in_it() -> None:
    row = ["1.0", "1.0", Decimal("1762795439.9999999"), "b", "l", "", 1]
    response = parse_trades({"XBTUSD": [row], "last": "1762795439999999900"})
    assert response.rows["time"][0] == datetime(2025, 11, 10, 17, 23, 59, 999999, tzinfo=UTC)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ([1762777020, "2", "1", "1", "1", "1", "1", 1], Reason.OHLC_INCONSISTENT),
        ([1762777020, "0", "1", "0", "1", "1", "1", 1], Reason.NON_POSITIVE_PRICE),
        ([1762777020, "1", "1", "1", "x", "1", "1", 1], Reason.UNREADABLE_NUMBER),
        ([1762777020, "1", "1", "1", None, "1", "1", 1], Reason.MISSING_VALUE),
        ([1762777020, "1", "1", "1", "1", "1", None, 1], Reason.MISSING_VALUE),
        ([1762777021, "1", "1", "1", "1", "1", "1", 1], Reason.OFF_GRID),
        (["soon", "1", "1", "1", "1", "1", "1", 1], Reason.UNREADABLE_TIME),
        ([10**30, "1", "1", "1", "1", "1", "1", 1], Reason.UNREADABLE_TIME),
    ],
)
def test_a_row_that_cannot_be_a_bar_is_refused_as_it_stood(row: list[Any], reason: Reason) -> None:
    good = [1762776960, "1", "1", "1", "1", "1", "1", 1]
    screened = screen_bars(parse_ohlc({"XBTUSD": [good, row], "last": 0}).rows, Timeframe.M1, LATER)
    assert screened.accepted.height == 1
    assert screened.rejected["reason"].to_list() == [reason.value]
    assert screened.rejected["line"].to_list() == [2]
    assert str(row[0]) in screened.rejected["record"][0]


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"last": 1},
        {"XBTUSD": [], "ETHUSD": [], "last": 1},
        {"XBTUSD": {}, "last": 1},
        {"XBTUSD": [[1, "1"]], "last": 1},
        {"XBTUSD": ["x"], "last": 1},
        {"XBTUSD": []},
        {"XBTUSD": [], "last": None},
        {"XBTUSD": [], "last": "soon"},
        {"XBTUSD": [], "last": 2**63},
        {"XBTUSD": [], "last": "9" * 4_000},
        {"XBTUSD": [], "last": -1},
        {"XBTUSD": [], "last": True},
    ],
)
def test_another_shape_is_refused_whole(payload: dict[str, Any]) -> None:
    for parse in (parse_ohlc, parse_trades):
        with pytest.raises(MalformedPayload) as caught:
            parse(payload)
        assert not caught.value.retryable


def test_a_trade_id_must_be_an_integer() -> None:
    row = ["1.0", "1.0", Decimal("1762795439.9"), "b", "l", "", "7"]
    with pytest.raises(MalformedPayload, match="trade_id"):
        parse_trades({"XBTUSD": [row], "last": "1"})


@pytest.mark.parametrize("number", [2**63, -1, True, Decimal(7)])
def test_a_trade_id_must_fit_its_column(number: object) -> None:
    row = ["1.0", "1.0", Decimal("1762795439.9"), "b", "l", "", number]
    with pytest.raises(MalformedPayload, match="trade_id"):
        parse_trades({"XBTUSD": [row], "last": "1"})


def test_the_last_moment_of_the_calendar_is_a_time() -> None:
    row = ["1.0", "1.0", Decimal("253402300799.99999999999999999999"), "b", "l", "", 1]
    (found,) = parse_trades({"XBTUSD": [row], "last": "1"}).rows.iter_rows(named=True)
    assert found["time"] == datetime.max.replace(tzinfo=UTC)
    assert found["nanoseconds"] is None, "it does not fit its column"
